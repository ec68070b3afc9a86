"""A denoiser on shuffled pixels that starts as the identity: residual blocks of 3 x 3 convolutions, the noise level and the data as inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..arrays import check_count
from ..errors import strict_keywords
from .prior_net import PriorNet
from .shuffle import beside, check_strides, data_channels, shuffle, unshuffle


class Block(nn.Module):
    """f + W2 relu(W1 f + b1) + b2, 3 x 3, borders repeated."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate")
        self.second = nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate")
        nn.init.kaiming_normal_(self.first.weight)
        nn.init.normal_(self.second.weight, std=0.1 / (9 * width) ** 0.5)
        nn.init.zeros_(self.first.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, f: Tensor) -> Tensor:
        result: Tensor = f + self.second(torch.relu_(self.first(f)))
        return result


class PixelShuffleAutoencoder(PriorNet):
    """x = v - shuffle(tail(blocks(head([unshuffle(v), y, level])))): the noise is estimated on a grid ``factor`` times smaller and taken away.

    head and tail are 3 x 3 convolutions; the tail starts at 0, so the network starts as the identity. Images are mirrored at their borders for the
    head, features repeated: nothing is dark there. Any size is taken.

    colours: channels of an image, taken together. factor: r of the pixel shuffle. width, blocks: channels and residual blocks on the small grid, of
        18 width^2 products for each of its pixels and blocks.
    data_colours: channels of y, 0 for a network that does not see it. stride: how many times smaller the data's grid is than the image's (1 for deblurring);
        it divides factor, or factor divides it.
    Called as net(v, y=None, level=None), see :class:`PriorNet`: level is the standard deviation of the noise in v.
    Raises InvalidInput for a wrong structure or inputs that do not fit it.
    Source: after Fan, Wei, Carin and Heller 2017, tables 2 and 3; the level as an input after Zhang, Zuo and Zhang, FFDNet, 2018.
    """

    takes_level = True

    @strict_keywords
    def __init__(self, *, colours: int = 3, factor: int = 4, width: int = 96, blocks: int = 3, data_colours: int = 0, stride: int = 1) -> None:
        super().__init__()
        self.colours, self.factor = check_count(colours, "colours", low=1), check_count(factor, "factor", low=1)
        self.width, self.depth = check_count(width, "width", low=1), check_count(blocks, "blocks", low=0)
        self.data_colours, self.stride = check_count(data_colours, "data_colours", low=0), check_count(stride, "stride", low=1)
        check_strides(self.factor, self.stride)
        image = self.colours * self.factor**2
        self.head = nn.Conv2d(image + data_channels(self.data_colours, self.factor, self.stride) + 1, self.width, 3)
        self.blocks = nn.Sequential(*(Block(self.width) for _ in range(self.depth)))
        self.tail = nn.Conv2d(self.width, image, 3, padding=1, padding_mode="replicate")
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    def config(self) -> dict[str, Any]:
        return {
            "colours": self.colours,
            "factor": self.factor,
            "width": self.width,
            "blocks": self.depth,
            "data_colours": self.data_colours,
            "stride": self.stride,
        }

    @property
    def products(self) -> float:
        """Products for each pixel of the image."""
        return sum(module.weight.numel() for module in self.modules() if isinstance(module, nn.Conv2d)) / self.factor**2

    def estimate(self, v: Tensor, y: Tensor | None, level: Tensor | None) -> Tensor:
        h, w = v.shape[-2:]
        small = unshuffle(v, self.factor, 1)
        rows, columns = small.shape[-2] - 2, small.shape[-1] - 2
        inputs = [small] if y is None else [small, beside(y, self.factor, self.stride, rows, columns, 1).to(small)]
        assert level is not None
        inputs.append(level.to(small)[:, None, None, None].expand(-1, 1, *small.shape[2:]))
        f = torch.cat(inputs, dim=1).to(self.head.weight.dtype, memory_format=torch.channels_last)
        f = self.tail(self.blocks(self.head(f)))
        return v - shuffle(f, self.factor, h, w).to(v)
