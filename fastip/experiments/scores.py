"""How close restorations come to the truth, and what they are compared with.

Bicubic interpolation, the best Wiener filter, total variation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .. import metrics, nets, solvers, tasks
from ..contracts import Inverse, LinearOperator
from ..data import comparators
from ..errors import InvalidInput, Unsupported, strict_keywords
from ..inverses import ConjugateGradient, Exact
from ..solvers import wiener
from ..tasks import fitted as fitted

# of the Wiener filters, 1e-4 to 1: a finer grid takes longer, a coarser or narrower one makes the baseline weaker
CONSTANTS = tuple(10 ** (exponent / 4) for exponent in range(-16, 1))
# Weight and beta of total variation by the stride: the best mean PSNR on five photographs, blurred as the tasks blur,
# for super-resolution a compromise between no noise and noise of 0.01, for deblurring for noise of 0.01.
VARIATION = {4: (5e-4, 1e-2), 3: (5e-4, 1e-2), 2: (6e-4, 3e-2), 1: (1.5e-3, 3e-2)}
Scores = dict[str, list[float]]  # psnr, ssim and, where there is a comparator, distance: one number for each image


def comparator() -> nets.Comparator | None:
    """The network of ``metrics.perceptual_distance``, None where the package with its weights is not installed."""
    try:
        return comparators.comparator()
    except Unsupported:
        return None


@strict_keywords
def scores(x: Tensor, truth: Tensor, judge: nets.Comparator | None = None) -> Scores:
    """PSNR in dB and SSIM of the images as they would be written, clipped to [0, 1].

    With a judge also the perceptual distance.
    """
    x = x.clamp(0, 1)
    found = {"psnr": metrics.psnr(x, truth).tolist(), "ssim": metrics.ssim(x, truth).tolist()}
    if judge is not None:
        found["distance"] = metrics.perceptual_distance(x, truth, judge).tolist()
    return found


def psnr(x: Tensor, truth: Tensor) -> float:
    """Of one image as it would be written, in dB."""
    return float(metrics.psnr(x.clamp(0, 1), truth).mean())


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return sum(values) / len(values)


@strict_keywords
def under_data(x: Tensor, op: LinearOperator, y: Tensor) -> Tensor:
    """The part of an image that lies under its data, by which restorations are judged.

    All of it but for a valid boundary.
    """
    return tasks.under_data(x, op, tuple(y.shape))


@strict_keywords
def bicubic(y: Tensor, op: LinearOperator) -> Tensor:
    """The data of a strided convolution enlarged by the stride: datum 0 lies on the first pixel under the data."""
    convolution = op.convolution()
    if convolution is None:
        raise InvalidInput(f"{op!r} is no convolution; bicubic interpolation needs data that are samples of an image")
    return solvers.bicubic(y, convolution.stride)


@strict_keywords
def best_wiener(y: Tensor, op: LinearOperator, truth: Tensor) -> Tensor:
    """For each image the Wiener filter of the constant in CONSTANTS that comes closest to the truth.

    Nobody has the truth outside of an experiment.
    """
    best = errors = None
    reference = under_data(truth, op, y)
    # to 1e-5 or exact: one step is enough
    inverse: Inverse = ConjugateGradient() if Exact().structure(op, y) is None else Exact()
    for constant in CONSTANTS:
        x = wiener(y, op, constant, inverse=inverse, iterations=1, tolerance=0).x
        error = (under_data(x, op, y).clamp(0, 1) - reference).square().flatten(1).mean(dim=1)
        if best is None or errors is None:
            best, errors = x, error
        else:
            best = torch.where((error < errors)[:, None, None, None], x, best)
            errors = torch.minimum(error, errors)
    assert best is not None
    return best


@strict_keywords
def total_variation(op: LinearOperator) -> tasks.AdmmProblem:
    """What the weightless task of the same stride makes of this convolution: total variation and 0 <= x <= 1."""
    convolution = op.convolution()
    if convolution is None:
        raise InvalidInput(f"{op!r} is no convolution; the weightless tasks are for those")
    stride = convolution.stride
    task = tasks.classical(f"sr{stride}" if stride > 1 else "deblur")
    weight, beta = VARIATION[stride]
    return task.problem(psf=convolution.psf, boundary=convolution.boundary, weight=weight, beta=beta)
