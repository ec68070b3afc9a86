"""``strided_conv``, ``stencil`` and the sums around them in Triton: scale A x + a first + b second in one pass."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from ...arrays import accumulator
from ..extension import plain
from ..shapes import check_dtypes, of_conv, of_data_step, of_stencil, wrap
from .blocks import Tiling, language_dtype, on, scalar
from .cells import gather_image, part, table, taps


@triton.jit
def strided_conv_kernel(
    x, out, first, second, weights, height, width, cells, h, w, scale: tl.float64, a: tl.float64, b: tl.float64,
    A: tl.constexpr, ONCE: tl.constexpr, CELLS: tl.constexpr, ACC: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """out = scale A x + a first + b second; first and second may be None. One program a tile of one plane."""
    count = tl.cdiv(h, BH) * tl.cdiv(w, BW)
    plane = (tl.program_id(0) // count).to(tl.int64)
    i, j = part(tl.program_id(0) % count, w, BH, BW)
    source = x + plane * height * width
    # Threads past the end repeat the last point, so that loads need no mask.
    near_i, near_j = tl.minimum(i, h - 1), tl.minimum(j, w - 1)
    acc = gather_image(source, width, height, width, cells, weights, near_i, near_j, A, ONCE, CELLS, ACC)
    inside = (i < h)[:, None] & (j < w)[None, :]
    place = plane * h * w + i.to(tl.int64)[:, None] * w + j[None, :]
    acc = acc * scalar(scale, ACC)
    if first is not None:
        acc += scalar(a, ACC) * tl.load(first + place, mask=inside, other=0.0).to(ACC)
    if second is not None:
        acc += scalar(b, ACC) * tl.load(second + place, mask=inside, other=0.0).to(ACC)
    tl.store(out + place, acc.to(out.dtype.element_ty), mask=inside)


def convolve(
    x: Tensor,
    psf: Tensor,
    stride: int,
    boundary: str,
    scale: float = 1.0,
    first: Tensor | None = None,
    a: float = 0.0,
    second: Tensor | None = None,
    b: float = 0.0,
) -> Tensor:
    """scale A x + a first + b second, in one pass; first and second of the shape and dtype of A x."""
    out = x.new_empty(of_conv(x, psf, stride, boundary))
    (n, c, height, width), (h, w), t = x.shape, out.shape[2:], taps(*psf.shape, stride, boundary)
    if out.numel() == 0:
        return out
    tiling = Tiling.of(h, w, t.depth, x.dtype)
    images = (plain(x), out, *(None if term is None else plain(term) for term in (first, second)))
    weights, sizes = table(psf, t, accumulator(x.dtype), x.device), (height, width, width // stride, h, w)
    # A reflecting border cuts cells in two, and so does one behind a part of a cell.
    constants = {
        "A": t.loops(),
        "ONCE": t.once(height, width),
        "CELLS": width % stride == 0 and boundary != "reflect",
        "ACC": language_dtype(x.dtype),
    }
    with on(x):
        strided_conv_kernel[(n * c * tiling.count,)](
            *images, weights, *sizes, float(scale), float(a), float(b), **constants, **tiling.options()
        )
    return out


def strided_conv(x: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    """As :func:`fastip.kernels.reference.strided_conv`."""
    return convolve(x, psf, stride, boundary)


def stencil(r: Tensor, taps: Tensor, boundary: str) -> Tensor:
    """As :func:`fastip.kernels.reference.stencil`."""
    of_stencil(r, taps, boundary)
    return convolve(r, taps, 1, wrap(boundary))


def woodbury(
    x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float
) -> tuple[Tensor, Tensor]:
    """As :func:`fastip.kernels.reference.woodbury`: two passes, the sums inside the convolutions."""
    of_data_step(x, q, y, psf, stride, boundary, taps)
    check_dtypes((("x", x), ("q", q), ("y", y)))
    r = convolve(x, psf, stride, boundary, -1.0, y, 1.0, q, -float(beta))
    return convolve(r, taps, 1, wrap(boundary), 1.0, q, 1.0), r
