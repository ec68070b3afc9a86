"""How a task is solved with each prior: its weight, from the noise, and what ``admm`` needs beside it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from .. import inverses, priors
from ..arrays import check_count, check_number
from ..checkpoint import shipped
from ..contracts import Inverse, LinearOperator, Prior
from ..errors import InvalidInput, closest
from ..priors import memory as bounds
from ..restorer import Restorer
from .choice import Choice
from .weights import suggested_weight

INVERSES: dict[str, Callable[[], str | Inverse]] = {
    "auto": lambda: "auto",
    "exact": inverses.Exact,
    "split": inverses.Split,
    "stencil": inverses.Stencil,
    "cg": inverses.ConjugateGradient,
}
# The second split of the restorer with clipped pixels, and its steps alone at the start: before its first iteration it
# should know what the data say.
CLIPPED_BETA, CLIPPED_WARM = 0.7, 20
CLIPPED = (None, "auto", "split")  # inverses that data with clipped pixels can choose: all are a second split
# Of the noise that a weight is for: pictures of another scale may have more.
MOST = 0.99


@dataclass(frozen=True, kw_only=True)
class Usual:
    """What a task passes to ``admm`` where the caller chose nothing.

    Attributes:
        beta: The penalty of the splitting; None is that which the prior suggests.
        inverse: A name of ``INVERSES``.
        iterations: At most.
        tolerance: Of the stop.
    """

    beta: float | None = None
    inverse: str = "auto"
    iterations: int = 100  # a bound alone: the tolerance is met after 10 to 60
    tolerance: float = 3e-2


class Way(Protocol):
    """A prior by its name: all that a task has to know of it."""

    @property
    def text(self) -> str:
        """What it is, in a word or two."""

    def check(self, choice: Choice, task: str) -> None:
        """Refuse what this prior cannot use, for the task of that name."""

    def follows(self, choice: Choice) -> bool:
        """Whether its numbers depend on the noise."""

    @property
    def start(self) -> Way | None:
        """Another, whose result a solve of data with clipped pixels starts from."""

    def outside(self, op: LinearOperator, noise: float, choice: Choice) -> str | None:
        """A warning of what it was not trained on; None where there is nothing to say."""

    def settings(self, op: LinearOperator, noise: float, choice: Choice, usual: Usual, clipped: bool) -> dict[str, Any]:
        """The keywords prior, beta, inverse, iterations and tolerance of ``AdmmProblem``.

        With clipped pixels the image may go beyond 1, and the inverse is a second split.
        """


@dataclass(frozen=True)
class Classical:
    """A prior with one weight.

    Attributes:
        name: For :func:`suggested_weight`.
        make: The prior of a weight.
        boxed: Whether it keeps an exact prox when a box is added.
        noisy: Whether the usual weight follows the noise.
    """

    name: str
    make: Callable[[float], Prior]
    boxed: bool = True
    noisy: bool = True

    @property
    def text(self) -> str:
        return f"{self.name}, weight by noise" if self.noisy else self.name

    def check(self, choice: Choice, task: str) -> None:
        for option, value in choice.given("memory", "dtype").items():
            without = f"task {task!r} has no network whose {option} could be chosen"
            raise InvalidInput(f"{option} is {value!r}, and {without}; leave it out")
        if choice.noise is not None and choice.weight is None and not self.noisy:
            raise InvalidInput(
                f"noise is {choice.noise!r}, and the weight of prior {self.name!r} does not follow it: "
                f"give a weight instead, or one of {', '.join(n for n, way in WAYS.items() if way.follows(Choice()))}"
            )

    def follows(self, choice: Choice) -> bool:
        return self.noisy and choice.weight is None

    @property
    def start(self) -> Way | None:
        return None

    def outside(self, op: LinearOperator, noise: float, choice: Choice) -> str | None:
        return None

    def settings(self, op: LinearOperator, noise: float, choice: Choice, usual: Usual, clipped: bool) -> dict[str, Any]:
        weight = suggested_weight(self.name, min(noise, MOST), op) if choice.weight is None else choice.weight
        prior = self.make(check_number(weight, "weight", low=0.0))
        if choice.bounded and self.boxed:
            prior = prior + priors.Box(0.0, math.inf if clipped else 1.0)  # type: ignore[operator]
        inverse = "split" if clipped else choice.inverse or usual.inverse
        beta, count, tolerance = (
            getattr(usual if getattr(choice, name) is None else choice, name)
            for name in ("beta", "iterations", "tolerance")
        )
        return {
            "prior": prior,
            "beta": None if beta is None else check_number(beta, "beta", low=0.0, strict=True),
            "inverse": INVERSES[closest(inverse, INVERSES, "inverse")](),
            "iterations": check_count(count, "iterations", low=1),
            "tolerance": check_number(tolerance, "tolerance", low=0.0),
        }


FIXED = ("weight", "beta", "iterations", "tolerance")  # by the training of a network


@dataclass(frozen=True)
class Learned:
    """A restorer that comes with fastip: its network is told the noise, and has its own betas and iterations.

    Attributes:
        name: That of ``shipped.restorer``.
    """

    name: str

    @property
    def text(self) -> str:
        return "network"

    def check(self, choice: Choice, task: str) -> None:
        for option, value in choice.given(*FIXED).items():
            raise InvalidInput(
                f"{option} is {value!r}, and the network of prior {self.name!r} has its own: leave it out, "
                f"or choose one of {', '.join(n for n, way in WAYS.items() if isinstance(way, Classical))}"
            )

    def follows(self, choice: Choice) -> bool:
        return True

    # From a start of its own, from this one, and total variation itself, photographs in light, 15 % clipped, natural
    # border, noise 2.55 of 255, PSNR in [0, 1]: coffee, disk 19: 21.1, 27.4, 25.9 dB, motion 25: 21.8, 29.0, 27.6;
    # rocket, disk 19: 15.8, 21.9, 21.6, motion 25: 14.0, 23.2, 22.6.
    @property
    def start(self) -> Way | None:
        return WAYS["tv"]

    def outside(self, op: LinearOperator, noise: float, choice: Choice) -> str | None:
        trained = self._restorer(choice).trained
        outside = None if trained is None else trained.outside(op, noise)
        advice = "look at the result, or use another prior, e.g. tv"
        return None if outside is None else f"prior {self.name!r} was not trained on {outside}: {advice}"

    def _restorer(self, choice: Choice) -> Restorer:
        bound = bounds.DEFAULT if choice.memory is None else bounds.parse(choice.memory)
        return _restorer(self.name, bound, choice.dtype)

    def settings(self, op: LinearOperator, noise: float, choice: Choice, usual: Usual, clipped: bool) -> dict[str, Any]:
        restorer = self._restorer(choice)
        inverse = choice.inverse and INVERSES[closest(choice.inverse, INVERSES, "inverse")]()
        return {
            "prior": restorer.prior(noise),
            "beta": restorer.beta(noise),
            "inverse": inverses.Split(CLIPPED_BETA, warm=CLIPPED_WARM) if clipped else inverse or restorer.inverse(op),
            "iterations": restorer.iterations,
            "tolerance": 0.0,
        }


@functools.lru_cache(maxsize=1)  # the pages of a file need one network
def _restorer(name: str, memory: int, dtype: torch.dtype | None) -> Restorer:
    return shipped.restorer(name, memory=memory, dtype=dtype)


# ``--prior`` takes these names; the first is what a task takes where no prior is named.
WAYS: dict[str, Way] = {
    "photo": Learned("photo"),
    "tv": Classical("tv", priors.TV),
    "wavelet": Classical("wavelet", priors.Wavelet, boxed=False),
    "l1": Classical("l1", priors.L1, noisy=False),
    "l2": Classical("l2", priors.L2, noisy=False),
}


PRIORS = tuple(WAYS)


def way(choice: Choice) -> Way:
    """That of the prior which was chosen, or the usual one: total variation where numbers of its solve are chosen."""
    usual = "tv" if choice.given(*FIXED) else next(iter(WAYS))
    return WAYS[closest(choice.prior or usual, WAYS, "prior")]
