"""What the tests on a pretended and on a real GPU walk over: inverses on operators, problems, solvers.

It also says what a call on the pretended one must be.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import fastip
from cases.checks import noise, relative
from cases.pretended import CUDA, Event, Pretended, ours, pretended
from cases.priors import smooth
from fastip import inverses, nets, operators, priors, solvers
from fastip.operators import psf

SINGLE = 2e-5  # relative: float32, once by compiled kernels and once by the reference
BETA = 0.05


def quiet(gpu: Pretended, call: Callable[[], Any]) -> Any:
    """What ``call`` gives when it is called again.

    It must wait for nothing, and sum nothing in an order that changes.
    """
    call()
    gpu.waits.clear()
    gpu.atomics.clear()
    result = call()
    assert not ours(gpu.waits) and not ours(gpu.atomics)
    return result


def same(gpu: Pretended, far: Tensor, near: Tensor, tolerance: float = SINGLE) -> None:
    """Equal in kind, on the device, and in values to rounding."""
    assert far.device == CUDA and far.dtype == near.dtype and far.shape == near.shape
    assert relative(gpu.get(far), near) < tolerance


class Bound(NamedTuple):
    """An inverse on an operator."""

    inverse: Any
    op: operators.Operator
    shape: tuple[int, ...]
    looks: bool = False  # an inner loop, which must ask when it is done


def net_of(kind: Any, **options: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return kind(**options).requires_grad_(False)


def blur(stride: int = 1, boundary: str = "circular") -> operators.Blur:
    return operators.Blur(psf.gaussian(5, sigma=1.1), stride=stride, boundary=boundary)


def every_inverse() -> dict[str, Bound]:
    image = (2, 3, 12, 14)
    motion = operators.Blur(psf.motion(5, 30))
    dense = {name: operators.Dense(noise(size, seed=3)) for name, size in (("wide", (7, 12)), ("tall", (20, 12)))}
    mask = operators.Mask(noise((12, 14), seed=2) > 0)
    grey = nets.boundary_of("valid")
    return {
        "scalar": Bound(inverses.Scalar(), blur(2), image),
        "diagonal": Bound(inverses.Diagonal(), operators.Mask(noise((12, 14), seed=2)) @ blur(), image),
        "nystrom": Bound(inverses.Nystrom(4), dense["wide"], (3, 12)),
        "polynomial": Bound(inverses.Polynomial(2), motion, image),
        "exact-scalar": Bound(inverses.Exact(), operators.Downsample(2), image),
        "exact-diagonal": Bound(inverses.Exact(), mask, image),
        "exact-fft-image": Bound(inverses.Exact(), motion, image),
        "exact-fft-data": Bound(inverses.Exact(), blur(2), image),
        "exact-cosine": Bound(inverses.Exact(), blur(boundary="reflect"), image),
        "exact-fourier": Bound(inverses.Exact(), operators.MaskedFourier(noise((12, 14), seed=5) > 0), image),
        "exact-dense-wide": Bound(inverses.Exact(), dense["wide"], (3, 12)),
        "exact-dense-tall": Bound(inverses.Exact(), dense["tall"], (3, 12)),
        "exact-assembled": Bound(inverses.Exact(), operators.Blur(psf.motion(5, 30), boundary="zero"), image),
        "exact-stacked": Bound(inverses.Exact(), operators.Stack([motion, operators.Identity()]), image),
        **{
            f"stencil-{b}-s{s}": Bound(
                inverses.Stencil(2), blur(s, b), (2, 3, 21, 25) if b == "valid" else (2, 3, 16, 20)
            )
            for b in _BOUNDARIES
            for s in (1, 2)
        },
        "learned-taps": Bound(inverses.Learned(net_of(nets.InverseNet)), blur(), (1, 2, 20, 21)),
        "learned-bordered": Bound(
            inverses.Learned(net_of(nets.InverseNet, boundary=grey)), blur(boundary="valid"), (2, 1, 48, 50)
        ),
        "learned-layers": Bound(
            inverses.Learned(net_of(nets.InverseNet, boundary=grey)), blur(boundary="valid"), (1, 1, 20, 21)
        ),
        "learned-range": Bound(
            inverses.Learned(net_of(nets.InverseNet, channels=(3,), sizes=(9,), beta_range=(1e-3, 1.0))),
            blur(),
            (1, 2, 20, 21),
        ),
        "learned-paper": Bound(
            inverses.Learned(net_of(nets.PaperInverseNet, beta_range=(1e-3, 1.0))), blur(), (2, 2, 16, 20)
        ),
        "split-valid": Bound(inverses.Split(), blur(2, "valid"), (2, 3, 21, 25)),
        "split-masked": Bound(
            inverses.Split(), mask @ operators.Blur(psf.motion(5, 30), boundary="valid"), (2, 3, 16, 18)
        ),
        "split-several": Bound(
            inverses.Split(), operators.Blur(noise((2, 1, 3, 4), seed=6), boundary="valid"), (2, 3, 14, 15)
        ),
        "split-volume": Bound(
            inverses.Split(), operators.Blur(noise((2, 3, 2), seed=6), 2, "valid", axes=3), (1, 2, 6, 7, 8)
        ),
        "exact-several": Bound(inverses.Exact(), operators.Blur(noise((2, 3, 3, 4), seed=6), 2), image),
        "split-circular": Bound(inverses.Split(), mask @ motion, image),
        "uncorrected": Bound(inverses.Uncorrected(inverses.Stencil(1)), blur(2), image),
        "printed": Bound(inverses.Printed(inverses.Exact(side="data")), blur(2), image),
        "descent": Bound(inverses.GradientDescent(3), motion, image),
        "conjugate-data": Bound(inverses.ConjugateGradient(1e-3), motion, image, looks=True),
        "conjugate-image": Bound(inverses.ConjugateGradient(1e-3, side="image"), motion, image, looks=True),
    }


_BOUNDARIES = ("circular", "valid", "reflect", "zero")
INVERSES = every_inverse()


def waits_of(y: Tensor, solve: Callable[[Tensor], Any]) -> tuple[list[Event], list[Event], Tensor]:
    with pretended() as gpu:
        solution = solve(gpu.put(y))
        return ours(gpu.waits), ours(gpu.atomics), gpu.get(solution.x)


@functools.cache
def wavelet() -> priors.Wavelet:
    """One object, as it keeps its filters.

    Made when it is used, so that these tests are collected without PyWavelets, too.
    """
    pytest.importorskip("pywt")
    return priors.Wavelet(1e-2, levels=1)


SOLVERS: dict[str, Callable[..., Any]] = {
    "admm": lambda y, op, n: fastip.admm(y, op, priors.L1(2e-2), iterations=n, tolerance=0),
    "admm-relaxed": lambda y, op, n: fastip.admm(
        y, op, priors.TV(1e-3) + priors.Box(), beta=BETA, iterations=n, tolerance=0, relaxation=0.8
    ),
    "admm-wavelet": lambda y, op, n: fastip.admm(y, op, wavelet(), iterations=n, tolerance=0),
    "admm-denoiser": lambda y, op, n: fastip.admm(
        y, op, priors.Denoiser(smooth, sigma=0.1), beta=BETA, iterations=n, tolerance=0
    ),
    "pgd": lambda y, op, n: fastip.pgd(y, op, priors.L1(1e-2), iterations=n, tolerance=0),
    "pgd-nesterov": lambda y, op, n: fastip.pgd(
        y, op, priors.AnisotropicTV(1e-3), momentum=solvers.Nesterov(), iterations=n, tolerance=0
    ),
    "pgd-back-projection": lambda y, op, n: fastip.pgd(
        y, op, priors.L1(1e-2), step=solvers.BackProjection(), iterations=n, tolerance=0
    ),
    "npgd": lambda y, op, n: fastip.npgd(y, op, priors.Box(0, 1), iterations=n, tolerance=0),
    "wiener": lambda y, op, n: fastip.wiener(y, op, 1e-2, iterations=n, tolerance=0),
}
PROBLEMS: dict[str, tuple[operators.Operator, tuple[int, ...]]] = {
    "super-resolution": (blur(2), (2, 3, 16, 20)),
    "deblurring": (operators.Blur(psf.motion(5, 30)), (1, 3, 13, 15)),
    "mirrored": (blur(boundary="reflect"), (2, 1, 13, 15)),
    "large-psf": (operators.Blur(psf.gaussian(35, sigma=6.0), boundary="reflect"), (1, 1, 40, 41)),
    "box": (operators.Downsample(2), (2, 3, 12, 14)),
    "inpainting": (operators.Mask(noise((12, 14), seed=2) > 0), (2, 3, 12, 14)),
    "several-psfs": (operators.Blur(torch.stack([psf.motion(5, angle) for angle in (0, 30, 75)])), (2, 3, 12, 14)),
    "fourier-images": (operators.MaskedFourier(noise((2, 1, 12, 14), seed=5) > 0), (2, 1, 12, 14)),
    "fourier": (operators.MaskedFourier(noise((12, 14), seed=5) > 0), (2, 1, 12, 14)),
    "stacked": (operators.Stack([operators.Identity(), operators.Blur(psf.motion(5, 30))]), (1, 1, 12, 14)),
}
