"""The families of convolutions: ``strided_conv`` (A), ``strided_conv_adjoint`` (A^T) and ``stencil`` (C)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.grad import conv2d_weight

from . import extension, reference, shapes
from .extension import plain
from .family import Family, of_one_image

Gradients = tuple[Any, ...]

# ---- compiled --------------------------------------------------------------------------------------------------------


def convolve(
    x: Tensor,
    psf: Tensor,
    stride: int,
    boundary: str,
    shape: shapes.Shape,
    scale: float = 1.0,
    first: Tensor | None = None,
    a: float = 0.0,
    second: Tensor | None = None,
    b: float = 0.0,
) -> Tensor:
    """scale A x + a first + b second, in one pass, all of ``shape``."""
    x, taps, out = plain(x), extension.weights(psf, x), x.new_empty(shape)
    (n, c, height, width), (h, w), (kh, kw) = x.shape, shape[2:], taps.shape
    first, second = (None if t is None else plain(t) for t in (first, second))
    functions, where = extension.target(x)
    arguments = functions.ConvArgs(
        source=x.data_ptr(),
        out=out.data_ptr(),
        psf=taps.data_ptr(),
        first=extension.address(first),
        second=extension.address(second),
        planes=n * c,
        height=height,
        width=width,
        h=h,
        w=w,
        kh=kh,
        kw=kw,
        stride=stride,
        boundary=boundary,
        scale=scale,
        a=a,
        b=b,
    )
    extension.run(functions.strided_conv, arguments, x, where)
    return out


def _strided_conv(x: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    return convolve(x, psf, stride, boundary, shapes.of_conv(x, psf, stride, boundary))


def _strided_conv_adjoint(y: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    out = y.new_empty(shapes.of_adjoint(y, psf, stride, boundary))
    y, taps = plain(y), extension.weights(psf, y)
    (n, c, h, w), (height, width), (kh, kw) = y.shape, out.shape[2:], taps.shape
    functions, where = extension.target(y)
    arguments = functions.ConvArgs(
        source=y.data_ptr(),
        out=out.data_ptr(),
        psf=taps.data_ptr(),
        planes=n * c,
        height=height,
        width=width,
        h=h,
        w=w,
        kh=kh,
        kw=kw,
        stride=stride,
        boundary=boundary,
    )
    extension.run(functions.strided_conv_adjoint, arguments, y, where)
    return out


def _stencil(r: Tensor, taps: Tensor, boundary: str) -> Tensor:
    return convolve(r, taps, 1, shapes.wrap(boundary), shapes.of_stencil(r, taps, boundary))


# ---- gradients: bilinear in the image and the psf, and the adjoint is the backward -----------------------------------


def transposed(g: Tensor, psf: Tensor, stride: int, boundary: str, height: int, width: int) -> Tensor:
    """A^T g for images height x width, also where the stride does not divide them.

    Then A = (keep 0::stride) H, so A^T spreads g over the grid of H x.
    """
    if tuple(shapes.of_adjoint(g, psf, stride, boundary)[2:]) == (height, width):
        return torch.ops.fastip.strided_conv_adjoint(g, psf, stride, boundary)
    kh, kw = psf.shape
    rows, columns = (height - kh + 1, width - kw + 1) if boundary == "valid" else (height, width)
    spread = g.new_zeros(*g.shape[:2], rows, columns)
    spread = spread.slice_scatter(_spread_rows(g, columns, stride), 2, 0, rows, stride)
    return torch.ops.fastip.strided_conv_adjoint(spread, psf, 1, boundary)


def _spread_rows(g: Tensor, columns: int, stride: int) -> Tensor:
    return g.new_zeros(*g.shape[:3], columns).slice_scatter(g, 3, 0, columns, stride)


def of_psf(x: Tensor, g: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    """The psf's gradient of <g, A x>: at tap t, sum_i g[i] x[stride i + k // 2 - t], over all images and channels.

    Summed in float32 at least, as half precision loses what so many pixels add.
    """
    (kh, kw), (b, c, h, w) = psf.shape, g.shape
    dtype = torch.promote_types(shapes.widest(x, g), torch.float32)
    extended = reference.extend(reference.extend(x.to(dtype), 2, kh, boundary), 3, kw, boundary)
    planes = extended.reshape(b * c, 1, *extended.shape[2:])
    taps = conv2d_weight(planes, [1, 1, kh, kw], g.to(dtype).reshape(b * c, 1, h, w), stride=stride)
    return taps[0, 0].flip(0, 1).to(psf)


def _keep_convolution(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    images, psf, ctx.stride, ctx.boundary = inputs
    ctx.size = images.shape[2:]
    ctx.save_for_backward(images if ctx.needs_input_grad[1] else None, psf)


def _convolution_gradient(ctx: Any, g: Tensor) -> Gradients:
    x, psf = ctx.saved_tensors
    to_x = transposed(g, psf, ctx.stride, ctx.boundary, *ctx.size) if ctx.needs_input_grad[0] else None
    to_psf = of_psf(x, g, psf, ctx.stride, ctx.boundary) if ctx.needs_input_grad[1] else None
    return to_x, to_psf, None, None


def _adjoint_gradient(ctx: Any, g: Tensor) -> Gradients:
    y, psf = ctx.saved_tensors
    to_y = torch.ops.fastip.strided_conv(g, psf, ctx.stride, ctx.boundary) if ctx.needs_input_grad[0] else None
    to_psf = of_psf(g, y, psf, ctx.stride, ctx.boundary) if ctx.needs_input_grad[1] else None
    return to_y, to_psf, None, None


def _keep_stencil(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    r, taps, boundary = inputs
    ctx.boundary = shapes.wrap(boundary)
    ctx.save_for_backward(r if ctx.needs_input_grad[1] else None, taps)


def _stencil_gradient(ctx: Any, g: Tensor) -> Gradients:
    r, taps = ctx.saved_tensors
    to_r = torch.ops.fastip.strided_conv_adjoint(g, taps, 1, ctx.boundary) if ctx.needs_input_grad[0] else None
    return to_r, of_psf(r, g, taps, 1, ctx.boundary) if ctx.needs_input_grad[1] else None, None


# ---- families --------------------------------------------------------------------------------------------------------


def _registered_conv(x: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    shapes.check_stride(stride)
    return torch.ops.fastip.strided_conv.default(x, psf, stride, boundary)


def _registered_adjoint(y: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    shapes.check_stride(stride)
    return torch.ops.fastip.strided_conv_adjoint.default(y, psf, stride, boundary)


strided_conv = Family(
    reference.strided_conv,
    native=_strided_conv,
    triton="convolution",
    dispatch=_registered_conv,
    operators=(
        of_one_image(
            "strided_conv(Tensor x, Tensor psf, int stride, str boundary) -> Tensor",
            shapes.of_conv,
            _convolution_gradient,
            _keep_convolution,
        ),
    ),
)

strided_conv_adjoint = Family(
    reference.strided_conv_adjoint,
    native=_strided_conv_adjoint,
    triton="adjoint",
    dispatch=_registered_adjoint,
    operators=(
        of_one_image(
            "strided_conv_adjoint(Tensor y, Tensor psf, int stride, str boundary) -> Tensor",
            shapes.of_adjoint,
            _adjoint_gradient,
            _keep_convolution,
        ),
    ),
)

stencil = Family(
    reference.stencil,
    native=_stencil,
    triton="convolution",
    operators=(
        of_one_image(
            "stencil(Tensor r, Tensor taps, str boundary) -> Tensor",
            shapes.of_stencil,
            _stencil_gradient,
            _keep_stencil,
        ),
    ),
)
