"""What an encoder, and a corrector, minimise so that the generator behind them projects on its images."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ... import metrics, nets
from ...data import Batches, Pictures
from ..engine import loop, schedule
from ..engine.average import follow
from .adversarial import grid

SCORED, SHOWN = 200, 8  # images of a score, in one batch (more are steadier and need more memory); images in the log
Drawn = tuple[Tensor, Tensor, Tensor]  # z, e, pictures


@dataclass(frozen=True)
class Draw:
    """(z, e, pictures) of a step, from (seed, step, rank) alone.

    z ~ N(0, I); real pictures, none without ``pictures``; e = level times N(0, I) like G z and pictures, a level for
    each image, uniform in ``noise``.
    """

    count: int
    latent: int
    shape: tuple[int, int, int]
    noise: tuple[float, float]
    pictures: Batches | None
    seed: int

    def __call__(self, step: int, rank: int) -> Drawn:
        pictures = torch.empty(0, *self.shape) if self.pictures is None else self.pictures(step, rank)
        return self.beside(pictures, schedule.stream(self.seed, step, rank))

    def beside(self, pictures: Tensor, stream: int) -> Drawn:
        """The latent vectors and the noise that go with these pictures."""
        generator = torch.Generator().manual_seed(stream)
        z = torch.randn(self.count, self.latent, generator=generator)
        e = torch.randn(self.count + len(pictures), *self.shape, generator=generator)
        low, high = self.noise
        return z, e * (low + (high - low) * torch.rand(len(e), 1, 1, 1, generator=generator)), pictures


@dataclass(frozen=True)
class Terms:
    """The weights of the parts of the loss."""

    latent: float
    idempotence: float
    orthogonality: float


def encoders(net: nets.Projector) -> dict[str, nets.DCGANEncoder]:
    """What is trained of a projector, by name."""
    return {"encoder": net.encoder} if net.corrector is None else {"encoder": net.encoder, "corrector": net.corrector}


class Projection(nn.Module):
    """How far P(w) is from the image behind w, and weighted terms beside it.

    It is ::

        mean |P(w) - x|^2 + latent mean |z(w) - z|^2
        + idempotence mean |P(P(w)) - P(w)|^2 + orthogonality mean |J^T (w - P(w))|^2

    x = G(z) or a real picture, which has no latent term; w = x + e, P(w) = G(z(w)), J the Jacobian of G at z(w): its
    transpose takes w - P(w) to 0 where P(w) is the nearest image to first order. Of a projector with a corrector the
    first two terms are means over all passes. G is in eval mode and stays as it is; ``average`` follows the weights of
    the encoders.
    """

    def __init__(self, net: nets.Projector, terms: Terms, decay: float) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders(net))
        self.average = copy.deepcopy(self.encoders).eval().requires_grad_(False)
        parts: dict[str, Any] = dict(self.average.named_children())
        averaged = nets.Projector(net.generator, **parts, corrections=net.corrections)
        self.fixed = (net.generator, net, averaged)  # a tuple keeps G out of the state
        self.weights, self.decay = terms, decay
        self.terms: Mapping[str, Tensor] = {}

    def forward(self, z: Tensor, e: Tensor, pictures: Tensor) -> Tensor:
        generator, net, _ = self.fixed
        with torch.no_grad():
            x = torch.cat([generator(z), pictures])
            w = x + e
        passes = net.passes(w)
        code, projected = passes[-1]
        loss = torch.stack([(image - x).square().mean() for _, image in passes]).mean()
        self.terms = {"image": loss.detach()}
        for name, weight, term in (
            (
                "latent",
                self.weights.latent,
                lambda: torch.stack([(found[: len(z)] - z).square().mean() for found, _ in passes]).mean(),
            ),
            ("idempotence", self.weights.idempotence, lambda: (self._again(projected) - projected).square().mean()),
            ("orthogonality", self.weights.orthogonality, lambda: _slope(w, projected, code).square().mean()),
        ):
            if weight:
                part = term()
                self.terms = {**self.terms, name: part.detach()}
                loss = loss + weight * part
        return loss

    def _again(self, projected: Tensor) -> Tensor:
        """P of what is projected already, normalised by the running statistics, which stay those of noisy images."""
        self.encoders.eval()
        again: Tensor = self.fixed[1](projected)
        self.encoders.train()
        return again

    def averaged(self, w: Tensor) -> Tensor:
        """P(w) with the running mean of the weights."""
        projected: Tensor = self.fixed[2](w)
        return projected

    def follow(self, step: int) -> None:
        """After a step: the average moves towards the weights."""
        follow(self.average, self.encoders, self.decay, step)


def _slope(w: Tensor, projected: Tensor, code: Tensor) -> Tensor:
    """J^T (w - P(w))."""
    (slope,) = torch.autograd.grad(projected, code, w - projected, create_graph=True)
    return slope


class Score:
    """The mean PSNR in dB of P(x + e) against x, and some of them as noisy, projected, true.

    x are pictures, or without them G(z) of z that no training sees.
    """

    def __init__(self, projection: Projection, draw: Draw, validation: Pictures | None) -> None:
        none = torch.empty(0, *draw.shape)
        pictures = none if validation is None else validation.batch(range(min(SCORED, len(validation))))
        count = SCORED if validation is None else 0
        self.projection = projection
        self.drawn = replace(draw, count=count).beside(pictures, schedule.stream(draw.seed, -1, 0))

    def __call__(self) -> tuple[float, Mapping[str, Tensor]]:
        projection = self.projection
        weight = next(projection.average.parameters())
        z, e, pictures = (part.to(weight) for part in self.drawn)
        with torch.no_grad():
            x = pictures if len(pictures) else projection.fixed[0](z)
            projected = projection.averaged(x + e)
            shown = torch.cat([(x + e)[:SHOWN], projected[:SHOWN], x[:SHOWN]]).float().cpu()
        return float(metrics.psnr(projected.float(), x.float()).mean()), {
            "noisy_projected_true": grid(shown, (3, min(SHOWN, len(x))))
        }


def watched(plan: loop.Plan, projection: Projection, draw: Draw, validation: Pictures | None) -> loop.Plan:
    """The plan with the average, the score and the parts of the loss of this training."""
    return plan.watched(projection.follow, Score(projection, draw, validation), lambda: projection.terms)
