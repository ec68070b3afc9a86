"""The prior network of the 2017 paper: six 4 x 4 convolutions on shuffled pixels, the data joined in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ...arrays import check_count
from ...errors import InvalidInput, strict_keywords
from ..shuffle import beside, check_strides, data_channels, shuffle, unshuffle
from .prior_net import PriorNet


class PaperPixelShuffleAutoencoder(PriorNet):
    """x = shuffle(second([first(unshuffle(v)), y])), each convolution 4 x 4 SAME with BatchNorm and ReLU.

    Three layers of ``channels``, the data, three layers back. SAME pads zeros, one row before and two after. The
    last layer has BatchNorm and ReLU too, so x >= 0: for images in [0, 1]. Weights and biases of the convolutions:
    527 824 for factor 4 and stride 4 (super-resolution), 380 332 for 2 and 2 (378 284 with a grey y), 573 904 for 4
    and 1 (deblurring).

    Called as ``net(v, y=None, level=None)``, see :class:`PriorNet`; it is blind, so the level is ignored.

    Args:
        colours: As for :class:`PixelShuffleAutoencoder`.
        factor: r of the pixel shuffle.
        channels: Widths of the layers before the data join; the layers after them mirror these.
        data_colours: Channels of y; 0 makes the unconditional network.
        stride: As for :class:`PixelShuffleAutoencoder`.
        batchnorm: The arrangement of the paper, or bare convolutions, as nets.fold_batchnorm leaves them.

    Raises:
        InvalidInput: For a wrong structure or inputs that do not fit it.

    References:
        Fan, Wei, Carin and Heller 2017, tables 2 and 3.
    """

    @strict_keywords
    def __init__(
        self,
        *,
        colours: int = 3,
        factor: int = 4,
        channels: Sequence[int] = (128, 64, 32),
        data_colours: int = 3,
        stride: int = 4,
        batchnorm: bool = True,
    ) -> None:
        super().__init__()
        self.colours, self.factor = check_count(colours, "colours", low=1), check_count(factor, "factor", low=1)
        self.channels = tuple(check_count(c, "channels", low=1) for c in channels)
        if not self.channels:
            raise InvalidInput(
                "channels is empty; expected the widths of the layers before the data join, (128, 64, 32) in the paper"
            )
        self.data_colours = check_count(data_colours, "data_colours", low=0)
        self.stride = check_count(stride, "stride", low=1)
        check_strides(self.factor, self.stride)
        self.batchnorm = batchnorm
        image = self.colours * self.factor**2
        joined = self.channels[-1] + data_channels(self.data_colours, self.factor, self.stride)
        self.first = _chain((image, *self.channels), batchnorm)
        self.second = _chain((joined, *self.channels[-2::-1], image), batchnorm)

    def config(self) -> dict[str, Any]:
        return {
            "colours": self.colours,
            "factor": self.factor,
            "channels": list(self.channels),
            "data_colours": self.data_colours,
            "stride": self.stride,
            "batchnorm": self.batchnorm,
        }

    @property
    def products(self) -> float:
        """Products for each pixel of the image."""
        return sum(module.weight.numel() for module in self.modules() if isinstance(module, nn.Conv2d)) / self.factor**2

    def estimate(self, v: Tensor, y: Tensor | None, level: Tensor | None) -> Tensor:
        dtype = next(self.parameters()).dtype
        small = unshuffle(v, self.factor, 0).to(dtype, memory_format=torch.channels_last)
        f = self.first(small)
        if y is not None:
            f = torch.cat([f, beside(y, self.factor, self.stride, small.shape[2], small.shape[3]).to(f)], dim=1)
        return shuffle(self.second(f), self.factor, *v.shape[2:]).to(v)


def _chain(widths: Sequence[int], batchnorm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        conv = nn.Conv2d(before, after, 4)
        nn.init.kaiming_normal_(conv.weight)
        layers += [nn.ZeroPad2d((1, 2, 1, 2)), conv, nn.BatchNorm2d(after) if batchnorm else nn.Identity(), nn.ReLU()]
    return nn.Sequential(*layers)
