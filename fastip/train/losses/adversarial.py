"""A generator against a discriminator: what each of them minimises, and how good the samples are."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ... import metrics, nets
from ...data import Batches, Pictures
from ..engine import loop, schedule
from ..engine.average import follow

SHOWN = (8, 8)  # samples in the log
# Samples and real pictures that are compared: fewer make the distance noisier and too large, more make a look longer.
SCORED = 2000


@dataclass(frozen=True)
class Game:
    """What the discriminator D and the generator minimise, of the outputs of D for real and made images."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


GAMES: Mapping[str, Game] = {
    # -log D(x) - log(1 - D(G z)) and -log D(G z), D = sigmoid: Goodfellow et al. 2014
    "bce": Game(
        lambda real, made: F.softplus(-real).mean() + F.softplus(made).mean(), lambda made: F.softplus(-made).mean()
    ),
    # max(0, 1 - D(x)) + max(0, 1 + D(G z)) and -D(G z): Lim and Ye 2017, as SAGAN has it
    "hinge": Game(lambda real, made: F.relu(1 - real).mean() + F.relu(1 + made).mean(), lambda made: -made.mean()),
    # D(G z) - D(x) and -D(G z), for a discriminator that spectral normalisation keeps in bounds: Arjovsky et al. 2017
    "wasserstein": Game(lambda real, made: made.mean() - real.mean(), lambda made: -made.mean()),
}


@dataclass(frozen=True)
class Draw:
    """(x, z) of a step: real images, and as many z ~ N(0, I); from (seed, step, rank) alone."""

    batches: Batches
    latent: int
    seed: int

    def __call__(self, step: int, rank: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(schedule.stream(self.seed, step, rank))
        return self.batches(step, rank), torch.randn(self.batches.size, self.latent, generator=generator)


class Generation(nn.Module):
    """The generator's loss in a :class:`Game`; ``seen`` then has (x, G z) for the discriminator's step.

    ``average`` follows the generator's weights.
    """

    def __init__(self, generator: nets.Generator, discriminator: nn.Module, game: Game, decay: float) -> None:
        super().__init__()
        self.generator, self.average = generator, copy.deepcopy(generator).eval().requires_grad_(False)
        # A tuple keeps it out of the state and of the parameters: it has an optimiser of its own.
        self.others = (discriminator,)
        self.game, self.decay = game, decay
        self.seen: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        (discriminator,) = self.others
        made = self.generator(z)
        self.seen = x, made.detach()
        # A gradient for its weights would be the wrong one.
        fixed = {name: p.detach() for name, p in discriminator.named_parameters()}
        odds: Tensor = functional_call(discriminator, fixed, made)
        return self.game.generator(odds.to(x.dtype))  # in full precision, whatever the networks compute in

    def follow(self, step: int) -> None:
        """After a step: the average moves towards the weights."""
        follow(self.average, self.generator, self.decay, step)


class Discrimination(nn.Module):
    """The discriminator's loss in a :class:`Game` and ``penalty / 2 mean ||grad D(x)||^2``.

    Real and made images are normalised apart.
    """

    def __init__(self, discriminator: nn.Module, game: Game, penalty: float) -> None:
        super().__init__()
        self.discriminator, self.game, self.penalty = discriminator, game, penalty

    def forward(self, x: Tensor, made: Tensor) -> Tensor:
        x = x.detach().requires_grad_(self.penalty > 0)
        real = self.discriminator(x).to(x.dtype)
        loss = self.game.discriminator(real, self.discriminator(made).to(x.dtype))
        if self.penalty == 0:
            return loss
        (slope,) = torch.autograd.grad(real.sum(), x, create_graph=True)
        return loss + self.penalty / 2 * slope.square().sum() / len(x)


def opponent(generation: Generation, learning_rate: float, betas: tuple[float, float], penalty: float) -> loop.Opponent:
    """The discriminator's training, a step after each of the generator's."""
    return loop.Opponent(
        Discrimination(generation.others[0], generation.game, penalty), learning_rate, betas, lambda: generation.seen
    )


class Sampled(Protocol):
    """A training of a generator, and the running mean of its weights."""

    @property
    def generator(self) -> nets.Generator: ...
    @property
    def average(self) -> nets.Generator: ...


class Samples:
    """The Fréchet distance of the averaged generator's samples to pictures that are not trained on, and a grid."""

    def __init__(self, generation: Sampled, pictures: Pictures, seed: int) -> None:
        count = min(SCORED, len(pictures))
        self.generation, self.real = generation, pictures.batch(range(count))
        self.z = torch.randn(
            count, generation.generator.latent, generator=torch.Generator().manual_seed(schedule.stream(seed, -1, 0))
        )

    def __call__(self) -> tuple[float, Mapping[str, Tensor]]:
        weight = next(self.generation.average.parameters())
        with torch.no_grad():
            # 200 at a time, so that the network's hidden layers fit beside the training.
            made = torch.cat([self.generation.average(z.to(weight)).float().cpu() for z in self.z.split(200)])
        return metrics.frechet_distance(made, self.real), {"samples": grid(made, SHOWN)}


def grid(images: Tensor, cells: tuple[int, int]) -> Tensor:
    """The first rows x columns images as one, c (rows h) (columns w)."""
    rows, columns = cells
    shown = images[: rows * columns]
    shown = torch.cat([shown, shown.new_ones(rows * columns - len(shown), *shown.shape[1:])])
    return shown.unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
