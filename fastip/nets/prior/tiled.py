"""A network on images that are too large for it: tile by tile, with the result of the whole."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...arrays import check_count
from ...errors import InvalidInput, strict_keywords
from ..tiles import Tiles
from .prior_net import PriorNet


class Tiled(PriorNet):
    """net(v, y, level) at no more than tile^2 pixels at a time: small images in turn, large ones in tiles.

    The weights w_k sum to 1, and are 0 on the pixels of tile k that its borders reach::

        x = sum_k w_k net(v on tile k, y on tile k, level)

    Args:
        net: A network that states how far it sees (``reach``) and on which grid it works (``multiple``), as
            nets.PixelShuffleAutoencoder does; tiles overlap by twice the reach and begin on its grid and on that of
            the data, so the result is that of the whole image but for rounding.
        tile: Side of the largest square that the network is given, rounded down to its grid: a larger one needs more
            memory, a smaller one computes more pixels twice. Images of at most this size go to the network as they
            are.

    Raises:
        InvalidInput: For a network that does not state its reach, and for a tile below ``Tiled.smallest(net)``.
    """

    @strict_keywords
    def __init__(self, net: PriorNet, *, tile: int = 512) -> None:
        super().__init__()
        self.net: PriorNet = net
        self.colours, self.data_colours, self.stride, self.takes_level = (
            net.colours,
            net.data_colours,
            net.stride,
            net.takes_level,
        )
        self.reach, self.multiple = _stated(net)
        grid, least = self._grid, Tiled.smallest(net)
        self.tile = check_count(tile, "tile", low=1) // grid * grid
        self._last: Tiles | None = None
        if self.tile < least:
            raise InvalidInput(
                f"tile is {tile}; expected at least {least}, "
                f"of which this {type(net).__name__} sees {self.reach} pixels at each side"
            )

    @staticmethod
    def smallest(net: PriorNet) -> int:
        """The smallest tile for ``net``: it advances by as much as it overlaps.

        Each pixel is then computed about four times; smaller ones would take many times longer.

        Args:
            net: As for the class.

        Returns:
            A side in pixels.

        Raises:
            InvalidInput: For a network that does not state its reach.
        """
        reach, multiple = _stated(net)
        grid = math.lcm(multiple, net.stride)
        return 2 * (-(-2 * reach // grid) + 1) * grid

    @property
    def _grid(self) -> int:
        return math.lcm(self.multiple, self.stride)

    def config(self) -> dict[str, Any]:
        return {"net": self.net.config(), "tile": self.tile}

    def estimate(self, v: Tensor, y: Tensor | None, level: Tensor | None) -> Tensor:
        h, w = v.shape[-2:]
        count = max(1, self.tile**2 // (h * w))
        if max(h, w) <= self.tile and len(v) <= count:
            return self._apply_net(v, y, level)
        result = torch.empty_like(v)
        for first in range(0, len(v), count):
            some = slice(first, first + count)
            result[some] = self._few(v[some], None if y is None else y[some], None if level is None else level[some])
        return result

    def _few(self, v: Tensor, y: Tensor | None, level: Tensor | None) -> Tensor:
        h, w = v.shape[-2:]
        if max(h, w) <= self.tile:
            return self._apply_net(v, y, level)
        tiles = self._tiles(h, w)
        others = () if y is None else (y,)
        return tiles.map(
            lambda part, *data: self._apply_net(part, data[0] if data else None, level), v, *others, batch=1
        )

    def _tiles(self, h: int, w: int) -> Tiles:
        """Those of images of h x w; the last ones are kept, with their weights on the device of the images."""
        if self._last is None or (self._last.height, self._last.width) != (h, w):
            self._last = Tiles(
                h, w, self.tile, overlap=2 * self.reach + self._grid, margin=self.reach, multiple=self._grid
            )
        return self._last

    def _apply_net(self, v: Tensor, y: Tensor | None, level: Tensor | None) -> Tensor:
        x: Tensor = self.net(v, y, level)
        return x


def _stated(net: PriorNet) -> tuple[int, int]:
    """(reach, multiple) of a network."""
    reach, multiple = getattr(net, "reach", None), getattr(net, "multiple", None)
    if not isinstance(net, PriorNet) or reach is None or multiple is None:
        raise InvalidInput(
            f"{type(net).__name__} does not state its reach and its multiple, so it cannot be tiled; "
            "use a nets.PixelShuffleAutoencoder"
        )
    return reach, multiple
