"""Raw tensor routines: no state, no mathematical objects. Each call runs the compiled kernel where it can and the reference elsewhere (backends.py).

The raw kernels are not differentiable when compiled: a tensor that needs a gradient takes the reference, which is. ``reference`` documents every formula.
"""

from __future__ import annotations

import importlib
from typing import Any

from torch import Tensor

from .backends import available, describe, select, why_reference
from .fused import admm, why_unfused

__all__ = [
    "admm",
    "available",
    "describe",
    "explain",
    "pixel_shuffle",
    "pixel_unshuffle",
    "soft_threshold",
    "stencil",
    "strided_conv",
    "strided_conv_adjoint",
    "why_reference",
    "why_unfused",
    "woodbury",
]


def strided_conv(x: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    """A x: y[i] = sum_t psf[t] x[stride i + k // 2 - t] (valid: + k - 1 - t), per channel. x: b c H W, psf: kh kw -> b c h w."""
    return select((x,), (psf,)).strided_conv(x, psf, stride, boundary)


def strided_conv_adjoint(y: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    """A^T y, the transpose of :func:`strided_conv`. y: b c h w -> b c H W with H = h stride (valid: (h - 1) stride + kh)."""
    return select((y,), (psf,)).strided_conv_adjoint(y, psf, stride, boundary)


def stencil(r: Tensor, taps: Tensor, boundary: str) -> Tensor:
    """C r for a (2p + 1) x (2p + 1) stencil on the data grid; wraps when ``boundary`` is circular, sees zeros outside otherwise."""
    return select((r,), (taps,)).stencil(r, taps, boundary)


def woodbury(x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """The data step (q + C r, r) with r = y - A x - beta q, A a strided convolution and C a stencil. All of q, y, r: b c h w."""
    return select((x, q, y), (psf, taps, beta)).woodbury(x, q, y, psf, stride, boundary, taps, beta)


def pixel_unshuffle(x: Tensor, stride: int) -> Tensor:
    """Polyphase layout: b c H W -> b c s s h w with out[..., i, j, a, d] = x[..., a s + i, d s + j]; H, W are padded with zeros to multiples of s."""
    return select((x,)).pixel_unshuffle(x, stride)


def pixel_shuffle(phases: Tensor, height: int, width: int) -> Tensor:
    """The inverse of :func:`pixel_unshuffle`, cropped to height x width."""
    return select((phases,)).pixel_shuffle(phases, height, width)


def soft_threshold(
    v: Tensor,
    threshold: float | Tensor,
    shrink: float | Tensor = 1.0,
    low: float = float("-inf"),
    high: float = float("inf"),
    add: Tensor | None = None,
) -> Tensor:
    """clip(soft(v + add, threshold) * shrink, low, high) with soft(a, t) = a - clip(a, -t, t): the pointwise prox and, in ``add``, the extrapolation."""
    images = (v,) if add is None else (v, add)
    return select(images, (threshold, shrink)).soft_threshold(v, threshold, shrink, low, high, add)


def explain(op: Any, prior: Any, y: Any, *, inverse: Any = "auto", beta: float | None = None) -> str:
    """Which code ``fastip.admm(y, op, prior)`` will run, in words, and why not a faster one."""
    # Only the solver knows, and it stands above the kernels: the door is here because this is where people look.
    return importlib.import_module("fastip.solvers.explain").explain(op, prior, y, inverse=inverse, beta=beta)
