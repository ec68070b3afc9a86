"""What a callback sees of a solve, and how it stops one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..arrays import not_finite
from ..contracts import BoundInverse, BoundPrior, Status
from ..stopping import Error, StopRule, per_image, ratio, rounding


@dataclass(frozen=True)
class State:
    """What a callback sees after an iteration.

    Args:
        iteration: Its number, from 1.
        x: The new image, b c h w.
        measure: Gives the two ratios of the stop rule, 2 x b: ``residuals`` asks for them at its first use, which costs
            a product with A.
    """

    iteration: int
    x: Tensor
    measure: Callable[[], Tensor] = field(repr=False)

    @classmethod
    def of(cls, iteration: int, x: Tensor, residuals: Tensor) -> State:
        """One whose residuals are known."""
        return cls(iteration, x, lambda: residuals)

    @functools.cached_property
    def residuals(self) -> Tensor:
        """The two ratios of the stop rule, 2 x b."""
        return self.measure()


Callback = Callable[[State], bool | None]


@dataclass(frozen=True)
class Iteration:
    """One iteration of ADMM, as the stop rule judges it.

    Args:
        step: The data step.
        prox: The prior in this solve.
        x: The image before it, and after.
        q: The dual before it, and after.
        r: The residual of its data step.
        pulled: A^T (2 q' - q).
    """

    step: BoundInverse
    prox: BoundPrior
    x: tuple[Tensor, Tensor]
    q: tuple[Tensor, Tensor]
    r: Tensor
    pulled: Tensor

    @torch.no_grad()
    def ratios(self, tolerance: float) -> Tensor:
        """The two ratios of the stop rule, 2 x b: one product with A, and another where the prox is inexact."""
        step, x_new, slack = self.step, self.x[1], self.prox.slack(self.x[1])
        error, apart = self._error()
        found = error.ratio(step.beta, tolerance, rounding(x_new.dtype))
        if slack is not None or apart is not None:
            gap, size = torch.zeros_like(found), step.misfit(x_new)
            gap, size = (gap, size) if apart is None else (apart[0], size.maximum(apart[1]))
            gap, size = (gap, size) if slack is None else (gap + slack[0], size + slack[1])
            found = found.maximum(ratio(gap, 3 * size))
        return torch.stack([step.norm(self.r), found])

    def _error(self) -> tuple[Error, tuple[Tensor, Tensor] | None]:
        """How far the solve is from its end; of a D that is not smooth also how far its slope is, and beside what."""
        step, (x, x_new), (q, q_new) = self.step, self.x, self.q
        if getattr(step, "smooth", True):
            pending = step.pending(step.beta * (q_new - q) - step.residual(x_new, q_new))
            return Error(per_image(x_new - x), pending, per_image(self.pulled), step.floor), None
        error, apart, whole = step.optimality(self.x, self.q, self.pulled)  # type: ignore[attr-defined]
        return Error(torch.zeros_like(error), error, per_image(self.pulled), step.floor), (apart, 0.01 * whole)


def look(
    rule: StopRule, callback: Callback | None, iteration: int, x: Tensor, measure: Callable[[], Tensor]
) -> Status | None:
    """A status when the solve is over after this iteration, else None.

    ``measure`` gives the two ratios of the stop rule; the callback stops by returning False.
    """
    due = rule.due(iteration)
    if not due and callback is None:
        return None
    state = State(iteration, x, measure)
    verdict = rule.judge(state.residuals) if due else None
    if callback is not None and callback(state) is False:
        return verdict or Status.STOPPED
    return verdict


def ended(status: Status, *state: Tensor | None) -> Status:
    """``status``; UNSTABLE where what a solve ends with holds NaN or Inf, which only this sees without a tolerance."""
    return Status.UNSTABLE if not_finite(*(t for t in state if t is not None)) else status
