"""What is solved, and how: operator, prior and iterations, ready for data."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..arrays import as_tensor
from ..contracts import Inverse, LinearOperator, Prior, Solution, Status
from ..errors import strict_keywords
from ..nets.weights import placed
from ..priors import Projector
from ..solvers.admm import admm
from ..solvers.monitor import State
from ..solvers.npgd import npgd

CHUNK = 50  # iterations between two reports of a fused solve: ten checks of the stop rule, so no divergence goes unseen

Report = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Problem(abc.ABC):
    """Everything a solver needs but the data.

    tolerance: 0 runs all iterations. noise: the standard deviation of the noise in the data that the settings were made for, None where they serve a range.
    """

    op: LinearOperator
    prior: Prior
    iterations: int
    tolerance: float
    noise: float | None = None

    @abc.abstractmethod
    def solve(self, y: Any, *, report: Report | None = None) -> Solution:
        """The solve with these settings, without gradients; ``report`` is told the number of iterations done, now and then."""


@dataclass(frozen=True, kw_only=True)
class NpgdProblem(Problem):
    """A problem for ``fastip.npgd(y, op, prior)``; the projector goes where y is."""

    prior: Projector

    @torch.no_grad()
    def solve(self, y: Any, *, report: Report | None = None) -> Solution:
        def look(state: State) -> None:
            if report is not None:
                report(state.iteration)

        home = as_tensor(y, "y")[0].device
        prior = Projector(placed(self.prior.net, home))
        return npgd(
            y,
            self.op,
            prior,
            iterations=self.iterations,
            tolerance=self.tolerance,
            callback=None if report is None else look,
        )


@dataclass(frozen=True, kw_only=True)
class AdmmProblem(Problem):
    """A problem for ``fastip.admm(y, op, prior)``. beta: a number, or one for each iteration.

    To report, a fused solve is resumed every 50 iterations; the iterates are those of one solve. Other solves report each iteration.
    """

    inverse: str | Inverse
    beta: float | tuple[float, ...]

    @torch.no_grad()
    def solve(self, y: Any, *, report: Report | None = None) -> Solution:
        if report is None:
            return self._admm(y)
        if isinstance(self.beta, float) and self.prior.bind(y, self.op).pointwise() is not None:
            return self._in_chunks(y, report)

        def look(state: State) -> None:
            report(state.iteration)

        return admm(
            y,
            self.op,
            self.prior,
            beta=self.beta,
            inverse=self.inverse,
            iterations=self.iterations,
            tolerance=self.tolerance,
            callback=look,
        )

    def _admm(self, y: Any, iterations: int | None = None, init: Solution | None = None) -> Solution:
        return admm(
            y,
            self.op,
            self.prior,
            beta=self.beta,
            inverse=self.inverse,
            iterations=iterations or self.iterations,
            tolerance=self.tolerance,
            init=init,
        )

    def _in_chunks(self, y: Any, report: Report) -> Solution:
        solution, done, residuals = None, 0, []
        while done < self.iterations:
            solution = self._admm(y, min(CHUNK, self.iterations - done), solution)
            done += solution.iterations
            residuals.append(solution.residuals)
            report(done)
            if solution.status is not Status.ITERATIONS:
                break
        assert solution is not None
        return dataclasses.replace(solution, iterations=done, residuals=torch.cat(residuals))


@strict_keywords
def crop_valid(x: Tensor, op: LinearOperator, size: tuple[int, int]) -> Tensor:
    """The part of a restored image that lies under the data: pixel 0 of the data at pixel 0 of the result, at most ``size`` = stride times the data.

    Only a valid boundary restores more than that: x: b c (h - 1) stride + k ... -> b c (h stride) (w stride), or what there is of it.
    """
    convolution = op.convolution()
    if convolution is None or convolution.boundary != "valid":
        return x
    top, left = (k - 1 - k // 2 for k in convolution.psf.shape)
    return x[..., top : top + size[0], left : left + size[1]]
