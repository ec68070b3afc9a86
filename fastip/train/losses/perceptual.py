"""Losses that ask whether an image looks right: a comparator's distance, and a discriminator's doubt."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ... import nets
from ...arrays import check_count, check_number
from ...data.comparators import comparator as trained_comparator
from ...errors import InvalidInput, StrictKeywords
from ...nets.weights import net_digest
from ..engine import loop

BETAS = (0.5, 0.999)  # of the discriminator's Adam, as DCGAN has them
SMALLEST = 4  # side in pixels of the discriminator's last stage, which ``nets.Discriminator`` ends with


class Perceptual(StrictKeywords):
    """What is added to the pixel loss r(x^, x) of a prior.

    With r0, c0, a0 the losses in the first batch, it is ::

        comparator (r0 / c0) c + adversarial (r0 / a0) a,
        c = mean of comparator(x^, x), the distance of features;  a = mean -log D(x^)

    The discriminator D is trained in turn, a step after each of the network's, on ``mean -log D(x) - log(1 - D(x^))``,
    D(x) = sigmoid of its output.

    Args:
        comparator: Weight of c, relative to the pixel loss at the start. One of the two weights is positive.
        adversarial: Weight of a likewise.
        features: The comparator, by default SqueezeNet (``fastip.data.comparators.comparator()``, the extra
            ``perceptual``); it is not trained.
        discriminator: A network to begin with (a copy is trained), by default a ``nets.Discriminator`` for the training
            pictures with weights drawn from the seed.
        learning_rate: Of the discriminator's Adam (betas 0.5, 0.999) at the first step; it falls as the network's own
            does.

    Raises:
        InvalidInput: For other weights, and for a network whose weight is 0.
        Unsupported: Where the default comparator is missing.

    References:
        Losses (12) and (13) of Fan, Wei, Carin and Heller 2017, appendix D, after Dosovitskiy and Brox 2016; scaled to
        the pixel loss here.
    """

    def __init__(
        self,
        *,
        comparator: float = 0.0,
        adversarial: float = 0.0,
        features: nets.Comparator | None = None,
        discriminator: nets.Discriminator | None = None,
        learning_rate: float = 2e-4,
    ) -> None:
        self.comparator, self.adversarial = (
            check_number(comparator, "comparator", low=0.0),
            check_number(adversarial, "adversarial", low=0.0),
        )
        self.learning_rate = check_number(learning_rate, "learning_rate", low=0.0, strict=True)
        if not self.comparator and not self.adversarial:
            raise InvalidInput(
                "comparator and adversarial are both 0; give at least one a weight, e.g. comparator=0.1, "
                "or leave perceptual out"
            )
        for name, given, kind, weight in (
            ("features", features, nets.Comparator, "comparator"),
            ("discriminator", discriminator, nets.Discriminator, "adversarial"),
        ):
            if given is not None and not isinstance(given, kind):
                raise InvalidInput(f"{name} is {type(given).__name__}; expected a fastip.nets.{kind.__name__}")
            if given is not None and not getattr(self, weight):
                raise InvalidInput(f"{name} is given and the weight {weight} is 0; give it one, or leave {name} out")
        self.features = trained_comparator() if self.comparator and features is None else features
        self.discriminator = discriminator

    def suited(self, picture: Tensor, seed: int) -> Perceptual:
        """The same with a discriminator, for training pictures such as this one, 1 c h w.

        Raises:
            InvalidInput: Where a network cannot look at it.
        """
        made = copy.copy(self)
        if self.adversarial and self.discriminator is None:
            made.discriminator = _default(picture, seed)
        with torch.no_grad():
            for net in (made.features, made.discriminator):
                if net is not None:
                    weight = next(net.parameters())
                    copied, x = copy.deepcopy(net).eval(), picture.to(weight)
                    _ = copied(x, x) if isinstance(copied, nets.Comparator) else copied(x)
        return made

    def record(self) -> dict[str, Any]:
        """The settings as JSON values."""
        record: dict[str, Any] = {}
        if self.features is not None:
            record["comparator"] = {
                "weight": self.comparator,
                "net": type(self.features).__name__,
                "digest": net_digest(self.features)[:16],
            }
        if self.discriminator is not None:
            rate = {"learning_rate": self.learning_rate}
            record["adversarial"] = {
                "weight": self.adversarial,
                "config": self.discriminator.config(),
                "start": net_digest(self.discriminator)[:16],
            } | rate
        return record


def _default(picture: Tensor, seed: int) -> nets.Discriminator:
    """The deepest that the picture has room for, on pixels shuffled by 4, 2 or 1."""
    colours, side = picture.shape[1], min(picture.shape[2:])
    for factor in (4, 2, 1):
        stages = (side // (SMALLEST * factor)).bit_length() - 1
        if stages >= 1 and all(n % factor == 0 for n in picture.shape[2:]):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(check_count(seed, "seed", low=0) % 2**63)
                return nets.Discriminator(colours=colours, factor=factor, size=factor * SMALLEST * 2**stages)
    raise InvalidInput(
        f"the pictures have shape {tuple(picture.shape[1:])}; a discriminator needs at least 8 x 8 pixels"
    )


class Judges(nn.Module):
    """The loss ``r + sum_k w_k s_k t_k`` for the terms t of a :class:`Perceptual`.

    ``s_k = r0 / t_k0`` is chosen by :meth:`suit`, and kept in the state. Called with (x^, x, r); ``terms`` then has the
    parts by name and ``seen`` (x, x^) for the opponent. All in full precision.
    """

    def __init__(self, asked: Perceptual, like: Tensor) -> None:
        super().__init__()
        features, discriminator = copy.deepcopy((asked.features, asked.discriminator))
        if features is not None:
            features.to(like).eval().requires_grad_(False)
        # A tuple keeps them out of the state and the parameters: one is fixed, the other has an optimiser of its own.
        self.networks = features, None if discriminator is None else discriminator.to(like).train().requires_grad_()
        weights = {"comparator": asked.comparator, "adversarial": asked.adversarial}
        self.weights = {name: weight for name, weight in weights.items() if weight}
        self.register_buffer("scales", torch.ones(len(self.weights), dtype=torch.float64, device=like.device))
        self.scales: Tensor
        self.terms: Mapping[str, Tensor] = {}
        self.seen: tuple[Tensor, Tensor] = (like, like)

    def measure(self, x_hat: Tensor, x: Tensor) -> dict[str, Tensor]:
        """The terms, unweighted."""
        features, discriminator = self.networks
        terms = {}
        if features is not None:
            terms["comparator"] = features(x_hat, x).mean()
        if discriminator is not None:  # its weights as they are: a gradient for them would be the wrong one
            fixed = {name: p.detach() for name, p in discriminator.named_parameters()}
            terms["adversarial"] = F.softplus(-functional_call(discriminator, fixed, x_hat)).mean()
        return terms

    def forward(self, x_hat: Tensor, x: Tensor, pixels: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x_hat = x_hat.to(x.dtype)
            terms = self.measure(x_hat, x)
            loss = pixels
            for scale, (name, weight) in zip(self.scales.to(pixels), self.weights.items(), strict=True):
                loss = loss + weight * scale * terms[name]
        self.terms = {"pixels": pixels.detach()} | {name: term.detach() for name, term in terms.items()}
        self.seen = x, x_hat.detach()
        return loss

    def suit(self) -> None:
        """Choose the scales by the losses of the last call."""
        losses = {name: float(term) for name, term in self.terms.items()}
        if not all(0 < loss < math.inf for loss in losses.values()):
            told = ", ".join(f"{name} {loss:g}" for name, loss in losses.items())
            raise InvalidInput(
                f"the losses of the first pictures are {told}; expected positive numbers, by which to scale them: "
                "check networks and noise"
            )
        scales = [losses["pixels"] / losses[name] for name in self.weights]
        self.scales.copy_(torch.tensor(scales, dtype=torch.float64))

    def opponent(self, learning_rate: float) -> loop.Opponent | None:
        """The discriminator's training, None without one."""
        discriminator = self.networks[1]
        return (
            None
            if discriminator is None
            else loop.Opponent(Doubt(discriminator), learning_rate, BETAS, lambda: self.seen)
        )


class Doubt(nn.Module):
    """mean -log D(x) - log(1 - D(x^)): what the discriminator minimises, loss (12).

    Real and restored pictures are normalised apart.
    """

    def __init__(self, discriminator: nets.Discriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, x: Tensor, x_hat: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return F.softplus(-self.discriminator(x)).mean() + F.softplus(self.discriminator(x_hat)).mean()
