"""Time per iteration against pixels: x4 super-resolution as in bench_admm.py, fastip as a user calls it.

The images are 3 planes of 256^2 to 4096^2. Every sweep touches each pixel a fixed number of times, so the exponent of
a power law fitted to the medians should be 1. Caches bend it: small images stay in them, large ones do not. report.py
fits it and draws the figure.
"""

from __future__ import annotations

from typing import Any

import pytest

import fastip
from measure import ITERATIONS, per_iteration, rounds
from workloads import label, super_resolution

SIDES = (256, 512, 1024, 2048, 4096)


@pytest.mark.benchmark(timer=per_iteration)
@pytest.mark.parametrize("side", SIDES)
def test_scaling(benchmark: Any, side: int) -> None:
    problem = super_resolution((1, 3, side, side))
    benchmark.group = "x4, pixels"
    y, prior = problem.data(), fastip.priors.L1(problem.weight)

    def solve() -> fastip.Solution:
        return fastip.admm(y, problem.op, prior, beta=problem.beta, iterations=ITERATIONS, tolerance=0)

    solution, count = rounds(solve, 3.0)
    assert solution.iterations == ITERATIONS and bool(solution.x.isfinite().all())
    benchmark.pedantic(solve, rounds=count, warmup_rounds=1)
    benchmark.extra_info.update(kind="scaling", program="fastip", size=label(problem.shape), pixels=problem.pixels)
