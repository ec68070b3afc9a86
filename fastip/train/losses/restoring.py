"""What a restorer's network minimises: the distance to the truth of what its iterations make of all kinds of data."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ... import metrics, nets, priors
from ...contracts import LinearOperator, Shape
from ...data import Batches
from ...inverses.close import Close
from ...priors.filling import unseen
from ...priors.plug_and_play import BoundPlugAndPlay
from ...priors.prior import image_shape
from ...solvers.admm import admm
from ...tasks.borders import crop_valid
from ..degradation import Draw, Example, drawn, example
from ..engine import schedule
from ..engine.average import follow
from .restoration import Cast


class InTraining(priors.PlugAndPlay):
    """Plug and play with the network itself: its gradients are kept, its weights are not copied."""

    def bind(self, y: Tensor, op: LinearOperator) -> BoundPlugAndPlay:
        shape: Shape = image_shape(y, op)
        return BoundPlugAndPlay(self, self.net, unseen(op, shape, y))


# The mean squared error that counts as half solved, 50 dB: what is nearer to the truth already is not pressed further.
NEAR = 1e-5


class Restoring(nn.Module):
    """``mean log(|admm(y, op, net) - x|^2 + NEAR)``; ``average`` follows the weights of ``net``.

    The squared errors are means over the pixels of a picture that the data are of: a decibel counts as much where
    little can be restored as where much can. The iterations are those of :class:`fastip.restorer.Restorer`.
    """

    def __init__(self, net: nets.PriorNet, iterations: int, decay: float) -> None:
        super().__init__()
        self.net, self.average = net, copy.deepcopy(net).eval().requires_grad_(False)
        self.iterations, self.decay = iterations, decay

    def estimate(self, net: nets.PriorNet, y: Tensor, op: LinearOperator, noise: float) -> Tensor:
        """The restored pictures."""
        kind = y.device.type
        own = Cast(net, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
        prior = InTraining(own, schedule=priors.schedule(min(noise, 1.0), steps=self.iterations))
        with torch.autocast(kind, enabled=False):
            how = {"beta": prior.schedule.betas, "iterations": self.iterations, "inverse": Close()}
            x: Tensor = admm(y, op, prior, tolerance=0, **how).x  # type: ignore[arg-type]
        return x

    def forward(self, x: Tensor, y: Tensor, op: LinearOperator, noise: float) -> Tensor:
        error = looked_at(self.estimate(self.net, y, op, noise), y, op) - looked_at(x, y, op)
        return (error.square().mean(dim=(1, 2, 3)) + NEAR).log().mean()

    def follow(self, step: int) -> None:
        """After a step: the average moves towards the weights."""
        follow(self.average, self.net, self.decay, step)


def looked_at(x: Tensor, y: Tensor, op: LinearOperator) -> Tensor:
    """The part of pictures that lies under their data: a valid border restores more, which no datum sees well."""
    convolution = op.convolution()
    if convolution is None:
        return x
    h, w = (n * convolution.stride for n in y.shape[-2:])
    return crop_valid(x, op, (h, w))


@dataclass(frozen=True)
class Feed:
    """An example for each (step, rank), from (seed, step, rank) alone: one operator and noise for all its pictures."""

    batches: Batches
    draw: Draw
    seed: int

    def __call__(self, step: int, rank: int) -> Example:
        generator = torch.Generator().manual_seed(schedule.stream(self.seed, step, rank))
        return example(self.batches(step, rank), drawn(self.draw, generator), generator)


def examples(pictures: Sequence[Tensor], draw: Draw, seed: int) -> list[Example]:
    """One for each picture, always the same: what a training is scored on."""
    found = []
    for number, x in enumerate(pictures):
        generator = torch.Generator().manual_seed(schedule.stream(seed, number, -1))
        found.append(example(x, drawn(draw, generator), generator))
    return found


def score(objective: Restoring, seen: Sequence[Example]) -> tuple[float, Mapping[str, Tensor]]:
    """The mean PSNR in dB of what the averaged weights make of these examples."""
    ratios = []
    with torch.no_grad():
        for x, y, op, noise in seen:
            device = next(objective.parameters()).device
            found = objective.estimate(objective.average, y.to(device), op, noise).clamp(0, 1)
            ratios.append(metrics.psnr(looked_at(found, y, op).float().cpu(), looked_at(x, y, op)).mean())
    return float(torch.stack(ratios).mean()), {}
