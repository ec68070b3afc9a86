"""Real photographs for experiments: middles of the held-out ones, of one size."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import data
from ..errors import strict_keywords

NAMES = ("astronaut", "chelsea", "coffee", "rocket")  # those of scikit-image


@strict_keywords
def photograph(name: str, size: int) -> Tensor:
    """The middle size x size pixels of a photograph of ``data.held_out_photographs``, 1 3 size size in [0, 1], float32.

    Raises InvalidInput for an unknown name and for a size above its shortest side, data.MissingData where its package
    is not installed.
    """
    return data.centre(data.held_out_photographs([name])[name], size)


def photographs(size: int, names: tuple[str, ...] = NAMES) -> Tensor:
    """Several photographs of one size, b 3 size size."""
    return torch.cat([photograph(name, size) for name in names])
