"""The three sweeps of an ADMM iteration in Triton, on one tile of one plane each, and the kernels that run them.

The sweeps::

    residual   r  = y - beta q - A x
    dual       q' = q + C r,  t = 2 q' - q
    prior      x' = prox(x + A^T t)

x, y and the result are of the images' dtype; q, r, t and all sums are float32 (float64). The kernels return at once
when ``state`` says that the solve is over. ``squares`` are sums of squares of a program, float64: of r, then of x' - x;
None where nobody looks. A look sweeps twice more, for A^T t and for what the next residual tells.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .blocks import scalar
from .cells import DEPTH, STRIDE, gather_data, gather_image, part
from .threshold import shrunk


@triton.jit
def _sum_of_squares(values, inside, unit, ACC: tl.constexpr):
    # In the dtype of the sums, as float64 is slow on GPUs: unit, a power of two, keeps squares of float32 from
    # overflowing and from vanishing.
    values = tl.where(inside, values * scalar(unit, ACC), tl.zeros_like(values))
    squares = values * values
    return tl.sum(tl.reshape(squares, (squares.numel,)), axis=0).to(tl.float64)


# ---- one tile --------------------------------------------------------------------------------------------------------


@triton.jit
def _residual(
    tile, x, y, q, r, weights, ld, height, width, cells, h, w, beta, unit,
    A: tl.constexpr, ONCE: tl.constexpr, CELLS: tl.constexpr, LOOK: tl.constexpr, ACC: tl.constexpr,
    BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """r = y - beta q - A x on tile ``tile`` of the data; returns the sum of its squares, 0 unless LOOK."""
    i, j = part(tile, w, BH, BW)
    inside = (i < h)[:, None] & (j < w)[None, :]
    place = i.to(tl.int64)[:, None] * w + j[None, :]
    # Threads past the end repeat the last point, so that loads of the image need no mask.
    acc = gather_image(
        x, ld, height, width, cells, weights, tl.minimum(i, h - 1), tl.minimum(j, w - 1), A, ONCE, CELLS, ACC
    )
    dual = scalar(beta, ACC) * tl.load(q + place, mask=inside, other=0.0)
    acc = tl.load(y + place, mask=inside, other=0.0).to(ACC) - dual - acc
    tl.store(r + place, acc, mask=inside)
    if LOOK:
        return _sum_of_squares(acc, inside, unit, ACC)
    return tl.full((), 0.0, tl.float64)


@triton.jit
def _dual(
    tile, r, q, t, weights, h, w, relaxation,
    C: tl.constexpr, ONCE: tl.constexpr, ACC: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """t = q + 2 C r and q <- q + relaxation C r on tile ``tile`` of the data."""
    i, j = part(tile, w, BH, BW)
    inside = (i < h)[:, None] & (j < w)[None, :]
    place = i.to(tl.int64)[:, None] * w + j[None, :]
    step = gather_image(r, w, h, w, w, weights, tl.minimum(i, h - 1), tl.minimum(j, w - 1), C, ONCE, True, ACC)
    old = tl.load(q + place, mask=inside, other=0.0)
    tl.store(t + place, old + 2 * step, mask=inside)
    tl.store(q + place, old + scalar(relaxation, ACC) * step, mask=inside)


@triton.jit
def _prior(
    tile, x, t, image, weights, ld, height, width, cells, h, w, threshold, shrink, low, high, relaxation, unit, write,
    A: tl.constexpr, ONCE: tl.constexpr, CELLS: tl.constexpr, CLIP: tl.constexpr, BLEND: tl.constexpr,
    LOOK: tl.constexpr, ACC: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """x' = prox(x + A^T t) in place of x on tile ``tile`` of the image, BH pixel rows x BW cells.

    BLEND: x keeps x + relaxation (x' - x), and x' goes to ``image`` where ``write`` says so. Returns the sum of
    squares of x' - x, 0 unless LOOK.
    """
    S: tl.constexpr = A[STRIDE]
    S2: tl.constexpr = A[DEPTH]
    row, j = part(tile, cells, BH, BW)
    p = tl.arange(0, S2)
    near, near_j = tl.minimum(row, height - 1), tl.minimum(j, cells - 1)
    columns = j[:, None] * S + p[None, :]
    rows = (row < height)[:, None, None]
    pixel = rows & ((columns < width) & (p < S)[None, :])[None, :, :]
    if CELLS:  # a row of the state ends with a whole cell; what lies past the image there is read with weight 0 only
        kept = rows & ((j < cells)[:, None] & (p < S)[None, :])[None, :, :]
    else:
        kept = pixel
    place = x + row.to(tl.int64)[:, None, None] * ld + columns[None, :, :]
    old = tl.load(place, mask=kept, other=0.0).to(ACC)
    pulled = gather_data(t, h, w, weights, near // S, near % S, near_j, p, A, ONCE, ACC)
    new = shrunk(old + pulled, scalar(threshold, ACC), scalar(shrink, ACC), scalar(low, ACC), scalar(high, ACC), CLIP)
    step = new - old
    if BLEND:
        tl.store(place, (old + scalar(relaxation, ACC) * step).to(x.dtype.element_ty), mask=kept)
        if write:
            tl.store(
                image + row.to(tl.int64)[:, None, None] * width + columns[None, :, :],
                new.to(image.dtype.element_ty),
                mask=pixel,
            )
    else:
        tl.store(place, new.to(x.dtype.element_ty), mask=kept)
    if LOOK:
        return _sum_of_squares(step, pixel, unit, ACC)
    return tl.full((), 0.0, tl.float64)


# ---- one sweep of all planes: one program a tile ---------------------------------------------------------------------


@triton.jit
def residual_kernel(
    state, x, y, q, r, squares, weights, ld, height, width, cells, h, w, beta: tl.float64, unit: tl.float64,
    A: tl.constexpr, ONCE: tl.constexpr, CELLS: tl.constexpr, ACC: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """The residual sweep, a program a tile; ``squares``: one sum a program."""
    if state is not None:
        if tl.load(state) != 0:
            return
    tiles = tl.cdiv(h, BH) * tl.cdiv(w, BW)
    plane = (tl.program_id(0) // tiles).to(tl.int64)
    x, y, q, r = x + plane * height * ld, y + plane * h * w, q + plane * h * w, r + plane * h * w
    LOOK: tl.constexpr = squares is not None
    total = _residual(
        tl.program_id(0) % tiles, x, y, q, r, weights, ld, height, width, cells, h, w, beta, unit,
        A, ONCE, CELLS, LOOK, ACC, BH, BW,
    )  # fmt: skip
    if LOOK:
        tl.store(squares + tl.program_id(0), total)


@triton.jit
def dual_kernel(
    state, r, q, t, weights, h, w, relaxation: tl.float64,
    C: tl.constexpr, ONCE: tl.constexpr, ACC: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """The dual sweep, a program a tile."""
    if state is not None:
        if tl.load(state) != 0:
            return
    tiles = tl.cdiv(h, BH) * tl.cdiv(w, BW)
    plane = (tl.program_id(0) // tiles).to(tl.int64) * h * w
    _dual(tl.program_id(0) % tiles, r + plane, q + plane, t + plane, weights, h, w, relaxation, C, ONCE, ACC, BH, BW)


@triton.jit
def prior_kernel(
    state, x, t, image, squares, weights, ld, height, width, cells, h, w,
    threshold: tl.float64, shrink: tl.float64, low: tl.float64, high: tl.float64, relaxation: tl.float64,
    unit: tl.float64, A: tl.constexpr, ONCE: tl.constexpr, CELLS: tl.constexpr, CLIP: tl.constexpr, BLEND: tl.constexpr,
    WRITE: tl.constexpr, ACC: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """The prior sweep, a program a tile; ``squares``: one sum a program."""
    if state is not None:
        if tl.load(state) != 0:
            return
    tiles = tl.cdiv(height, BH) * tl.cdiv(cells, BW)
    plane = (tl.program_id(0) // tiles).to(tl.int64)
    x, t = x + plane * height * ld, t + plane * h * w
    if BLEND:
        image = image + plane * height * width
    LOOK: tl.constexpr = squares is not None
    moved = _prior(
        tl.program_id(0) % tiles, x, t, image, weights, ld, height, width, cells, h, w,
        threshold, shrink, low, high, relaxation, unit, WRITE, A, ONCE, CELLS, CLIP, BLEND, LOOK, ACC, BH, BW,
    )  # fmt: skip
    if LOOK:
        tl.store(squares + tl.program_id(0), moved)


@triton.jit
def pending_kernel(
    state, x, y, q, r, t, squares, weights, ld, height, width, cells, h, w,
    beta: tl.float64, lead: tl.float64, kept: tl.float64, share: tl.float64, unit: tl.float64,
    A: tl.constexpr, ONCE: tl.constexpr, CELLS: tl.constexpr, ACC: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """The sum of squares of beta (q' - q) - r' after an iteration, a program a tile; nothing but ``squares`` changes.

    With a = relaxation the state is a blend: C r = (t - q) / (2 - a), and r' = r + (y - beta q - A x - r) / a. lead,
    kept and share are beta / (2 - a), 1 - 1 / a and 1 / a.
    """
    if state is not None:
        if tl.load(state) != 0:
            return
    tiles = tl.cdiv(h, BH) * tl.cdiv(w, BW)
    plane = (tl.program_id(0) // tiles).to(tl.int64)
    i, j = part(tl.program_id(0) % tiles, w, BH, BW)
    inside = (i < h)[:, None] & (j < w)[None, :]
    place = plane * h * w + i.to(tl.int64)[:, None] * w + j[None, :]
    acc = gather_image(
        x + plane * height * ld, ld, height, width, cells, weights, tl.minimum(i, h - 1), tl.minimum(j, w - 1),
        A, ONCE, CELLS, ACC,
    )  # fmt: skip
    dual = tl.load(q + place, mask=inside, other=0.0)
    blended = tl.load(y + place, mask=inside, other=0.0).to(ACC) - scalar(beta, ACC) * dual - acc
    moved = (tl.load(t + place, mask=inside, other=0.0) - dual) * scalar(lead, ACC)
    left = moved - scalar(kept, ACC) * tl.load(r + place, mask=inside, other=0.0)
    total = _sum_of_squares(left - scalar(share, ACC) * blended, inside, unit, ACC)
    tl.store(squares + tl.program_id(0), total)


@triton.jit
def pulled_kernel(
    state, t, squares, weights, height, width, cells, h, w, unit: tl.float64,
    A: tl.constexpr, ONCE: tl.constexpr, ACC: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """The sum of squares of A^T t after an iteration, a program a tile of the image."""
    if state is not None:
        if tl.load(state) != 0:
            return
    S: tl.constexpr = A[STRIDE]
    S2: tl.constexpr = A[DEPTH]
    tiles = tl.cdiv(height, BH) * tl.cdiv(cells, BW)
    plane = (tl.program_id(0) // tiles).to(tl.int64)
    row, j = part(tl.program_id(0) % tiles, cells, BH, BW)
    p = tl.arange(0, S2)
    near, near_j = tl.minimum(row, height - 1), tl.minimum(j, cells - 1)
    columns = j[:, None] * S + p[None, :]
    pixel = (row < height)[:, None, None] & ((columns < width) & (p < S)[None, :])[None, :, :]
    pulled = gather_data(t + plane * h * w, h, w, weights, near // S, near % S, near_j, p, A, ONCE, ACC)
    tl.store(squares + tl.program_id(0), _sum_of_squares(pulled, pixel, unit, ACC))


# ---- whole iterations: one program a plane ---------------------------------------------------------------------------


@triton.jit(do_not_specialize=["count"])
def plane_kernel(
    state, x, y, q, r, t, image, data_squares, image_squares, weights, stencil, ld, height, width, cells, h, w, count,
    beta: tl.float64, threshold: tl.float64, shrink: tl.float64, low: tl.float64, high: tl.float64,
    relaxation: tl.float64, unit: tl.float64,
    A: tl.constexpr, C: tl.constexpr, ONCE: tl.constexpr, ONCE_C: tl.constexpr, CELLS: tl.constexpr, CLIP: tl.constexpr,
    BLEND: tl.constexpr, ACC: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr, PH: tl.constexpr, PW: tl.constexpr,
):  # fmt: skip
    """``count`` iterations of one plane, whose state stays in the caches.

    Between the sweeps the threads of the program wait for each other.
    """
    if state is not None:
        if tl.load(state) != 0:
            return
    plane = tl.program_id(0).to(tl.int64)
    data = plane * h * w
    x, y, q, r, t = x + plane * height * ld, y + data, q + data, r + data, t + data
    if BLEND:
        image = image + plane * height * width
    LOOK: tl.constexpr = data_squares is not None
    for k in range(count):
        total = tl.full((), 0.0, tl.float64)
        for n in range(tl.cdiv(h, BH) * tl.cdiv(w, BW)):
            total += _residual(
                n, x, y, q, r, weights, ld, height, width, cells, h, w, beta, unit,
                A, ONCE, CELLS, LOOK, ACC, BH, BW,
            )  # fmt: skip
        if LOOK:  # at once: kept, it would cost registers in the other sweeps
            tl.store(data_squares + plane, total)
        tl.debug_barrier()
        for n in range(tl.cdiv(h, BH) * tl.cdiv(w, BW)):
            _dual(n, r, q, t, stencil, h, w, relaxation, C, ONCE_C, ACC, BH, BW)
        tl.debug_barrier()
        moved = tl.full((), 0.0, tl.float64)
        for n in range(tl.cdiv(height, PH) * tl.cdiv(cells, PW)):
            moved += _prior(
                n, x, t, image, weights, ld, height, width, cells, h, w, threshold, shrink, low, high, relaxation,
                unit, k + 1 == count, A, ONCE, CELLS, CLIP, BLEND, LOOK, ACC, PH, PW,
            )  # fmt: skip
        tl.debug_barrier()
        if LOOK:
            tl.store(image_squares + plane, moved)
