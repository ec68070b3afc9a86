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
        step, (x, x_new), (q, q_new) = self.step, self.x, self.q
        pending = step.pending(step.beta * (q_new - q) - step.residual(x_new, q_new))
        error = Error(per_image(x_new - x), pending, per_image(self.pulled), step.floor)
        found, slack = error.ratio(step.beta, tolerance, rounding(x.dtype)), self.prox.slack(x_new)
        if slack is not None:
            found = found.maximum(ratio(slack[0], 3 * (step.misfit(x_new) + slack[1])))
        return torch.stack([step.norm(self.r), found])


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
