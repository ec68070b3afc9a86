"""The demonstration: photographs as people have them, restored in several ways.

A thumbnail, a camera shake, a torn picture; a trained network, total variation, and the plainest way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .. import figures, inverses, metrics, operators, priors, psf, tasks
from ..arrays import check_count
from ..contracts import Inverse, Solution
from ..errors import Unsupported, strict_keywords
from ..priors.filling import filled
from ..solvers import admm, wiener
from ..solvers.monitor import State

# Of the Wiener filter: 1 to 1e-4 in quarters of a decade. A finer or wider grid costs a filtering for each constant, a
# coarser one makes the baseline look worse than it is.
CONSTANTS = tuple(10 ** (-k / 4) for k in range(17))
FACTOR = 4  # of the thumbnail
WIDTH, NOISE = 31, 2.55 / 255  # of the camera shake


@dataclass(frozen=True)
class Scene:
    """Data 1 c h w in 8 bits, what restores them, and the truth.

    Attributes:
        title: What happened.
        photograph: Its name.
        y: The data.
        truth: What was there, of the size of the results.
        task: The task for it.
        options: What the task is told; the noise is not.
        plain: The name of the plainest way, and what it makes of the data.
        zoom: The part that the figure magnifies.
    """

    title: str
    photograph: str
    y: Tensor
    truth: Tensor
    task: str
    options: dict[str, Any]
    plain: tuple[str, Callable[[], Tensor]] = field(repr=False)
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
    runs: list[Run]


# ---- measuring -------------------------------------------------------------------------------------------------------


@strict_keywords
def psnr(x: Tensor, truth: Tensor) -> float:
    """The PSNR in dB of one image as it would be written: clipped to [0, 1]."""
    return float(metrics.psnr(x.clamp(0, 1), truth))


def timed(solves: Sequence[Callable[[], Any]], repeats: int) -> list[tuple[Any, float]]:
    """What each returns, and its shortest of ``repeats`` wall-clock times in seconds.

    The solves take turns, so that a busy moment hits all alike.
    """
    # The first call pays for plans and threads.
    found, seconds = [solve() for solve in solves], [float("inf")] * len(solves)
    for _ in range(repeats):
        for i, solve in enumerate(solves):
            start = time.perf_counter()
            found[i] = solve()
            seconds[i] = min(seconds[i], time.perf_counter() - start)
    return list(zip(found, seconds, strict=True))


@strict_keywords
def restore(scene: Scene, *, repeats: int = 2) -> Result:
    """Restore a scene in three ways: the plainest one, total variation ("TV"), and the learned restorer ("learned").

    The last two as ``fastip restore`` does it, the noise estimated. All in the same process with the same threads.
    Times include all set-up, but for the reading of the weights.

    Args:
        scene: What to restore.
        repeats: Of each solve, the fastest counts: more give steadier times and a longer demonstration.

    Returns:
        The runs.
    """
    name, plainly = scene.plain
    problems = [tasks.get(scene.task).problem(prior=prior, **scene.options) for prior in ("tv", "photo")]

    def solving(problem: tasks.Problem) -> Callable[[], Any]:
        return lambda: problem.solve(scene.y)

    (plain, spent), *solved = timed([plainly, *map(solving, problems)], repeats)
    runs = [Run(name, plain, psnr(plain, scene.truth), spent, 0)]
    for method, (solution, seconds) in zip(("TV", "learned"), solved, strict=True):
        runs.append(Run(method, solution.x, psnr(solution.x, scene.truth), seconds, solution.iterations))
    return Result(scene, runs)


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
    """Three photographs of the scikit-image wheel; no network saw them.

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
    return [
        thumbnail(_tensor(data.astronaut()[0:384]), "astronaut", (0.11, 0.36, 0.26)),
        shaken(_tensor(data.chelsea()[:, 30:420]), "chelsea", (0.2, 0.2, 0.3)),
        torn(_tensor(data.coffee()[10:370, 60:540]), "coffee", (0.12, 0.16, 0.32)),
    ]


def thumbnail(truth: Tensor, name: str, zoom: tuple[float, float, float]) -> Scene:
    """A photograph that Pillow made four times smaller."""
    small = _pillow(truth, 1 / FACTOR)
    options = {"factor": FACTOR, "method": "bicubic", "like": "pillow"}
    plain = "bicubic", lambda: _pillow(small, FACTOR)
    return Scene("thumbnail × 4", name, small, truth, "upscale", options, plain, zoom)


def shaken(scene: Tensor, name: str, zoom: tuple[float, float, float]) -> Scene:
    """A window of a larger scene under a camera shake, with noise."""
    taps = psf.shake(WIDTH, 5)
    op = operators.Blur(taps, boundary="valid")
    y = op(scene)
    y = _rounded(y + NOISE * torch.randn(y.shape, generator=torch.Generator().manual_seed(0)))
    truth = tasks.crop_valid(scene, op, (y.shape[-2], y.shape[-1]))
    plain = "Wiener", lambda: _wiener(y, taps, truth)
    return Scene("camera shake", name, y, truth, "deblur", {"psf": taps}, plain, zoom)


def _wiener(y: Tensor, taps: Tensor, truth: Tensor) -> Tensor:
    """The Wiener filter with the constant that suits this photograph best, as if it wrapped around."""
    op = operators.Blur(taps)
    return max((wiener(y, op, constant).x for constant in CONSTANTS), key=lambda x: psnr(x, truth))


def torn(truth: Tensor, name: str, zoom: tuple[float, float, float]) -> Scene:
    """A picture with a hole and scratches: what is known is known well."""
    mask = tear(*truth.shape[-2:])
    y = truth * mask
    plain = "interpolated", lambda: filled(y, (mask == 0).expand_as(y))
    return Scene("hole and scratches", name, y, truth, "inpaint", {"mask": mask}, plain, zoom)


def tear(h: int, w: int) -> Tensor:
    """A mask h w, 0 in a rectangle and along straight lines."""
    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    mask = torch.ones(h, w)
    mask[h // 4 : h // 4 + h // 12, w // 4 : w // 4 + w // 10] = 0
    generator = torch.Generator().manual_seed(2)
    for turn, i, j in torch.rand(12, 3, generator=generator).tolist():
        angle = torch.pi * torch.tensor(turn)
        mask[((rows - i * h) * torch.cos(angle) + (columns - j * w) * torch.sin(angle)).abs() < 1.5] = 0
    return mask


def _tensor(photograph: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(photograph, -1, 0))).float().div_(255)[None]


def _rounded(x: Tensor) -> Tensor:
    """As an 8-bit file has it."""
    return x.clamp(0, 1).mul(255).round().div(255)


def _pillow(x: Tensor, factor: float) -> Tensor:
    """Pillow's bicubic resize, in 8 bits."""
    image = Image.fromarray(x[0].mul(255).round().byte().permute(1, 2, 0).numpy())
    size = round(image.width * factor), round(image.height * factor)
    return _tensor(np.array(image.resize(size, Image.Resampling.BICUBIC)))


# ---- showing ---------------------------------------------------------------------------------------------------------


@strict_keywords
def draw(path: str | Path, results: list[Result]) -> None:
    """One row for each result: input, the plainest way, total variation, the network, truth."""
    figures.compare(path, [_row(result) for result in results])


def _row(result: Result) -> figures.Row:
    scene, (h, w) = result.scene, result.scene.y.shape[-2:]
    same = scene.y.shape == scene.truth.shape
    given = figures.Panel(
        scene.y, "input" if same else f"input {w} × {h}", f"{psnr(scene.y, scene.truth):.2f} dB" if same else ""
    )
    shown = [
        figures.Panel(run.x, run.method, f"{run.psnr:.2f} dB, {_seconds(run.seconds)}", strong=run is result.runs[-1])
        for run in result.runs
    ]
    return figures.Row([given, *shown, figures.Panel(scene.truth, "truth")], [], scene.zoom, "", scene.title)


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{1000 * value:.0f} ms"
