"""What the tasks share that need no training for their operator: any prior, its weight by the noise."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from ..contracts import LinearOperator
from ..errors import InvalidInput
from .choice import Choice
from .iterated import AdmmProblem, NoisyProblem
from .levels import ASSUMED, DEFAULT, GIVEN, Level, check_noise
from .settings import PRIORS, Usual, way
from .task import Task

# What every one of them takes, beside what its operator takes.
SHARED = ("noise", "prior", "weight", "beta", "inverse", "iterations", "tolerance", "memory", "dtype")


@dataclass(frozen=True)
class ClassicalTask(Task[AdmmProblem]):
    """``y = A x + noise`` for an operator that the caller describes, and settings that suit photographs in [0, 1].

    Attributes:
        name: By which :func:`fastip.tasks.get` finds it.
        summary: What it does, in a few words.
        stride: How many times smaller the data's grid is than the image's.
        psf: The default, a text as for :func:`read_psf`; None where only the user can know it, or where there is none.
    """

    takes: ClassVar[tuple[str, ...]] = ()
    without: ClassVar[str] = "has no {option}"
    priors: ClassVar[tuple[str, ...]] = PRIORS

    @property
    def prior_text(self) -> str:
        return f"{way(Choice()).text}, or {', '.join(self.priors[1:])}"

    @abc.abstractmethod
    def operator(self, choice: Choice) -> LinearOperator:
        """A for this choice, or InvalidInput for what it cannot be."""

    def usual(self, choice: Choice) -> Usual:
        """The settings of the solver where nothing is chosen."""
        return Usual()

    def beside(self, choice: Choice, op: LinearOperator) -> dict[str, Any]:
        """Further keywords of ``AdmmProblem``."""
        return {}

    def chosen(self, choice: Choice) -> AdmmProblem:
        """The problem for this choice.

        Args:
            choice: Its ``bounded`` is for all priors but wavelet, which cannot hold 0 <= x <= 1. Without a noise the
                weight of total variation and of wavelets follows that of each picture.

        Returns:
            The problem.

        Raises:
            InvalidInput: For unknown names, bad numbers, what the operator lacks, and for what the task or the prior
                cannot use.
        """
        operator_options = ("psf", "boundary", "factor", "method", "like", "mask")
        for option in choice.given(*(name for name in operator_options if name not in self.takes)):
            value = getattr(choice, option)
            shown = repr(value) if isinstance(value, (str, int, float)) else "given"
            raise InvalidInput(
                f"{option} is {shown}, and task {self.name!r} {self.without.format(option=option)}: leave it out; "
                f"it takes {', '.join((*self.takes, *SHARED))}"
            )
        chosen = way(choice)
        chosen.check(choice, self.name)
        noise = None if choice.noise is None else check_noise(choice.noise)
        op = self.operator(choice)
        usual, more = self.usual(choice), self.beside(choice, op)
        at = partial(_settled, partial(chosen.settings, choice=choice, usual=usual), more)
        if noise is not None:
            return at(op, Level(noise, GIVEN))
        problem = replace(at(op, Level(ASSUMED, DEFAULT)), noise=None, source=None)
        if not chosen.follows(choice):
            return problem
        return NoisyProblem(**vars(problem), at=at, first=problem)


def _settled(
    settings: Callable[..., dict[str, Any]], fixed: dict[str, Any], op: LinearOperator, level: Level
) -> AdmmProblem:
    """The problem of one operator and level; a partial of it can be pickled."""
    return AdmmProblem(op=op, noise=level.value, source=level.source, **fixed, **settings(op, level.value))
