"""``strided_conv_adjoint`` in Triton: each program gathers the data that reach a tile of the image.

The folds of a reflecting border are gathered too.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from ...arrays import accumulator
from ..extension import plain
from ..shapes import of_adjoint
from .blocks import Tiling, language_dtype, on
from .cells import COLUMN, COLUMNS, DEPTH, ROW, ROWS, STRIDE, gather_data, part, table, taps


@triton.jit
def strided_conv_adjoint_kernel(
    y, out, weights, height, width, cells, h, w,
    A: tl.constexpr, ONCE: tl.constexpr, FOLDS: tl.constexpr, EVEN: tl.constexpr, ACC: tl.constexpr,
    BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """out = A^T y, a program a tile of BH pixel rows and BW cells.

    FOLDS: mirror images of the plane on either side that the psf reaches.
    """
    S: tl.constexpr = A[STRIDE]
    S2: tl.constexpr = A[DEPTH]
    UP: tl.constexpr = A[ROW]
    SHIFTS: tl.constexpr = A[ROWS]
    LEFT: tl.constexpr = A[COLUMN]
    ACROSS: tl.constexpr = A[COLUMNS]
    count = tl.cdiv(height, BH) * tl.cdiv(cells, BW)
    plane = (tl.program_id(0) // count).to(tl.int64)
    row, j = part(tl.program_id(0) % count, cells, BH, BW)
    p = tl.arange(0, S2)
    near, near_j = tl.minimum(row, height - 1), tl.minimum(j, cells - 1)
    i, a = near // S, near % S
    source = y + plane * h * w
    if FOLDS == 0:
        acc = gather_data(source, h, w, weights, i, a, near_j, p, A, ONCE, ACC)
    else:
        acc = tl.zeros((BH, BW, S2), ACC)
        for fold in range((2 * FOLDS + 1) * (2 * FOLDS + 1)):
            u, v = fold // (2 * FOLDS + 1) - FOLDS, fold % (2 * FOLDS + 1) - FOLDS
            # Image u of the plane stands u h cells below it, turned over when u is odd.
            folded_i, folded_a = tl.where(u % 2 == 0, i, h - 1 - i) + u * h, tl.where(u % 2 == 0, a, S - 1 - a)
            folded_j, folded_p = (
                tl.where(v % 2 == 0, near_j, w - 1 - near_j) + v * w,
                tl.where(v % 2 == 0, p, tl.maximum(S - 1 - p, 0)),
            )
            top, left = tl.min(folded_i, axis=0), tl.min(folded_j, axis=0)
            bottom, right = tl.max(folded_i, axis=0), tl.max(folded_j, axis=0)
            if (top < h + UP + SHIFTS) & (bottom >= UP) & (left < w + LEFT + ACROSS) & (right >= LEFT):
                acc += gather_data(source, h, w, weights, folded_i, folded_a, folded_j, folded_p, A, ONCE, ACC)
    columns = j[:, None] * S + p[None, :]
    inside = (j < cells)[:, None] & (p < S)[None, :] if EVEN else (columns < width) & (p < S)[None, :]
    place = out + (plane * height + row.to(tl.int64)[:, None, None]) * width + columns[None, :, :]
    tl.store(place, acc.to(out.dtype.element_ty), mask=(row < height)[:, None, None] & inside[None, :, :])


def strided_conv_adjoint(y: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    """As :func:`fastip.kernels.reference.strided_conv_adjoint`."""
    out = y.new_empty(of_adjoint(y, psf, stride, boundary))
    (n, c, h, w), (height, width), t = y.shape, out.shape[2:], taps(*psf.shape, stride, boundary)
    if out.numel() == 0:
        return out
    cells = -(-width // stride)
    tiling = Tiling.of(height, cells, t.depth, y.dtype)
    weights = table(psf, t, accumulator(y.dtype), y.device)
    folds = max(t.rows.folds(height), t.columns.folds(width)) if boundary == "reflect" else 0
    constants = {
        "A": t.loops(),
        "ONCE": t.once(height, width),
        "FOLDS": folds,
        "EVEN": width % stride == 0,
        "ACC": language_dtype(y.dtype),
    }
    with on(y):
        strided_conv_adjoint_kernel[(n * c * tiling.count,)](
            plain(y), out, weights, height, width, cells, h, w, **constants, **tiling.options()
        )
    return out
