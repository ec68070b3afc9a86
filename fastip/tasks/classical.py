"""What the tasks share that need no training for their operator: any prior, its weight by the noise, clipped pixels."""

from __future__ import annotations

import abc
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import Tensor

from ..contracts import LinearOperator
from ..errors import InvalidInput
from .choice import Choice
from .iterated import AdmmProblem, FittedProblem
from .levels import ASSUMED, GIVEN, Level, check_noise
from .settings import CLIPPED, PRIORS, Usual, Way, way
from .task import Task

# What every one of them takes, beside what its operator takes.
SHARED = ("noise", "prior", "weight", "beta", "inverse", "iterations", "tolerance", "clipped", "memory", "dtype")


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
    clips: ClassVar[bool] = True  # whether its data can be clipped

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
            InvalidInput: For unknown names, bad numbers, what the operator lacks, and for what the task, the prior or
                the data step of clipped pixels cannot use.
        """
        operator_options = ("psf", "boundary", "factor", "method", "like", "mask")
        for option in choice.given(*(name for name in operator_options if name not in self.takes)):
            value = getattr(choice, option)
            shown = repr(value) if isinstance(value, (str, int, float)) else "given"
            raise InvalidInput(
                f"{option} is {shown}, and task {self.name!r} {self.without.format(option=option)}: leave it out; "
                f"it takes {', '.join((*self.takes, *(name for name in SHARED if self.clips or name != 'clipped')))}"
            )
        chosen = way(choice)
        chosen.check(choice, self.name)
        noise = None if choice.noise is None else check_noise(choice.noise)
        op = self.operator(choice)
        if choice.clipped is not None:
            self._check_clipped(choice, op)
        at = partial(self._settled, chosen, choice)
        problem = at(op, None if noise is None else Level(noise, GIVEN))
        self._warn(chosen, choice, op, noise or 0.0)
        estimates = noise is None and chosen.follows(choice)
        if not estimates and choice.clipped is None:
            return problem
        return FittedProblem(**vars(problem), at=at, first=problem, estimates=estimates, limit=choice.clipped)

    def _check_clipped(self, choice: Choice, op: LinearOperator) -> None:
        """Refuse clipped pixels where the data step for them cannot be made."""
        given = f"clipped is {choice.clipped!r}"
        if not self.clips:
            raise InvalidInput(f"{given}, and task {self.name!r} cannot use it: leave it out")
        if op.window() is None:
            raise InvalidInput(
                f"{given}, and no data step for it is known where the boundary is {choice.boundary!r}; "
                "expected natural, circular or valid: choose one of these, or leave clipped out"
            )
        if choice.inverse not in CLIPPED:
            raise InvalidInput(
                f"{given}, which the inverse 'split' alone can use, and inverse is {choice.inverse!r}; "
                "leave one of them out"
            )

    def _warn(self, way: Way, choice: Choice, op: LinearOperator, noise: float) -> None:
        outside = way.outside(op, noise, choice)
        if outside is not None:
            warnings.warn(outside, stacklevel=2)

    def _settled(
        self, way: Way, choice: Choice, op: LinearOperator, level: Level | None, clipped: Tensor | None = None
    ) -> AdmmProblem:
        """The problem of one operator, level and mask of clipped pixels; a partial of it can be pickled."""
        noise, usual = ASSUMED if level is None else level.value, self.usual(choice)
        if level is not None and level.source != GIVEN and way.outside(op, 0.0, choice) is None:
            self._warn(way, choice, op, noise)  # of what was given it was told before
        fixed = {"op": op, "clipped": clipped} | self.beside(choice, op)
        told = {} if level is None else {"noise": noise, "source": level.source}
        how = fixed | told | way.settings(op, noise, choice, usual, clipped is not None)
        if clipped is None:
            return AdmmProblem(**how)
        before = None
        if way.start is not None:
            before = AdmmProblem(**fixed | way.start.settings(op, noise, choice, usual, True) | {"cut": False})
        return AdmmProblem(**how, before=before, held=choice.bounded)
