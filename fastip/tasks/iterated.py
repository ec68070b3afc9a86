"""A problem for ``fastip.admm``: with everything settled, or with what its data tell: noise, clipped pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..arrays import as_tensor
from ..contracts import Inverse, LinearOperator, Solution, Status
from ..fidelities import Clipped
from ..operators import Mask
from ..priors.filling import filled
from ..solvers.admm import admm
from ..solvers.monitor import State
from .borders import under_data, whole
from .clipped import clipped_pixels
from .levels import Level, level_of
from .problem import Problem, Report

# Iterations between two reports of a fused solve: ten checks of the stop rule, so no divergence goes unseen. Fewer cost
# more starts of the fused solve, more make a progress bar that jumps.
CHUNK = 50


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
        beta: The penalty, a number, or one for each iteration; None is that which the prior suggests.
        cut: Whether :meth:`solve` gives the part of the image that lies under the data, else all that is restored.
        known: The mask of ``op``, 1 where a pixel counts, else 0; None where all do.
        source: Where the noise comes from, see ``Level``; None where people need not know it.
        clipped: Where the data say only "at least this", a boolean mask of their shape; None for nowhere.
        held: Whether the result is cut off at 0 and 1 in the end.
        before: The problem whose result the solve starts from; None for a start of its own.
    """

    inverse: str | Inverse
    beta: float | tuple[float, ...] | None
    cut: bool = False
    known: Tensor | None = None
    source: str | None = None
    clipped: Tensor | None = None
    held: bool = False
    before: AdmmProblem | None = None

    @property
    def level(self) -> Level | None:
        return None if self.noise is None or self.source is None else Level(self.noise, self.source)

    @property
    def clipped_share(self) -> float:
        if self.clipped is None:
            return 0.0
        count = self.clipped.sum() / (1.0 if self.known is None else float(self.known.expand_as(self.clipped).mean()))
        return float(count) / self.clipped.numel()

    @torch.no_grad()
    def solve(self, y: Any, *, report: Report | None = None) -> Solution:
        data, restore = as_tensor(y, "y")
        solution = self._solved(self.counted(data, 0.0), report)
        x = whole(under_data(solution.x, self.op, tuple(data.shape))) if self.cut else solution.x
        x = x.clamp(0.0, 1.0) if self.held else x
        return dataclasses.replace(solution, x=restore(x))

    def counted(self, y: Tensor, beside: float) -> Tensor:
        """The data with ``beside`` in the place of what does not count."""
        if self.known is None:
            return y
        self.op.input_shape(tuple(y.shape))
        return torch.where(self.known.to(y.device) > 0, y, beside)

    def _solved(self, y: Tensor, report: Report | None) -> Solution:
        if report is None:
            return self._admm(y)
        if not isinstance(self.beta, tuple) and self.prior.bind(y, self.op).pointwise() is not None:
            return self._in_chunks(y, report)

        def look(state: State) -> None:
            report(state.iteration)

        return self._admm(y, callback=look)

    def _admm(self, y: Tensor, **how: Any) -> Solution:
        how = {"iterations": self.iterations, "init": self._start(y), "tolerance": self.tolerance} | how
        fidelity = None if self.clipped is None else Clipped(high=self.clipped)
        return admm(y, self.op, self.prior, beta=self.beta, inverse=self.inverse, fidelity=fidelity, **how)

    def _start(self, y: Tensor) -> Tensor | None:
        """The result of ``before``, or the data with their holes filled from around; None is the solver's own start.

        That is black in a hole, which total variation fills from its rim inwards, a few pixels an iteration, and a hole
        of 20 x 30 stays grey inside when the rest has converged. Networks that run all their iterations fill by
        themselves.
        """
        if self.before is not None:
            return self.before.solve(y).x
        if self.known is None or self.tolerance == 0:
            return None
        return filled(y, (self.known.to(y.device) == 0).expand_as(y))

    def _in_chunks(self, y: Tensor, report: Report) -> Solution:
        solution, done, residuals = None, 0, []
        while done < self.iterations:
            how: dict[str, Any] = {} if solution is None else {"init": solution}
            solution = self._admm(y, iterations=min(CHUNK, self.iterations - done), **how)
            done += solution.iterations
            residuals.append(solution.residuals)
            report(done)
            if solution.status is not Status.ITERATIONS:
                break
        assert solution is not None
        return dataclasses.replace(solution, iterations=done, residuals=torch.cat(residuals))


@dataclass(frozen=True, kw_only=True)
class FittedProblem(AdmmProblem):
    """A problem with something that each picture of the data tells: its noise, which pixels are clipped, or both.

    Its parts, for ``fastip.admm``, are those of data without clipped pixels, and of a noise of 0.015 where the picture
    tells it: give the task a noise for others. Pictures with a noise of their own are solved alone, and so are all
    where one has clipped pixels.

    Attributes:
        op: The operator A.
        prior: Without clipped pixels, of a noise that was given or of 0.015.
        iterations: At most.
        tolerance: Of the stop.
        noise: That which was given; None: that of each picture, or none is needed.
        inverse: "auto" or an object of ``fastip.inverses``.
        beta: The penalty, likewise.
        cut: As for ``AdmmProblem``.
        known: As for ``AdmmProblem``.
        source: Of a noise that was given.
        clipped: None: those of each picture.
        held: False.
        before: None.
        at: Gives the problem of an operator, a level and the mask of clipped pixels.
        first: What it gave without a level and a mask. Whatever is no longer its own (after ``dataclasses.replace``)
            stays.
        estimates: Whether each picture tells its noise.
        limit: As for :func:`fastip.tasks.clipped.clipped_pixels`; None: no pixels are clipped.
    """

    at: Callable[[LinearOperator, Level | None, Tensor | None], AdmmProblem]
    first: AdmmProblem
    estimates: bool
    limit: str | float | None = None

    def fitted(self, y: Any, *, values: Any = None) -> AdmmProblem:
        data = as_tensor(y, "y")[0]
        level = level_of(self.counted(data, float("nan"))) if self.estimates else self.first.level
        own = {name: value for name, value in vars(self.first).items() if getattr(self, name) is not value}
        problem = self.at(self.op, level, self._clipped(data if values is None else as_tensor(values, "values")[0]))
        return dataclasses.replace(problem, **{name: getattr(self, name) for name in own})

    @torch.no_grad()
    def solve(self, y: Any, *, report: Report | None = None) -> Solution:
        data, restore = as_tensor(y, "y")
        self.op.input_shape(tuple(data.shape))  # refuses what is no batch of pictures
        if len(data) == 1 or not (self.estimates or self._clipped(data) is not None):
            solution = self.fitted(data).solve(data, report=report)
        else:
            solution = _together([self._alone(index).solve(y, report=report) for index, y in enumerate(data.split(1))])
        return dataclasses.replace(solution, x=restore(solution.x))

    def _clipped(self, y: Tensor) -> Tensor | None:
        return None if self.limit is None else clipped_pixels(self.counted(y, 0.0), self.limit)

    def _alone(self, index: int) -> FittedProblem:
        """The problem of one picture of a batch."""
        if self.known is None or len(self.known) == 1:
            return self
        known = self.known[index : index + 1]
        return dataclasses.replace(self, known=known, op=Mask(known))


def _together(solutions: list[Solution]) -> Solution:
    """Those of single pictures as one; nothing is kept for resuming."""
    status = next((s for s in _WORST if any(each.status is s for each in solutions)), Status.CONVERGED)
    checks = max(len(each.residuals) for each in solutions)
    filled = [torch.cat([r, r[-1:].expand(checks - len(r), *r.shape[1:])]) for r in (s.residuals for s in solutions)]
    return Solution(
        torch.cat([each.x for each in solutions]),
        None,
        status,
        max(each.iterations for each in solutions),
        torch.cat(filled, dim=2),
    )


_WORST = (Status.UNSTABLE, Status.STOPPED, Status.ITERATIONS)
