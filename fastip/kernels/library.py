"""torch.ops.fastip: the kernels as PyTorch operators, for gradients, torch.compile, torch.export, vmap and autocast.

The functions here have the signatures of ``reference`` and call the ops: strided_conv, strided_conv_adjoint, stencil, woodbury, pixel_unshuffle,
pixel_shuffle, soft_threshold (numbers; its overload Tensor: tensors), spectral_step, and admm, which has no gradient. A gradient costs about ten
microseconds a call above the raw kernels, so the solvers come here only when one is asked for, or when a compiler traces them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.library import Library

from ..contracts import Pointwise, Status, StencilStep
from ..errors import Unsupported
from ..stopping import StopRule
from . import library_gradients, library_ops, library_transforms
from .shapes import check_stride

LIBRARY = Library("fastip", "DEF")  # the ops live as long as this object
library_ops.register(LIBRARY)
library_gradients.register(LIBRARY)
library_transforms.register(LIBRARY)

_ops = torch.ops.fastip


def strided_conv(x: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    """As :func:`fastip.kernels.reference.strided_conv`; differentiable in x and psf."""
    check_stride(stride)
    return _ops.strided_conv.default(x, psf, stride, boundary)


def strided_conv_adjoint(y: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    """As :func:`fastip.kernels.reference.strided_conv_adjoint`; differentiable in y and psf."""
    check_stride(stride)
    return _ops.strided_conv_adjoint.default(y, psf, stride, boundary)


def stencil(r: Tensor, taps: Tensor, boundary: str) -> Tensor:
    """As :func:`fastip.kernels.reference.stencil`; differentiable in r and taps."""
    return _ops.stencil.default(r, taps, boundary)


def woodbury(x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float | Tensor) -> tuple[Tensor, Tensor]:
    """As :func:`fastip.kernels.reference.woodbury`; differentiable in x, q, y, psf, taps, and in a beta that is a tensor."""
    check_stride(stride)
    if isinstance(beta, Tensor):
        r = y - _ops.strided_conv.default(x, psf, stride, boundary) - beta * q
        return q + _ops.stencil.default(r, taps, boundary), r
    return _ops.woodbury.default(x, q, y, psf, stride, boundary, taps, beta)


def pixel_unshuffle(x: Tensor, stride: int) -> Tensor:
    """As :func:`fastip.kernels.reference.pixel_unshuffle`; differentiable."""
    check_stride(stride)
    return _ops.pixel_unshuffle.default(x, stride)


def pixel_shuffle(phases: Tensor, height: int, width: int) -> Tensor:
    """As :func:`fastip.kernels.reference.pixel_shuffle`; differentiable."""
    return _ops.pixel_shuffle.default(phases, height, width)


def soft_threshold(
    v: Tensor, threshold: float | Tensor, shrink: float | Tensor = 1.0, low: float = float("-inf"), high: float = float("inf"), add: Tensor | None = None
) -> Tensor:
    """As :func:`fastip.kernels.reference.soft_threshold`; differentiable in v, add, and in a threshold and shrink that are tensors."""
    if not isinstance(threshold, Tensor) and not isinstance(shrink, Tensor):
        return _ops.soft_threshold.default(v, threshold, shrink, low, high, add)
    # One number as a tensor without dimensions: it changes neither dtype nor shape.
    t = threshold if isinstance(threshold, Tensor) else torch.tensor(max(threshold, 0.0), dtype=torch.float64)
    factor = shrink if isinstance(shrink, Tensor) else torch.tensor(shrink, dtype=torch.float64)
    return _ops.soft_threshold.Tensor(v, t, factor, low, high, add)


def spectral_step(f: Tensor, p: Tensor, offset: Tensor, gain: Tensor, relaxation: float = 1.0) -> tuple[Tensor, Tensor]:
    """As :func:`fastip.kernels.reference.spectral_step` for n planes h w; differentiable in all tensors."""
    return _ops.spectral_step.default(f, p, offset, gain, relaxation)


def admm(step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, rule: StopRule, relaxation: float) -> tuple[Tensor, Tensor, int, Status, Tensor]:
    """(x, q, iterations done, status, residuals): a whole solve as one op, which keeps x. For a rule that never looks; it has no gradient."""
    if rule.tolerance > 0:
        raise Unsupported(f"tolerance is {rule.tolerance:g}, but a solve inside a compiled graph runs a fixed number of iterations; pass tolerance=0")
    a = step.convolution
    numbers = (step.beta, prox.l1, prox.l2, prox.low, prox.high, relaxation, rule.iterations)
    x, q = _ops.admm.default(x, q, y, a.psf, a.stride, a.boundary, step.taps, *numbers)
    return x, q, rule.iterations, Status.ITERATIONS, rule.residuals(len(y))
