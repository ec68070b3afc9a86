"""What is solved, and how: operator, prior and iterations, ready for data."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..arrays import as_tensor
from ..contracts import LinearOperator, Prior, Solution
from ..nets.weights import net_on
from ..priors import Projector
from ..solvers.monitor import State
from ..solvers.npgd import npgd
from .levels import Level

Report = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Problem(abc.ABC):
    """Everything a solver needs but the data.

    Attributes:
        op: The operator A.
        prior: With its weight, or its trained network.
        iterations: At most.
        tolerance: Of the stop; 0 runs all iterations.
        noise: The standard deviation of the noise in the data that the settings were made for, None where they serve a
            range.
    """

    op: LinearOperator
    prior: Prior
    iterations: int
    tolerance: float
    noise: float | None = None

    @property
    def level(self) -> Level | None:
        """The noise in the data as it is told to people; None where they need not know it."""
        return None

    @property
    def clipped_share(self) -> float:
        """How many of the data that count say only "at least this", of 1."""
        return 0.0

    def fitted(self, y: Any, *, values: Any = None) -> Problem:
        """The problem with what its data tell: their noise, where it was not given, and which of them are clipped.

        Args:
            y: The data of one picture.
            values: What a file holds of them where they are light of it: there clipped pixels are looked for.

        Returns:
            The problem.

        Raises:
            InvalidInput: For data that the operator cannot use.
        """
        return self

    @abc.abstractmethod
    def solve(self, y: Any, *, report: Report | None = None) -> Solution:
        """The solve with these settings, without gradients.

        Args:
            y: The data, as for the solver.
            report: Is told the number of iterations done, now and then.

        Returns:
            The solution; ``x`` is the image.

        Raises:
            InvalidInput: For data that the operator or the prior cannot use.
        """


@dataclass(frozen=True, kw_only=True)
class NpgdProblem(Problem):
    """A problem for ``fastip.npgd(y, op, prior)``; the projector goes where y is.

    Attributes:
        op: The operator A.
        prior: The projector.
        iterations: At most.
        tolerance: Of the stop; 0 runs all iterations.
        noise: The standard deviation of the noise in the data that the settings were made for, None where they serve a
            range.
    """

    prior: Projector

    @torch.no_grad()
    def solve(self, y: Any, *, report: Report | None = None) -> Solution:
        def look(state: State) -> None:
            if report is not None:
                report(state.iteration)

        home = as_tensor(y, "y")[0].device
        prior = Projector(net_on(self.prior.net, home))
        return npgd(
            y,
            self.op,
            prior,
            iterations=self.iterations,
            tolerance=self.tolerance,
            callback=None if report is None else look,
        )
