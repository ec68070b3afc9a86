"""Scripts for the stop rule: what each look of a solve finds of every image, and the verdict that is due.

One table for all that judge: Python, C++ on CPUs and GPUs, Triton. A new quantity that they judge is a new field of
:class:`Look`, with a default that changes no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from cases.solves import rule_for
from fastip.contracts import Convolution, Pointwise, Scales, Status, StencilStep
from fastip.stopping import EVERY, PATIENCE, StopRule

CONVERGED, UNSTABLE, ITERATIONS = Status.CONVERGED, Status.UNSTABLE, Status.ITERATIONS
TOLERANCE = 1e-4
SMALL, LARGE, NAN, INF = 1e-5, 0.5, math.nan, math.inf
ABOVE = math.nextafter(TOLERANCE, 1)  # the next number, which does not pass
BETA = 0.25  # of the played solves
MANY = 300  # images; a block has 256 threads, a program 256 lanes
assert (EVERY, PATIENCE) == (5, 20)  # which the scripts are written for

Ratio = float | tuple[float, ...]


class Look(NamedTuple):
    """What one look finds: a number for every image, or a tuple with one for each."""

    data: Ratio
    error: Ratio


@dataclass(frozen=True)
class Script:
    """A solve as its stop rule sees it.

    Attributes:
        looks: All that are made.
        status: How the solve ends.
        done: Iterations then.
        tolerance: Of the rule.
        iterations: The most that are run.
        images: Of the batch.
    """

    looks: Sequence[Look]
    status: Status
    done: int
    tolerance: float = TOLERANCE
    iterations: int = 60
    images: int = 1

    def __post_init__(self) -> None:
        assert len(self.looks) == (-(-self.done // EVERY) if self.tolerance > 0 else 0)
        assert (self.done == self.iterations) if self.status is ITERATIONS else (self.done <= self.iterations)

    def found(self) -> Tensor:
        """looks x columns x images, float64."""
        images, columns = self.images, len(Look._fields)
        wide = [[c if isinstance(c, tuple) else (c,) * images for c in look] for look in self.looks]
        return torch.tensor(wide, dtype=torch.float64).reshape(len(wide), columns, images)

    def played(self) -> Tensor:
        """:meth:`found`, then for the looks that must not count any more what would turn the verdict."""
        found = self.found()
        after = found.new_full((-(-self.iterations // EVERY) - len(found), *found.shape[1:]), NAN)
        return torch.cat([found, after.zero_() if self.status is UNSTABLE else after])

    def squares(self) -> Squares:
        """Sums of squares and scales whose ratios are exactly :meth:`played`.

        Exact because the root of a rounded square is the number again, and what it is multiplied with and divided by
        are powers of two. Now the one, now the other part of the error is zero, and of what it is beside.
        """
        image = torch.arange(self.images)
        sizes, floors = (
            torch.tensor(three, dtype=torch.float64)[image % 3]
            for three in ([2.0, 0.0, 0.5], [unit_floor(self.tolerance), 0.0, 0.0])
        )
        scales = Scales(4.0, sizes, floors)
        unit = scales.unit if self.images else 1.0
        data, error = (self.played()[:, Look._fields.index(name)] for name in ("data", "error"))
        turn = image + torch.arange(len(data))[:, None]
        pulled = torch.tensor([0.0, 0.25, 4.0], dtype=torch.float64)[turn % 3]
        error = error * over(torch.maximum(2 * BETA * pulled, (floors > 0).double()))
        share = torch.tensor([0.0, 1.0, 0.5, 1.0], dtype=torch.float64)[turn % 4]
        moved, pending = (torch.where(s > 0, s * error, 0.0) for s in (share, 1 - share))
        norms = torch.stack([data * over(sizes), moved / BETA, pending / scales.norm, pulled], 1)
        return Squares(scales, unit, (norms * unit).square())


class Squares(NamedTuple):
    """What kernels leave of a solve, for a beta of :data:`BETA`.

    Attributes:
        scales: What the sums are judged beside.
        unit: What the values were multiplied by.
        sums: looks x 4 x images: ``||r||^2``, ``||x' - x||^2``, ``||beta (q' - q) - r'||^2``, ``||A^T (2 q' - q)||^2``.
    """

    scales: Scales
    unit: float
    sums: Tensor


def over(sizes: Tensor) -> Tensor:
    """What is divided by: one in the place of zero."""
    return torch.where(sizes > 0, sizes, 1.0)


def unit_floor(tolerance: float) -> float:
    """The floor that makes the least size of a dual exactly one; zero where there is none."""
    if not 0 < tolerance < INF:
        return 0.0
    floor = 1 / (0.2 * tolerance)
    found = [f for f in (math.nextafter(floor, 0), floor, math.nextafter(floor, INF)) if 0.2 * tolerance * f == 1]
    return found[0]


def steady(count: int, data: Ratio = LARGE, error: Ratio = LARGE) -> list[Look]:
    """The same look again and again."""
    return [Look(data, error)] * count


def residuals(*data: Ratio, error: Ratio = LARGE) -> list[Look]:
    """A look for each data ratio."""
    return [Look(ratio, error) for ratio in data]


def beyond(number: float) -> float:
    """The next one."""
    return math.nextafter(number, INF)


def among(place: int, ratio: float = LARGE) -> tuple[float, ...]:
    """That ratio for one of many images; the others pass."""
    ratios = [SMALL] * MANY
    ratios[place] = ratio
    return tuple(ratios)


# The first look is compared with nothing, and what counts must be above ten times it; four that grow are too many.
GROWTH = (2.0, 21.0, 22.0, 23.0, 24.0)

SCRIPTS = {
    # ---- converged, or not ----
    "at once": Script(steady(1, SMALL, SMALL), CONVERGED, 5),
    "nothing moves": Script(steady(1, 0.0, 0.0), CONVERGED, 5),
    "late": Script([*steady(3), Look(SMALL, SMALL)], CONVERGED, 20),
    "at the last look": Script([*steady(3), Look(SMALL, SMALL)], CONVERGED, 20, iterations=20),
    "never": Script(steady(4), ITERATIONS, 20, iterations=20),
    "stagnation above the tolerance": Script(steady(12, 2e-4, 2e-4), ITERATIONS, 60),
    "a small data ratio is no end": Script(steady(4, data=SMALL), ITERATIONS, 20, iterations=20),
    "a large data ratio keeps none going": Script(steady(1, error=SMALL), CONVERGED, 5),
    "one ratio, then the other": Script([Look(SMALL, LARGE), Look(LARGE, SMALL)], CONVERGED, 10),
    "exactly the tolerance": Script(steady(1, error=TOLERANCE), CONVERGED, 5),
    "just above the tolerance": Script([Look(TOLERANCE, ABOVE), Look(TOLERANCE, TOLERANCE)], CONVERGED, 10),
    # ---- when it is looked ----
    "tolerance 0 never looks": Script([], ITERATIONS, 12, tolerance=0.0, iterations=12),
    "one iteration": Script(steady(1, SMALL, SMALL), CONVERGED, 1, iterations=1),
    "one iteration is not enough": Script(steady(1), ITERATIONS, 1, iterations=1),
    "one iteration is not finite": Script(steady(1, NAN), UNSTABLE, 1, iterations=1),
    "fewer iterations than to the first look": Script(steady(1, SMALL, SMALL), CONVERGED, 3, iterations=3),
    "an odd last iteration: converged": Script([*steady(2), Look(SMALL, SMALL)], CONVERGED, 12, iterations=12),
    "an odd last iteration: never": Script(steady(3), ITERATIONS, 12, iterations=12),
    "an odd last iteration: not finite": Script([*steady(2), Look(LARGE, NAN)], UNSTABLE, 12, iterations=12),
    "an odd last iteration: converged before": Script([*steady(1), Look(SMALL, SMALL)], CONVERGED, 10, iterations=12),
    # ---- not finite ----
    "data NaN at the first look": Script(steady(1, NAN, SMALL), UNSTABLE, 5),
    "data NaN in the middle": Script([*steady(2), Look(NAN, LARGE)], UNSTABLE, 15),
    "data NaN at the last look": Script([*steady(3), Look(NAN, LARGE)], UNSTABLE, 20, iterations=20),
    "error NaN at the first look": Script(steady(1, SMALL, NAN), UNSTABLE, 5),
    "error NaN in the middle": Script([*steady(2), Look(LARGE, NAN)], UNSTABLE, 15),
    "error NaN at the last look": Script([*steady(3), Look(LARGE, NAN)], UNSTABLE, 20, iterations=20),
    "data infinite at the first look": Script(steady(1, INF, SMALL), UNSTABLE, 5),
    "data infinite in the middle": Script([*steady(2), Look(INF, LARGE)], UNSTABLE, 15),
    "data infinite at the last look": Script([*steady(3), Look(INF, LARGE)], UNSTABLE, 20, iterations=20),
    "error infinite at the first look": Script(steady(1, SMALL, INF), UNSTABLE, 5),
    "error infinite in the middle": Script([*steady(2), Look(LARGE, INF)], UNSTABLE, 15),
    "error infinite at the last look": Script([*steady(3), Look(LARGE, INF)], UNSTABLE, 20, iterations=20),
    "infinite is above no tolerance": Script(steady(1, INF, INF), UNSTABLE, 5, tolerance=INF),
    # ---- growth ----
    "diverging": Script(residuals(*GROWTH), UNSTABLE, 25),
    "diverging at the last look": Script(residuals(*GROWTH), UNSTABLE, 25, iterations=25),
    "diverging at an odd last iteration": Script(residuals(*GROWTH), UNSTABLE, 22, iterations=22),
    "patience is not over": Script(residuals(*GROWTH[:4]), ITERATIONS, 20, iterations=20),
    "the first look is no growth": Script(residuals(*GROWTH[:4], 20.5), ITERATIONS, 25, iterations=25),
    "growth below ten times the first look": Script(residuals(2, 4, 8, 12, 16, 20), ITERATIONS, 30, iterations=30),
    "growth that passes ten times the first look": Script(residuals(2, 16, 19, *GROWTH[1:]), UNSTABLE, 35),
    "exactly ten times the first look": Script(residuals(2, 20, 21, 22, 23), ITERATIONS, 25, iterations=25),
    "just beyond ten times the first look": Script(residuals(2, beyond(20), 21, 22, 23), UNSTABLE, 25),
    "from a far start": Script(residuals(1e6, 2e6, 4e6, 6e6, 8e6, 9e6, 1e7), ITERATIONS, 35, iterations=35),
    "from a far start, further": Script(residuals(1e6, 1.1e7, 1.2e7, 1.3e7, 1.4e7), UNSTABLE, 25),
    "from close by, below the data": Script(residuals(0.01, 0.2, 0.4, 0.6, 0.8, 1), ITERATIONS, 30, iterations=30),
    "from close by, beyond the data": Script(residuals(0.01, 0.9, 1.1, 1.2, 1.3, 1.4), UNSTABLE, 30),
    "from nothing, exactly the data": Script(residuals(0, 1, 1.1, 1.2, 1.3), ITERATIONS, 25, iterations=25),
    "from nothing, just beyond the data": Script(residuals(0, beyond(1), 1.1, 1.2, 1.3), UNSTABLE, 25),
    "from just above a tenth": Script(residuals(0.125, 1.25, 1.3, 1.4, 1.5), ITERATIONS, 25, iterations=25),
    "from just above a tenth, beyond": Script(residuals(0.125, beyond(1.25), 1.3, 1.4, 1.5), UNSTABLE, 25),
    "beside the first look, not the lowest": Script(residuals(9, 0.5, 40, 50, 60, 70), ITERATIONS, 30, iterations=30),
    "beside the first look, not the highest": Script(residuals(2, 9, *GROWTH[1:]), UNSTABLE, 30),
    "growth of the error alone": Script([Look(1.5, 20.0 * k + 2) for k in range(6)], ITERATIONS, 30, iterations=30),
    "growth from look to look, each a little": Script(residuals(*(2.0 + k for k in range(12))), ITERATIONS, 60),
    "stagnation far above the first look": Script(residuals(2, *(30,) * 11), ITERATIONS, 60),
    "stagnation interrupts growth": Script(residuals(*GROWTH[:4], 23, 24, 25), ITERATIONS, 35, iterations=35),
    "a dip starts the count again": Script(residuals(*GROWTH[:4], *GROWTH[:4]), ITERATIONS, 40, iterations=40),
    "a dip, then growth": Script(residuals(*GROWTH[:4], 20.5, *GROWTH[1:]), UNSTABLE, 45),
    "a dip below the data, then growth": Script(residuals(*GROWTH[:4], 0.5, *GROWTH[1:]), UNSTABLE, 45),
    "growth from a low, not from the highest": Script(residuals(2, 90, *GROWTH[1:], 25), UNSTABLE, 35),
    "growth, then converged": Script([*residuals(*GROWTH[:4]), Look(SMALL, SMALL)], CONVERGED, 25),
    "growth, then not finite": Script(residuals(*GROWTH[:3], INF), UNSTABLE, 20),
    # ---- which goes first ----
    "grown once and converged": Script([*residuals(2), Look(21, SMALL)], CONVERGED, 10),
    "patience goes before converged": Script([*residuals(*GROWTH[:4]), Look(24, SMALL)], UNSTABLE, 25),
    # ---- batches ----
    "no image": Script([Look((), ())], CONVERGED, 5, images=0),
    "all images at once": Script(steady(1, (SMALL,) * 4, (SMALL,) * 4), CONVERGED, 5, images=4),
    "the first image is late": Script([*steady(2, SMALL, (LARGE, SMALL)), Look(SMALL, SMALL)], CONVERGED, 15, images=2),
    "the last image is late": Script(
        [*steady(2, SMALL, (SMALL, SMALL, LARGE)), Look(SMALL, SMALL)], CONVERGED, 15, images=3
    ),
    "one image never": Script(steady(4, SMALL, (SMALL, LARGE, SMALL)), ITERATIONS, 20, iterations=20, images=3),
    "images that pass at different looks": Script(
        [Look(SMALL, (SMALL, LARGE)), Look(SMALL, (LARGE, SMALL)), Look(SMALL, SMALL)], CONVERGED, 15, images=2
    ),
    "a ratio of each image": Script(steady(4, (SMALL, LARGE), (LARGE, SMALL)), ITERATIONS, 20, iterations=20, images=2),
    "the mean of the images is no measure": Script(
        [Look(LARGE, (ABOVE, 0.0, 0.0)), Look(LARGE, (0.0, 0.0, ABOVE)), Look(LARGE, SMALL)], CONVERGED, 15, images=3
    ),
    "the tolerance, each image": Script(
        steady(1, (LARGE, 0.0, SMALL), (TOLERANCE, TOLERANCE, 0.0)), CONVERGED, 5, images=3
    ),
    "the first image NaN, others converged": Script(steady(1, (NAN, SMALL, SMALL), SMALL), UNSTABLE, 5, images=3),
    "the last image NaN, others converged": Script(
        [*steady(1), Look(SMALL, (SMALL, SMALL, NAN))], UNSTABLE, 10, images=3
    ),
    "an image infinite, another late": Script([*steady(1), Look((INF, LARGE), (SMALL, LARGE))], UNSTABLE, 10, images=2),
    "one image diverges, another has converged": Script(
        residuals(*((SMALL, ratio) for ratio in GROWTH), error=(SMALL, LARGE)), UNSTABLE, 25, images=2
    ),
    "one image diverges, all have converged but one": Script(
        residuals(*((SMALL, ratio, SMALL) for ratio in GROWTH), error=(LARGE, SMALL, SMALL)), UNSTABLE, 25, images=3
    ),
    "images grow in turn": Script(
        residuals((2, 2), (21, 2), (20, 21), (21, 20), (20, 21)), UNSTABLE, 25, iterations=25, images=2
    ),
    "growth above another image, not above itself": Script(
        residuals((2, 2), (90, 30), (80, 30), (70, 30), (60, 30)), ITERATIONS, 25, iterations=25, images=2
    ),
    "one grows below its limit, another shrinks above": Script(
        residuals((0.1, 3), (0.2, 90), (0.3, 80), (0.4, 70), (0.5, 60)), ITERATIONS, 25, iterations=25, images=2
    ),
    "beside its own first look, which is far": Script(
        residuals((5, 0.1, 0.1), *((ratio, 0.1, 0.1) for ratio in GROWTH[1:])),
        ITERATIONS,
        25,
        iterations=25,
        images=3,
    ),
    "beside its own first look, which is close": Script(
        residuals((5, 5, 0.1), *((5, 5, ratio) for ratio in GROWTH[1:])), UNSTABLE, 25, images=3
    ),
    # ---- more images than threads of a block or lanes of a program ----
    "the first of many is late": Script([Look(SMALL, among(0)), Look(SMALL, SMALL)], CONVERGED, 10, images=MANY),
    "the 200th of many is late": Script([Look(SMALL, among(199)), Look(SMALL, SMALL)], CONVERGED, 10, images=MANY),
    "the last of many is late": Script([Look(SMALL, among(-1)), Look(SMALL, SMALL)], CONVERGED, 10, images=MANY),
    "the last of many is NaN": Script([*steady(1), Look(SMALL, among(-1, NAN))], UNSTABLE, 10, images=MANY),
    "the last of many diverges": Script(residuals(*(among(-1, ratio) for ratio in GROWTH)), UNSTABLE, 25, images=MANY),
    "the last of many is further than it began": Script(
        residuals(among(-1, 3.0), *(among(-1, ratio) for ratio in GROWTH[1:])),
        ITERATIONS,
        25,
        iterations=25,
        images=MANY,
    ),
}

every_script = pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
# without those that a solver refuses: no image, an infinite tolerance
solved = {name: script for name, script in SCRIPTS.items() if script.images and script.tolerance < INF}
every_solved_script = pytest.mark.parametrize("script", solved.values(), ids=solved)

Ending = tuple[int, Status, Tensor]  # iterations done, status, what the looks found: looks x columns x images


def judged(rule: StopRule, looks: Tensor) -> Ending:
    """How a solve ends by the rule in Python when its looks find this."""
    left = iter(looks)
    for k in range(1, rule.iterations + 1):
        verdict = rule.judge(next(left)) if rule.due(k) else None
        if verdict is not None:
            return k, verdict, rule.residuals(looks.shape[2])
    return rule.iterations, ITERATIONS, rule.residuals(looks.shape[2])


def assert_ends(script: Script, ending: Ending) -> None:
    """As the script says, to the bit."""
    done, status, found = ending
    assert (done, status) == (script.done, script.status)
    torch.testing.assert_close(found, script.found(), rtol=0, atol=0, equal_nan=True)


# ---- whole solves, whose rule is that of Python -------------------------------------------------------------------

Problem = tuple[StencilStep, Tensor, Tensor, Tensor]  # the data step, x, q, y


@dataclass(frozen=True)
class Solve:
    """A small solve with A = 1 in float32: ``x' = x + 2 q' - q``, ``q' = q + tap (y - x - q)``."""

    data: tuple[float, ...]  # of each image
    tap: float
    status: Status
    done: int | None = None  # where it is known
    tolerance: float = TOLERANCE
    iterations: int = 60

    def problem(self) -> Problem:
        step = StencilStep(Convolution(torch.ones(1, 1, dtype=torch.float64), 1, "zero"), torch.tensor([[self.tap]]), 1)
        y = torch.tensor(self.data)[:, None, None, None].expand(-1, 1, 2, 3).contiguous()
        return step, torch.zeros_like(y), torch.zeros_like(y), y


SOLVES = {
    "converged": Solve((1.0, 0.5), 0.3, CONVERGED),
    "converged at once": Solve((0.0, 0.0), 0.3, CONVERGED, 5),
    "never": Solve((1.0, 0.0), 0.3, ITERATIONS, 12, tolerance=1e-30, iterations=12),
    "tolerance 0": Solve((1.0, NAN), 0.3, ITERATIONS, 12, tolerance=0.0, iterations=12),
    "diverging beside a zero": Solve((0.0, 1.0), 1.5, UNSTABLE, 25),
    "not finite in the middle": Solve((1e-10, 0.0), 1e5, UNSTABLE, 10),
    "NaN beside a zero": Solve((0.0, 0.0, NAN), 0.3, UNSTABLE, 5),
}

every_solve = pytest.mark.parametrize("case", SOLVES.values(), ids=SOLVES)


def assert_follows(case: Solve, solve: Callable[..., tuple[Tensor, Tensor, int, Status, Tensor]]) -> None:
    """The solve ends as it should, and where and how the rule in Python ends it on what the solve's looks found."""
    for relaxation in (1.0, 1.6):
        step, x, q, y = case.problem()
        rule = rule_for(step, y, case.tolerance, case.iterations)
        *_, done, status, found = solve(step, Pointwise(), x, q, y, rule, relaxation)
        assert status is case.status and (case.done is None or done == case.done)
        assert len(found) == (-(-done // EVERY) if case.tolerance > 0 else 0)
        again = judged(StopRule(case.tolerance, case.iterations), found)
        assert again[:2] == (done, status)
        torch.testing.assert_close(again[2], found, rtol=0, atol=0, equal_nan=True)
