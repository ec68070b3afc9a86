"""The derivatives of torch.ops.fastip: the adjoint is the backward. Each formula consists of differentiable calls, so gradients have gradients."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.library import Library, register_autograd
from torch.nn.grad import conv2d_weight

from ..errors import Unsupported
from . import reference, shapes

Gradients = tuple[Any, ...]


# ---- strided convolutions: bilinear in the image and the psf ---------------------------------------------------------


def transposed(g: Tensor, psf: Tensor, stride: int, boundary: str, height: int, width: int) -> Tensor:
    """A^T g for images height x width, also where the stride does not divide them: then A = (keep 0::stride) H, so A^T spreads g over the grid of H x."""
    if tuple(shapes.pulled(g, psf, stride, boundary)[2:]) == (height, width):
        return torch.ops.fastip.strided_conv_adjoint(g, psf, stride, boundary)
    kh, kw = psf.shape
    rows, columns = (height - kh + 1, width - kw + 1) if boundary == "valid" else (height, width)
    spread = g.new_zeros(*g.shape[:2], rows, columns)
    spread = spread.slice_scatter(_spread_rows(g, columns, stride), 2, 0, rows, stride)
    return torch.ops.fastip.strided_conv_adjoint(spread, psf, 1, boundary)


def _spread_rows(g: Tensor, columns: int, stride: int) -> Tensor:
    return g.new_zeros(*g.shape[:3], columns).slice_scatter(g, 3, 0, columns, stride)


def of_psf(x: Tensor, g: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    """The psf's gradient of <g, A x>: at tap t, sum_i g[i] x[stride i + k // 2 - t], over all images and channels; in float32 at least."""
    (kh, kw), (b, c, h, w) = psf.shape, g.shape
    dtype = torch.promote_types(shapes.widest(x, g), torch.float32)
    extended = reference._extend(reference._extend(x.to(dtype), 2, kh, boundary), 3, kw, boundary)
    planes = extended.reshape(b * c, 1, *extended.shape[2:])
    taps = conv2d_weight(planes, [1, 1, kh, kw], g.to(dtype).reshape(b * c, 1, h, w), stride=stride)
    return taps[0, 0].flip(0, 1).to(psf)


def _keep_convolution(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    images, psf, ctx.stride, ctx.boundary = inputs
    ctx.size = images.shape[2:]
    ctx.save_for_backward(images if ctx.needs_input_grad[1] else None, psf)


def _convolution(ctx: Any, g: Tensor) -> Gradients:
    x, psf = ctx.saved_tensors
    to_x = transposed(g, psf, ctx.stride, ctx.boundary, *ctx.size) if ctx.needs_input_grad[0] else None
    to_psf = of_psf(x, g, psf, ctx.stride, ctx.boundary) if ctx.needs_input_grad[1] else None
    return to_x, to_psf, None, None


def _adjoint(ctx: Any, g: Tensor) -> Gradients:
    y, psf = ctx.saved_tensors
    to_y = torch.ops.fastip.strided_conv(g, psf, ctx.stride, ctx.boundary) if ctx.needs_input_grad[0] else None
    to_psf = of_psf(g, y, psf, ctx.stride, ctx.boundary) if ctx.needs_input_grad[1] else None
    return to_y, to_psf, None, None


def _keep_stencil(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    r, taps, boundary = inputs
    ctx.boundary = shapes.wrap(boundary)
    ctx.save_for_backward(r if ctx.needs_input_grad[1] else None, taps)


def _stencil(ctx: Any, g: Tensor) -> Gradients:
    r, taps = ctx.saved_tensors
    to_r = torch.ops.fastip.strided_conv_adjoint(g, taps, 1, ctx.boundary) if ctx.needs_input_grad[0] else None
    return to_r, of_psf(r, g, taps, 1, ctx.boundary) if ctx.needs_input_grad[1] else None, None


# ---- the data step ---------------------------------------------------------------------------------------------------


def _keep_woodbury(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, q, y, psf, ctx.stride, ctx.boundary, taps, ctx.beta = inputs
    ctx.size = x.shape[2:]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x if ctx.needs_input_grad[3] else None, output[1] if ctx.needs_input_grad[6] else None, psf, taps)


def _woodbury(ctx: Any, to_new: Tensor | None, to_r: Tensor | None) -> Gradients:
    """With q' = q + C r, r = y - A x - beta q: r receives g = to_r + C^T to_new; y: g, q: to_new - beta g, x: -A^T g."""
    x, r, psf, taps = ctx.saved_tensors
    needs, wrapped = ctx.needs_input_grad, shapes.wrap(ctx.boundary)
    if to_new is None and to_r is None:
        return (None,) * 8
    g = to_r
    if to_new is not None:
        pulled = torch.ops.fastip.strided_conv_adjoint(to_new, taps, 1, wrapped)
        g = pulled if g is None else g + pulled
    assert g is not None
    to_q = (-ctx.beta * g if to_new is None else torch.sub(to_new, g, alpha=ctx.beta)) if needs[1] else None
    to_x = -transposed(g, psf, ctx.stride, ctx.boundary, *ctx.size) if needs[0] else None
    to_psf = -of_psf(x, g, psf, ctx.stride, ctx.boundary) if needs[3] else None
    to_taps = of_psf(r, to_new, taps, 1, wrapped) if needs[6] and to_new is not None else None
    return to_x, to_q, g, to_psf, None, None, to_taps, None


# ---- layout ----------------------------------------------------------------------------------------------------------


def _keep_unshuffle(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.size = inputs[0].shape[2:]


def _unshuffle(ctx: Any, g: Tensor) -> Gradients:
    return torch.ops.fastip.pixel_shuffle(g, *ctx.size), None


def _keep_shuffle(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.stride, *ctx.size = inputs[0].shape[3:]


def _shuffle(ctx: Any, g: Tensor) -> Gradients:
    s, (h, w) = ctx.stride, ctx.size
    whole = F.pad(g, (0, w * s - g.shape[3], 0, h * s - g.shape[2]))  # what was cropped away
    return torch.ops.fastip.pixel_unshuffle(whole, s), None, None


# ---- pointwise -------------------------------------------------------------------------------------------------------


def _keep_threshold(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    v, threshold, shrink, ctx.low, ctx.high, add = inputs
    ctx.numbers = (threshold, shrink)
    ctx.save_for_backward(v, add)


def _keep_threshold_tensors(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    v, threshold, shrink, ctx.low, ctx.high, add = inputs
    ctx.save_for_backward(v, add, threshold, shrink)


def _reduced(g: Tensor, like: Tensor | None) -> Tensor | None:
    """``g`` summed over what was broadcast."""
    return None if like is None else g.sum_to_size(like.shape).to(like)


def _inside(g: Tensor, values: Tensor, low: float, high: float) -> Tensor:
    """The gradient of a clip to [low, high]: it passes inside and on the border, as torch.clamp's does."""
    if low == float("-inf") and high == float("inf"):
        return g
    return torch.where((values >= low) & (values <= high), g, 0.0)


def _threshold(ctx: Any, g: Tensor) -> Gradients:
    """Inside the threshold 0, outside ``shrink``; at a kink that of v - clamp(v), 0."""
    (v, add), (t, shrink) = ctx.saved_tensors, ctx.numbers
    a = v if add is None else v + add
    g = _inside(g, reference.soft_threshold(a, t, shrink), ctx.low, ctx.high) * shrink
    if t > 0:
        g = torch.where((a >= -t) & (a <= t), 0.0, g)
    return _reduced(g, v), None, None, None, None, _reduced(g, add)


def _share(greater: Tensor, equal: Tensor, like: Tensor) -> Tensor:
    """How much of the gradient of max(a, b) goes to a: all where a is greater, half at a tie, as in torch.maximum."""
    return greater.to(like.dtype) + 0.5 * equal.to(like.dtype)


def _threshold_tensors(ctx: Any, g: Tensor) -> Gradients:
    """clip(s shrink) with s = a - c, c = min(m, t), m = max(a, -t), a = v + add."""
    v, add, t, shrink = ctx.saved_tensors
    a = v if add is None else v + add
    m = torch.maximum(a, -t)
    s = a - torch.minimum(m, t)
    g = _inside(g, s * shrink, ctx.low, ctx.high)
    to_shrink = _reduced(g * s, shrink) if ctx.needs_input_grad[2] else None
    g = g * shrink
    below = _share(m < t, m == t, g)  # of c, through m
    of_a = below * _share(a > -t, a == -t, g)
    to_a = g * (1 - of_a)
    to_t = _reduced(g * (below - of_a - (1 - below)), t) if ctx.needs_input_grad[1] else None
    return _reduced(to_a, v), to_t, to_shrink, None, None, _reduced(to_a, add)


def _keep_spectral(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    f, p, _, gain, ctx.relaxation = inputs
    learned = ctx.needs_input_grad[3]
    ctx.save_for_backward(f if learned else None, p if learned else None, gain)


def _spectral(ctx: Any, to_ahead: Tensor, to_p: Tensor) -> Gradients:
    """Complex gradients as torch has them, dL/d re + i dL/d im: a real factor is its own adjoint, and gain receives re(conj(p - f) g)."""
    f, p, gain = ctx.saved_tensors
    g = 2 * to_ahead + ctx.relaxation * to_p  # of p' = offset + gain (p - f)
    scaled = gain * g
    to_gain = ((p - f).conj() * g).real.sum(dim=0) if ctx.needs_input_grad[3] else None
    return -scaled, scaled - to_ahead + (1 - ctx.relaxation) * to_p, g, to_gain, None


# ---- whole solves ----------------------------------------------------------------------------------------------------


def _solve(ctx: Any, *gradients: Tensor) -> Gradients:
    raise Unsupported("torch.ops.fastip.admm runs a whole solve and has no gradient; call fastip.admm(..., tolerance=0), whose loop is differentiable")


# ---- registration ----------------------------------------------------------------------------------------------------


def register(library: Library) -> None:
    """Give every op its backward."""
    for name, backward, keep in (
        ("strided_conv", _convolution, _keep_convolution),
        ("strided_conv_adjoint", _adjoint, _keep_convolution),
        ("stencil", _stencil, _keep_stencil),
        ("woodbury", _woodbury, _keep_woodbury),
        ("pixel_unshuffle", _unshuffle, _keep_unshuffle),
        ("pixel_shuffle", _shuffle, _keep_shuffle),
        ("soft_threshold", _threshold, _keep_threshold),
        ("soft_threshold.Tensor", _threshold_tensors, _keep_threshold_tensors),
        ("spectral_step", _spectral, _keep_spectral),
        ("admm", _solve, None),
    ):
        register_autograd(f"fastip::{name}", backward, setup_context=keep, lib=library)
