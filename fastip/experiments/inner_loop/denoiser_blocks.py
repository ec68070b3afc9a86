"""Blocks for a denoiser of photographs that are not those of its network, and the network with them in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ...nets.prior.pixel_shuffle_autoencoder import PixelShuffleAutoencoder


class GatedBlock(nn.Module):
    """``f + W2 (a * b)`` with (a, b) = W1 f, 3 x 3: a product in place of the ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width // 2, width, 3, padding=1)
        _small(self.second, 9 * width)

    def forward(self, f: Tensor) -> Tensor:
        a, b = self.first(f).chunk(2, dim=1)
        result: Tensor = f + self.second(a * b)
        return result


class MixBlock(nn.Module):
    """Two steps: ``f + P2 (a * b)`` with (a, b) = D P1 f, D a depthwise 3 x 3, then the same without D; P 1 x 1.

    References:
        Chen et al., Simple baselines for image restoration, 2022, without its normalisations.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spread, self.depthwise = (
            nn.Conv2d(width, 2 * width, 1),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width),
        )
        self.mixed, self.again, self.last = (
            nn.Conv2d(width, width, 1),
            nn.Conv2d(width, 2 * width, 1),
            nn.Conv2d(width, width, 1),
        )
        _small(self.mixed, width)
        _small(self.last, width)

    def forward(self, f: Tensor) -> Tensor:
        a, b = self.depthwise(self.spread(f)).chunk(2, dim=1)
        f = f + self.mixed(a * b)
        a, b = self.again(f).chunk(2, dim=1)
        result: Tensor = f + self.last(a * b)
        return result


def _small(last: nn.Conv2d, inputs: int) -> None:
    """Blocks start near the identity: a larger part than 0.1 may diverge at the start, a smaller one learns later."""
    nn.init.normal_(last.weight, std=0.1 / inputs**0.5)
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]


def with_blocks(block: Callable[[int], nn.Module], **shape: Any) -> PixelShuffleAutoencoder:
    """A network whose blocks are others."""
    net = PixelShuffleAutoencoder(**shape)
    for chain in [*net.encoder, *net.decoder]:
        for k, old in enumerate(list(chain.children())):
            chain[k] = block(old.first.in_channels)
    return net
