"""The same problems by pyproximal: the primal-dual method of Chambolle and Pock on pylops operators, no inner loop."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from own_problems import Problem

# The primal step in units of 1 / ||K||, the product of both being fixed: decades, then both sides of the best; and the
# weight of differences in K relative to what makes them as large as the operator.
STEPS, FINER, SCALES = (0.01, 0.1, 1.0, 10.0, 100.0), (0.3, 3.0), (1.0, 0.1)


def peer() -> Any | None:
    """pyproximal, where it is installed beside pylops."""
    try:
        import pyproximal
    except ImportError:
        return None
    return pyproximal


class Prepared:
    """``min_{x >= 0} |y - A x|^2 + weight |D x|`` for pyproximal, K = (A, s D); the operator is fastip's own."""

    def __init__(self, problem: Problem, scale: float) -> None:
        import pylops
        import pyproximal

        op = problem.make()
        y = problem.y[0]
        self.shape = op.input_shape(tuple(problem.y.shape))
        _, channels, h, w = self.shape
        norm = op.norm(self.shape)
        s = scale * norm / 8**0.5
        self.norm = (norm**2 + 8 * s**2) ** 0.5
        linear = _real(op, self.shape, tuple(y.shape))
        gradient = pylops.VStack(
            [
                pylops.FirstDerivative((channels, h, w), axis=axis, edge=False, kind="forward", dtype=np.float32)
                for axis in (1, 2)
            ]
        )
        self.k = pylops.VStack([linear, s * gradient])
        b = _flat(problem.y)
        n = channels * h * w
        terms = [pyproximal.L2(b=b, sigma=2.0), pyproximal.L21(ndim=2, sigma=problem.weight / s)]
        self.g, self.f = pyproximal.VStack(terms, nn=[b.size, 2 * n]), pyproximal.Box(lower=0.0)
        self.x0 = np.zeros(n, np.float32)

    def run(self, share: float, iterations: int, look: Callable[[np.ndarray], None] | None = None) -> None:
        from pyproximal.optimization.primaldual import PrimalDual

        tau, mu = 0.99 * share / self.norm, 0.99 / (share * self.norm)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            PrimalDual(self.f, self.g, self.k, self.x0, tau, mu, niter=iterations, callback=look)


class _Ended(Exception):
    """The gap is reached, or the time over."""


def tuned(problem: Problem, least: float, gap: float, most: int, limit: float) -> tuple[str, int | None, float, float]:
    """The best of all steps and scales: its name, iterations to the gap (None: not reached), seconds and least gap.

    Args:
        problem: With its data.
        least: The least objective.
        gap: Relative.
        most: Iterations at most.
        limit: Seconds at most for each of them.
    """
    tries = []
    for scale in SCALES:
        tries += [_tried(problem, scale, share, least, gap, most, limit) for share in STEPS]
    best = min(tries)
    tries += [_tried(problem, best.scale, best.share * finer, least, gap, most, limit) for finer in FINER]
    best = min(tries)
    return f"steps {best.share:g}, differences {best.scale:g}", best.iterations, best.seconds, best.gap


@dataclasses.dataclass(order=True)
class _Try:
    rank: tuple[bool, float]
    scale: float
    share: float
    iterations: int | None
    seconds: float
    gap: float


def _tried(problem: Problem, scale: float, share: float, least: float, gap: float, most: int, limit: float) -> _Try:
    prepared, op = Prepared(problem, scale), problem.make()
    seen: list[float] = []
    count, begun = 0, time.process_time()

    def look(x: np.ndarray) -> None:
        nonlocal count
        count += 1
        if count % 5 == 0:
            seen.append(problem.objective(torch.from_numpy(np.array(x)).reshape(prepared.shape), op))
            if not seen[-1] > least * (1 + gap) or time.process_time() - begun > limit:
                raise _Ended

    with contextlib.suppress(_Ended):
        prepared.run(share, most, look)
    spent, nearest = time.process_time() - begun, min(seen, default=float("inf")) / least - 1
    if not nearest <= gap:
        return _Try((True, nearest), scale, share, None, spent, nearest)
    begun = time.process_time()
    Prepared(problem, scale).run(share, 5 * len(seen))
    seconds = time.process_time() - begun
    return _Try((False, seconds), scale, share, 5 * len(seen), seconds, nearest)


def _flat(y: torch.Tensor) -> np.ndarray:
    return (torch.view_as_real(y) if y.is_complex() else y).flatten().numpy().astype(np.float32)


def _real(op: Any, image: tuple[int, ...], data: tuple[int, ...]) -> Any:
    """The operator on flat float32 vectors, complex data as pairs of numbers."""
    import pylops

    complex_data = bool(op.complex_output)
    m, n = int(np.prod(data)) * (2 if complex_data else 1), int(np.prod(image))

    class Real(pylops.LinearOperator):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(dtype=np.dtype(np.float32), shape=(m, n))

        def _matvec(self, x: np.ndarray) -> np.ndarray:
            return _flat(op(torch.from_numpy(np.ascontiguousarray(x, np.float32)).reshape(image)))

        def _rmatvec(self, y: np.ndarray) -> np.ndarray:
            given = torch.from_numpy(np.ascontiguousarray(y, np.float32))
            given = torch.view_as_complex(given.reshape(*data, 2)) if complex_data else given.reshape(data)
            return op.T(given[None]).flatten().numpy()

    return Real()
