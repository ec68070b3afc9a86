"""What a network must offer to serve as a generative prior: an image for every latent vector."""

from __future__ import annotations

import abc
from typing import Any

import torch
from torch import Tensor, nn

from ...arrays import check_count
from ...errors import InvalidInput

SIZES = (28, 64)


class Generator(nn.Module, abc.ABC):
    """``x = G(z)``: images b c h w in [0, 1] for z b k; z ~ N(0, I) in training.

    R(G), the images that some z gives, is the set that solvers project on.

    Attributes:
        latent: k, the numbers in z.
        shape: (c, h, w).

    Raises:
        InvalidInput: When called with anything but a tensor (b, k) of the dtype of the weights.
    """

    latent: int
    shape: tuple[int, int, int]

    @abc.abstractmethod
    def config(self) -> dict[str, Any]:
        """The arguments that build this network again, as JSON values."""

    @abc.abstractmethod
    def draw(self, z: Tensor) -> Tensor:
        """The images for z b k."""

    def forward(self, z: Tensor) -> Tensor:
        if not isinstance(z, Tensor):
            raise InvalidInput(f"z is {type(z).__name__}; expected a tensor (b, {self.latent})")
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise InvalidInput(
                f"z has shape {tuple(z.shape)}; expected (b, {self.latent}), one latent vector for each image"
            )
        weight = next(self.parameters(), z)
        if not z.is_floating_point() or (z.dtype != weight.dtype and not torch.is_autocast_enabled(z.device.type)):
            raise InvalidInput(
                f"z has dtype {z.dtype}; expected {weight.dtype}, that of the weights: "
                "give z.to(next(generator.parameters()))"
            )
        return self.draw(z)

    def sample(self, count: int, *, seed: int = 0) -> Tensor:
        """``count`` images of z ~ N(0, I), drawn from ``seed``, on the network's device and in its precision."""
        weight = next(self.parameters())
        draws = torch.Generator().manual_seed(check_count(seed, "seed", low=0) % 2**63)
        z = torch.randn(check_count(count, "count", low=1), self.latent, generator=draws)
        images: Tensor = self(z.to(weight))
        return images


def check_size(size: int, colours: int) -> tuple[int, int, int]:
    """(colours, size, size), refused for sizes that no table has."""
    if isinstance(size, bool) or not isinstance(size, int) or size not in SIZES:
        raise InvalidInput(
            f"size is {size!r}; expected {' or '.join(map(str, SIZES))}, "
            "the sides of the images that these networks are built for"
        )
    return check_count(colours, "colours", low=1), size, size


def dcgan_start(net: nn.Module) -> None:
    """DCGAN's first weights.

    N(0, 0.02) for convolutions and linear layers, N(1, 0.02) for the scales of BatchNorm, biases 0.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
