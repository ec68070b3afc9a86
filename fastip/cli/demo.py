"""The demonstration: real photographs, degraded by a known operator, restored in several ways.

The ways are a trained network, total variation, and the plainest one.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .. import figures, inverses, metrics, operators, priors, psf, tasks
from ..arrays import check_count
from ..contracts import Inverse, LinearOperator, Solution
from ..errors import Unsupported, strict_keywords
from ..solvers import admm, bicubic, wiener
from ..solvers.monitor import State

# Of the Wiener filter: 1 to 1e-4 in quarters of a decade. A finer or wider grid costs a filtering for each constant, a
# coarser one makes the baseline look worse than it is.
CONSTANTS = tuple(10 ** (-k / 4) for k in range(17))


@dataclass(frozen=True)
class Scene:
    """A photograph 1 c h w in [0, 1], the learned task that it demonstrates, and the part that the figure magnifies."""

    title: str
    photograph: str
    truth: Tensor
    task: str
    zoom: tuple[float, float, float]


@dataclass(frozen=True)
class Run:
    """One method on one scene."""

    method: str
    x: Tensor
    psnr: float
    seconds: float
    iterations: int


@dataclass(frozen=True)
class Result:
    """What was shown to the methods, and what they made of it: the plainest way first, the network last."""

    scene: Scene
    y: Tensor
    runs: list[Run]


# ---- measuring -------------------------------------------------------------------------------------------------------


@strict_keywords
def psnr(x: Tensor, truth: Tensor) -> float:
    """The PSNR in dB of one image as it would be written: clipped to [0, 1]."""
    return float(metrics.psnr(x.clamp(0, 1), truth))


def timed(solves: Sequence[Callable[[], Solution]], repeats: int) -> list[tuple[Solution, float]]:
    """Each solution and its shortest of ``repeats`` wall-clock times in seconds.

    The solves take turns, so that a busy moment hits all alike.
    """
    # The first call pays for plans and threads.
    solutions, seconds = [solve() for solve in solves], [float("inf")] * len(solves)
    for _ in range(repeats):
        for i, solve in enumerate(solves):
            start = time.perf_counter()
            solutions[i] = solve()
            seconds[i] = min(seconds[i], time.perf_counter() - start)
    return list(zip(solutions, seconds, strict=True))


@strict_keywords
def restore(scene: Scene, *, repeats: int = 2) -> Result:
    """Degrade the photograph by the task's operator and noise, then restore it in four ways.

    Bicubic interpolation, or for deblurring the Wiener filter with the constant that suits this photograph best; total
    variation ("TV"); the same with ``inverses.ConjugateGradient`` (to 1e-5, warm-started) as its data step, for as many
    iterations ("CG-ADMM"); and the task's network ("learned"). All in the same process with the same threads. Times
    include all set-up, but for the reading of the weights.

    Args:
        scene: What to restore.
        repeats: Of each solve, the fastest counts: more give steadier times and a longer demonstration.

    Returns:
        The data and the runs.
    """
    task = tasks.learned(scene.task)
    learned = task.problem(boundary="circular")
    exact = learned.op(scene.truth)
    y = exact + task.noise * torch.randn(exact.shape, generator=torch.Generator().manual_seed(0))
    classical = tasks.classical(task.instead or "deblur").problem(psf=task.psf, boundary="circular", noise=task.noise)
    baseline = dataclasses.replace(
        classical, inverse=inverses.ConjugateGradient(), iterations=classical.solve(y).iterations, tolerance=0.0
    )
    ways = {"TV": classical, "CG-ADMM": baseline, "learned": learned}
    runs = [_plain(y, learned.op, scene.truth, task.stride)]
    for name, (solution, seconds) in zip(
        ways, timed([_solving(problem, y) for problem in ways.values()], repeats), strict=True
    ):
        runs.append(Run(name, solution.x, psnr(solution.x, scene.truth), seconds, solution.iterations))
    return Result(scene, y, runs)


def _solving(problem: tasks.Problem, y: Tensor) -> Callable[[], Solution]:
    return lambda: problem.solve(y)


def _plain(y: Tensor, op: LinearOperator, truth: Tensor, factor: int) -> Run:
    """Bicubic interpolation, or the Wiener filter with its best constant."""
    if factor > 1:
        start = time.perf_counter()
        x = bicubic(y, factor)
        return Run("bicubic", x, psnr(x, truth), time.perf_counter() - start, 0)
    best: Run | None = None
    for constant in CONSTANTS:
        start = time.perf_counter()
        x = wiener(y, op, constant).x
        run = Run("Wiener", x, psnr(x, truth), time.perf_counter() - start, 0)
        best = run if best is None or run.psnr > best.psnr else best
    assert best is not None
    return best


@strict_keywords
def benchmark(*, size: int = 512, iterations: int = 30, repeats: int = 3) -> list[tuple[str, float]]:
    """Milliseconds per ADMM iteration, x4 super-resolution with a 9 x 9 Gaussian and an L1 prior.

    Three data steps: fastip's automatic choice, the exact FFT in the visible loop, and conjugate gradients to 1e-5.
    Set-up is included.

    Args:
        size: The image is 3 x size x size.
        iterations: Of each solve, exactly: more spread the set-up thinner.
        repeats: Of each solve, the fastest counts.

    Returns:
        (data step, milliseconds per iteration).

    Raises:
        InvalidInput: Unless size is a multiple of 4 and at least 12, and for counts below 1.
    """
    op = operators.Blur(psf.gaussian(9, 1.6), stride=4)
    y = op(torch.rand(1, 3, check_count(size, "size", low=12), size, generator=torch.Generator().manual_seed(0)))
    check_count(iterations, "iterations", low=1)
    ways: dict[str, tuple[str | Inverse, Callable[[State], None] | None]] = {
        "fastip.admm, automatic": ("auto", None),
        "exact FFT, visible loop": (inverses.Exact(), lambda state: None),
        "conjugate gradients": (inverses.ConjugateGradient(), None),
    }

    def prepared(inverse: str | Inverse, callback: Callable[[State], None] | None) -> Callable[[], Solution]:
        return lambda: admm(
            y, op, priors.L1(1e-3), beta=1e-2, inverse=inverse, iterations=iterations, tolerance=0, callback=callback
        )

    times = timed([prepared(*way) for way in ways.values()], check_count(repeats, "repeats", low=1))
    return [(name, 1e3 * seconds / iterations) for name, (_, seconds) in zip(ways, times, strict=True)]


# ---- photographs -----------------------------------------------------------------------------------------------------


@strict_keywords
def scenes() -> list[Scene]:
    """Two photographs of the scikit-image wheel, cropped to 4 : 3; no network saw them.

    Returns:
        The scenes.

    Raises:
        Unsupported: Where scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError:
        raise Unsupported(
            "the demonstration takes its photographs from scikit-image: pip install 'fastip[data]'"
        ) from None
    astronaut, chelsea = _tensor(data.astronaut()[0:384]), _tensor(data.chelsea()[:, 40:440])
    return [
        Scene("super-resolution × 4", "astronaut", astronaut, "photo-sr4-wide", (0.11, 0.36, 0.26)),
        Scene("motion deblurring", "chelsea", chelsea, "photo-deblur-motion", (0.2, 0.2, 0.3)),
    ]


def _tensor(photograph: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(photograph, -1, 0))).float().div_(255)[None]


# ---- showing ---------------------------------------------------------------------------------------------------------


@strict_keywords
def draw(path: str | Path, results: list[Result]) -> None:
    """One row for each result: input, the plainest way, total variation, the network, truth."""
    figures.compare(path, [_row(result) for result in results])


def _row(result: Result) -> figures.Row:
    h, w = result.y.shape[-2:]
    blurred = result.y.shape == result.scene.truth.shape
    given = figures.Panel(
        result.y,
        "blurred input" if blurred else f"input {w} × {h}",
        f"{psnr(result.y, result.scene.truth):.2f} dB" if blurred else "",
    )
    runs = [run for run in result.runs if run.method != "CG-ADMM"]  # it looks as TV does
    shown = [
        figures.Panel(run.x, run.method, f"{run.psnr:.2f} dB, {_seconds(run.seconds)}", strong=run is runs[-1])
        for run in runs
    ]
    return figures.Row(
        [given, *shown, figures.Panel(result.scene.truth, "truth")], [], result.scene.zoom, "", result.scene.title
    )


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{1000 * value:.0f} ms"
