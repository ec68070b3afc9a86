"""What every Triton launch shares: sizes of blocks (the one place to tune), the dtype of sums, where a launch goes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...arrays import accumulator

# The tests hold spills and the width of loads that these sizes compile to; none was timed on a GPU yet.
# 32-bit values that one thread sums at a time at most: more spill its registers, fewer leave too few loads in flight.
POINTS = 16
# Of a program that sweeps tiles: more make fewer, larger programs, fewer repeat more of the margins.
WARPS = 4
# Of a program that runs a whole plane: more finish a sweep sooner, and leave each thread fewer registers.
PLANE_WARPS = 16
# Pixels up to which a program runs whole iterations of one plane, where the planes occupy all multiprocessors. Larger
# planes may leave the caches between the sweeps; a smaller limit pays for three launches an iteration.
PLANE = 256 * 256
# Pixels up to which it does so however few planes there are: launches would take longer than the work. A larger limit
# leaves multiprocessors idle.
LONE_PLANE = 64 * 64
# Columns of a tile at most, counted in values: longer lines read better, and leave a tile fewer rows, so more margins.
LINE = 128
# Values of a program of the pointwise kernels, 16 a thread: more are more loads in flight, fewer are more programs.
FLAT = 2048
# Taps of a row up to which the loop over them is unrolled: beyond, the code and the time to compile it grow.
UNROLL = tl.constexpr(16)


def language_dtype(dtype: torch.dtype) -> tl.dtype:
    """Triton's name of the dtype in which sums over images of ``dtype`` are kept."""
    return tl.float64 if dtype == torch.float64 else tl.float32


@triton.jit
def scalar(value, ACC: tl.constexpr):
    """A number from the host in the dtype of the sums; as it comes, in float64, it would carry the sums there."""
    return tl.full((), value, ACC)


def power(n: int) -> int:
    """The smallest power of two that is >= n."""
    return 1 << max(n - 1, 0).bit_length()


@dataclass(frozen=True)
class Tiling:
    """A plane of rows x columns entries in tiles of high x wide entries."""

    rows: int
    columns: int
    high: int
    wide: int
    warps: int

    @classmethod
    def of(cls, rows: int, columns: int, depth: int, dtype: torch.dtype, warps: int = WARPS) -> Tiling:
        """Tiles for entries of ``depth`` values each, a power of two, of images of ``dtype``."""
        # Half as many where a thread may have fewer registers (many warps), or needs an address a value (depth 1).
        points = POINTS // 2 if warps == PLANE_WARPS or depth == 1 else POINTS
        # At least 32 cells across, one for each thread of a warp.
        wide = min(power(columns), max(LINE // depth, 32))
        high = points * 4 // accumulator(dtype).itemsize * 32 * warps // (wide * depth)
        return cls(rows, columns, min(power(rows), max(high, 1)), wide, warps)

    @property
    def count(self) -> int:
        """Tiles of a plane."""
        return triton.cdiv(self.rows, self.high) * triton.cdiv(self.columns, self.wide)

    def options(self) -> dict[str, Any]:
        """What a kernel that works on tiles is launched with."""
        return {"BH": self.high, "BW": self.wide, "num_warps": self.warps}


def on(tensor: Tensor) -> AbstractContextManager[object]:
    """The context in which a launch goes to the device of ``tensor`` and its current stream."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()
