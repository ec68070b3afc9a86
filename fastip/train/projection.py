"""What an encoder minimises so that generator after encoder projects on the generator's images."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .. import metrics, nets
from . import loop, schedule
from .adversarial import grid
from .average import follow

SCORED, SHOWN = 200, 8
Drawn = tuple[Tensor, Tensor]  # z, e


@dataclass(frozen=True)
class Draw:
    """(z, e) of a step: z ~ N(0, I), e ~ N(0, I) like G z; from (seed, step, rank) alone."""

    batch: int
    latent: int
    shape: tuple[int, int, int]
    seed: int

    def __call__(self, step: int, rank: int) -> Drawn:
        generator = torch.Generator().manual_seed(schedule.stream(self.seed, step, rank))
        return torch.randn(self.batch, self.latent, generator=generator), torch.randn(self.batch, *self.shape, generator=generator)


@dataclass(frozen=True)
class Terms:
    """The weights of the parts of the loss, and the level of the noise."""

    noise: float
    latent: float
    idempotence: float
    orthogonality: float


class Projection(nn.Module):
    """mean |P(w) - x|^2 + latent mean |G^+(w) - z|^2 + idempotence mean |P(P(w)) - P(w)|^2 + orthogonality mean |J^T (w - P(w))|^2.

    x = G(z), w = x + noise e, P = G G^+, J the Jacobian of G at G^+(w): its transpose takes w - P(w) to 0 where P(w) is the nearest image to first order.
    G is in eval mode and stays as it is; ``average`` follows the weights of the encoder.
    """

    def __init__(self, generator: nets.Generator, encoder: nets.DCGANEncoder, terms: Terms, decay: float) -> None:
        super().__init__()
        self.encoder, self.average = encoder, copy.deepcopy(encoder).eval().requires_grad_(False)
        self.fixed = (generator,)  # a tuple keeps it out of the state
        self.weights, self.decay = terms, decay
        self.terms: Mapping[str, Tensor] = {}

    def forward(self, z: Tensor, e: Tensor) -> Tensor:
        (generator,) = self.fixed
        with torch.no_grad():
            x = generator(z)
            w = x + self.weights.noise * e
        code = self.encoder(w)
        projected = generator(code)
        loss = (projected - x).square().mean()
        self.terms = {"image": loss.detach()}
        for name, weight, term in (
            ("latent", self.weights.latent, lambda: (code - z).square().mean()),
            ("idempotence", self.weights.idempotence, lambda: (generator(self._again(projected)) - projected).square().mean()),
            ("orthogonality", self.weights.orthogonality, lambda: _slope(w, projected, code).square().mean()),
        ):
            if weight:
                part = term()
                self.terms = {**self.terms, name: part.detach()}
                loss = loss + weight * part
        return loss

    def _again(self, projected: Tensor) -> Tensor:
        """G^+ of what is projected already, normalised by the running statistics, which stay those of noisy images."""
        self.encoder.eval()
        code: Tensor = self.encoder(projected)
        self.encoder.train()
        return code

    def follow(self, step: int) -> None:
        """After a step: the average moves towards the weights."""
        follow(self.average, self.encoder, self.decay, step)


def _slope(w: Tensor, projected: Tensor, code: Tensor) -> Tensor:
    """J^T (w - P(w))."""
    (slope,) = torch.autograd.grad(projected, code, w - projected, create_graph=True)
    return slope


class Score:
    """The mean PSNR in dB of P(G(z) + noise e) against G(z), for z that no training sees, and some of them as noisy, projected, true."""

    def __init__(self, projection: Projection, draw: Draw) -> None:
        self.projection, (self.z, self.e) = projection, Draw(SCORED, draw.latent, draw.shape, draw.seed)(-1, 0)

    def __call__(self) -> tuple[float, Mapping[str, Tensor]]:
        projection = self.projection
        (generator,) = projection.fixed
        weight = next(projection.average.parameters())
        with torch.no_grad():
            x = generator(self.z.to(weight))
            w = x + projection.weights.noise * self.e.to(weight)
            projected = generator(projection.average(w))
            shown = torch.cat([w[:SHOWN], projected[:SHOWN], x[:SHOWN]]).float().cpu()
        return float(metrics.psnr(projected.float(), x.float()).mean()), {"noisy_projected_true": grid(shown, (3, SHOWN))}


def watched(plan: loop.Plan, projection: Projection, draw: Draw) -> loop.Plan:
    """The plan with the average, the score and the parts of the loss of this training."""
    return plan.watched(projection.follow, Score(projection, draw), lambda: projection.terms)
