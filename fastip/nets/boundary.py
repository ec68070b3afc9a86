"""How a network sees past its border: by zeros, wrapping, half-sample mirroring, and the exact transpose of each."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InvalidInput, strict_keywords
from ..kernels import reference

NET_BOUNDARIES = tuple(
    name for name in reference.BOUNDARIES if name != "valid"
)  # whose data a network extends by zeros
Pads = tuple[int, int]  # before, after; the same on both axes


@strict_keywords
def boundary_of(boundary: str) -> str:
    """What an inverse sees outside the data grid of an operator with this boundary.

    Args:
        boundary: That of the operator: "circular", "reflect", "valid" or "zero".

    Returns:
        "zero" for valid and zero, else the operator's own extension.

    Raises:
        InvalidInput: For a boundary that no operator has.
    """
    known = {"circular": "circular", "reflect": "reflect", "valid": "zero", "zero": "zero"}
    if boundary not in known:
        raise InvalidInput(f"boundary is {boundary!r}; expected one of {', '.join(known)}")
    return known[boundary]


def extend(v: Tensor, pads: Pads, boundary: str) -> Tensor:
    """v on a grid that is larger by ``pads`` at the start and the end of both last axes; pads may exceed the grid."""
    if boundary == "zero":
        return F.pad(v, pads * 2)
    for axis in (-2, -1):
        v = torch.cat(
            [
                _turned(v, axis, turn).narrow(axis, start, size)
                for turn, start, size in _tiles(v.shape[axis], pads, boundary)
            ],
            dim=axis,
        )
    return v


def fold(v: Tensor, pads: Pads, boundary: str) -> Tensor:
    """The transpose of :func:`extend`: what lies outside is added where it came from."""
    if boundary == "zero":
        return F.pad(v, (-pads[0], -pads[1]) * 2)
    for axis in (-2, -1):
        n = v.shape[axis] - sum(pads)
        result, at = torch.zeros_like(v.narrow(axis, 0, n)), 0
        for turn, start, size in _tiles(n, pads, boundary):
            begin = n - start - size if turn else start
            result.narrow(axis, begin, size).add_(_turned(v.narrow(axis, at, size), axis, turn))
            at += size
        v = result
    return v


def _turned(v: Tensor, axis: int, turn: bool) -> Tensor:
    return v.flip(axis) if turn else v


def _tiles(n: int, pads: Pads, boundary: str) -> list[tuple[bool, int, int]]:
    """The extended axis as copies of the grid, left to right: (mirrored, first entry of the copy, entries)."""
    tiles = []
    for copy in range(-((pads[0] + n - 1) // n), (pads[1] + n - 1) // n + 1):
        start, stop = max(-pads[0] - copy * n, 0), min(n + pads[1] - copy * n, n)
        tiles.append((boundary == "reflect" and copy % 2 == 1, start, stop - start))
    return tiles


def conv(v: Tensor, weight: Tensor, pads: Pads, boundary: str, dilation: int = 1) -> Tensor:
    """Correlation of the extended v with ``weight`` (out, in, k, k).

    The result has the size of v when pads sum to dilation (k - 1).
    """
    return F.conv2d(extend(v, pads, boundary), weight, dilation=dilation)


def conv_transpose(v: Tensor, weight: Tensor, pads: Pads, boundary: str, dilation: int = 1) -> Tensor:
    """The transpose of :func:`conv` with the same arguments."""
    return fold(F.conv_transpose2d(v, weight, dilation=dilation), pads, boundary)
