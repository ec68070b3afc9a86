"""What happens to photographs: the problems that the restorer of photographs is trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import operators
from ...contracts import LinearOperator
from ...operators import psf
from ...operators.base.resampling import PROGRAMS
from ..degradation import Degradation

WIDEST, NOISIEST = 41, 0.06  # a psf, and the noise
WORDS = (
    "photographs; psfs 1 to 41 wide (camera shake, disks, Gaussians round and not, straight motion), every pixel or "
    "each second to fourth one, borders natural or circular; made smaller 1.2 to 4 times by the methods of Pillow, "
    "OpenCV and torch; missing pixels; noise up to 0.06; 8 bits; JPEG of quality 75 to 100"
)


@dataclass(frozen=True)
class PhotoDegradations:
    """A degradation of photographs at random: ``draw(generator)`` for ``train.restorer``.

    Of 20: 11 a blur (2 of them circular, 2 keeping each second to fourth pixel), 5 made smaller by a program, 2 noise
    alone, 2 missing pixels. The noise is 0 for a quarter, else log-uniform; a third of what has little of it is JPEG.

    Args:
        size: Of the pictures, pixels a side, which masks need.
    """

    size: int

    def __call__(self, generator: torch.Generator) -> Degradation:
        roll = _Dice(generator)
        noise = 0.0 if roll.chance(0.25) else roll.log_uniform(0.5 / 255, NOISIEST)
        quality = roll.integer(75, 100) if noise < 1.5 / 255 and roll.chance(0.35) else None
        kind = roll.integer(1, 20)
        if kind <= 11:
            return Degradation(_blurred(roll, kind), noise, quality)
        if kind <= 16:
            return Degradation(_smaller(roll), noise, quality)
        if kind <= 18:
            return Degradation(operators.Identity(), noise, quality)
        return Degradation(operators.Mask(_mask(roll, self.size)), noise)


class _Dice:
    """Numbers at random."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator, dtype=torch.float64))

    def log_uniform(self, low: float, high: float) -> float:
        return low * (high / low) ** self.uniform()

    def chance(self, share: float) -> bool:
        return self.uniform() < share

    def integer(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))


def _blurred(roll: _Dice, kind: int) -> LinearOperator:
    boundary = "circular" if kind <= 2 else "valid"
    if kind in (2, 3):  # the psf of a camera that has as few pixels as the data
        stride = roll.integer(2, 4)
        size = 2 * roll.integer(max(3, stride), 12) + 1
        taps = _shaken(roll, size) if roll.chance(0.4) else _round(roll, size, 0.2 * stride, 0.8 * stride)
        taps = taps if min(taps.shape) >= stride else torch.nn.functional.pad(taps, (0, stride - 1) * 2)
        return operators.Blur(taps, stride=stride, boundary=boundary)
    return operators.Blur(point_spread(roll), boundary=boundary)


def point_spread(roll: _Dice) -> Tensor:
    """A psf at random, odd sides up to WIDEST: camera shake for six of ten."""
    kind = roll.integer(1, 10)
    if kind <= 6:
        return _shaken(roll, 2 * roll.integer(3, WIDEST // 2) + 1)
    if kind == 7:
        radius = roll.log_uniform(0.6, 10.0)
        return psf.disk(2 * math.ceil(radius) + 1, radius)
    if kind <= 9:
        return _round(roll, WIDEST, 0.4, 5.0)
    return psf.motion(2 * roll.integer(1, 12) + 1, roll.uniform(0.0, 180.0))


def _shaken(roll: _Dice, size: int) -> Tensor:
    return psf.shake(size, roll.integer(0, 2**62))


def _round(roll: _Dice, size: int, low: float, high: float) -> Tensor:
    """A Gaussian, its axes as long or up to three times as long as each other, no wider than it needs."""
    narrow = roll.log_uniform(low, high)
    wide = narrow if roll.chance(0.5) else min(high, narrow * roll.uniform(1.0, 3.0))
    size = min(size, 2 * math.ceil(3.5 * wide) + 1)
    turn = roll.uniform(0.0, math.pi)
    grid = torch.arange(size, dtype=torch.float64) - size // 2
    down, right = torch.meshgrid(grid, grid, indexing="ij")
    along, across = ((down * math.sin(t) + right * math.cos(t)) for t in (turn, turn + math.pi / 2))
    taps = torch.exp(-0.5 * ((along / wide).square() + (across / narrow).square()))
    return taps / taps.sum()


def _smaller(roll: _Dice) -> LinearOperator:
    factor = float((1.5, 2, 2, 3, 4, 4)[roll.integer(0, 5)]) if roll.chance(0.8) else roll.uniform(1.2, 4.0)
    like = "pillow" if roll.chance(0.75) else ("opencv", "torch", "torch-antialias")[roll.integer(0, 2)]
    methods = sorted(PROGRAMS[like])
    return operators.Resize(factor, method=methods[roll.integer(0, len(methods) - 1)], like=like)


def _mask(roll: _Dice, size: int) -> Tensor:
    """Pixels at random, rectangles, or straight lines are missing."""
    kind = roll.integer(1, 3)
    if kind == 1:
        return (torch.rand(size, size, generator=roll.generator) < roll.uniform(0.1, 0.9)).float()
    mask = torch.ones(size, size)
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    for _ in range(roll.integer(1, size // 12)):
        if kind == 2:
            h, w = roll.integer(2, size // 8), roll.integer(2, size // 8)
            top, left = roll.integer(0, size - h), roll.integer(0, size - w)
            mask[top : top + h, left : left + w] = 0
        else:
            turn, i, j, half = (
                roll.uniform(0, math.pi),
                roll.integer(0, size),
                roll.integer(0, size),
                roll.uniform(0.5, 2.5),
            )
            mask[((rows - i) * math.cos(turn) + (columns - j) * math.sin(turn)).abs() < half] = 0
    return mask
