"""The Triton kernels, for GPUs: the functions of ``native``, with the same signatures. Triton is imported when the first of them is called.

Images are float32, float64, bfloat16 or float16; sums are kept in float32 (float64 for float64).
"""

from __future__ import annotations

import functools
import re

from torch import Tensor

from ..contracts import Pointwise, Status, StencilStep
from ..stopping import StopRule

OLDEST = (3, 6)  # version of Triton whose language the kernels are written in


@functools.cache
def why_missing() -> str | None:
    """None where Triton can be imported, else the reason."""
    try:
        import triton
    except ImportError as error:
        return f"Triton cannot be imported ({error}); install fastip[triton]"
    if not hasattr(triton, "jit"):
        return "the module named triton is not the compiler; remove it and install fastip[triton]"
    version = tuple(int(part) for part in re.findall(r"\d+", triton.__version__)[:2])
    if version < OLDEST:
        return f"Triton {triton.__version__} is too old; install fastip[triton], which asks for {'.'.join(map(str, OLDEST))} or newer"
    return None


@functools.cache
def interpreted() -> bool:
    """Whether TRITON_INTERPRET=1 runs the kernels in Python, on tensors of the CPU too: for tests."""
    if why_missing():
        return False
    from triton import knobs

    return bool(knobs.runtime.interpret)


def strided_conv(x: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    """As :func:`fastip.kernels.reference.strided_conv`."""
    from . import triton_strided_conv as family

    return family.strided_conv(x, psf, stride, boundary)


def strided_conv_adjoint(y: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    """As :func:`fastip.kernels.reference.strided_conv_adjoint`."""
    from . import triton_strided_conv_adjoint as family

    return family.strided_conv_adjoint(y, psf, stride, boundary)


def stencil(r: Tensor, taps: Tensor, boundary: str) -> Tensor:
    """As :func:`fastip.kernels.reference.stencil`."""
    from . import triton_strided_conv as family

    return family.stencil(r, taps, boundary)


def woodbury(x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """As :func:`fastip.kernels.reference.woodbury`: two passes, the sums inside the convolutions."""
    from . import triton_woodbury as family

    return family.woodbury(x, q, y, psf, stride, boundary, taps, beta)


def pixel_unshuffle(x: Tensor, stride: int) -> Tensor:
    """As :func:`fastip.kernels.reference.pixel_unshuffle`."""
    from . import triton_pixel_shuffle as family

    return family.pixel_unshuffle(x, stride)


def pixel_shuffle(phases: Tensor, height: int, width: int) -> Tensor:
    """As :func:`fastip.kernels.reference.pixel_shuffle`."""
    from . import triton_pixel_shuffle as family

    return family.pixel_shuffle(phases, height, width)


def soft_threshold(
    v: Tensor,
    threshold: float | Tensor,
    shrink: float | Tensor = 1.0,
    low: float = float("-inf"),
    high: float = float("inf"),
    add: Tensor | None = None,
) -> Tensor:
    """As :func:`fastip.kernels.reference.soft_threshold`; weights that vary over the image, and broadcasting, take the reference."""
    from . import triton_soft_threshold as family

    return family.soft_threshold(v, threshold, shrink, low, high, add)


def spectral_step_(f: Tensor, p: Tensor, offset: Tensor, gain: Tensor, relaxation: float = 1.0) -> None:
    """:func:`fastip.kernels.reference.spectral_step` in place: f becomes 2 p' - p, p becomes p + relaxation (p' - p).

    f, p, offset: contiguous complex, planes h w; ``gain``: real, h w 2, each number twice.
    """
    from . import triton_spectral_step as family

    family.spectral_step_(f, p, offset, gain, relaxation)


def tv_prox_(v: Tensor, u: Tensor, r: Tensor, step: float, weight: float, momentum: float, steps: int, isotropic: bool, prox: Pointwise) -> Tensor:
    """:func:`fastip.kernels.reference.tv_prox` with f the pointwise prior ``prox``; u and r (contiguous, 2 b c h w) are overwritten."""
    from . import triton_tv_prox as family

    return family.tv_prox_(v, u, r, step, weight, momentum, steps, isotropic, prox)


def admm(step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, rule: StopRule, relaxation: float) -> tuple[Tensor, Tensor, int, Status, Tensor]:
    """(x, q, iterations done, status, residuals checks x 2 x b) after up to ``rule.iterations`` iterations; x is overwritten, q and y are kept.

    On a GPU nothing is waited for when ``rule.tolerance`` is 0.
    """
    from . import triton_admm as family

    return family.admm(step, prox, x, q, y, rule, relaxation)
