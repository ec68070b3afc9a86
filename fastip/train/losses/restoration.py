"""What a prior's network minimises: the distance to the truth of what it, or a solver with it, makes of noisy data."""

from __future__ import annotations

import abc
import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ... import metrics, nets, priors
from ...contracts import Inverse, LinearOperator
from ...data import Batches, Pictures
from ...solvers.admm import admm
from ..engine import schedule
from ..engine.average import follow
from .perceptual import Judges

SHOWN = 3  # pictures in the log
Drawn = tuple[Tensor, Tensor, Tensor, Tensor]  # x, e, levels, n


@dataclass(frozen=True)
class Draw:
    """(x, e, levels, n) of a step, from (seed, step, rank) alone.

    Images, e ~ N(0, I) like x and one log-uniform level for each, n ~ N(0, I) like A x. Without an operator n is empty;
    with low = high the level is that.
    """

    batches: Batches
    levels: tuple[float, float]
    op: LinearOperator | None
    seed: int

    def __call__(self, step: int, rank: int) -> Drawn:
        x = self.batches(step, rank)
        return self.noise(x, schedule.stream(self.seed, step, rank))

    def noise(self, x: Tensor, stream: int) -> Drawn:
        """The noise for these images."""
        generator = torch.Generator().manual_seed(stream)
        e = torch.randn(x.shape, generator=generator)
        low, high = self.levels
        levels = low * (high / low) ** torch.rand(len(x), generator=generator)
        n = torch.randn(self.op.output_shape(tuple(x.shape)) if self.op is not None else (0,), generator=generator)
        return x, e, levels, n


class Restoration(nn.Module, abc.ABC):
    """``mean |estimate - x|^norm``, and what the ``judges`` add to it where there are some.

    ``average`` follows the weights of ``net``.
    """

    def __init__(
        self, net: nets.PriorNet, op: LinearOperator | None, data_noise: float, norm: int, decay: float
    ) -> None:
        super().__init__()
        self.net, self.average = net, copy.deepcopy(net).eval().requires_grad_(False)
        self.op, self.data_noise, self.norm, self.decay = op, data_noise, norm, decay
        self.judges: Judges | None = None

    @abc.abstractmethod
    def estimate(self, net: nets.PriorNet, x: Tensor, e: Tensor, levels: Tensor, n: Tensor) -> Tensor:
        """What the network makes of the images' data."""

    @abc.abstractmethod
    def given(self, x: Tensor, e: Tensor, levels: Tensor, n: Tensor) -> Tensor:
        """What it began with, as a picture."""

    def forward(self, x: Tensor, e: Tensor, levels: Tensor, n: Tensor) -> Tensor:
        x_hat = self.estimate(self.net, x, e, levels, n)
        pixels = self.pixels(x_hat, x)
        return pixels if self.judges is None else self.judges(x_hat, x, pixels)

    def pixels(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """``mean |x_hat - x|^norm``."""
        error = x_hat - x
        return error.abs().mean() if self.norm == 1 else error.square().mean()

    def judged(self, judges: Judges, x: Tensor, e: Tensor, levels: Tensor, n: Tensor) -> None:
        """Let ``judges`` look on from now on, their scales chosen on these images."""
        with torch.no_grad():
            # A copy: the statistics of BatchNorm are those of the training alone.
            x_hat = self.estimate(copy.deepcopy(self.net), x, e, levels, n)
            judges(x_hat, x, self.pixels(x_hat, x))
        judges.suit()
        self.judges = judges

    def data(self, x: Tensor, n: Tensor) -> Tensor | None:
        """y = A x + noise, in full precision."""
        if self.op is None:
            return None
        with torch.autocast(x.device.type, enabled=False), torch.no_grad():
            y: Tensor = self.op(x)
            return y + self.data_noise * n

    def follow(self, step: int) -> None:
        """After a step: the average moves towards the weights, and takes the counts and running statistics over."""
        follow(self.average, self.net, self.decay, step)


class Denoising(Restoration):
    """x from v = x + level e, with y = A x + noise n beside it for a network that takes data."""

    def estimate(self, net: nets.PriorNet, x: Tensor, e: Tensor, levels: Tensor, n: Tensor) -> Tensor:
        x_hat: Tensor = net(self.given(x, e, levels, n), self.data(x, n) if net.conditional else None, levels)
        return x_hat

    def given(self, x: Tensor, e: Tensor, levels: Tensor, n: Tensor) -> Tensor:
        return x + levels[:, None, None, None] * e


class Unrolled(Restoration):
    """x from y = A x + noise n by as many iterations of ``admm`` as the schedule has, the network as its prior."""

    op: LinearOperator

    def __init__(
        self,
        net: nets.PriorNet,
        op: LinearOperator,
        data_noise: float,
        norm: int,
        decay: float,
        iterations: tuple[tuple[float, float], ...],
        inverse: str | Inverse,
    ) -> None:
        super().__init__(net, op, data_noise, norm, decay)
        self.betas, self.sigmas = [beta for beta, _ in iterations], [level for _, level in iterations]
        self.inverse = inverse

    def estimate(self, net: nets.PriorNet, x: Tensor, e: Tensor, levels: Tensor, n: Tensor) -> Tensor:
        kind = x.device.type
        prior = priors.PixelShuffleAutoencoder(
            Cast(net, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)), sigma=self.sigmas
        )
        with torch.autocast(kind, enabled=False):
            y = self.data(x, n)
            solution = admm(
                y, self.op, prior, beta=self.betas, inverse=self.inverse, iterations=len(self.betas), tolerance=0
            )
        x_hat: Tensor = solution.x
        return x_hat

    def given(self, x: Tensor, e: Tensor, levels: Tensor, n: Tensor) -> Tensor:
        y = self.data(x, n)
        image: Tensor = self.op.adjoint(y)
        weights: Tensor = self.op.adjoint(self.op(torch.ones_like(x)))
        return image / weights.clamp_min(1e-3)  # pixels that hardly a datum sees stay dark, not amplified noise


class Cast(nets.PriorNet):
    """A network under the autocast that the solver around it is kept out of: A and its inverse need full precision."""

    def __init__(self, net: nets.PriorNet, enabled: bool, dtype: torch.dtype) -> None:
        super().__init__()
        self.net: nets.PriorNet = net
        self.enabled, self.dtype = enabled, dtype
        self.colours, self.data_colours = net.colours, net.data_colours
        self.stride, self.takes_level = net.stride, net.takes_level

    def config(self) -> dict[str, Any]:
        return self.net.config()

    def estimate(self, v: Tensor, y: Tensor | None, level: Tensor | None) -> Tensor:
        with torch.autocast(v.device.type, dtype=self.dtype, enabled=self.enabled):
            x: Tensor = self.net(v, y, level)
        return x


class Score:
    """The mean PSNR in dB of what the averaged weights make of pictures that are not trained on, and some of these."""

    def __init__(self, objective: Restoration, pictures: Pictures, draw: Draw, count: int) -> None:
        x = pictures.batch(range(count))
        low, high = draw.levels
        if isinstance(objective, Denoising) and low < high:  # each picture with little, middling and much noise
            x = x.repeat_interleave(3, dim=0)
        drawn = list(draw.noise(x, schedule.stream(draw.seed, -1, 0)))
        if len(x) > count:
            drawn[2] = torch.tensor([low, (low * high) ** 0.5, high]).repeat(count)
        self.objective, self.drawn = objective, drawn

    def __call__(self) -> tuple[float, Mapping[str, Tensor]]:
        device = next(self.objective.parameters()).device
        ratios, shown = [], []
        with torch.no_grad():
            # Four at a time, the default batch of ``train.unrolled``: a look needs no more memory than a step.
            for parts in zip(
                *(t.split(4) if t.numel() else [t] * -(-len(self.drawn[0]) // 4) for t in self.drawn), strict=True
            ):
                x, e, levels, n = (part.to(device) for part in parts)
                x_hat = self.objective.estimate(self.objective.average, x, e, levels, n).clamp(0, 1)
                ratios.append(metrics.psnr(x_hat.float(), x))
                shown.append(torch.cat([self.objective.given(x, e, levels, n), x_hat, x], dim=-1))
        rows = torch.cat(shown)[:SHOWN]
        return float(torch.cat(ratios).mean()), {
            "given_restored_true": rows.transpose(0, 1).flatten(1, 2)[: 3 if rows.shape[1] == 3 else 1]
        }
