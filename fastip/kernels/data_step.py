"""The family ``woodbury``: the data step q + C (y - A x - beta q) in two passes, A a convolution and C a stencil."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import reference, shapes
from .convolution import Gradients, convolve, of_psf, transposed
from .family import Family, Operator, own

Pair = tuple[Tensor, Tensor]


def _native(
    x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float | Tensor
) -> Pair:
    """The sums are inside the convolutions."""
    shape = shapes.of_data_step(x, q, y, psf, stride, boundary, taps)
    shapes.check_dtypes((("x", x), ("q", q), ("y", y)))
    r = convolve(x, psf, stride, boundary, shape, -1.0, y, 1.0, q, -float(beta))
    return convolve(r, taps, 1, shapes.wrap(boundary), shape, 1.0, q, 1.0), r


# ---- the operator ----------------------------------------------------------------------------------------------------


def _run(x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float) -> Pair:
    shapes.of_data_step(x, q, y, psf, stride, boundary, taps)
    dtype = shapes.widest(x, q, y)
    x, q, y = x.to(dtype), q.to(dtype), y.to(dtype)
    new, r = woodbury.raw(x, q, y)(x, q, y, psf, stride, boundary, taps, beta)
    return own(new), own(r)


def _fake(x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float) -> Pair:
    shape, dtype = shapes.of_data_step(x, q, y, psf, stride, boundary, taps), shapes.widest(x, q, y)
    return x.new_empty(shape, dtype=dtype), x.new_empty(shape, dtype=dtype)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Pair) -> None:
    x, q, y, psf, ctx.stride, ctx.boundary, taps, ctx.beta = inputs
    ctx.size = x.shape[2:]
    ctx.set_materialize_grads(False)
    needs = ctx.needs_input_grad
    ctx.save_for_backward(x if needs[3] else None, output[1] if needs[6] else None, psf, taps)


def _gradient(ctx: Any, to_new: Tensor | None, to_r: Tensor | None) -> Gradients:
    """With q' = q + C r, r = y - A x - beta q: r receives g = to_r + C^T to_new; y g, q to_new - beta g, x -A^T g."""
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


def _registered(
    x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float | Tensor
) -> Pair:
    """The operator, or for a beta that is a tensor the two it consists of: its gradient is theirs."""
    shapes.check_stride(stride)
    ops = torch.ops.fastip
    if isinstance(beta, Tensor):
        r = y - ops.strided_conv.default(x, psf, stride, boundary) - beta * q
        return q + ops.stencil.default(r, taps, boundary), r
    return ops.woodbury.default(x, q, y, psf, stride, boundary, taps, beta)


SCHEMA = (
    "woodbury(Tensor x, Tensor q, Tensor y, Tensor psf, int stride, str boundary, Tensor taps, float beta) "
    "-> (Tensor, Tensor)"
)
woodbury = Family(
    reference.woodbury,
    native=_native,
    triton="convolution",
    images=(0, 1, 2),
    dispatch=_registered,
    operators=(Operator(SCHEMA, run=_run, fake=_fake, gradient=_gradient, keep=_keep, images=(0, 1, 2)),),
)
