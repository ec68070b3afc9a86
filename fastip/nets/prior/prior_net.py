"""What a network must offer to serve as a prior: v in, the clean image out, beside it what else it takes."""

from __future__ import annotations

import abc
from typing import Any

import torch
from torch import Tensor, nn

from ...arrays import check_image
from ...errors import InvalidInput

Level = float | Tensor


class PriorNet(nn.Module, abc.ABC):
    """``x = net(v, y=None, level=None)``: an estimate of the image b c h w in v = x + noise.

    Images in [0, 1]; v may be of any real floating type, whatever that of the weights. y is the data beside v,
    b data_colours h/stride w/stride (rounded up). level is the standard deviation of the noise in v, a number or
    (b,). What a network does not take is ignored.

    Attributes:
        colours: Image channels that the network takes together; a multiple of it is folded into the batch (and so
            are the channels of y).
        data_colours: Channels of y for one group of colours, 0 for a network that does not take the data.
        stride: How many times smaller the grid of y is than that of v.
        takes_level: Whether it takes the level.

    Raises:
        InvalidInput: When called without what it takes, or with shapes that do not fit.
    """

    colours: int = 1
    data_colours: int = 0
    stride: int = 1
    takes_level: bool = False

    @property
    def conditional(self) -> bool:
        """Whether the network takes the data."""
        return self.data_colours > 0

    @abc.abstractmethod
    def config(self) -> dict[str, Any]:
        """The arguments that build this network again, as JSON values."""

    @abc.abstractmethod
    def estimate(self, v: Tensor, y: Tensor | None, level: Tensor | None) -> Tensor:
        """x for ``colours`` channels; y and level (b,) are there exactly where the network takes them."""

    def forward(self, v: Tensor, y: Tensor | None = None, level: Level | None = None) -> Tensor:
        check_image(v, "v")
        groups, rest = divmod(v.shape[1], self.colours)
        if rest:
            raise InvalidInput(
                f"v has {v.shape[1]} channels; expected a multiple of {self.colours}, "
                f"the colours of this {type(self).__name__}"
            )
        data = self._data(v, y, groups) if self.conditional else None
        levels = self._levels(v, level).repeat_interleave(groups) if self.takes_level else None
        return self.estimate(_folded(v, groups), data, levels).reshape(v.shape)

    def _data(self, v: Tensor, y: Tensor | None, groups: int) -> Tensor:
        if y is None:
            raise InvalidInput(
                f"this {type(self).__name__} takes the data beside the image: call net(v, y), "
                f"y of shape b {self.data_colours} h w"
            )
        expected = (v.shape[0], groups * self.data_colours, *(-(-n // self.stride) for n in v.shape[2:]))
        if tuple(y.shape) != expected:
            raise InvalidInput(
                f"y has shape {tuple(y.shape)}; expected {expected}, "
                f"{self.stride} times smaller than v of shape {tuple(v.shape)}"
            )
        return _folded(y, groups)

    def _levels(self, v: Tensor, level: Level | None) -> Tensor:
        if level is None:
            raise InvalidInput(
                f"this {type(self).__name__} takes the noise level as an input: call net(v, level=...), "
                "a standard deviation in image units"
            )
        if isinstance(level, int | float):
            # Filled in where the image is: a copy would wait for a GPU in each iteration.
            return v.new_full((v.shape[0],), level)
        values = torch.as_tensor(level, dtype=v.dtype, device=v.device).reshape(-1)
        if values.numel() not in (1, v.shape[0]):
            raise InvalidInput(
                f"level has {values.numel()} values; expected one, or one for each of {v.shape[0]} images"
            )
        return values.expand(v.shape[0])


def _folded(v: Tensor, groups: int) -> Tensor:
    return v if groups == 1 else v.unflatten(1, (groups, -1)).flatten(0, 1)
