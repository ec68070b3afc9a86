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
from ..nets.weights import net_on
from ..priors import Projector
from ..solvers.admm import admm
from ..solvers.monitor import State
from ..solvers.npgd import npgd

# Iterations between two reports of a fused solve: ten checks of the stop rule, so no divergence goes unseen. Fewer cost
# more starts of the fused solve, more make a progress bar that jumps.
CHUNK = 50

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


@dataclass(frozen=True, kw_only=True)
class AdmmProblem(Problem):
    """A problem for ``fastip.admm(y, op, prior)``.

    To report, a fused solve is resumed every 50 iterations; the iterates are those of one solve. Other solves report
    each iteration.

    Attributes:
        op: The operator A.
        prior: With its weight, or its trained network.
        iterations: At most.
        tolerance: Of the stop; 0 runs all iterations.
        noise: The standard deviation of the noise in the data that the settings were made for, None where they serve a
            range.
        inverse: "auto" or an object of ``fastip.inverses``.
        beta: The penalty, a number, or one for each iteration.
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
    """The part of a restored image that lies under the data, pixel 0 of the data at pixel 0 of the result.

    Only a valid boundary restores more than that; others give x back.

    Args:
        x: The restored image, b c H W, with H = (h - 1) stride + k for data with h rows and a psf with k.
        op: The operator that it was restored for.
        size: (h stride, w stride), what the result has at most.

    Returns:
        A view of x, b c (h stride) (w stride), or what there is of it.
    """
    convolution = op.convolution()
    if convolution is None or convolution.boundary != "valid":
        return x
    top, left = (k - 1 - k // 2 for k in convolution.psf.shape)
    return x[..., top : top + size[0], left : left + size[1]]
