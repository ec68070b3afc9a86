"""What a projector from image to image and its two discriminators minimise, and the damaged images it is shown."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ... import metrics, nets
from ...data import Batches, Pictures
from ..engine import loop, schedule
from ..engine.average import follow
from .adversarial import grid

# Weights beside 1 for the distance to the truth.
SELF = 5e-3  # of what P changes: larger leaves damage in the images
JUDGED = 1e-3  # of the image discriminator's doubt: larger makes detail that looks real and is not in x
LATENT = 1e-4  # of the latent discriminator's doubt: larger makes codes look clean, and less those of their images
CLEAN = 0.01  # the share of clean images in each of these: the damaged ones are what P is for
SMOOTH = 0.85  # what the discriminators are told of real images: at 1 they grow so sure that P learns nothing from them
LARGEST = 10.0  # of a weight of encoder and discriminators: it stops runaways; less limits what they can learn
BLOCKY, RATIOS = 0.3, (0.2, 0.95)  # how often an image is made blocky, and to what part of its size
COARSE = 8  # pixels over which the strength of the noise changes: large against a pixel, small against an image
BETAS = (0.5, 0.999)  # of the discriminators' Adam, as DCGAN has them
SHOWN = 8  # images in the log


@dataclass(frozen=True)
class Draw:
    """(x, v) of a step: clean images and damaged ones; from (seed, step, rank) alone.

    v = x + s f e, e ~ N(0, I), s uniform in ``noise`` for each image, f a smooth field of variance about 1: uniform
    numbers in ``(-3^(1/2), 3^(1/2))`` on a coarse grid, made finer by bicubic interpolation. In three of ten images x
    is made blocky before, by nearest neighbours from 0.2 to 0.95 of its size.
    """

    batches: Batches
    noise: tuple[float, float]
    seed: int

    def __call__(self, step: int, rank: int) -> tuple[Tensor, Tensor]:
        x = self.batches(step, rank)
        return x, self.damaged(x, schedule.stream(self.seed, step, rank))

    def damaged(self, x: Tensor, stream: int) -> Tensor:
        """v for these images."""
        generator = torch.Generator().manual_seed(stream)
        b, _, h, w = x.shape
        low, high = self.noise
        levels = low + (high - low) * torch.rand(b, 1, 1, 1, generator=generator)
        coarse = torch.rand(b, 1, max(2, h // COARSE), max(2, w // COARSE), generator=generator)
        field = F.interpolate(math.sqrt(12) * (coarse - 0.5), size=(h, w), mode="bicubic")
        chances, parts = torch.rand(2, b, generator=generator)
        e = torch.randn(x.shape, generator=generator)
        ratios = RATIOS[0] + (RATIOS[1] - RATIOS[0]) * parts
        rough = [
            blocky(one, float(ratio)) if chance < BLOCKY else one
            for one, chance, ratio in zip(x.split(1), chances, ratios, strict=True)
        ]
        return torch.cat(rough) + levels * field * e


def blocky(x: Tensor, ratio: float) -> Tensor:
    """The images at ``ratio`` of their size, and back, by nearest neighbours."""
    size = tuple(max(1, round(ratio * n)) for n in x.shape[-2:])
    return F.interpolate(F.interpolate(x, size=size, mode="nearest"), size=x.shape[-2:], mode="nearest")


class Projecting(nn.Module):
    """The distance to the truth, and small terms beside it.

    With c = CLEAN::

        |P(v) - x|^2 + SELF [c |P(x) - x|^2 + (1 - c) |P(v) - v|^2]
        + JUDGED [c d(P(x)) + (1 - c) d(P(v))] + LATENT d'(E(v))

    Squares are means over numbers in [-1, 1], 2x - 1; d = -log D of the image discriminator, d' of the latent one, E
    the encoder of P. Clean and damaged images are normalised together, as they are by the running statistics.
    ``seen`` then has (x, P(x), P(v), E(x), E(v)) for the discriminators' step; ``average`` follows the weights.
    """

    def __init__(self, net: nets.OneNetProjector, discriminators: tuple[nn.Module, nn.Module], decay: float) -> None:
        super().__init__()
        self.net, self.average = net, copy.deepcopy(net).eval().requires_grad_(False)
        # A tuple keeps them out of the state and of the parameters: they have an optimiser of their own.
        self.others = discriminators
        self.decay = decay
        self.seen: tuple[Tensor, ...] = ()
        self.terms: Mapping[str, Tensor] = {}

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        code = self.net.encode(torch.cat([x, v]))
        kept, made = self.net.decode(code).chunk(2)
        clean, damaged = code.chunk(2)
        self.seen = x, kept.detach(), made.detach(), clean.detach(), damaged.detach()
        image, latent = self.others
        terms = {
            "image": _squares(made, x),
            "self": CLEAN * _squares(kept, x) + (1 - CLEAN) * _squares(made, v),
            "judged": CLEAN * _doubt(image, kept) + (1 - CLEAN) * _doubt(image, made),
            "latent": _doubt(latent, damaged),
        }
        self.terms = {name: term.detach() for name, term in terms.items()}
        return terms["image"] + SELF * terms["self"] + JUDGED * terms["judged"] + LATENT * terms["latent"]

    def follow(self, step: int) -> None:
        """After a step: encoder and discriminators are kept in bounds, and the average moves towards the weights."""
        with torch.no_grad():
            for part in (self.net.down, self.net.middle, self.net.after, *self.others):
                for p in part.parameters():
                    p.clamp_(-LARGEST, LARGEST)
        follow(self.average, self.net, self.decay, step)


def _squares(a: Tensor, b: Tensor) -> Tensor:
    """The mean square of the difference of images in [-1, 1], from images in [0, 1]."""
    return 4 * (a - b).square().mean()


def _doubt(discriminator: nn.Module, made: Tensor) -> Tensor:
    """mean -log D, D = sigmoid of the output; the discriminator's own weights get no gradient."""
    fixed = {name: p.detach() for name, p in discriminator.named_parameters()}
    return F.softplus(-functional_call(discriminator, fixed, made)).mean()


class Doubts(nn.Module):
    """What both discriminators minimise: -log(1 - D) for what is made, and for what is real the smoothed likelihood.

    That is ``-s log D(x) - (1 - s) log(1 - D(x))``, s = SMOOTH.
    """

    def __init__(self, image: nn.Module, latent: nn.Module) -> None:
        super().__init__()
        self.image, self.latent = image, latent

    def forward(self, x: Tensor, kept: Tensor, made: Tensor, clean: Tensor, damaged: Tensor) -> Tensor:
        images = (
            _real(self.image(x))
            + CLEAN * F.softplus(self.image(kept)).mean()
            + (1 - CLEAN) * F.softplus(self.image(made)).mean()
        )
        return images + _real(self.latent(clean)) + F.softplus(self.latent(damaged)).mean()


def _real(odds: Tensor) -> Tensor:
    return (F.softplus(odds) - SMOOTH * odds).mean()


def opponent(projecting: Projecting, learning_rate: float) -> loop.Opponent:
    """The discriminators' training, a step after each of the projector's."""
    return loop.Opponent(Doubts(*projecting.others), learning_rate, BETAS, lambda: projecting.seen)


class Score:
    """The mean PSNR in dB of P(v) against x for pictures that are not trained on; some as damaged, projected, true."""

    def __init__(self, projecting: Projecting, pictures: Pictures, draw: Draw, count: int) -> None:
        self.projecting, self.x = projecting, pictures.batch(range(count))
        self.v = draw.damaged(self.x, schedule.stream(draw.seed, -1, 0))

    def __call__(self) -> tuple[float, Mapping[str, Tensor]]:
        weight = next(self.projecting.average.parameters())
        with torch.no_grad():
            projected = self.projecting.average(self.v.to(weight)).float().cpu()
        shown = torch.cat([self.v[:SHOWN], projected[:SHOWN], self.x[:SHOWN]])
        return float(metrics.psnr(projected, self.x).mean()), {
            "damaged_projected_true": grid(shown, (3, min(SHOWN, len(self.x))))
        }
