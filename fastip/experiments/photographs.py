"""Real photographs for experiments, from the scikit-image wheel."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..arrays import check_count
from ..errors import InvalidInput, Unsupported, strict_keywords

NAMES = ("astronaut", "chelsea", "coffee", "rocket")
LARGEST = 300  # the shortest side of them all


@strict_keywords
def photograph(name: str, size: int) -> Tensor:
    """The middle size x size pixels of a colour photograph, 1 3 size size in [0, 1], float32.

    Raises InvalidInput for a size above 300 and Unsupported where scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError:
        raise Unsupported("this experiment takes its photographs from scikit-image: pip install 'fastip[data]'") from None
    if check_count(size, "size", low=1) > LARGEST:
        raise InvalidInput(f"size is {size}; expected at most {LARGEST}, the shortest side of the photographs")
    pixels = np.asarray(getattr(data, name)())
    top, left = ((n - size) // 2 for n in pixels.shape[:2])
    middle = np.ascontiguousarray(np.moveaxis(pixels[top : top + size, left : left + size], -1, 0))
    return torch.from_numpy(middle).float().div_(255)[None]


def photographs(size: int, names: tuple[str, ...] = NAMES) -> Tensor:
    """Several photographs of one size, b 3 size size."""
    return torch.cat([photograph(name, size) for name in names])
