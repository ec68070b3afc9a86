"""A network that tells restored images from real ones."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ...arrays import check_count, check_image
from ...errors import InvalidInput, strict_keywords


class Discriminator(nn.Module):
    """DCGAN's discriminator on shuffled pixels: log odds that an image is real, (b,).

    unshuffle, then 4 x 4 convolutions of stride 2 and widths 64, 128, 256, ... with BatchNorm (but the first) and
    leaky ReLU until 4 x 4 pixels are left, and one 4 x 4 convolution to a number. Larger images give the mean over
    all places.

    Args:
        colours: Channels of an image.
        factor: r of the pixel shuffle.
        size: Side of the smallest image that it is for, factor 4 2^stages with at least one stage.
        width: Channels after the first convolution.

    Raises:
        InvalidInput: For a size that is not of this form, a count below 1, and images with other channels, below the
            size or of sides that factor does not divide.

    References:
        Radford, Metz and Chintala, DCGAN, 2015; on shuffled pixels: Fan, Wei, Carin and Heller 2017, appendix D.
    """

    @strict_keywords
    def __init__(self, *, colours: int = 3, factor: int = 4, size: int = 256, width: int = 64) -> None:
        super().__init__()
        self.colours, self.factor = check_count(colours, "colours", low=1), check_count(factor, "factor", low=1)
        self.size, self.width = check_count(size, "size", low=1), check_count(width, "width", low=1)
        stages = (self.size // (4 * self.factor)).bit_length() - 1
        if stages < 1 or self.size != self.factor * 4 * 2**stages:
            raise InvalidInput(
                f"size is {size} and factor {factor}; expected size = factor * 4 * 2^k, k >= 1, e.g. {factor * 64}"
            )
        widths = [self.colours * self.factor**2, *(self.width * 2**k for k in range(stages))]
        layers: list[nn.Module] = []
        for k in range(stages):
            normal = [nn.BatchNorm2d(widths[k + 1])] if k else []
            layers += [nn.Conv2d(widths[k], widths[k + 1], 4, 2, padding=1, bias=not k), *normal, nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4))
        for module in self.modules():  # first weights as in DCGAN
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def config(self) -> dict[str, Any]:
        """The arguments that build this network again."""
        return {"colours": self.colours, "factor": self.factor, "size": self.size, "width": self.width}

    def forward(self, x: Tensor) -> Tensor:
        check_image(x, "x")
        if x.shape[1] != self.colours or min(x.shape[2:]) < self.size or any(n % self.factor for n in x.shape[2:]):
            raise InvalidInput(
                f"x has shape {tuple(x.shape)}; expected {self.colours} channels and at least "
                f"{self.size} x {self.size} pixels, multiples of {self.factor}"
            )
        odds: Tensor = self.layers(F.pixel_unshuffle(x, self.factor))
        return odds.mean(dim=(1, 2, 3))
