"""Camera shake: psfs that are the path of a camera which is moved at random."""

from __future__ import annotations

import torch
from torch import Tensor

from ...arrays import check_count
from ...errors import InvalidInput, strict_keywords
from .forms import LARGEST

SMALLEST = 6  # pixels a side: less leaves no room inside the frame of two pixels that the path keeps to


@strict_keywords
def shake(size: int, seed: int = 0) -> Tensor:
    """The path of a camera that is moved at random, its centre of mass in the middle as far as the frame lets it be.

    500 steps of a velocity v that remembers the last one, n ~ N(0, I) in two dimensions, each kept within a frame of
    two pixels and spread over its four pixels bilinearly::

        v' = 0.97 v + 0.12 n,   |v'| <= 1,      place' = place + 0.15 v'

    Args:
        size: Pixels a side, 6 to 4095.
        seed: Of the random numbers; the same psf for the same seed.

    Returns:
        size x size, float64, sum 1.

    Raises:
        InvalidInput: For another size or seed.
    """
    if not SMALLEST <= check_count(size, "size", low=1) <= LARGEST:
        raise InvalidInput(f"size is {size}; expected {SMALLEST} to {LARGEST} pixels a side")
    generator = torch.Generator().manual_seed(check_count(seed, "seed", low=0) % 2**63)
    pushes = torch.randn(501, 2, dtype=torch.float64, generator=generator).tolist()
    (v, w), low, high = pushes[0], 2.0, float(size - 3)
    y = x = size / 2
    taps = torch.zeros(size, size, dtype=torch.float64)
    # More memory or smaller pushes make a smoother path; longer steps spread it further, up to the frame.
    for down, right in pushes[1:]:
        v, w = 0.97 * v + 0.12 * down, 0.97 * w + 0.12 * right
        slower = max(1.0, (v * v + w * w) ** 0.5)
        v, w = v / slower, w / slower
        y, x = (min(max(place + 0.15 * step, low), high) for place, step in ((y, v), (x, w)))
        i, j, a, b = int(y), int(x), y % 1, x % 1
        taps[i, j] += (1 - a) * (1 - b)
        taps[i, j + 1] += (1 - a) * b
        taps[i + 1, j] += a * (1 - b)
        taps[i + 1, j + 1] += a * b
    taps /= taps.sum()
    return taps.roll([_to_the_middle(taps.sum(dim=1 - axis)) for axis in (0, 1)], (0, 1))


def _to_the_middle(line: Tensor) -> int:
    """The shift that brings the centre of mass to the middle, to a pixel, and wraps nothing."""
    size, seen = len(line), line.nonzero()
    centre = float((line * torch.arange(size, dtype=line.dtype)).sum())
    return min(max(round(size // 2 - centre), -int(seen[0])), size - 1 - int(seen[-1]))
