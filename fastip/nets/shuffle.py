"""Pixel shuffling: images as r^2 times as many channels on a grid r times smaller, data beside them, any size."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..errors import InvalidInput
from .boundary import extend


def check_strides(factor: int, stride: int) -> None:
    """Refuse data whose grid is neither finer nor coarser than the shuffled one by a whole number."""
    if factor % stride and stride % factor:
        raise InvalidInput(
            f"factor is {factor} and stride {stride}; expected one to divide the other, "
            "so that data and shuffled image share a grid"
        )


def data_channels(data_colours: int, factor: int, stride: int) -> int:
    """Channels of the data on the shuffled grid."""
    return data_colours * (max(factor // stride, 1)) ** 2


def unshuffle(v: Tensor, factor: int, rim: int, multiple: int | None = None) -> Tensor:
    """b c h w -> b c r^2 h/r + 2 rim, w/r + 2 rim.

    Mirrored (half-sample) beyond its borders and up to a ``multiple`` of r (default r itself).
    """
    h, w = v.shape[-2:]
    below, right = (-n % (multiple or factor) for n in (h, w))
    if rim or below or right:
        v = extend(v, (rim * factor, rim * factor + max(below, right)), "reflect")
        v = v[..., : h + below + 2 * rim * factor, : w + right + 2 * rim * factor]
    return F.pixel_unshuffle(v, factor)


def shuffle(f: Tensor, factor: int, h: int, w: int) -> Tensor:
    """The opposite of :func:`unshuffle` without a rim, cropped to h x w: b c r^2 rows columns -> b c h w."""
    return F.pixel_shuffle(f, factor)[..., :h, :w]


def beside(y: Tensor, factor: int, stride: int, rows: int, columns: int) -> Tensor:
    """The data on the shuffled grid of rows x columns.

    Finer data are unshuffled, coarser ones repeated, and borders continued up to its size.
    """
    if stride <= factor:
        y = unshuffle(y, factor // stride, 0)
    else:
        y = y.repeat_interleave(stride // factor, -2).repeat_interleave(stride // factor, -1)[..., :rows, :columns]
    below, right = rows - y.shape[-2], columns - y.shape[-1]
    return F.pad(y, (0, right, 0, below), mode="replicate") if below or right else y
