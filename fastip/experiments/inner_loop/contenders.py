"""The data steps that are compared, each tuned over the same grid, and how they are timed.

Exactly as many iterations as they need, without a callback.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ... import inverses
from ...contracts import Circulant, Inverse, LinearOperator
from ...errors import StrictKeywords, strict_keywords
from ...inverses.steps import DataStep, per_image
from ...solvers import admm, pgd
from ...solvers.monitor import Callback
from ...solvers.pgd import Nesterov
from ..record import Report
from .synthetic import Problem, recorder

MOST = 1000  # gradient steps of one inner loop at most, for one that does not come to its tolerance


class DescentTo(StrictKeywords):
    """(beta I + A A^T)^-1 by gradient descent until the residual is at most ``tolerance * ||y||``.

    The stop rule of inverses.ConjugateGradient. Like that one it solves for the correction of q, so it is warm-started,
    and takes at least one step.

    Args:
        tolerance: Of the residual.
        lowest: None for the step ``1 / (beta + ||A||^2)``, as that of inverses.GradientDescent; with the smallest
            eigenvalue of A A^T it is ``2 / (2 beta + lowest + ||A||^2)``, the best fixed one.
    """

    def __init__(self, tolerance: float, *, lowest: float | None = None) -> None:
        self.tolerance, self.lowest = tolerance, lowest

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> DataStep:
        highest = op.norm(op.input_shape(tuple(y.shape))) ** 2
        size = 1 / (beta + highest) if self.lowest is None else 2 / (2 * beta + self.lowest + highest)
        target = self.tolerance * per_image(y)

        def apply(r: Tensor) -> Tensor:
            e = size * r
            for _ in range(MOST):
                rest = r - beta * e - op(op.adjoint(e))
                if bool((per_image(rest) <= target).all()):
                    break
                e = e + size * rest
            return e

        return DataStep(op, y, beta, apply, f"gradient descent to {self.tolerance:g}: an inner loop")


Run = Callable[[Problem, Tensor, Tensor, int, Callback | None], Tensor]  # problem, y, x0, iterations, callback -> x


@dataclass(frozen=True)
class Contender:
    """One method with one setting.

    Args:
        method: Its name.
        setting: In words.
        beta: Of ADMM; None for a method without.
        run: Makes so many iterations.
        iterations: What it needs to the gap; None where it was not reached.
        seconds: What they take; None where they were not timed.
    """

    method: str
    setting: str
    beta: float | None
    run: Run
    iterations: int | None = None
    seconds: float | None = None

    def solve(self, problem: Problem, iterations: int) -> Callable[[], Tensor]:
        """A call that makes exactly so many iterations in float32, without looking at anything in between.

        The fused kernel runs where it can.
        """
        y, start = single(problem)
        return lambda: self.run(problem, y, start, iterations, None)

    def curve(
        self, problem: Problem, measure: Callable[[Tensor], float], most: int, target: float = float("-inf")
    ) -> list[float]:
        """measure(x) after each iteration of a watched, untimed float32 run, until it is at most ``target``."""
        values: list[float] = []
        with torch.no_grad():
            self.run(problem, *single(problem), most, recorder(measure, values, target=target))
        return values


def by_admm(method: str, setting: str, inverse: Inverse, beta: float) -> Contender:
    """ADMM with this data step."""

    def run(problem: Problem, y: Tensor, start: Tensor, iterations: int, callback: Callback | None) -> Tensor:
        solution = admm(
            y,
            problem.op,
            problem.prior(),
            beta=beta,
            inverse=inverse,
            iterations=iterations,
            tolerance=0.0,
            init=start,
            callback=callback,
        )
        x: Tensor = solution.x
        return x

    return Contender(method, setting, beta, run)


def by_fista() -> Contender:
    """Accelerated proximal gradient descent with restart: no data step, no beta."""

    def run(problem: Problem, y: Tensor, start: Tensor, iterations: int, callback: Callback | None) -> Tensor:
        momentum = Nesterov()
        solution = pgd(
            y,
            problem.op,
            problem.prior(),
            momentum=momentum,
            iterations=iterations,
            tolerance=0.0,
            init=start,
            callback=callback,
        )
        x: Tensor = solution.x
        return x

    return Contender("FISTA", "restarted, step 1 / (2‖A‖²)", None, run)


def lowest_eigenvalue(op: LinearOperator, y: Tensor) -> float:
    """The smallest eigenvalue of A A^T on a circular grid."""
    structure = op.cogram(tuple(y.shape))
    assert isinstance(structure, Circulant)
    return float(structure.spectrum.min())


@strict_keywords
def candidates(op: LinearOperator, y: Tensor, betas: Sequence[float]) -> list[Contender]:
    """Every method with every setting and every beta.

    Inner loops to 1e-5, inner loops to be tuned, and the closed forms.
    """
    best = DescentTo(1e-5, lowest=lowest_eigenvalue(op, y))
    # to 1e-5 a float32 data step counts as solved; 1e-9 is never met, so the number of steps alone ends these
    ways: list[tuple[str, str, Inverse]] = [
        ("gradient descent to 1e-5", "step 1 / (β + ‖A‖²)", DescentTo(1e-5)),
        ("gradient descent to 1e-5, best step", "best fixed step", best),
        *[
            ("gradient descent, tuned", f"{n} step{'s' * (n > 1)}", inverses.GradientDescent(n))
            for n in (1, 2, 3, 5, 10)
        ],
        ("CG to 1e-5", "tolerance 1e-5", inverses.ConjugateGradient(1e-5)),
        *[("CG, tuned", f"tolerance {t:g}", inverses.ConjugateGradient(t)) for t in (1e-1, 1e-2, 1e-3, 1e-4)],
        *[("CG, tuned", f"{n} step{'s' * (n > 1)}", inverses.ConjugateGradient(1e-9, maximum=n)) for n in (1, 2)],
        ("exact (FFT)", "FFT on the small grid", inverses.Exact()),
        *[("stencil", f"{2 * p + 1} × {2 * p + 1} taps", inverses.Stencil(p)) for p in (1, 2, 3)],
    ]
    return [by_admm(method, setting, inverse, beta) for method, setting, inverse in ways for beta in betas]


@strict_keywords
def tune(
    problem: Problem,
    contenders: Sequence[Contender],
    gap: Callable[[Tensor], float],
    *,
    target: float,
    most: int,
    report: Report,
) -> list[Contender]:
    """Each contender with the iterations it needs to the target (float32) and the best time of two.

    Those that do not get there keep None.
    """
    result = []
    for done, contender in enumerate(contenders):
        report(
            f"{contender.method}, {contender.setting}"
            + ("" if contender.beta is None else f", beta {contender.beta:.3g}"),
            done,
            len(contenders),
        )
        values = contender.curve(problem, gap, most, target)
        if values and values[-1] <= target:
            seconds = min(interleaved([contender.solve(problem, len(values))], 2)[0])
            contender = replace(contender, iterations=len(values), seconds=seconds)
        result.append(contender)
    return result


def fastest(contenders: Iterable[Contender]) -> list[Contender]:
    """Of each method the setting and beta with the shortest time; methods that never reach the target are left out."""
    best: dict[str, Contender] = {}
    for contender in contenders:
        if contender.seconds is not None and contender.seconds < (
            best[contender.method].seconds or 0.0 if contender.method in best else float("inf")
        ):
            best[contender.method] = contender
    return list(best.values())


def single(problem: Problem) -> tuple[Tensor, Tensor]:
    """(y, x0 = A^T y) in float32, as they are timed."""
    y = problem.single()
    return y, problem.op.adjoint(y)


@strict_keywords
def interleaved(solves: Sequence[Callable[[], Any]], repeats: int) -> list[list[float]]:
    """Wall-clock seconds of each solve, ``repeats`` times.

    They take turns, so that a busy moment hits all alike. One untimed call of each comes first.
    """
    with torch.no_grad():
        for solve in solves:
            solve()
        seconds: list[list[float]] = [[] for _ in solves]
        for _ in range(repeats):
            for own, solve in zip(seconds, solves, strict=True):
                begun = time.perf_counter()
                solve()
                own.append(time.perf_counter() - begun)
    return seconds


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Best and median."""
    return {"best": min(seconds), "median": statistics.median(seconds)}
