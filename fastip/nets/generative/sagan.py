"""SAGAN's generator and discriminator for 64 x 64 images: self-attention in two stages, spectral normalisation."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ...arrays import check_count, check_image
from ...errors import InvalidInput, strict_keywords
from .generator import Generator

SIDE = 64


class SelfAttention(nn.Module):
    """x + gamma softmax(q^T k) v over all places; gamma is 0 at first.

    q and k are 1 x 1 convolutions to an eighth of the channels, v one to all.

    References:
        Zhang, Goodfellow, Metaxas and Odena, Self-attention generative adversarial networks, 2019.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(1, channels // 8)
        self.query, self.key = nn.Conv2d(channels, narrow, 1), nn.Conv2d(channels, narrow, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (layer(x).flatten(2).transpose(1, 2) for layer in (self.query, self.key, self.value))
        seen = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return torch.addcmul(x, self.gamma, seen.transpose(1, 2).reshape(x.shape))


class _Portable(nn.Module):
    """What goes to another process as its structure and its weights.

    PyTorch pickles no module with spectral normalisation whole.
    """

    def __reduce__(self) -> Any:
        net: Any = self
        frozen = [name for name, p in net.named_parameters() if not p.requires_grad]
        return _rebuilt, (type(net), net.config(), net.state_dict(), net.training, frozen)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """As other modules are copied."""
        made = memo[id(self)] = type(self).__new__(type(self))
        made.__dict__ = copy.deepcopy(self.__dict__, memo)
        return made


def _rebuilt(kind: Any, config: dict[str, Any], weights: dict[str, Tensor], training: bool, frozen: list[str]) -> Any:
    with torch.device("meta"):
        net = kind(**config)
    net.load_state_dict(weights, assign=True)
    for name in frozen:
        net.get_parameter(name).requires_grad_(False)
    return net.train(training)


class SAGANGenerator(_Portable, Generator):
    """SAGAN's generator, from z over 4, 8, 16 and 32 pixels (8w, 4w, 2w, w channels) to 64.

    Transposed 4 x 4 convolutions with BatchNorm, ReLU and spectral normalisation in all but the last, attention
    after 16 and 32 pixels, (1 + tanh) / 2 at the end.

    Args:
        colours: Channels of an image.
        width: w, channels at 32 pixels.
        latent: k, the numbers in z.

    Raises:
        InvalidInput: For a count below 1.

    References:
        Zhang et al., SAGAN, 2019, in the form that is common for 64 x 64.
    """

    @strict_keywords
    def __init__(self, *, colours: int = 3, width: int = 64, latent: int = 128) -> None:
        super().__init__()
        self.shape = (check_count(colours, "colours", low=1), SIDE, SIDE)
        self.width, self.latent = check_count(width, "width", low=1), check_count(latent, "latent", low=1)
        widths = [latent, 8 * width, 4 * width, 2 * width, width]
        layers: list[nn.Module] = []
        for stage, (near, far) in enumerate(zip(widths, widths[1:], strict=False)):
            stride, padding = (2, 1) if stage else (1, 0)
            layers += [spectral_norm(nn.ConvTranspose2d(near, far, 4, stride, padding)), nn.BatchNorm2d(far), nn.ReLU()]
            if stage >= 2:
                layers.append(SelfAttention(far))
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(width, colours, 4, 2, 1), nn.Tanh())

    def config(self) -> dict[str, Any]:
        return {"colours": self.shape[0], "width": self.width, "latent": self.latent}

    def draw(self, z: Tensor) -> Tensor:
        x: Tensor = self.layers(z[:, :, None, None])
        return (x + 1) / 2


class SAGANDiscriminator(_Portable):
    """One number for an image b c 64 64 in [0, 1], (b,).

    4 x 4 convolutions of stride 2 (w, 2w, 4w, 8w channels) with leaky ReLU 0.1, attention after 8 and 4 pixels, and
    4 x 4 to one number. Spectral normalisation in every convolution but those of the attention.

    Args:
        colours: Channels of an image.
        width: w, channels after the first convolution.

    Raises:
        InvalidInput: For a count below 1, and images of another shape.

    References:
        As for :class:`SAGANGenerator`.
    """

    @strict_keywords
    def __init__(self, *, colours: int = 3, width: int = 64) -> None:
        super().__init__()
        self.shape = (check_count(colours, "colours", low=1), SIDE, SIDE)
        self.width = check_count(width, "width", low=1)
        widths = [colours, width, 2 * width, 4 * width, 8 * width]
        layers: list[nn.Module] = []
        for stage, (near, far) in enumerate(zip(widths, widths[1:], strict=False)):
            layers += [spectral_norm(nn.Conv2d(near, far, 4, 2, 1)), nn.LeakyReLU(0.1)]
            if stage >= 2:
                layers.append(SelfAttention(far))
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(8 * width, 1, 4)), nn.Flatten(0))

    def config(self) -> dict[str, Any]:
        """The arguments that build this network again, as JSON values."""
        return {"colours": self.shape[0], "width": self.width}

    def forward(self, x: Tensor) -> Tensor:
        check_image(x, "x")
        if tuple(x.shape[1:]) != self.shape:
            raise InvalidInput(f"x has shape {tuple(x.shape)}; expected (b, {', '.join(map(str, self.shape))})")
        numbers: Tensor = self.layers(2 * x - 1)
        return numbers
