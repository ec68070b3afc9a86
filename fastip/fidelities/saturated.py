"""Which pixels of a picture are cut off at its limit: bright ones in groups, not an ordinary white pixel alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..arrays import as_tensor, check_count, check_image, check_number
from ..errors import strict_keywords


@strict_keywords
def saturated(y: Any, high: float = 1.0, *, group: int = 4) -> Any:
    """The pixels at the limit, ``y >= high``, that lie in connected groups: those that say only "at least this".

    Neighbours are the pixels above, below, left and right, in each channel by itself. ``Clipped(high=saturated(y))``
    takes a white pixel that stands alone for an ordinary datum. Black pixels: ``saturated(-y, -low)``.

    Args:
        y: The picture, b c h w: a tensor, a NumPy or a CuPy array.
        high: The limit; of the pixels of a file, which are read as numbers in [0, 1], it is 1.
        group: Pixels that such a group has at least, a whole number >= 1.

    Returns:
        A boolean mask of the shape and kind of y.

    Raises:
        InvalidInput: For another y, high or group.
    """
    picture, restore = as_tensor(y, "y")
    check_image(picture, "y")
    high, group = check_number(high, "high"), check_count(group, "group", low=1)
    mask = (picture >= high).contiguous()
    for plane in mask.flatten(0, 1) if group > 1 else ():  # one after the other: names take four times their memory
        plane &= ~_small(plane, group)
    return restore(mask)


def _small(mask: Tensor, group: int) -> Tensor:
    """The pixels of a mask h w whose group has fewer than ``group``.

    Each pixel takes the largest name in its neighbourhood, group - 2 times, by when a small group has one name alone. A
    name is that of a small group when few have it and nobody who has it neighbours another name.
    """
    own = torch.arange(1, mask.numel() + 1, dtype=torch.int32, device=mask.device).view_as(mask) * mask
    names = own
    for _ in range(group - 2):
        names = _largest(names) * mask
    counts = torch.bincount(names.flatten(), minlength=mask.numel() + 1)
    least = -_largest(torch.where(mask, -names, -mask.numel() - 1))
    counts[names[mask & ((_largest(names) != names) | (least != names))].long()] = group
    return mask & (counts < group)[names.long()]


def _largest(names: Tensor) -> Tensor:
    """The largest of a pixel and its four neighbours."""
    down, across = names.clone(), names.clone()
    down[1:] = torch.maximum(names[1:], names[:-1])
    down[:-1] = torch.maximum(down[:-1], names[1:])
    across[:, 1:] = torch.maximum(names[:, 1:], names[:, :-1])
    across[:, :-1] = torch.maximum(across[:, :-1], names[:, 1:])
    return down.maximum(across)
