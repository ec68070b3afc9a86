"""What the solver holds after 1, 4 and 7 iterations (figure 4 of the 2017 paper).

With a prior that was trained through them, a plain denoiser, total variation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import data, metrics, tasks
from ...checkpoint import load_prior, shipped
from ...contracts import LinearOperator, Prior
from ...priors import PixelShuffleAutoencoder
from ...solvers import admm
from ...solvers.monitor import State
from .. import drawing
from ..markdown import rounded, table
from ..photographs import NAMES, photographs
from ..record import Experiment, Numbers, Outcome, Report, silent
from ..scores import bicubic, mean, scores, total_variation

DENOISER = "photo-denoiser"
LEARNED, PLUGGED, VARIATION = "learned through the solver", "plug and play", "total variation"


@dataclass(frozen=True)
class Method:
    """A prior with what the solver is told beside it."""

    title: str
    prior: Prior
    beta: Any
    iterations: int
    start: Tensor | None = None


@dataclass
class Watched:
    """The mean PSNR after each iteration, and the first image at some of them."""

    curve: list[float] = field(default_factory=list)
    images: dict[int, Tensor] = field(default_factory=dict)


def run(
    report: Report = silent,
    *,
    task: str = "photo-sr4-wide",
    photos: tuple[str, ...] = NAMES,
    size: int = 256,
    moments: tuple[int, ...] = (1, 4, 7),
    steps: int = 24,
    first: float = 0.3,  # the largest level that the denoiser was trained for
    last: float = 0.035,  # larger smooths the result, smaller leaves noise in it
    noise: float = 0.0065,  # larger trusts the denoiser more and the data less
    variation: int = 100,
) -> Outcome:
    """Solve the task with three priors and follow the PSNR.

    ``first``, ``last`` and ``noise`` are the levels and ``beta = noise^2 / level^2`` of plug and play.
    """
    problem, truth = tasks.learned(task).problem(boundary="circular"), photographs(size, photos)
    op = problem.op
    y = data.degrade(truth, op, problem.noise or 0.0)
    found = {}
    methods = _methods(problem, y, (steps, first, last, noise), variation)
    for k, method in enumerate(methods):
        report(method.title, k, len(methods))
        found[method.title] = watch(method, y, op, truth, moments)
    curves = {title: rounded(watched.curve, 5) for title, watched in found.items()}
    settings = {
        "task": task,
        "summary": tasks.get(task).summary,
        "pictures": list(photos),
        "size": size,
        "first": first,
        "last": last,
        "noise": noise,
    }
    start = mean(scores(bicubic(y, op), truth)["psnr"])
    return Outcome({"settings": settings, "curves": curves, "start": start}, _draw(found, truth[:1], moments))


def _methods(
    problem: tasks.AdmmProblem, y: Tensor, plugged: tuple[int, float, float, float], variation: int
) -> list[Method]:
    steps, first, last, noise = plugged
    tv = total_variation(problem.op)
    levels = [first * (last / first) ** (k / max(1, steps - 1)) for k in range(steps)]
    return [
        Method(LEARNED, problem.prior, problem.beta, problem.iterations),
        Method(
            PLUGGED,
            denoiser().at(sigma=levels),
            [noise**2 / level**2 for level in levels],
            steps,
            bicubic(y, problem.op),
        ),
        Method(VARIATION, tv.prior, tv.beta, variation),
    ]


def denoiser() -> PixelShuffleAutoencoder:
    """The shipped denoiser of photographs, which takes no data."""
    with shipped.weights("priors", DENOISER) as path:
        return load_prior(path)


def watch(method: Method, y: Tensor, op: LinearOperator, truth: Tensor, moments: tuple[int, ...]) -> Watched:
    """Solve, and look at every iterate as it would be written."""
    watched = Watched()

    def look(state: State) -> None:
        x = state.x.clamp(0, 1)
        watched.curve.append(float(metrics.psnr(x, truth).mean()))
        if state.iteration in (*moments, method.iterations):
            watched.images[state.iteration] = x[:1].clone()

    with torch.no_grad():
        admm(
            y,
            op,
            method.prior,
            beta=method.beta,
            iterations=method.iterations,
            tolerance=0,
            init=method.start,
            callback=look,
        )
    return watched


def _draw(found: dict[str, Watched], truth: Tensor, moments: tuple[int, ...]) -> Figure:
    figure = drawing.sheet(2.9 * (len(moments) + 2), 3.2 * len(found) + 3.4)
    grid = figure.add_gridspec(len(found) + 1, len(moments) + 2, height_ratios=[1] * len(found) + [1.1])
    for row, (title, watched) in enumerate(found.items()):
        at = [k for k in sorted(watched.images)][: len(moments) + 1]
        for column, k in enumerate(at):
            note = f"{float(metrics.psnr(watched.images[k], truth)):.2f} dB"
            axes = figure.add_subplot(grid[row, column])
            drawing.image(
                axes, watched.images[k], f"iteration {k}", note=note, strong=row == 0 and column == len(at) - 1
            )
            if column == 0:
                axes.set_ylabel(title, fontsize=11)
        drawing.image(figure.add_subplot(grid[row, -1]), truth, "truth")
    axes = figure.add_subplot(grid[-1, :])
    drawing.clean(axes, "PSNR in dB", note="mean over the photographs", x="iterations", xscale="log")
    for rank, (title, watched) in enumerate(found.items()):
        drawing.curve(axes, range(1, len(watched.curve) + 1), watched.curve, title, rank=rank, marker="o")
    drawing.legend(axes)
    return figure


def page(numbers: Numbers) -> str:
    """The PSNR at some iterations, and what follows."""
    s, curves = numbers["settings"], numbers["curves"]
    longest = max(map(len, curves.values()))
    at = [k for k in (1, 2, 4, 7, 8, 12, 16, 24, 50, 100) if k <= longest]
    rows = [
        [title, *(f"{curve[k - 1]:.2f}" if k <= len(curve) else "" for k in at), f"{curve[-1]:.2f}"]
        for title, curve in curves.items()
    ]
    learned, plugged = curves[LEARNED], curves[PLUGGED]
    same = next((k for k, value in enumerate(plugged, 1) if value >= learned[-1]), None)
    short = f"does not come up to it in {len(plugged)} and ends {learned[-1] - plugged[-1]:.2f} dB below"
    verdict = short if same is None else f"comes up to it after {same}"
    return f"""
Task `{s["task"]}` ({s["summary"]}) on the middle {s["size"]} × {s["size"]} pixels of {", ".join(s["pictures"])}, \
which no training saw, circular. Bicubic
interpolation gives {numbers["start"]:.2f} dB (no interpolation where the data are not smaller than the image).

{table(["after iteration", *map(str, at), "last"], rows)}

The network of the first row was trained through its {len(learned)} iterations and sees the data beside the image. \
Plug and play runs the denoiser
`{DENOISER}`, which was trained for hours to remove noise alone, for any operator, and sees no data: \
levels from {s["first"]:g} to {s["last"]:g},
β = ({s["noise"]:g} / level)², from the interpolated data. It {verdict}.
What the first holds on its way is not meant to be a picture: only its last iterate was trained to be
near the truth. Total variation needs no training.
"""


EXPERIMENT = Experiment(
    summary="the image after iterations 1, 4 and 7: a prior trained through the solver, plug and play, total variation",
    run=run,
    page=page,
)
