"""A strided convolution on cells of stride x stride pixels, and its transpose: the loops over taps of all kernels.

Data point (i, j) stands on the cell of pixels (s i + a, s j + p). A tile of an image is rows x cells x p, its last axis
the s pixels of a cell (padded to a power of two): contiguous in memory, so that a thread loads a cell by one
instruction. Taps fall on cells too: offset o of a psf is cell floor(o / s) and pixel o mod s, and the table of weights
is laid out in that order, zero where a cell has no tap. A pixel that is not a finite number therefore reaches all data
points whose cells hold it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...placement import uploaded
from .. import reference
from ..extension import plain
from .blocks import UNROLL, power

STRIDE, DEPTH, KH, LOW, ROW, ROWS, COLUMN, COLUMNS, BOUNDARY = (tl.constexpr(place) for place in range(9))
CIRCULAR, VALID, REFLECT, ZERO = (
    tl.constexpr(reference.BOUNDARIES.index(name)) for name in ("circular", "valid", "reflect", "zero")
)


# ---- where the taps are ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """One axis of the taps: offsets low ... high, cells first ... first + shifts - 1."""

    low: int
    high: int
    first: int
    shifts: int

    @classmethod
    def of(cls, k: int, stride: int, valid: bool) -> Axis:
        high = k - 1 if valid else k // 2
        low = high - (k - 1)
        return cls(low, high, low // stride, high // stride - low // stride + 1)

    def once(self, size: int, stride: int) -> bool:
        """Whether no tap passes a border of an axis of ``size`` pixels more than once."""
        return max(-self.low, self.high) + stride <= size

    def folds(self, size: int) -> int:
        """Mirror images of an axis of ``size`` pixels that the taps reach, on either side."""
        return -(-max(-self.low, self.high) // size)


@dataclass(frozen=True)
class Taps:
    """The geometry of a psf of kh x kw taps."""

    rows: Axis
    columns: Axis
    kh: int
    kw: int
    stride: int
    boundary: int

    @property
    def depth(self) -> int:
        """Pixels of a cell's row, padded to a power of two."""
        return power(self.stride)

    def once(self, height: int, width: int) -> bool:
        """Whether no tap passes a border of an image of height x width more than once."""
        return self.rows.once(height, self.stride) and self.columns.once(width, self.stride)

    def loops(self) -> tuple[int, ...]:
        """The numbers that the loops over taps are compiled for, in the order of the constants STRIDE ... BOUNDARY."""
        rows, columns = self.rows, self.columns
        return (
            self.stride,
            self.depth,
            self.kh,
            rows.low,
            rows.first,
            rows.shifts,
            columns.first,
            columns.shifts,
            self.boundary,
        )


@functools.cache
def taps(kh: int, kw: int, stride: int, boundary: str) -> Taps:
    """The geometry of a psf; one object for equal arguments."""
    valid = boundary == "valid"
    return Taps(
        Axis.of(kh, stride, valid), Axis.of(kw, stride, valid), kh, kw, stride, reference.BOUNDARIES.index(boundary)
    )


@functools.cache
def _places(t: Taps, device: torch.device) -> Tensor:
    """For each entry of the table the place of its weight in the flat psf followed by a zero."""
    s = t.stride
    i = t.rows.high - (s * t.rows.first + torch.arange(t.rows.shifts * s))
    j = t.columns.high - (s * t.columns.first + torch.arange(t.columns.shifts * s))
    place = i[:, None] * t.kw + j
    place[(i < 0) | (i >= t.kh)] = t.kh * t.kw
    place[:, (j < 0) | (j >= t.kw)] = t.kh * t.kw
    padded = torch.full((t.rows.shifts * s, t.columns.shifts, t.depth), t.kh * t.kw)
    padded[..., :s] = place.reshape(-1, t.columns.shifts, s)
    places = padded.flatten()
    return uploaded(places, device) if device.type == "cuda" else places


def table(psf: Tensor, t: Taps, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The weights of ``psf`` by row offset, cell and pixel; a copy to a GPU is made once for each content."""
    flat = torch.cat([plain(psf.detach().to(torch.float64)).flatten(), psf.new_zeros(1, dtype=torch.float64)])
    weights = flat[_places(t, flat.device)].to(dtype)
    return uploaded(weights, device) if weights.is_cpu and device.type == "cuda" else weights.to(device)


# ---- indices ---------------------------------------------------------------------------------------------------------


@triton.jit
def wrapped(i, n, ONCE: tl.constexpr):
    """i modulo n; ``ONCE``: -n <= i < 2 n."""
    if ONCE:
        i = tl.where(i < 0, i + n, i)
        return tl.where(i >= n, i - n, i)
    return ((i % n) + n) % n


@triton.jit
def source(i, n, BORDER: tl.constexpr, ONCE: tl.constexpr):
    """The place that stands at index i of an axis of n extended without end; for zero and valid, i itself."""
    if BORDER == CIRCULAR:
        i = wrapped(i, n, ONCE)
    elif BORDER == REFLECT:
        if not ONCE:
            i = ((i % (2 * n)) + 2 * n) % (2 * n)
        i = tl.where(i < 0, -1 - i, i)
        i = tl.where(i >= n, 2 * n - 1 - i, i)
    return i


@triton.jit
def hidden(i, n):
    """i clipped to the axis, which hides from the compiler which shifts are aligned.

    One layout then serves all, neighbours in neighbouring threads.
    """
    return tl.minimum(tl.maximum(i, 0), n - 1)


@triton.jit
def part(pid, columns, BH: tl.constexpr, BW: tl.constexpr):
    """The rows and columns of tile ``pid``, tiles counted along rows first."""
    across = tl.cdiv(columns, BW)
    return pid // across * BH + tl.arange(0, BH), pid % across * BW + tl.arange(0, BW)


# ---- A x -------------------------------------------------------------------------------------------------------------


@triton.jit
def _image_columns(j, cells, width, c, A: tl.constexpr, ONCE: tl.constexpr, CELLS: tl.constexpr):
    """The columns of the pixels that cell shift c reaches from data columns j, and which exist; both BW x S2."""
    S: tl.constexpr = A[STRIDE]
    S2: tl.constexpr = A[DEPTH]
    BORDER: tl.constexpr = A[BOUNDARY]
    LEFT: tl.constexpr = A[COLUMN]
    p = tl.arange(0, S2)
    if CELLS:  # the border lies between cells: whole cells are moved, which keeps their pixels contiguous
        cell = j + (LEFT + c)
        columns = source(cell, cells, BORDER, ONCE)[:, None] * S + p[None, :]
        inside = (cell >= 0) & (cell < cells) if BORDER == ZERO else cell == cell
        inside = inside[:, None] & (p < S)[None, :]
    else:
        pixel = (j + (LEFT + c))[:, None] * S + p[None, :]
        columns = source(pixel, width, BORDER, ONCE)
        inside = (columns >= 0) & (columns < width) & (p < S)[None, :]
    if S2 == 1 and BORDER != CIRCULAR:
        columns = hidden(columns, width)
    return columns, inside


@triton.jit
def _image_tap(
    acc, x, rows, inside_row, width, cells, weights, c, j, A: tl.constexpr, ONCE: tl.constexpr, CELLS: tl.constexpr
):
    S: tl.constexpr = A[STRIDE]
    S2: tl.constexpr = A[DEPTH]
    BORDER: tl.constexpr = A[BOUNDARY]
    columns, inside = _image_columns(j, cells, width, c, A, ONCE, CELLS)
    place = x + rows[:, None, None] + columns[None, :, :]
    if BORDER == ZERO:
        value = tl.load(place, mask=inside_row[:, None, None] & inside[None, :, :], other=0.0)
    elif S2 != S or (BORDER == VALID and not CELLS):
        value = tl.load(place, mask=inside[None, :, :], other=0.0)
    else:
        value = tl.load(place)
    return acc + value.to(acc.dtype) * tl.load(weights + c * S2 + tl.arange(0, S2))[None, None, :]


@triton.jit
def gather_image(
    x, ld, height, width, cells, weights, i, j,
    A: tl.constexpr, ONCE: tl.constexpr, CELLS: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """A x at data rows i and columns j (which must exist), BH x BW of dtype ACC. x: one plane, its rows ``ld`` apart.

    CELLS: the row ends with a whole cell, in memory that may be read, so that the border lies between cells.
    """
    S: tl.constexpr = A[STRIDE]
    S2: tl.constexpr = A[DEPTH]
    BORDER: tl.constexpr = A[BOUNDARY]
    TALL: tl.constexpr = A[KH]
    FIRST: tl.constexpr = A[LOW]
    UP: tl.constexpr = A[ROW]
    ACROSS: tl.constexpr = A[COLUMNS]
    acc = tl.zeros((i.shape[0], j.shape[0], S2), ACC)
    for k in range(TALL):
        row = i * S + (FIRST + k)
        rows, inside = source(row, height, BORDER, ONCE).to(tl.int64) * ld, (row >= 0) & (row < height)
        line = weights + (FIRST - UP * S + k) * ACROSS * S2
        if ACROSS <= UNROLL:
            for c in tl.static_range(ACROSS):
                acc = _image_tap(acc, x, rows, inside, width, cells, line, c, j, A, ONCE, CELLS)
        else:
            for c in range(ACROSS):
                acc = _image_tap(acc, x, rows, inside, width, cells, line, c, j, A, ONCE, CELLS)
    return tl.sum(acc, axis=2)


# ---- A^T y -----------------------------------------------------------------------------------------------------------


@triton.jit
def _data_tap(acc, y, rows, inside_row, w, weights, line, c, j, p, A: tl.constexpr, ONCE: tl.constexpr):
    S2: tl.constexpr = A[DEPTH]
    BORDER: tl.constexpr = A[BOUNDARY]
    LEFT: tl.constexpr = A[COLUMN]
    column = j - (LEFT + c)
    if BORDER == CIRCULAR:
        value = tl.load(y + rows[:, None] + wrapped(column, w, ONCE)[None, :])
    else:
        inside = inside_row[:, None] & ((column >= 0) & (column < w))[None, :]
        value = tl.load(y + rows[:, None] + hidden(column, w)[None, :], mask=inside, other=0.0)
    if S2 == 1:  # if and else: Triton 3.9 compiles what stands behind a return
        acc += (value.to(acc.dtype) * tl.load(weights + line + c))[:, :, None]
    else:
        acc += value.to(acc.dtype)[:, :, None] * tl.load(weights + (line[:, None] + c * S2 + p[None, :]))[:, None, :]
    return acc


@triton.jit
def _data_row(acc, y, h, w, weights, r, i, a, j, p, A: tl.constexpr, ONCE: tl.constexpr):
    S: tl.constexpr = A[STRIDE]
    S2: tl.constexpr = A[DEPTH]
    BORDER: tl.constexpr = A[BOUNDARY]
    UP: tl.constexpr = A[ROW]
    ACROSS: tl.constexpr = A[COLUMNS]
    row = i - (UP + r)
    inside = (row >= 0) & (row < h)
    rows = (wrapped(row, h, ONCE) if BORDER == CIRCULAR else row).to(tl.int64) * w
    line = r * ACROSS if S2 == 1 else (r * S + a) * (ACROSS * S2)
    if ACROSS <= UNROLL:
        for c in tl.static_range(ACROSS):
            acc = _data_tap(acc, y, rows, inside, w, weights, line, c, j, p, A, ONCE)
    else:
        for c in range(ACROSS):
            acc = _data_tap(acc, y, rows, inside, w, weights, line, c, j, p, A, ONCE)
    return acc


@triton.jit
def gather_data(y, h, w, weights, i, a, j, p, A: tl.constexpr, ONCE: tl.constexpr, ACC: tl.constexpr):
    """A^T y at pixel rows s i + a of cells j, pixels p of them, BH x BW x S2.

    y: one plane h x w, nothing (circular: itself again) around it.
    """
    S2: tl.constexpr = A[DEPTH]
    SHIFTS: tl.constexpr = A[ROWS]
    ACROSS: tl.constexpr = A[COLUMNS]
    acc = tl.zeros((i.shape[0], j.shape[0], S2), ACC)
    if SHIFTS * ACROSS <= UNROLL:
        for r in tl.static_range(SHIFTS):
            acc = _data_row(acc, y, h, w, weights, r, i, a, j, p, A, ONCE)
    else:
        for r in range(SHIFTS):
            acc = _data_row(acc, y, h, w, weights, r, i, a, j, p, A, ONCE)
    return acc
