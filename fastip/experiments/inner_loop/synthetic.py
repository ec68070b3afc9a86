"""The synthetic l1 problem of the 2017 paper, its objective in the paper's scale, and its optimum.

That is from a solver that shares nothing with ADMM.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import operators, priors, psf
from ...errors import strict_keywords
from ...solvers import pgd
from ...solvers.monitor import State
from ...solvers.pgd import Nesterov


@dataclass(frozen=True)
class Problem:
    """The minimisation of ``||y - A x||^2 + weight ||x||_1``.

    For Laplace pixels of scale 1 and noise of standard deviation s the posterior is, with weight = 2 s^2 and
    scale = 1 / (2 s^2)::

        1 / (2 s^2) ||y - A x||^2 + ||x||_1

    Args:
        op: ``A``.
        truth: float64, b c h w.
        y: float64, b c h w.
        weight: Of the 1-norm.
        scale: Turns the objective into the one that is reported.
    """

    op: operators.Operator
    truth: Tensor
    y: Tensor
    weight: float
    scale: float

    def objective(self, x: Tensor) -> float:
        """``scale (||y - A x||^2 + weight ||x||_1)``, float64 whatever the dtype of x."""
        x = x.double()
        return self.scale * float((self.y - self.op(x)).square().sum() + self.weight * x.abs().sum())

    def bound(self, x: Tensor) -> float:
        """A lower bound of the minimum, from any x: the value of the dual.

        It is ``scale (<y, v> - ||v||^2 / 4)`` at ``v = 2 c (y - A x)``, c such that ``|A^T v| <= weight``.
        """
        r = 2 * (self.y - self.op(x.double()))
        v = r * min(1.0, self.weight / float(self.op.adjoint(r).abs().max()))
        return self.scale * float((self.y * v).sum() - v.square().sum() / 4)

    def steepest(self) -> float:
        """``max |2 A^T y| / weight``: x = 0 is the minimiser if and only if it is at most 1."""
        return float((2 * self.op.adjoint(self.y)).abs().max()) / self.weight

    def prior(self, factor: float = 1.0) -> priors.L1:
        """``factor * weight ||x||_1``."""
        return priors.L1(factor * self.weight)

    def single(self) -> Tensor:
        """y in float32, as it is timed."""
        return self.y.float()


@strict_keywords
def laplace(size: int, *, seed: int = 0) -> Tensor:
    """An image 1 1 size size of independent Laplace(0, 1) pixels, float64."""
    u = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.5
    return -u.sign() * torch.log1p(-2 * u.abs())


@strict_keywords
def spikes(size: int, *, density: float = 0.05, seed: int = 0) -> Tensor:
    """An image 1 1 size size, float64, of which a part ``density`` is N(0, 1) and the rest 0."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(1, 1, size, size, generator=generator, dtype=torch.float64)
    return values * (torch.rand(1, 1, size, size, generator=generator, dtype=torch.float64) < density)


@strict_keywords
def observed(op: operators.Operator, truth: Tensor, *, noise: float, seed: int = 1) -> Tensor:
    """``A truth + noise * N(0, I)``, float64."""
    clean: Tensor = op(truth)
    return clean + noise * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed), dtype=clean.dtype)


@strict_keywords
def paper_problem(size: int, *, gain: float = 1.0, noise: float = 1.0, seed: int = 0) -> Problem:
    """Laplace(0, 1) pixels under a Gaussian blur, every fourth pixel of every fourth row kept, with white noise.

    The psf is 9 x 9 of standard deviation 1.5 times ``gain``, the boundary circular. With a gain and a noise of 1 this
    is the problem of the paper's second figure. ``size``: a multiple of 4, at least 12.
    """
    op = operators.Blur(gain * psf.gaussian(9, 1.5), stride=4, boundary="circular")
    truth = laplace(size, seed=seed)
    return Problem(
        op, truth, observed(op, truth, noise=noise, seed=seed + 1), weight=2 * noise**2, scale=1 / (2 * noise**2)
    )


@dataclass(frozen=True)
class Optimum:
    """A minimiser and how sure it is.

    Args:
        x: The minimiser.
        value: Its objective.
        gap: How far above the minimum that can be at most, relative, by the dual bound.
        steps: How many FISTA took.
    """

    x: Tensor
    value: float
    gap: float
    steps: int

    @property
    def nonzeros(self) -> int:
        return int(self.x.count_nonzero())


@strict_keywords
def optimum(problem: Problem, *, accuracy: float = 1e-11, most: int = 200_000, every: int = 100) -> Optimum:
    """FISTA with restart in float64 until the duality gap is below ``accuracy`` (relative), or ``most`` steps.

    The gap proves the value, whoever found it; it shares A and its adjoint with ADMM, and nothing else. It is looked at
    after every ``every`` steps, as a look costs about as much as a step.
    """
    best: dict[str, float] = {}

    def look(state: State) -> bool:
        if state.iteration % every:
            return True
        best["value"], best["bound"] = (
            problem.objective(state.x),
            max(problem.bound(state.x), best.get("bound", float("-inf"))),
        )
        return best["value"] - best["bound"] > accuracy * abs(best["value"])

    solution = pgd(
        problem.y, problem.op, problem.prior(), momentum=Nesterov(), iterations=most, tolerance=0.0, callback=look
    )
    value = problem.objective(solution.x)
    bound = max(problem.bound(solution.x), best.get("bound", float("-inf")))
    return Optimum(solution.x, value, (value - bound) / abs(value), solution.iterations)


@strict_keywords
def recorder(
    measure: Callable[[Tensor], float], into: list[float], *, target: float = float("-inf")
) -> Callable[[State], bool]:
    """A callback that appends measure(x) after each iteration and stops the solve once it is at most ``target``."""

    def look(state: State) -> bool:
        into.append(measure(state.x))
        return into[-1] > target

    return look
