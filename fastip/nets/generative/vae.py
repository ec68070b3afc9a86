"""The variational auto-encoder of CSGM: a small generator with a likelihood of its own."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from ...arrays import check_count, check_image
from ...errors import InvalidInput, strict_keywords
from .generator import Generator


class VAEDecoder(Generator):
    """G: k -> hidden -> hidden -> c h w, softplus between the layers, sigmoid at the end.

    Args:
        colours: Channels of an image.
        height: Its rows.
        width: Its columns.
        latent: k, the numbers in z.
        hidden: Units of both hidden layers.

    Raises:
        InvalidInput: For a count below 1.

    References:
        Bora, Jalal, Price and Dimakis, Compressed sensing using generative models, 2017: k = 20, hidden = 500 for 28
        x 28 digits.
    """

    @strict_keywords
    def __init__(
        self, *, colours: int = 1, height: int = 28, width: int = 28, latent: int = 20, hidden: int = 500
    ) -> None:
        super().__init__()
        self.shape = (
            check_count(colours, "colours", low=1),
            check_count(height, "height", low=1),
            check_count(width, "width", low=1),
        )
        self.latent, self.hidden = check_count(latent, "latent", low=1), check_count(hidden, "hidden", low=1)
        self.layers = nn.Sequential(*_hidden(latent, hidden), nn.Linear(hidden, math.prod(self.shape)))

    def config(self) -> dict[str, Any]:
        return {
            "colours": self.shape[0],
            "height": self.shape[1],
            "width": self.shape[2],
            "latent": self.latent,
            "hidden": self.hidden,
        }

    def logits(self, z: Tensor) -> Tensor:
        """The images before the sigmoid, for a likelihood that does not underflow."""
        images: Tensor = self.layers(z).unflatten(1, self.shape)
        return images

    def draw(self, z: Tensor) -> Tensor:
        return self.logits(z).sigmoid()


class VAEEncoder(nn.Module):
    """c h w -> hidden -> hidden -> (mean, log variance) of z, each b k.

    Args:
        colours: Channels of an image.
        height: Its rows.
        width: Its columns.
        latent: k, the numbers in z.
        hidden: Units of both hidden layers.

    Raises:
        InvalidInput: For a count below 1, and images of another shape.

    References:
        As for :class:`VAEDecoder`.
    """

    @strict_keywords
    def __init__(
        self, *, colours: int = 1, height: int = 28, width: int = 28, latent: int = 20, hidden: int = 500
    ) -> None:
        super().__init__()
        self.shape = (
            check_count(colours, "colours", low=1),
            check_count(height, "height", low=1),
            check_count(width, "width", low=1),
        )
        self.latent, self.hidden = check_count(latent, "latent", low=1), check_count(hidden, "hidden", low=1)
        self.layers = nn.Sequential(
            nn.Flatten(), *_hidden(math.prod(self.shape), hidden), nn.Linear(hidden, 2 * latent)
        )

    def config(self) -> dict[str, Any]:
        """The arguments that build this network again, as JSON values."""
        return {
            "colours": self.shape[0],
            "height": self.shape[1],
            "width": self.shape[2],
            "latent": self.latent,
            "hidden": self.hidden,
        }

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        check_image(x, "x")
        if tuple(x.shape[1:]) != self.shape:
            raise InvalidInput(f"x has shape {tuple(x.shape)}; expected (b, {', '.join(map(str, self.shape))})")
        mean, log_variance = self.layers(x).chunk(2, dim=1)
        return mean, log_variance


def _hidden(inputs: int, hidden: int) -> list[nn.Module]:
    return [nn.Linear(inputs, hidden), nn.Softplus(), nn.Linear(hidden, hidden), nn.Softplus()]
