"""Tasks with a network that was trained through the solver.

Each has one operator, one noise level, one schedule, and the weights that belong to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from .. import operators
from ..arrays import REAL, check_count
from ..checkpoint import load_prior, shipped
from ..contracts import LinearOperator
from ..errors import InvalidInput, closest, strict_keywords
from ..inverses.close import Close
from ..operators import psf as point_spread
from ..operators.blur import BOUNDARIES
from ..priors import Trained
from ..priors import memory as bounds
from .borders import NATURAL, check_boundary
from .choice import Choice
from .iterated import AdmmProblem
from .prior import TaskPrior
from .settings import INVERSES
from .task import Task


@dataclass(frozen=True)
class LearnedTask(Task[AdmmProblem]):
    """``y = A x + noise`` with A known, restored by the iterations of ``admm`` that the network was trained through.

    Attributes:
        name: By which :func:`fastip.tasks.get` finds it.
        summary: What it does, in a few words.
        stride: How many times smaller the data's grid is than the image's.
        psf: Of A, a text as in ``operators.psf.parse``.
        op: Gives A for a boundary.
        noise: The standard deviation of the noise in y.
        instead: The classical task for a psf of one's own, if there is one.
        size: (height, width) of the only images that the network knows, None for any.
        boundaries: Those that A can have.
        natural: Which of them a natural border is.
        weights: A checkpoint; None is the one that comes with fastip. It is read when a problem is made, not before.
        restorer: The shipped restorer that serves where there are no such weights: it was trained on this operator,
            too, and is better than a network for it alone.
    """

    op: Callable[[str], LinearOperator] = field(repr=False)
    noise: float
    instead: str | None = None
    size: tuple[int, int] | None = None
    boundaries: tuple[str, ...] = BOUNDARIES
    natural: str = "valid"
    weights: Path | None = None
    restorer: str | None = None

    @property
    def prior_text(self) -> str:
        return "network"

    def words(self, choice: Choice, psf: str | None = None) -> str:
        return f"{self.name}, psf {psf or self.psf}, {choice.boundary or NATURAL} boundary"

    @strict_keywords
    def operator(self, boundary: str | None = None) -> LinearOperator:
        """The operator A.

        Args:
            boundary: One of ``boundaries``, or "natural", which stands for one of them; None is "circular".

        Returns:
            A for that boundary.

        Raises:
            InvalidInput: For a boundary that the task cannot have.
        """
        chosen = check_boundary(boundary or "circular")
        chosen = self.natural if chosen == NATURAL else chosen
        if chosen in BOUNDARIES and chosen not in self.boundaries:
            raise InvalidInput(f"boundary is {chosen!r}; task {self.name!r} can have {', '.join(self.boundaries)}")
        return self.op(chosen)

    @strict_keywords
    def load(self, *, memory: int | str | None = None, dtype: torch.dtype | None = None) -> TaskPrior:
        """The trained prior.

        Args:
            memory: As for :meth:`chosen`.
            dtype: As for :meth:`chosen`.

        Returns:
            The prior.

        Raises:
            InvalidInput: For bad values, and where the weights are missing or damaged.
        """
        bound = bounds.DEFAULT if memory is None else bounds.parse(memory)
        if dtype is not None and dtype not in REAL:
            raise InvalidInput(
                f"dtype is {dtype!r}; expected one of {', '.join(map(str, REAL))}, "
                "or None for the fastest that is good enough"
            )
        if self.weights is None and self.restorer is not None:
            return self._shared(self.restorer, bound, dtype)
        with nullcontext(self.weights) if self.weights else shipped.weights("tasks", self.name) as path:
            prior = load_prior(path)
        if prior.trained is None or not prior.trained.schedule:
            raise InvalidInput(
                f"{path} holds a prior without a schedule; "
                f"task {self.name!r} needs one that was trained through the solver"
            )
        return TaskPrior(prior.net, sigma=prior.sigma, trained=prior.trained, memory=bound, dtype=dtype, size=self.size)

    def _shared(self, restorer: str, memory: int, dtype: torch.dtype | None) -> TaskPrior:
        """The network of a shipped restorer, with its schedule for the noise of the task."""
        made = shipped.restorer(restorer)
        plan = made.schedule(self.noise)
        trained = Trained(
            (min(plan.levels), max(plan.levels)), schedule=tuple(zip(plan.betas, plan.levels, strict=True))
        )
        return TaskPrior(made.net, sigma=plan.levels, trained=trained, memory=memory, dtype=dtype, size=self.size)

    def chosen(self, choice: Choice) -> AdmmProblem:
        """The problem for this choice.

        Args:
            choice: None stands for what the network was trained for, and for a natural border. ``iterations``: at most
                those of the training. ``memory``: 2 GB by default. ``dtype``: None is bfloat16 where the machine
                computes with it natively, else float32. ``bounded`` plays no role.

        Returns:
            The problem.

        Raises:
            InvalidInput: For psf, noise, factor, prior, weight, beta and tolerance, which the training fixed, for what
                the task does not have, for bad values, and for missing weights.
        """
        self._refuse_fixed(choice.given("psf", "noise", "factor", "prior", "weight", "beta", "tolerance"))
        for option in choice.given("mask", "method", "like", "clipped"):
            raise InvalidInput(
                f"{option} is given, and task {self.name!r} has none: leave it out; "
                "it takes boundary, inverse, iterations, memory and dtype"
            )
        boundary, inverse = choice.boundary or NATURAL, choice.inverse
        op = self.operator(boundary)
        data_step = (
            Close(even=self.restorer is not None)
            if inverse is None
            else INVERSES[closest(inverse, INVERSES, "inverse")]()
        )
        trained = self.load(memory=choice.memory, dtype=choice.dtype)
        assert trained.trained is not None and trained.trained.beta is not None
        betas = trained.trained.beta
        count = check_count(len(betas) if choice.iterations is None else choice.iterations, "iterations", low=1)
        if count > len(betas):
            through = f"the network of task {self.name!r} was trained through {len(betas)}"
            raise InvalidInput(f"iterations is {count}; {through}: give at most {len(betas)}")
        how = {"inverse": data_step, "beta": betas[:count], "iterations": count, "tolerance": 0.0, "noise": self.noise}
        cut = choice.crop and boundary == NATURAL
        return AdmmProblem(op=op, prior=trained, cut=cut, **how)  # type: ignore[arg-type]

    def _refuse_fixed(self, options: Mapping[str, object]) -> None:
        for option, value in options.items():
            another = (
                f"or choose task {self.instead!r}, which takes any"
                if self.instead
                else "for another one build the solve with fastip.admm"
            )
            shown = "given" if isinstance(value, Tensor) else repr(value)
            alone = f"the network of task {self.name!r} was trained for one {option} alone"
            raise InvalidInput(f"{option} is {shown}, and {alone}: leave it out, {another}")


def _blur(text: str, stride: int) -> Callable[[str], LinearOperator]:
    return lambda boundary: operators.Blur(point_spread.parse(text), stride=stride, boundary=boundary)


def _grey_half(boundary: str) -> LinearOperator:
    """Means of 2 x 2 pixels of the luma. No mean reaches over a border, so all boundaries are one operator."""
    operators.Blur(point_spread.box(2), stride=2, boundary=boundary)  # refuses a boundary that does not exist
    return operators.Blur(point_spread.box(2), stride=2) @ operators.ToGray()


# What a natural border is for a network. Data that are windows of six larger validation photographs, mean PSNR in dB
# with valid and conjugate gradients to 3e-3 (or an exact inverse) / Split(0.5) / reflect / circular: wide blur 26.34,
# 25.26, 26.32, 25.37; motion 31.83, 31.18, 29.97, 15.39. With little blur 25.56, 18.95, 25.83, 25.59: there the psf
# is narrower than the stride, valid needs zeros around it, and the network sees another place of the data in the image.
TASKS = (
    LearnedTask(
        "photo-sr4",
        "photographs × 4, little blur",
        4,
        "gaussian:3:1",
        _blur("gaussian:3:1", 4),
        0.0,
        "sr4",
        natural="reflect",
    ),
    LearnedTask(
        "photo-sr4-wide",
        "photographs × 4, wide blur, noise 0.01",
        4,
        "gaussian:9:1.6",
        _blur("gaussian:9:1.6", 4),
        0.01,
        "sr4",
    ),
    LearnedTask(
        "photo-deblur-motion",
        "photographs, motion blur, noise 0.01",
        1,
        "motion:9:45",
        _blur("motion:9:45", 1),
        0.01,
        "deblur",
        restorer="photo",
    ),
    LearnedTask(
        "digits-sr4",
        "handwritten digits, 7 × 7 -> 28 × 28",
        4,
        "gaussian:9:1.6",
        _blur("gaussian:9:1.6", 4),
        0.0,
        instead="sr4",
        size=(28, 28),
        boundaries=("circular", "reflect", "zero"),  # no valid data belong to 28 x 28 pixels
        natural="circular",  # their border is black all around
    ),
    LearnedTask("colorize-sr2", "grey photographs × 2 in colour", 2, "box:2", _grey_half, 0.0, natural="circular"),
)
