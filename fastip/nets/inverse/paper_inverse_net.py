"""The network of the 2017 paper for (beta I + A A^T)^-1: four tied convolutions with ReLU between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...arrays import check_count, check_image
from ...errors import InvalidInput, strict_keywords
from ..boundary import NET_BOUNDARIES, conv, conv_transpose
from ..gains import BetaGains, as_batch, check_range, scaled

PADS = (1, 2)  # 4 x 4 SAME: one row before, two after


class PaperInverseNet(nn.Module):
    """C(r) = W0 relu(W1 relu(W1^T relu(W0^T r))): 4 x 4 SAME convolutions, no bias, linear output.

    W0 : channels[0] -> colours and W1 : channels[1] -> channels[0] are convolutions that see one row before and two
    after a pixel, W0^T and W1^T their exact transposes with the same kernels (so the half-pixel shifts cancel). The
    table of the paper with its third and fourth rows corrected to 64 -> 32 and 32 -> 3: 34 304 weights for three
    colours, 33 280 for one. C is neither linear nor odd, but C(a r) = a C(r) for a >= 0.

    Args:
        colours: Image channels that the network takes together; images with a multiple of it are folded into the
            batch. 1 shares the network among channels.
        channels: The two hidden widths.
        boundary: As for :class:`InverseNet`.
        beta_range: As for :class:`InverseNet`; the gains multiply the hidden channels.

    Raises:
        InvalidInput: For a wrong structure, channels that do not fit, or a missing beta.

    References:
        Fan, Wei, Carin and Heller 2017, table 4.
    """

    linear = False

    @strict_keywords
    def __init__(
        self,
        *,
        colours: int = 1,
        channels: Sequence[int] = (32, 64),
        boundary: str = "circular",
        beta_range: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.colours = check_count(colours, "colours", low=1)
        self.channels = tuple(check_count(c, "channels", low=1) for c in channels)
        if len(self.channels) != 2:
            raise InvalidInput(f"channels is {self.channels}; expected two widths, 32 and 64 in the paper")
        if boundary not in NET_BOUNDARIES:
            raise InvalidInput(
                f"boundary is {boundary!r}; expected one of {', '.join(NET_BOUNDARIES)}: "
                "nets.boundary_of gives that of an operator"
            )
        self.boundary, self.beta_range = boundary, check_range(beta_range)
        first, second = self.channels  # first kernels of variance 2 / inputs, which ReLU keeps
        self.outer = nn.Parameter(torch.randn(self.colours, first, 4, 4) * math.sqrt(2 / (16 * first)))
        self.inner = nn.Parameter(torch.randn(first, second, 4, 4) * math.sqrt(2 / (16 * second)))
        self.gains = None if self.beta_range is None else BetaGains((first, second, first, 1), self.beta_range)

    def config(self) -> dict[str, Any]:
        """The arguments that build this network again."""
        beta_range = None if self.beta_range is None else list(self.beta_range)
        structure = {"colours": self.colours, "channels": list(self.channels), "boundary": self.boundary}
        return structure | {"beta_range": beta_range}

    @property
    def products(self) -> int:
        """Products for each pixel and colour."""
        return 2 * (self.outer.numel() + self.inner.numel()) // self.colours

    def rescale(self, factor: float) -> None:
        """Multiply C by a positive number, in place: the outer kernels act twice."""
        with torch.no_grad():
            self.outer.mul_(math.sqrt(factor))

    def forward(self, r: Tensor, beta: float | Tensor | None = None) -> Tensor:
        """C(r), r being b c h w; beta: a number, or one for each image, where the network has a range of them."""
        check_image(r, "r")
        if r.shape[1] % self.colours:
            expected = f"expected a multiple of {self.colours}, the colours of this PaperInverseNet"
            raise InvalidInput(f"r has {r.shape[1]} channels; {expected}")
        values = as_batch(beta, self.beta_range, r, "PaperInverseNet")
        groups = r.shape[1] // self.colours
        gains = [None] * 4 if values is None or self.gains is None else self.gains(values.repeat_interleave(groups))
        outer, inner, boundary = self.outer.to(r), self.inner.to(r), self.boundary
        v = r.unflatten(1, (groups, self.colours)).flatten(0, 1)
        v = scaled(torch.relu(conv_transpose(v, outer, PADS, boundary)), gains[0])
        v = scaled(torch.relu(conv_transpose(v, inner, PADS, boundary)), gains[1])
        v = scaled(torch.relu(conv(v, inner, PADS, boundary)), gains[2])
        return scaled(conv(v, outer, PADS, boundary), gains[3]).view_as(r)
