"""A linear network for (beta I + A A^T)^-1: symmetric, positive definite, and one stencil away from borders."""

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

# Pixels that a network may reach. ``stencil`` works on (4 reach + 1)^2 of them in every channel, at most 1025^2: with a
# larger bound a file could ask for more memory than there is, with a smaller one wide inverses would be refused.
FARTHEST = 256


class InverseNet(nn.Module):
    """C = s (W W^T + f I): W^T a chain of convolutions without bias or activation, s, f > 0.

    W is the transpose of W^T with the same kernels. C is linear, symmetric and positive definite whatever the
    weights are; the channels of an image share it. On a circular grid, and away from any other border, it is one
    stencil of (2 reach + 1)^2 taps, reach = sum (size - 1) dilation.

    Called as ``net(r, beta=None)``: r is b c h w of any floating dtype, beta a number or (b,).

    Args:
        channels: Width of each layer of W^T. (16, 32) with sizes (5, 3) makes 13 x 13 stencils, for inverses of
            small support; InverseNet.dilated() reaches 24 pixels.
        sizes: Odd kernel size of each layer.
        dilations: Dilation of each layer; None for 1.
        boundary: What lies outside the grid: "circular", "zero" (for operators with valid or zero boundary) or
            "reflect".
        beta_range: (low, high) makes beta an input: each channel, s and f get positive gains that depend on log
            beta. None: one beta only.

    Raises:
        InvalidInput: For a wrong structure, a reach above 256 pixels, or a missing beta.

    References:
        Fan, Wei, Carin and Heller 2017, section 3.2, without the activations.
    """

    linear = True

    @strict_keywords
    def __init__(
        self,
        *,
        channels: Sequence[int] = (16, 32),
        sizes: Sequence[int] = (5, 3),
        dilations: Sequence[int] | None = None,
        boundary: str = "circular",
        beta_range: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.channels = tuple(check_count(c, "channels", low=1) for c in channels)
        self.sizes = tuple(check_count(k, "sizes", low=1) for k in sizes)
        self.dilations = tuple(check_count(d, "dilations", low=1) for d in (dilations or [1] * len(self.sizes)))
        if not self.channels or not len(self.channels) == len(self.sizes) == len(self.dilations):
            raise InvalidInput(
                f"channels, sizes and dilations have {len(self.channels)}, {len(self.sizes)} and "
                f"{len(self.dilations)} entries; expected one for each layer"
            )
        if any(k % 2 == 0 for k in self.sizes):
            raise InvalidInput(f"sizes is {self.sizes}; expected odd numbers, so that every layer has a centre")
        if self.reach > FARTHEST:
            raise InvalidInput(
                f"sizes {self.sizes} and dilations {self.dilations} reach {self.reach} pixels; "
                f"expected at most {FARTHEST}"
            )
        if boundary not in NET_BOUNDARIES:
            raise InvalidInput(
                f"boundary is {boundary!r}; expected one of {', '.join(NET_BOUNDARIES)}: "
                "nets.boundary_of gives that of an operator"
            )
        self.boundary, self.beta_range = boundary, check_range(beta_range)
        fan = [k * k * c for k, c in zip(self.sizes, (1, *self.channels), strict=False)]
        shapes = zip(self.channels, (1, *self.channels), self.sizes, strict=False)
        self.kernels = nn.ParameterList(
            [torch.randn(o, i, k, k) / math.sqrt(f) for (o, i, k), f in zip(shapes, fan, strict=True)]
        )
        self.log_scale = nn.Parameter(torch.zeros(()))
        # A larger f starts nearer to a multiple of the identity, a smaller one leaves more to the random W W^T.
        self.log_floor = nn.Parameter(torch.tensor(math.log(0.1)))
        self.gains = None if self.beta_range is None else BetaGains((*self.channels, 1, 1), self.beta_range)

    @classmethod
    def dilated(cls, *, boundary: str = "circular", beta_range: Sequence[float] | None = None) -> InverseNet:
        """Three layers that reach 24 pixels (49 x 49 taps) for 888 products a pixel.

        For blurs without a stride, whose inverse reaches far.

        Args:
            boundary: As for the class.
            beta_range: As for the class.

        Returns:
            The network with first weights.
        """
        return cls(channels=(4, 4, 2), sizes=(5, 3, 5), dilations=(1, 2, 4), boundary=boundary, beta_range=beta_range)

    def config(self) -> dict[str, Any]:
        """The arguments that build this network again."""
        return {
            "channels": list(self.channels),
            "sizes": list(self.sizes),
            "dilations": list(self.dilations),
            "boundary": self.boundary,
            "beta_range": None if self.beta_range is None else list(self.beta_range),
        }

    @property
    def reach(self) -> int:
        """The farthest pixel that an output depends on, away from borders."""
        return sum((k - 1) * d for k, d in zip(self.sizes, self.dilations, strict=True))

    @property
    def band(self) -> int:
        """Rows next to a border that differ from the stencil.

        There pixels of the first hidden layer fall outside the grid.
        """
        return {
            "circular": 0,
            "zero": self.reach - (self.sizes[0] - 1) // 2 * self.dilations[0],
            "reflect": self.reach,
        }[self.boundary]

    @property
    def products(self) -> int:
        """Products for each pixel in the layered form."""
        return 2 * sum(kernel.numel() for kernel in self.kernels)

    def rescale(self, factor: float) -> None:
        """Multiply C by a positive number, in place."""
        with torch.no_grad():
            self.log_scale.add_(math.log(factor))

    def forward(self, r: Tensor, beta: float | Tensor | None = None) -> Tensor:
        """C r."""
        check_image(r, "r")
        return self._layers(r, as_batch(beta, self.beta_range, r, "InverseNet"), self.boundary)

    def stencil(self, beta: float | None = None) -> Tensor:
        """The taps of C away from borders, float64, (2 reach + 1, 2 reach + 1)."""
        impulse = torch.zeros(
            1, 1, 4 * self.reach + 1, 4 * self.reach + 1, dtype=torch.float64, device=self.log_scale.device
        )
        impulse[..., 2 * self.reach, 2 * self.reach] = 1
        with torch.no_grad():
            response = self._layers(impulse, as_batch(beta, self.beta_range, impulse, "InverseNet"), "zero")[0, 0]
        return response[self.reach : 3 * self.reach + 1, self.reach : 3 * self.reach + 1].cpu()

    def least(self, beta: float | None = None) -> float:
        """s f: no eigenvalue of C is smaller, on any grid."""
        like = torch.zeros(1, 1, 1, 1, dtype=torch.float64, device=self.log_scale.device)
        with torch.no_grad():
            scale, floor = self._ends(like, self._gains(as_batch(beta, self.beta_range, like, "InverseNet"), like))
        return float(scale * floor)

    def _layers(self, r: Tensor, beta: Tensor | None, boundary: str) -> Tensor:
        kernels = [kernel.to(r) for kernel in self.kernels]
        pads = [((k - 1) * d // 2,) * 2 for k, d in zip(self.sizes, self.dilations, strict=True)]
        gains = self._gains(beta, r)
        hidden = v = r.flatten(0, 1)[:, None]
        for kernel, pad, dilation, gain in zip(kernels, pads, self.dilations, gains, strict=False):
            hidden = scaled(conv(hidden, kernel, pad, boundary, dilation), gain)
        for kernel, pad, dilation, gain in reversed(list(zip(kernels, pads, self.dilations, gains, strict=False))):
            hidden = conv_transpose(scaled(hidden, gain), kernel, pad, boundary, dilation)
        scale, floor = self._ends(r, gains)
        return (scale * torch.addcmul(hidden, floor, v)).view_as(r)

    def _ends(self, like: Tensor, gains: list[Tensor | None]) -> tuple[Tensor, Tensor]:
        """s and f, of the dtype and on the device of ``like``."""
        scale, floor = self.log_scale.exp().to(like), self.log_floor.exp().to(like)
        return scaled(scale, gains[-2]), scaled(floor, gains[-1])

    def _gains(self, beta: Tensor | None, r: Tensor) -> list[Tensor | None]:
        """One gain for each layer, then those of s and f; every channel of an image has its image's beta."""
        if beta is None or self.gains is None:
            return [None] * (len(self.channels) + 2)
        return list(self.gains(beta.repeat_interleave(r.shape[1])))
