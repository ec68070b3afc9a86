"""How a solve is timed, and how results are compared."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from workloads import Problem

ITERATIONS = 30  # of one solve, set-up included, for every program


def processor() -> str:
    """The name of the processor."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as f:
        return next(
            (line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.processor()
        )
    return platform.processor()


def now() -> float:
    """Seconds, once all work asked for so far is done: a GPU works on while the program goes on."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def per_iteration() -> float:
    """A clock that runs ITERATIONS times slower, so that the table reads as time per ADMM iteration."""
    return now() / ITERATIONS


def rounds(solve: Callable[[], Any], budget: float, most: int = 25) -> tuple[Any, int]:
    """The result of one untimed solve, and how many more fit into ``budget`` seconds (at least 3)."""
    start = now()
    result = solve()
    return result, max(3, min(most, int(budget / (now() - start))))


def difference(x: Tensor, expected: Tensor) -> float:
    """||x - expected|| / ||expected||."""
    return float((x - expected).norm() / expected.norm())


def objective(x: Tensor, y: Tensor, problem: Problem) -> float:
    """||y - A x||^2 + weight ||x||_1 over the whole batch, in float64."""
    x = x.double()
    return float((y.double() - problem.op(x)).square().sum() + problem.weight * x.abs().sum())


def duality_gap(x: Tensor, y: Tensor, problem: Problem) -> float:
    """Relative gap between the objective at x and the dual value, float64.

    The dual value is <y, v> - ||v||^2 / 4 at v = 2 c (y - A x), c such that |A^T v| <= weight. An upper bound of the
    true relative gap, whatever x is.
    """
    x, y = x.double(), y.double()
    r = y - problem.op(x)
    primal = float(r.square().sum() + problem.weight * x.abs().sum())
    steepest = float(problem.op.adjoint(2 * r).abs().max())
    v = 2 * r * min(1.0, problem.weight / steepest)
    return primal / float((y * v).sum() - v.square().sum() / 4) - 1
