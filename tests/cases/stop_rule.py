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

from fastip.contracts import Convolution, Pointwise, Status, StencilStep
from fastip.stopping import EVERY, PATIENCE, StopRule

CONVERGED, UNSTABLE, ITERATIONS = Status.CONVERGED, Status.UNSTABLE, Status.ITERATIONS
TOLERANCE = 1e-4
SMALL, LARGE, NAN, INF = 1e-5, 0.5, math.nan, math.inf
ABOVE = math.nextafter(TOLERANCE, 1)  # the next number, which does not pass
BEYOND_ONE = math.nextafter(1, 2)
MANY = 300  # images; a block has 256 threads, a program 256 lanes
assert (EVERY, PATIENCE) == (5, 20)  # which the scripts are written for

Ratio = float | tuple[float, ...]


class Look(NamedTuple):
    """What one look finds: a number for every image, or a tuple with one for each."""

    data: Ratio
    change: Ratio


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

    def squares(self) -> tuple[Tensor, Tensor]:
        """The norms of the data, one for each image, and sums of squares whose ratios are exactly :meth:`played`.

        looks x 4 x images: ``||r||^2``, ``||x' - x||^2``, ``||x||^2``, ``||x'||^2``. Exact because the root of a
        rounded square is the number again, and the norms are powers of two. Some are zero.
        """
        data, change = (self.played()[:, Look._fields.index(name)] for name in ("data", "change"))
        image, look = torch.arange(self.images), torch.arange(len(data))[:, None]
        sizes = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)[image % 3]
        norms = torch.tensor([[1.0, 0.0], [0.25, 4.0], [0.0, 0.0]], dtype=torch.float64)[(image + look) % 3]
        scales = [torch.where(s > 0, s, torch.ones_like(s)) for s in (sizes, norms.amax(-1).sqrt())]
        return sizes, torch.stack([(data * scales[0]).square(), (change * scales[1]).square(), *norms.unbind(-1)], 1)


def steady(count: int, data: Ratio = LARGE, change: Ratio = LARGE) -> list[Look]:
    """The same look again and again."""
    return [Look(data, change)] * count


def residuals(*data: Ratio, change: Ratio = LARGE) -> list[Look]:
    """A look for each data ratio."""
    return [Look(ratio, change) for ratio in data]


def among(place: int, ratio: float = LARGE) -> tuple[float, ...]:
    """That ratio for one of many images; the others pass."""
    ratios = [SMALL] * MANY
    ratios[place] = ratio
    return tuple(ratios)


GROWTH = (2.0, 2.1, 2.2, 2.3, 2.4)  # the first look is compared with nothing; four that grow are too many

SCRIPTS = {
    # ---- converged, or not ----
    "at once": Script(steady(1, SMALL, SMALL), CONVERGED, 5),
    "nothing moves": Script(steady(1, 0.0, 0.0), CONVERGED, 5),
    "late": Script([*steady(3), Look(SMALL, SMALL)], CONVERGED, 20),
    "at the last look": Script([*steady(3), Look(SMALL, SMALL)], CONVERGED, 20, iterations=20),
    "never": Script(steady(4), ITERATIONS, 20, iterations=20),
    "stagnation above the tolerance": Script(steady(12, 2e-4, 2e-4), ITERATIONS, 60),
    "the data ratio alone": Script(steady(4, data=SMALL), ITERATIONS, 20, iterations=20),
    "the change alone": Script(steady(4, change=SMALL), ITERATIONS, 20, iterations=20),
    "one ratio, then the other": Script([Look(SMALL, LARGE), Look(LARGE, SMALL), Look(SMALL, SMALL)], CONVERGED, 15),
    "exactly the tolerance": Script(steady(1, TOLERANCE, TOLERANCE), CONVERGED, 5),
    "data just above the tolerance": Script([Look(ABOVE, TOLERANCE), Look(TOLERANCE, TOLERANCE)], CONVERGED, 10),
    "change just above the tolerance": Script([Look(TOLERANCE, ABOVE), Look(TOLERANCE, TOLERANCE)], CONVERGED, 10),
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
    "change NaN at the first look": Script(steady(1, SMALL, NAN), UNSTABLE, 5),
    "change NaN in the middle": Script([*steady(2), Look(LARGE, NAN)], UNSTABLE, 15),
    "change NaN at the last look": Script([*steady(3), Look(LARGE, NAN)], UNSTABLE, 20, iterations=20),
    "data infinite at the first look": Script(steady(1, INF, SMALL), UNSTABLE, 5),
    "data infinite in the middle": Script([*steady(2), Look(INF, LARGE)], UNSTABLE, 15),
    "data infinite at the last look": Script([*steady(3), Look(INF, LARGE)], UNSTABLE, 20, iterations=20),
    "change infinite at the first look": Script(steady(1, SMALL, INF), UNSTABLE, 5),
    "change infinite in the middle": Script([*steady(2), Look(LARGE, INF)], UNSTABLE, 15),
    "change infinite at the last look": Script([*steady(3), Look(LARGE, INF)], UNSTABLE, 20, iterations=20),
    "infinite is above no tolerance": Script(steady(1, INF, INF), UNSTABLE, 5, tolerance=INF),
    # ---- growth ----
    "diverging": Script(residuals(*GROWTH), UNSTABLE, 25),
    "diverging at the last look": Script(residuals(*GROWTH), UNSTABLE, 25, iterations=25),
    "diverging at an odd last iteration": Script(residuals(*GROWTH), UNSTABLE, 22, iterations=22),
    "patience is not over": Script(residuals(*GROWTH[:4]), ITERATIONS, 20, iterations=20),
    "the first look is no growth": Script(residuals(*GROWTH[:4], 1.9), ITERATIONS, 25, iterations=25),
    "growth with a small change": Script(residuals(*GROWTH, change=SMALL), UNSTABLE, 25),
    "growth below the data": Script(residuals(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), ITERATIONS, 30, iterations=30),
    "growth that passes the data": Script(residuals(0.5, 0.9, 1.1, 1.2, 1.3, 1.4), UNSTABLE, 30),
    "exactly the data is no growth": Script(residuals(0.5, 1.0, 1.1, 1.2, 1.3), ITERATIONS, 25, iterations=25),
    "just beyond the data is growth": Script(residuals(1.0, BEYOND_ONE, 1.1, 1.2, 1.3), UNSTABLE, 25),
    "growth of the change alone": Script([Look(1.5, 2.0 + k) for k in range(6)], ITERATIONS, 30, iterations=30),
    "stagnation above the data": Script(steady(12, 2.0), ITERATIONS, 60),
    "stagnation interrupts growth": Script(residuals(*GROWTH[:4], 2.3, 2.4, 2.5), ITERATIONS, 35, iterations=35),
    "a dip starts the count again": Script(residuals(*GROWTH[:4], 2.0, 2.1, 2.2, 2.3), ITERATIONS, 40, iterations=40),
    "a dip, then growth": Script(residuals(*GROWTH[:4], *GROWTH), UNSTABLE, 45),
    "a dip below the data, then growth": Script(residuals(*GROWTH[:4], 0.5, 2.1, 2.2, 2.3, 2.4), UNSTABLE, 45),
    "growth from a low, not from the highest": Script(residuals(9.0, 2.0, 2.1, 2.2, 2.3, 2.4), UNSTABLE, 30),
    "growth, then converged": Script([*residuals(*GROWTH[:4]), Look(SMALL, SMALL)], CONVERGED, 25),
    "growth, then not finite": Script(residuals(*GROWTH[:3], INF), UNSTABLE, 20),
    # ---- which goes first, where a tolerance lets through what has grown ----
    "grown once and converged": Script(
        [*residuals(*GROWTH[:1], change=9.0), Look(2.1, 2.0)], CONVERGED, 10, tolerance=3.0
    ),
    "patience goes before converged": Script(
        [*residuals(*GROWTH[:4], change=9.0), Look(2.4, 2.0)], UNSTABLE, 25, tolerance=3.0
    ),
    # ---- batches ----
    "no image": Script([Look((), ())], CONVERGED, 5, images=0),
    "all images at once": Script(steady(1, (SMALL,) * 4, (SMALL,) * 4), CONVERGED, 5, images=4),
    "the first image is late": Script([*steady(2, (LARGE, SMALL), SMALL), Look(SMALL, SMALL)], CONVERGED, 15, images=2),
    "the last image is late": Script(
        [*steady(2, SMALL, (SMALL, SMALL, LARGE)), Look(SMALL, SMALL)], CONVERGED, 15, images=3
    ),
    "one image never": Script(steady(4, (SMALL, LARGE, SMALL), SMALL), ITERATIONS, 20, iterations=20, images=3),
    "images that pass at different looks": Script(
        [Look((SMALL, LARGE), SMALL), Look((LARGE, SMALL), SMALL), Look(SMALL, SMALL)], CONVERGED, 15, images=2
    ),
    "a ratio of each image": Script(steady(4, (SMALL, LARGE), (LARGE, SMALL)), ITERATIONS, 20, iterations=20, images=2),
    "the mean of the images is no measure": Script(
        [Look((ABOVE, 0.0, 0.0), SMALL), Look(SMALL, (0.0, 0.0, ABOVE)), Look(SMALL, SMALL)], CONVERGED, 15, images=3
    ),
    "the tolerance, each image in one ratio": Script(
        steady(1, (TOLERANCE, 0.0, SMALL), (0.0, TOLERANCE, SMALL)), CONVERGED, 5, images=3
    ),
    "the first image NaN, others converged": Script(steady(1, (NAN, SMALL, SMALL), SMALL), UNSTABLE, 5, images=3),
    "the last image NaN, others converged": Script(
        [*steady(1), Look(SMALL, (SMALL, SMALL, NAN))], UNSTABLE, 10, images=3
    ),
    "an image infinite, another late": Script([*steady(1), Look((LARGE, INF), SMALL)], UNSTABLE, 10, images=2),
    "one image diverges, another has converged": Script(
        residuals(*((SMALL, ratio) for ratio in GROWTH), change=SMALL), UNSTABLE, 25, images=2
    ),
    "images grow in turn": Script(
        residuals((2.0, 2.0), (2.1, 1.9), (2.0, 2.0), (2.1, 1.9), (2.0, 2.0)), UNSTABLE, 25, images=2
    ),
    "growth above another image, not above itself": Script(
        residuals((3.0, 2.0), (2.9, 2.0), (2.8, 2.0), (2.7, 2.0), (2.6, 2.0)),
        ITERATIONS,
        25,
        iterations=25,
        images=2,
    ),
    "one grows below the data, another shrinks above": Script(
        residuals((0.1, 3.0), (0.2, 2.9), (0.3, 2.8), (0.4, 2.7), (0.5, 2.6)),
        ITERATIONS,
        25,
        iterations=25,
        images=2,
    ),
    # ---- more images than threads of a block or lanes of a program ----
    "the first of many is late": Script([Look(among(0), SMALL), Look(SMALL, SMALL)], CONVERGED, 10, images=MANY),
    "the 200th of many is late": Script([Look(among(199), SMALL), Look(SMALL, SMALL)], CONVERGED, 10, images=MANY),
    "the last of many is late": Script([Look(among(-1), SMALL), Look(SMALL, SMALL)], CONVERGED, 10, images=MANY),
    "the last of many is NaN": Script([*steady(1), Look(SMALL, among(-1, NAN))], UNSTABLE, 10, images=MANY),
    "the last of many diverges": Script(residuals(*(among(-1, ratio) for ratio in GROWTH)), UNSTABLE, 25, images=MANY),
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
    """A small solve with A = 1 in float32: ``x' = x + 2 q' - q``, ``q' = q + tap (y - x - beta q)``."""

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
        rule = StopRule(case.tolerance, case.iterations)
        *_, done, status, found = solve(step, Pointwise(), x, q, y, rule, relaxation)
        assert status is case.status and (case.done is None or done == case.done)
        assert len(found) == (-(-done // EVERY) if case.tolerance > 0 else 0)
        again = judged(StopRule(case.tolerance, case.iterations), found)
        assert again[:2] == (done, status)
        torch.testing.assert_close(again[2], found, rtol=0, atol=0, equal_nan=True)
