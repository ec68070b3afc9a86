"""The auto-encoder of the 2017 paper for handwritten digits."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import InvalidInput
from .prior_net import PriorNet

SIDE = 28


class DigitAutoencoder(PriorNet):
    """28 x 28 -> 64 numbers -> 28 x 28, through 14, 7, 2 and 1 pixels a side: 620 609 weights, output in (0, 1).

    Encoder: 5 x 5 convolutions 32, 64 (stride 2, SAME), 128 (stride 2, VALID), each with ReLU, and 2 x 2 -> 64 without.
    Decoder: transposed convolutions 3 x 3 -> 128, 5 x 5 -> 64 (VALID), 32 and 1 (5 x 5, stride 2, SAME), ReLU
    between them and a sigmoid at the end. SAME at stride 2 is one row before and two after.

    Called as ``net(v, y=None, level=None)``, see :class:`PriorNet`: b c 28 28, each channel by itself; data and
    level are ignored.

    Raises:
        InvalidInput: For images of other sizes.

    References:
        Fan, Wei, Carin and Heller 2017, table 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(
            [nn.Conv2d(1, 32, 5, 2), nn.Conv2d(32, 64, 5, 2), nn.Conv2d(64, 128, 5, 2), nn.Conv2d(128, 64, 2)]
        )
        widths = ((64, 128, 3, 1, 0), (128, 64, 5, 1, 0), (64, 32, 5, 2, 1), (32, 1, 5, 2, 1))
        self.decoder = nn.ModuleList(nn.ConvTranspose2d(i, o, k, s, padding=p) for i, o, k, s, p in widths)
        with torch.no_grad():  # torch's smaller first weights let all outputs die at zero
            for layer in (*self.encoder, *self.decoder):
                inputs = layer.weight.numel() / layer.out_channels  # that an output sees where no stride spreads them
                layer.weight.normal_(std=layer.stride[0] ** isinstance(layer, nn.ConvTranspose2d) * (2 / inputs) ** 0.5)
                layer.bias.zero_()

    def config(self) -> dict[str, Any]:
        return {}

    def estimate(self, v: Tensor, y: Tensor | None, level: Tensor | None) -> Tensor:
        if v.shape[-2:] != (SIDE, SIDE):
            raise InvalidInput(f"v has shape {tuple(v.shape)}; DigitAutoencoder takes images of {SIDE} x {SIDE} pixels")
        return self.decode(self.encode(v)).to(v)

    def encode(self, v: Tensor) -> Tensor:
        """b 1 28 28 -> b 64."""
        first, second, third, last = self.encoder
        f = v.to(next(self.parameters()).dtype)
        for layer in (first, second):
            f = torch.relu(layer(F.pad(f, (1, 2, 1, 2))))
        latent: Tensor = last(torch.relu(third(f)))
        return latent.flatten(1)

    def decode(self, latent: Tensor) -> Tensor:
        """b 64 -> b 1 28 28."""
        first, second, third, last = self.decoder
        f = torch.relu(second(torch.relu(first(latent[:, :, None, None]))))
        # With padding=1: one row cut before and two after, the transpose of SAME.
        f = torch.relu(third(f)[..., :-1, :-1])
        return torch.sigmoid(last(f)[..., :-1, :-1])
