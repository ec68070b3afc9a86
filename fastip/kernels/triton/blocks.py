"""What every Triton launch shares: the sizes of blocks (the one place to tune), the dtype of sums, the device that a launch goes to."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...arrays import accumulator

POINTS = (
    16  # 32-bit values that one thread sums at a time at most: many loads in flight, and registers enough not to spill
)
WARPS = 4  # of a program that sweeps tiles
PLANE_WARPS = 16  # of a program that runs a whole plane
PLANE = (
    256 * 256
)  # pixels up to which a program runs whole iterations of one plane, where the planes occupy all multiprocessors
LONE_PLANE = (
    64 * 64
)  # pixels up to which it does so however few planes there are: launches would take longer than the work
LINE = 128  # columns of a tile at most, counted in values
FLAT = 2048  # values of a program of the pointwise kernels
UNROLL = tl.constexpr(16)  # taps of a row up to which the loop over them is unrolled


def language_dtype(dtype: torch.dtype) -> tl.dtype:
    """Triton's name of the dtype in which sums over images of ``dtype`` are kept."""
    return tl.float64 if dtype == torch.float64 else tl.float32


@triton.jit
def scalar(value, ACC: tl.constexpr):
    """A number from the host, which comes in float64, in the dtype of the sums; used as it comes it would carry the sums into float64."""
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
        points = POINTS // 2 if warps == PLANE_WARPS or depth == 1 else POINTS
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
