"""One ADMM iteration on a CPU: x4 super-resolution, 9 x 9 Gaussian of sigma 1.6, circular, L1, float32.

The images are 24 planes of 256^2 and 3 planes of 1024^2.

Every program does the same ADMM from the same start. An entry is the time of a whole solve of 30 iterations from y to
x, set-up included, divided by 30; no stop rule, no autograd, the same threads. Each program's x is compared with that
of fastip's visible loop and exact inverse after the same iterations before it is timed. fastip itself runs as a user
calls it: inverse="auto", which takes a certified stencil here, so its iterates differ slightly from the exact ones
and its objective is compared instead.

Counted for fastip per image pixel and iteration, in float32 (s = 4, C a (2p + 1)^2 stencil)::

    bytes    residual: reads x (4), y and q, writes r; dual: reads r and q, writes q and t;
             prior: reads t, reads and writes x (8)
             12 + 4 (3 + 4 + 1) / s^2 = 14 when nothing stays in cache;
             planes that fit into cache run all their iterations there: about 0
    products A, separable: 9 / s for the columns of each phase, then 9 / s^2 along rows;
             A^T the same in reverse;  C: (2p + 1)^2 / s^2
             2 (2.25 + 0.56) + 25 / 16 for p = 2: 7.2 multiply-adds, and about 5 operations for the threshold

Copying a buffer of 12 bytes per pixel (12 read, 12 written) through memory is the line to compare with. Six-variable
ADMM in eager PyTorch moves at least 60 bytes per pixel besides its transforms or convolutions.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

import deepinv_peer
import fastip
from baselines import Copy, cg_data_side, cg_image_side, fft_data_grid, fft_full_size, two_lines_eager
from measure import ITERATIONS, difference, objective, per_iteration, rounds
from workloads import LARGE_PLANES, SMALL_PLANES, Problem, identifier, label, super_resolution

SHAPES = (SMALL_PLANES, LARGE_PLANES)
BASELINES = {
    "six variables, FFT at full size": fft_full_size,
    "six variables, FFT on the data grid": fft_data_grid,
    "two lines in eager PyTorch, FFT on the data grid": two_lines_eager,
    "six variables, CG to 1e-5, image side": cg_image_side,
    "six variables, CG to 1e-5, data side": cg_data_side,
}


def solve(y: Tensor, problem: Problem, iterations: int, inverse: Any = "auto") -> fastip.Solution:
    """The solve as a user writes it."""
    return fastip.admm(
        y,
        problem.op,
        fastip.priors.L1(problem.weight),
        beta=problem.beta,
        inverse=inverse,
        iterations=iterations,
        tolerance=0,
    )


@functools.lru_cache(maxsize=1)
def case(shape: tuple[int, int, int, int]) -> tuple[Problem, Tensor, Tensor]:
    """Problem, data, and x after ITERATIONS of exact ADMM."""
    problem = super_resolution(shape)
    y = problem.data()
    return problem, y, solve(y, problem, ITERATIONS, fastip.inverses.Exact()).x


def record(benchmark: Any, problem: Problem, program: str, **numbers: Any) -> None:
    """What the report needs besides the times."""
    benchmark.extra_info.update(kind="iteration", program=program, size=label(problem.shape), **numbers)


@pytest.mark.parametrize("shape", SHAPES, ids=identifier)
def test_copy(benchmark: Any, shape: tuple[int, int, int, int]) -> None:
    problem = super_resolution(shape)
    benchmark.group = problem.name
    copy = Copy(problem.pixels)
    benchmark.pedantic(copy, rounds=3 * copy.parts, warmup_rounds=copy.parts)
    record(benchmark, problem, "copy of 12 bytes per pixel")


@pytest.mark.benchmark(timer=per_iteration)
@pytest.mark.parametrize("shape", SHAPES, ids=identifier)
def test_fastip(benchmark: Any, shape: tuple[int, int, int, int]) -> None:
    problem, y, exact = case(shape)
    benchmark.group = problem.name
    x, count = rounds(lambda: solve(y, problem, ITERATIONS).x, 2.0)
    excess = objective(x, y, problem) / objective(exact, y, problem) - 1
    assert excess < 1e-3, f"the objective is {excess:.1e} above that of exact ADMM after {ITERATIONS} iterations"
    benchmark.pedantic(solve, args=(y, problem, ITERATIONS), rounds=count)
    step = fastip.inverses.choose(problem.op, y, problem.beta, pointwise=True).bind(problem.op, y, problem.beta)
    record(
        benchmark, problem, "fastip", difference=difference(x, exact), objective_excess=excess, inverse=step.describe()
    )


@pytest.mark.benchmark(timer=per_iteration)
@pytest.mark.parametrize("shape", SHAPES, ids=identifier)
@pytest.mark.parametrize("program", BASELINES)
def test_baseline(benchmark: Any, program: str, shape: tuple[int, int, int, int]) -> None:
    problem, y, exact = case(shape)
    benchmark.group = problem.name
    x, count = rounds(lambda: BASELINES[program](y, problem, ITERATIONS), 4.0)
    error = difference(x, exact)
    assert error < 1e-4, f"{program} gives another x: relative difference {error:.1e}"
    benchmark.pedantic(BASELINES[program], args=(y, problem, ITERATIONS), rounds=count)
    record(benchmark, problem, program, difference=error)


@pytest.mark.benchmark(timer=per_iteration)
@pytest.mark.parametrize("shape", SHAPES, ids=identifier)
def test_deepinv(benchmark: Any, shape: tuple[int, int, int, int]) -> None:
    missing = deepinv_peer.why_absent()
    if missing is not None:
        pytest.skip(missing)
    problem, y, _ = case(shape)
    benchmark.group = problem.name
    z, count = rounds(lambda: deepinv_peer.deepinv_admm(y, problem, ITERATIONS), 4.0)
    error = difference(z, last_z(y, problem))
    assert error < 1e-4, f"deepinv gives another z: relative difference {error:.1e}"
    benchmark.pedantic(deepinv_peer.deepinv_admm, args=(y, problem, ITERATIONS), rounds=count)
    record(benchmark, problem, f"deepinv {deepinv_peer.VERSION}", difference=error)


def last_z(y: Tensor, problem: Problem) -> Tensor:
    """z of the last iteration of exact ADMM: w + A^T B (y - A w) with w = x - A^T q from the iteration before.

    The dual is kept on the data grid.
    """
    before = solve(y, problem, ITERATIONS - 1, fastip.inverses.Exact())
    step = fastip.inverses.Exact().bind(problem.op, y, problem.beta)
    w = before.x - step.pull(before.q)
    q, _ = step(w, torch.zeros_like(before.q))
    return w + step.pull(q)
