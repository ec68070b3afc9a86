"""Compressed sensing of the pictures that a shipped projector was trained for.

The pictures, their data, the searches, and errors with their bars.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ... import data, nets
from ...checkpoint import shipped
from ...contracts import LinearOperator, Solution
from ...errors import InvalidInput, strict_keywords
from ...priors import Projector
from ...solvers import csgm, pgdgan

PIXELS = 2**17  # that a search makes at once: what a pass back needs stays in a few hundred MB
# of ||z||^2, that a search is tuned over: wide enough for the best to lie inside; each more is another search
WEIGHTS = {"CSGM": (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.3, 1.0), "PGDGAN": (1e-5, 1e-4, 3e-4, 1e-3)}
BAR = 1.96  # standard errors: 95 % of a normal distribution


@strict_keywords
def projector(name: str) -> Projector:
    """The shipped projector of this name. Raises InvalidInput where there is none, or no set of pictures of its own."""
    prior = shipped.projector(name)
    _collection(name)
    return prior


@strict_keywords
def networks(prior: Projector) -> nets.Projector:
    """The projector's networks, of which the searches take the generator.

    Raises InvalidInput for a network that has none.
    """
    if not isinstance(prior.net, nets.Projector):
        raise InvalidInput(
            f"the projector is {type(prior.net).__name__}; expected nets.Projector, which has a generator"
        )
    return prior.net


@strict_keywords
def pictures(name: str, split: str, count: int) -> Tensor:
    """The first ``count`` pictures of a split of the set ``name``: n c h w in [0, 1].

    Raises InvalidInput for more than the split has.
    """
    found: data.Pictures = getattr(data, _collection(name))(split)
    if not found.endless and count > len(found):
        raise InvalidInput(f"count is {count}, but the {split} split of {name} has {len(found)} pictures")
    return found.batch(range(count)).float()


def _collection(name: str) -> str:
    known = {"digits": "Digits", "fashion": "Fashion", "avatars": "Avatars"}
    if name not in known:
        raise InvalidInput(f"pictures is {name!r}; expected one of {', '.join(known)}")
    return known[name]


@strict_keywords
def measured(x: Tensor, op: LinearOperator, noise: float, *, seed: int) -> Tensor:
    """``y = A x + e`` with ``sqrt(E ||e||^2) = noise``: its size does not follow the number of measurements."""
    count = math.prod(op.output_shape(tuple(x.shape))[1:])
    return data.degrade(x, op, noise / count**0.5, generator=seed)


@dataclass(frozen=True)
class Search:
    """A descent on the latent vector: CSGM or PGDGAN.

    Args:
        iterations: Steps of Adam of CSGM, projections of PGDGAN.
        restarts: Starts for each image, of which the best is kept.
        inner: 0 for CSGM, else steps of each projection of PGDGAN.
        weight: Of ``||z||^2``.
    """

    iterations: int
    restarts: int
    inner: int = 0
    weight: float = 1e-3

    @property
    def name(self) -> str:
        return "PGDGAN" if self.inner else "CSGM"

    @property
    def words(self) -> str:
        """The setting, for people."""
        steps = f"{self.iterations} × {self.inner} steps" if self.inner else f"{self.iterations} steps"
        return f"{steps}, {self.restarts} start{'s' if self.restarts > 1 else ''}"

    @property
    def steps(self) -> int:
        """Steps of Adam for one image, each a pass through the generator and one back."""
        return self.iterations * max(1, self.inner) * self.restarts

    def solve(self, y: Tensor, op: LinearOperator, generator: nets.Generator) -> Solution:
        """All images as one batch."""
        if self.inner:
            return pgdgan(
                y,
                op,
                generator,
                iterations=self.iterations,
                inner=self.inner,
                restarts=self.restarts,
                weight=self.weight,
            )
        return csgm(y, op, generator, iterations=self.iterations, restarts=self.restarts, weight=self.weight)

    def parts(self, y: Tensor, generator: nets.Generator) -> tuple[Tensor, ...]:
        """The data of a few images at a time, as memory allows: an image does not depend on its neighbours."""
        return y.split(max(1, PIXELS // (self.restarts * math.prod(generator.shape))))


@strict_keywords
def tuned(
    search: Search,
    y: Tensor,
    op: LinearOperator,
    generator: nets.Generator,
    truth: Tensor,
    report: Callable[[str], None],
) -> Search:
    """The search with the weight, of WEIGHTS, that brings it nearest to these pictures, in the mean."""
    found = {}
    for weight in WEIGHTS[search.name]:
        report(f"{search.name}, weight {weight:g}")
        one = replace(search, weight=weight)
        images = torch.cat([one.solve(part, op, generator).x for part in one.parts(y, generator)])
        found[one] = float(errors(images, truth).mean())
    return min(found, key=found.__getitem__)


# ---- errors ----------------------------------------------------------------------------------------------------------


@strict_keywords
def errors(x: Tensor, truth: Tensor) -> Tensor:
    """The mean of ``(x - truth)^2`` over the pixels of each image, x as it is written, clipped to [0, 1]; b float64."""
    return (x.double().clamp(0, 1) - truth.double()).square().flatten(1).mean(dim=1)


@dataclass(frozen=True)
class Average:
    """A mean over images and the half width of its 95 % interval, 1.96 standard errors.

    The width is 0 for one image, of which nothing is known.
    """

    mean: float
    bar: float

    @property
    def negative(self) -> Average:
        """Of the numbers with the other sign."""
        return Average(-self.mean, self.bar)

    @property
    def text(self) -> str:
        """Three significant digits of the mean and two of the bar."""
        return f"{self.mean:.3g} ± {self.bar:.2g}"


@strict_keywords
def average(values: Tensor) -> Average:
    """Of one number for each image."""
    return Average(float(values.mean()), BAR * float(values.std()) / len(values) ** 0.5 if len(values) > 1 else 0.0)


@strict_keywords
def compared(one: Average, other: Average, difference: Average) -> str:
    """How far ``one`` is from ``other``, in words.

    ``difference``: of one - other, image by image, so that what is hard for both does not blur it.
    """
    apart = (
        "more than its bar"
        if abs(difference.mean) > difference.bar
        else "within its bar, so these pictures do not tell them apart"
    )
    return f"{one.mean:.3g} against {other.mean:.3g}, the difference {difference.text} is {apart}"
