"""The Wiener filter: the regularised least-squares image, with no prior but its power spectrum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..arrays import accumulator, as_tensor, check_count, check_normal, check_number
from ..contracts import Circulant, Cosine, Inverse, LinearOperator, Scalar, Shape, Solution, Status
from ..errors import InvalidInput, Unsupported, closest, strict_keywords
from ..inverses import auto
from ..operators.base import spectra
from ..operators.base.real_array import real_array
from ..placement import placed
from ..stopping import StopRule, relative_change
from ..tracing import constant as belongs_to_graph
from ..tracing import fixed, real_dtype
from .arguments import check_data, check_inverse, check_inverts, check_tolerance
from .monitor import ended
from .whole import check_real_images


@strict_keywords
def wiener(
    y: Any,
    op: LinearOperator,
    constant: float,
    *,
    spectrum: Any = "white",
    exponent: float = 2.0,
    inverse: str | Inverse = "auto",
    iterations: int = 1000,
    tolerance: float = 1e-5,
) -> Solution:
    """The minimiser of ``||y - A x||^2 + constant sum |F x|^2 / S``, S the power spectrum that images should have.

    White, S = 1: ``||y - A x||^2 + constant ||x||^2``, for every operator::

        x = A^T (A A^T + constant I)^-1 y

    by q' = q + C (y - A A^T q - constant q), x = A^T q, from q = 0: one step when C is the exact inverse, and one
    to see that it was; a few when C only comes near it, the answer being the same.

    Another S, in one step, where A^T A is diagonal under the same transform F, with the spectrum G::

        x = F^-1 [F A^T y / (G + constant / S)]

    F is the FFT (circular blurs, masked Fourier) or the DCT-II (reflecting blurs with a symmetric psf, none at all).
    Photographs are not white: their details are weaker than their large parts, so that these gain where blurs lose.

    Differentiable in y.

    Args:
        y: The data, of the shape that ``op`` maps to; float32 or float64 (complex for masked Fourier; on GPUs
            float16 and bfloat16 too), a torch tensor on any device, or a NumPy or CuPy array.
        op: The operator A, an object of ``fastip.operators``.
        constant: A number > 0, the noise-to-signal power ratio; for images in [0, 1] that of S as it is.
        spectrum: "white"; "laplacian", S = 1 / s^2 with ``s = 4 sin^2(w1 / 2) + 4 sin^2(w2 / 2)`` at the angles w1 and
            w2 of a frequency in radians a pixel; "gradient", 1 / s; "power", ``(w1^2 + w2^2)^(-exponent / 2)``; or S
            itself, an array of numbers > 0: for the FFT h w with frequency 0 at [0, 0], or the half h (w // 2 + 1) of
            rfft2, for the DCT-II h w; of volumes, b c d h w, with a third axis and a third angle.
        exponent: Of "power", a number > 0; about 2 for photographs.
        inverse: "auto" or an object of ``fastip.inverses``, for "white" alone.
        iterations: At most, a whole number >= 1; another spectrum takes one.
        tolerance: Stop when ``||y - A x - constant q|| <= tolerance ||y||`` and the relative change of x is <=
            tolerance, for every image, checked at each step; 0 runs exactly ``iterations`` without checks.

    Returns:
        A Solution; ``solution.x`` is of the kind of ``y``. admm can resume from it where the spectrum is white; others
        have no dual.

    Raises:
        InvalidInput: A ValueError, for bad values.
        Unsupported: Where an inverse does not fit the operator, where no transform makes A^T A and S diagonal (then
            ``fastip.admm`` with ``priors.Quadratic``), and for a tolerance inside torch.compile or while a CUDA graph
            is captured.

    References:
        Wiener, Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949.
    """
    y, restore = as_tensor(y, "y")
    check_data(y, op)
    check_real_images(op, "wiener")
    exponent = check_number(exponent, "exponent", low=0.0, strict=True)
    constant = check_normal(check_number(constant, "constant", low=0.0, strict=True), "constant", y.dtype)
    if not isinstance(spectrum, str) or spectrum != "white":
        x = _coloured(y, op, constant, _named(spectrum), exponent, inverse)
        check_number(tolerance, "tolerance", low=0.0)
        return Solution(restore(x), None, ended(Status.CONVERGED, x), 1, StopRule(0, 1).residuals(len(y)))
    rule = StopRule(check_tolerance(tolerance, y), check_count(iterations, "iterations", low=1))
    chosen: Any = (
        auto.choose(op, y, constant, pointwise=False, iterated=False) if inverse == "auto" else check_inverse(inverse)
    )
    step = check_inverts(chosen.bind(op, y, constant), "wiener")
    q = step.start()
    x = step.pull(q)
    done, verdict = 0, None
    while verdict is None and done < rule.iterations:
        q, r = step(x, q)
        x_new = step.pull(q)
        if rule.tolerance > 0:
            data = step.norm(r)
            verdict = rule.judge(torch.stack([data, data.maximum(relative_change(x, x_new))]))
        x, done = x_new, done + 1
    status = ended(verdict or Status.ITERATIONS, x, q)
    return Solution(restore(x), q, status, done, rule.residuals(len(y)), constant)


def _named(spectrum: Any) -> str | Tensor:
    """A known name, or an array in float64."""
    if isinstance(spectrum, str):
        return closest(spectrum, spectra.KNOWN, "spectrum")
    given = real_array(spectrum, "spectrum", (2, 3), "a filter")
    if not bool((given > 0).all()):
        raise InvalidInput(
            f"spectrum holds numbers from {given.min():g}; expected power > 0 at every frequency: "
            "a very small one for what images have not"
        )
    return given


def _coloured(
    y: Tensor, op: LinearOperator, constant: float, spectrum: str | Tensor, exponent: float, inverse: Any
) -> Tensor:
    """``F^-1 [F A^T y / (G + constant / S)]``."""
    if inverse != "auto":
        raise InvalidInput("spectrum is not 'white', which needs no inverse; expected inverse='auto': leave it out")
    blurred = op.adjoint(y)
    boundary, power, penalty = _diagonals(op, fixed(blurred.shape, op), spectrum, exponent, y.device)
    total = power + constant * penalty
    gain = torch.where(total > 0, 1 / total, torch.zeros_like(total))  # where data and S both say nothing, nothing
    gain = gain.to(dtype=accumulator(real_dtype(y.dtype)), device=y.device)
    response = spectra.response(gain, boundary, blurred.ndim - 2)
    return spectra.filtered(blurred, response, boundary)


@belongs_to_graph
def _diagonals(
    op: LinearOperator, shape: Shape, spectrum: str | Tensor, exponent: float, device: torch.device
) -> tuple[str, Tensor, Tensor]:
    """The transform by its boundary, G and 1 / S, on the device."""
    gram = op.gram(shape)
    if not isinstance(gram, (Scalar, Circulant, Cosine)) or len(shape) not in (4, 5):
        given = "an array" if isinstance(spectrum, Tensor) else repr(spectrum)
        raise Unsupported(
            f"spectrum is {given}, and neither the FFT nor the DCT-II makes A^T A of {type(op).__name__} on images of "
            f"shape {shape} diagonal: use fastip.admm with priors.Quadratic, or spectrum='white'"
        )
    boundary = "circular" if isinstance(gram, Circulant) else "reflect"
    size = tuple(shape[2:])
    power = gram.value * spectra.penalty("white", size, boundary) if isinstance(gram, Scalar) else gram.spectrum
    if isinstance(spectrum, str):
        penalty = spectra.penalty(spectrum, size, boundary, exponent if spectrum == "power" else 2.0)
    else:
        penalty = 1 / _halved(spectrum, size, boundary)
    return boundary, placed(power, device), placed(penalty, device)


def _halved(spectrum: Tensor, size: Shape, boundary: str) -> Tensor:
    """S in the layout of the transform."""
    layout = (*size[:-1], size[-1] // 2 + 1) if boundary == "circular" else size
    if tuple(spectrum.shape) == layout:
        return spectrum
    if tuple(spectrum.shape) != size:
        known = " or ".join(dict.fromkeys(str(sides) for sides in (size, layout)))
        raise InvalidInput(
            f"spectrum has shape {tuple(spectrum.shape)}; expected {known}, the frequencies of the image"
        )
    axes = tuple(range(len(size)))
    if not torch.allclose(spectrum, spectrum.flip(axes).roll((1,) * len(axes), axes), rtol=1e-6, atol=0):
        raise InvalidInput(
            "spectrum differs at a frequency and its negative, which real images do not; expected S[f] = S[-f], "
            "frequency 0 at [0, 0]: torch.fft.ifftshift a centred one"
        )
    return spectrum[..., : layout[-1]]
