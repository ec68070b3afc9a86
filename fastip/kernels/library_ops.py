"""The schemas of torch.ops.fastip, what runs behind them, and their fake kernels: shape, dtype and device without data.

An op never changes nor returns its arguments, gives contiguous results, and computes with the fastest raw kernels for its images. Images of different
precision are promoted to the widest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.library import Library, register_fake

from ..contracts import Convolution, Pointwise, StencilStep
from ..errors import InvalidInput
from ..stopping import StopRule
from . import backends, fused, reference, shapes

Pair = tuple[Tensor, Tensor]

SCHEMAS = (
    "strided_conv(Tensor x, Tensor psf, int stride, str boundary) -> Tensor",
    "strided_conv_adjoint(Tensor y, Tensor psf, int stride, str boundary) -> Tensor",
    "stencil(Tensor r, Tensor taps, str boundary) -> Tensor",
    "woodbury(Tensor x, Tensor q, Tensor y, Tensor psf, int stride, str boundary, Tensor taps, float beta) -> (Tensor, Tensor)",
    "pixel_unshuffle(Tensor x, int stride) -> Tensor",
    "pixel_shuffle(Tensor phases, SymInt height, SymInt width) -> Tensor",
    "soft_threshold(Tensor v, float threshold, float shrink, float low, float high, Tensor? add) -> Tensor",
    "soft_threshold.Tensor(Tensor v, Tensor threshold, Tensor shrink, float low, float high, Tensor? add) -> Tensor",
    "spectral_step(Tensor f, Tensor p, Tensor offset, Tensor gain, float relaxation) -> (Tensor, Tensor)",
    "admm(Tensor x, Tensor q, Tensor y, Tensor psf, int stride, str boundary, Tensor taps, float beta, float l1, float l2, float low, float high, "
    "float relaxation, int iterations) -> (Tensor, Tensor)",
)


def _own(result: Tensor, *arguments: Tensor | None) -> Tensor:
    """``result`` contiguous and in memory of its own: some kernels return their argument where there is nothing to do."""
    result = result.contiguous()
    memory = result.untyped_storage().data_ptr()
    return result.clone() if any(a is not None and a.untyped_storage().data_ptr() == memory for a in arguments) else result


# ---- what runs -------------------------------------------------------------------------------------------------------


def _strided_conv(x: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    shapes.convolved(x, psf, stride, boundary)
    return _own(backends.raw((x,)).strided_conv(x, psf, stride, boundary))


def _strided_conv_adjoint(y: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    shapes.pulled(y, psf, stride, boundary)
    return _own(backends.raw((y,)).strided_conv_adjoint(y, psf, stride, boundary))


def _stencil(r: Tensor, taps: Tensor, boundary: str) -> Tensor:
    shapes.filtered(r, taps, boundary)
    return _own(backends.raw((r,)).stencil(r, taps, boundary))


def _woodbury(x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float) -> Pair:
    shapes.measured(x, q, y, psf, stride, boundary, taps)
    dtype = shapes.widest(x, q, y)
    x, q, y = x.to(dtype), q.to(dtype), y.to(dtype)
    new, r = backends.raw((x, q, y)).woodbury(x, q, y, psf, stride, boundary, taps, beta)
    return _own(new), _own(r)


def _pixel_unshuffle(x: Tensor, stride: int) -> Tensor:
    shapes.split(x, stride)
    return _own(backends.raw((x,)).pixel_unshuffle(x, stride), x)


def _pixel_shuffle(phases: Tensor, height: int, width: int) -> Tensor:
    shapes.joined(phases, height, width)
    return _own(backends.raw((phases,)).pixel_shuffle(phases, height, width), phases)


def _soft_threshold(v: Tensor, threshold: float | Tensor, shrink: float | Tensor, low: float, high: float, add: Tensor | None) -> Tensor:
    images = (v,) if add is None else (v, add)
    return _own(backends.raw(images).soft_threshold(v, threshold, shrink, low, high, add), *images)


def _spectral_step(f: Tensor, p: Tensor, offset: Tensor, gain: Tensor, relaxation: float) -> Pair:
    shapes.planes(f, p, offset, gain)
    kernels = backends.raw((gain,)) if f.numel() else reference
    if kernels is reference:
        ahead, new = reference.spectral_step(f, p, offset, gain, relaxation)
        return _own(ahead), _own(new)
    f, p = (t.resolve_conj().clone(memory_format=torch.contiguous_format) for t in (f, p))
    twice = gain[:, :, None].expand(*gain.shape, 2).contiguous()  # once for the real, once for the imaginary part
    kernels.spectral_step_(f, p, offset.resolve_conj().contiguous(), twice, relaxation)
    return f, p


def _admm(x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float, *numbers: Any) -> Pair:
    l1, l2, low, high, relaxation, iterations = numbers
    _check_solve(x, q, y, psf, stride, boundary, taps, beta, iterations)
    step, prox = StencilStep(Convolution(psf, stride, boundary), taps, beta), Pointwise(l1, l2, low, high)
    kernels = backends.raw((x, q, y))
    if kernels is reference or fused._limits(step, q) is not None:
        x, q = reference_admm(step, prox, x, q, y, iterations, relaxation)
    else:
        fresh = x.clone(memory_format=torch.contiguous_format)
        x, q = kernels.admm(step, prox, fresh, q, y, StopRule(0.0, iterations), relaxation)[:2]
    return x.contiguous(), q.contiguous()


def reference_admm(step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, iterations: int, relaxation: float) -> Pair:
    """(x, q) after ``iterations`` >= 1 of the two lines (2) and (3) in plain torch; x is the last prox, not the blend."""
    a, tau = step.convolution, 1 / (2 * step.beta)
    state = x
    for _ in range(iterations):
        q_new, _ = reference.woodbury(state, q, y, a.psf, a.stride, a.boundary, step.taps, step.beta)
        pulled = reference.strided_conv_adjoint(2 * q_new - q, a.psf, a.stride, a.boundary)
        x = reference.soft_threshold(state, tau * prox.l1, 1 / (1 + 2 * tau * prox.l2), prox.low, prox.high, pulled)
        if relaxation == 1.0:
            state, q = x, q_new
        else:
            state, q = state + relaxation * (x - state), q + relaxation * (q_new - q)
    return x, q


def _check_solve(x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float, iterations: int) -> None:
    shapes.check_solve(x, q, y, psf, stride, boundary, taps)
    shapes.check_dtypes((("q", q), ("y", y)))
    shapes.check_iterations(iterations)
    if not beta > 0:
        raise InvalidInput(f"beta is {beta!r}; expected a number > 0")


# ---- fake kernels ----------------------------------------------------------------------------------------------------


def _fake_strided_conv(x: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    return x.new_empty(shapes.convolved(x, psf, stride, boundary))


def _fake_strided_conv_adjoint(y: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    return y.new_empty(shapes.pulled(y, psf, stride, boundary))


def _fake_stencil(r: Tensor, taps: Tensor, boundary: str) -> Tensor:
    return r.new_empty(shapes.filtered(r, taps, boundary))


def _fake_woodbury(x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float) -> Pair:
    shape, dtype = shapes.measured(x, q, y, psf, stride, boundary, taps), shapes.widest(x, q, y)
    return x.new_empty(shape, dtype=dtype), x.new_empty(shape, dtype=dtype)


def _fake_pixel_unshuffle(x: Tensor, stride: int) -> Tensor:
    return x.new_empty(shapes.split(x, stride))


def _fake_pixel_shuffle(phases: Tensor, height: int, width: int) -> Tensor:
    return phases.new_empty(shapes.joined(phases, height, width))


def _fake_soft_threshold(v: Tensor, threshold: float | Tensor, shrink: float | Tensor, low: float, high: float, add: Tensor | None) -> Tensor:
    # The formula itself tells shape and dtype of whatever broadcasts.
    return torch.empty_like(reference.soft_threshold(v, threshold, shrink, low, high, add), memory_format=torch.contiguous_format)


def _fake_spectral_step(f: Tensor, p: Tensor, offset: Tensor, gain: Tensor, relaxation: float) -> Pair:
    shape = shapes.planes(f, p, offset, gain)
    return f.new_empty(shape), f.new_empty(shape)


def _fake_admm(x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float, *numbers: Any) -> Pair:
    _check_solve(x, q, y, psf, stride, boundary, taps, beta, numbers[-1])
    return x.new_empty(x.shape), q.new_empty(q.shape)


# ---- registration ----------------------------------------------------------------------------------------------------

KERNELS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "strided_conv": (_strided_conv, _fake_strided_conv),
    "strided_conv_adjoint": (_strided_conv_adjoint, _fake_strided_conv_adjoint),
    "stencil": (_stencil, _fake_stencil),
    "woodbury": (_woodbury, _fake_woodbury),
    "pixel_unshuffle": (_pixel_unshuffle, _fake_pixel_unshuffle),
    "pixel_shuffle": (_pixel_shuffle, _fake_pixel_shuffle),
    "soft_threshold": (_soft_threshold, _fake_soft_threshold),
    "soft_threshold.Tensor": (_soft_threshold, _fake_soft_threshold),
    "spectral_step": (_spectral_step, _fake_spectral_step),
    "admm": (_admm, _fake_admm),
}


def register(library: Library) -> None:
    """Define every op with what runs on any device and its fake kernel."""
    for schema in SCHEMAS:
        library.define(schema, tags=(torch.Tag.pt2_compliant_tag, torch.Tag.flexible_layout))
    for name, (kernel, fake) in KERNELS.items():
        library.impl(name, kernel, "CompositeExplicitAutograd")
        register_fake(f"fastip::{name}", fake, lib=library)
