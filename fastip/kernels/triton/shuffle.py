"""``pixel_unshuffle`` and ``pixel_shuffle`` in Triton.

Tiles are read and written contiguously on both sides, and turned on the chip in between.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from ..extension import plain
from ..shapes import Shape, of_image, of_phases
from .blocks import Tiling, on, power
from .cells import part


@triton.jit
def _places(
    height, width, h, w, S: tl.constexpr, S2: tl.constexpr, EVEN: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr
):
    """Where a tile of BH pixel rows x BW cells x S2 pixels stands in image and phases, and what exists in each."""
    count = tl.cdiv(h * S, BH) * tl.cdiv(w, BW)
    plane = (tl.program_id(0) // count).to(tl.int64)
    row, j = part(tl.program_id(0) % count, w, BH, BW)
    p = tl.arange(0, S2)
    columns = j[:, None] * S + p[None, :]
    near = (row % S).to(tl.int64)[:, None, None] * S + p.to(tl.int64)[None, None, :]  # the number of the phase
    in_image = (plane * height + row.to(tl.int64)[:, None, None]) * width + columns[None, :, :]
    in_phases = ((plane * S * S + near) * h + (row // S)[:, None, None]) * w + j[None, :, None]
    cell = (row < h * S)[:, None, None] & ((j < w)[:, None] & (p < S)[None, :])[None, :, :]
    if EVEN:  # rows of the image end with whole cells
        return in_image, in_phases, cell & (row < height)[:, None, None], cell
    return in_image, in_phases, cell & (row < height)[:, None, None] & (columns < width)[None, :, :], cell


@triton.jit
def pixel_unshuffle_kernel(
    x, out, height, width, h, w,
    S: tl.constexpr, S2: tl.constexpr, EVEN: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """out[plane, a, p, i, j] = x[plane, s i + a, s j + p], zero outside the image."""
    in_image, in_phases, pixel, cell = _places(height, width, h, w, S, S2, EVEN, BH, BW)
    tl.store(out + in_phases, tl.load(x + in_image, mask=pixel, other=0.0), mask=cell)


@triton.jit
def pixel_shuffle_kernel(
    phases, out, height, width, h, w,
    S: tl.constexpr, S2: tl.constexpr, EVEN: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """out[plane, s i + a, s j + p] = phases[plane, a, p, i, j] inside the image."""
    in_image, in_phases, pixel, _ = _places(height, width, h, w, S, S2, EVEN, BH, BW)
    tl.store(out + in_image, tl.load(phases + in_phases, mask=pixel), mask=pixel)


def pixel_unshuffle(x: Tensor, stride: int) -> Tensor:
    """As :func:`fastip.kernels.reference.pixel_unshuffle`."""
    out = x.new_empty(of_phases(x, stride))
    _launch(pixel_unshuffle_kernel, x, out, x.shape, out.shape)
    return out


def pixel_shuffle(phases: Tensor, height: int, width: int) -> Tensor:
    """As :func:`fastip.kernels.reference.pixel_shuffle`."""
    out = phases.new_empty(of_image(phases, height, width))
    _launch(pixel_shuffle_kernel, phases, out, out.shape, phases.shape)
    return out


def _launch(kernel: triton.JITFunction, source: Tensor, out: Tensor, image: Shape, phases: Shape) -> None:
    """``image``: b c H W, ``phases``: b c s s h w."""
    (b, c, height, width), (s, h, w) = image, phases[3:]
    if out.numel() == 0:
        return
    tiling = Tiling.of(h * s, w, power(s), source.dtype)
    with on(source):
        kernel[(b * c * tiling.count,)](
            plain(source), out, height, width, h, w, S=s, S2=power(s), EVEN=width == w * s, **tiling.options()
        )
