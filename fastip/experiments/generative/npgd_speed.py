"""Time for an image at equal accuracy: NPGD, CSGM and PGDGAN.

Each by the fastest of its settings that comes near the error where NPGD ends.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import operators
from ...arrays import check_counts
from ...contracts import Solution
from ...errors import InvalidInput
from ...nets import Projector
from ...solvers import npgd
from .. import drawing
from ..markdown import table
from ..record import Experiment, Numbers, Outcome, Report, silent
from . import compressed_sensing as sensing
from .compressed_sensing import Search, errors
from .network_passes import BACK, Passes, Work, work

NPGD = "NPGD"
NEAR = 1.05  # times the error where NPGD ends: what a method has to reach
SHORTER = (1, 2, 3, 5, 7, 10, 15, 20)  # iterations of NPGD that are tried, beside those of the default


def run(
    report: Report = silent,
    *,
    pictures: str = "digits",
    count: int = 32,
    m: int = 100,
    repeats: int = 5,
    csgm_iterations: tuple[int, ...] = (50, 100, 200, 300, 500, 1000),
    csgm_restarts: tuple[int, ...] = (1, 2, 5, 10),
    pgdgan_iterations: tuple[int, ...] = (5, 10, 20),
    pgdgan_inner: tuple[int, ...] = (10, 30, 100),
    pgdgan_restarts: tuple[int, ...] = (1, 2, 5),
    csgm_weight: float = 0.1,
    pgdgan_weight: float = 3e-4,
    seed: int = 0,
) -> Outcome:
    """Reconstruct the first ``count`` test pictures from m random measurements as one batch.

    NPGD to its default stop and shorter, the searches, all settings combined, until they are near.

    Args:
        report: Called with what is done.
        pictures: The set, that of a shipped projector.
        count: How many pictures.
        m: How many measurements.
        repeats: Runs of NPGD, of which the median time counts; a setting of a search is run once.
        csgm_iterations: Steps of Adam.
        csgm_restarts: Starts for each image.
        pgdgan_iterations: Projections.
        pgdgan_inner: Steps of Adam of each projection.
        pgdgan_restarts: Starts for each image.
        csgm_weight: Of ``||z||^2``; the default is what npgd_error chooses for digits at m = 100.
        pgdgan_weight: The same for PGDGAN.
        seed: Of the measurements.
    """
    check_counts(count=count, m=m, repeats=repeats)
    prior = sensing.projector(pictures)
    generator = (net := sensing.networks(prior)).generator
    truth, op = sensing.pictures(pictures, "test", count), operators.GaussianMeasurements(m, generator.shape, seed=seed)
    y = op(truth)
    watch = _Watch(net, truth, work(net))
    searches = {
        "CSGM": _searches(csgm_weight, csgm_iterations, csgm_restarts),
        "PGDGAN": _searches(pgdgan_weight, pgdgan_iterations, pgdgan_restarts, pgdgan_inner),
    }
    for search in (Search(2, 1), Search(1, 1, 2)):  # what PyTorch sets up at the first passes is not timed
        search.solve(y, op, generator)

    report(NPGD, 0, 1)
    with torch.no_grad():
        projected = [watch("its own stop", lambda: npgd(y, op, prior), repeats)]
        for k in SHORTER:
            if k < projected[0]["iterations"]:
                projected.append(watch(f"{k} iterations", lambda k=k: npgd(y, op, prior, iterations=k), repeats))  # type: ignore[misc]
    runs = {NPGD: projected}
    for name, settings in searches.items():
        runs[name] = _until(
            target(runs), settings, lambda search: watch(search.words, lambda: search.solve(y, op, generator)), report
        )
    numbers = {"settings": _settings(pictures, truth, m, repeats, searches), "runs": runs, "work": vars(watch.work)}
    return Outcome(numbers, _draw(numbers))


def _searches(weight: float, *choices: Sequence[int]) -> list[Search]:
    """All combinations, the cheapest first. Raises InvalidInput for a number below 1."""
    if min(itertools.chain(*choices)) < 1:
        raise InvalidInput("a search has 0 iterations, starts or inner steps; expected at least 1 of each")
    made = (replace(Search(*choice), weight=weight) for choice in itertools.product(*choices))
    return sorted(made, key=lambda search: (search.steps, search.restarts))


def _settings(pictures: str, truth: Tensor, m: int, repeats: int, searches: dict[str, list[Search]]) -> Numbers:
    tried = {name: len(settings) for name, settings in searches.items()}
    weights = {name: settings[0].weight for name, settings in searches.items()}
    about = {"pictures": pictures, "count": len(truth), "shape": list(truth.shape[1:]), "m": m, "repeats": repeats}
    return about | {"settings": tried, "weights": weights}


class _Watch:
    """Runs a method on the batch: its errors, and the time, the passes and the multiplications for one image."""

    def __init__(self, net: Projector, truth: Tensor, work: Work) -> None:
        self.net, self.truth, self.work = net, truth, work

    def __call__(self, setting: str, solve: Callable[[], Solution], repeats: int = 1) -> Numbers:
        seconds = []
        for _ in range(repeats):
            with Passes(self.net) as passes:
                start = time.perf_counter()
                solution = solve()
                seconds.append(time.perf_counter() - start)
        values, each = errors(solution.x, self.truth), passes.each(len(self.truth))
        own = {
            "setting": setting,
            "iterations": solution.iterations,
            "error": float(values.mean()),
            "median": float(values.median()),
        }
        return own | {
            "seconds": statistics.median(seconds) / len(self.truth),
            "passes": each,
            "multiplications": self.work.of(each),
        }


def _until(
    target: float, settings: Sequence[Search], measure: Callable[[Search], Numbers], report: Report
) -> list[Numbers]:
    """The runs from the least number of steps up, to the end of the first number at which one reaches the target."""
    found: list[Numbers] = []
    for _, alike in itertools.groupby(settings, key=lambda search: search.steps):
        for search in alike:
            report(f"{search.name}, {search.words}", len(found), len(settings))
            found.append(measure(search))
        if any(run["error"] <= target for run in found):
            break
    return found


def target(runs: Numbers) -> float:
    """The mean error that a method has to reach."""
    return NEAR * float(runs[NPGD][0]["error"])


def best(runs: Sequence[Numbers], least: float) -> tuple[Numbers, bool]:
    """The fastest run with at most this error; where there is none that of least error, and False."""
    reached = [run for run in runs if run["error"] <= least]
    return (
        (min(reached, key=lambda run: float(run["seconds"])), True)
        if reached
        else (min(runs, key=lambda run: float(run["error"])), False)
    )


# ---- figure and page -------------------------------------------------------------------------------------------------


def _draw(numbers: Numbers) -> Figure:
    figure = drawing.sheet(8.6, 5)
    axes = figure.add_subplot()
    note = f"m = {numbers['settings']['m']}, {numbers['settings']['count']} pictures at once"
    drawing.clean(
        axes, "mean squared error of a pixel", note=note, x="seconds for an image", xscale="log", yscale="log"
    )
    least = target(numbers["runs"])
    for rank, (name, runs) in enumerate(numbers["runs"].items()):
        ordered = sorted(runs, key=lambda run: float(run["seconds"]))
        style, label = (
            ("-", f"{NPGD} after {', '.join(str(run['iterations']) for run in ordered)} iterations")
            if rank == 0
            else ("none", f"{name}, each setting")
        )
        drawing.curve(
            axes,
            [run["seconds"] for run in ordered],
            [run["error"] for run in ordered],
            label,
            rank=rank,
            style=style,
            marker="o",
        )
        chosen, reached = best(runs, least)
        colour = drawing.COLOURS[rank]
        axes.scatter(
            [chosen["seconds"]],
            [chosen["error"]],
            marker="*" if reached else "X",
            s=190,
            color=colour,
            zorder=3,
            edgecolors="white",
        )
    axes.axhline(
        least, color=drawing.ACCENT, linewidth=0.8, linestyle=":", label=f"{NEAR:g} × NPGD's error at its own stop"
    )
    drawing.legend(axes)
    return figure


def page(numbers: Numbers) -> str:
    """Error, time, passes and multiplications of each method at its cheapest setting that is as accurate."""
    s, runs, work = numbers["settings"], numbers["runs"], numbers["work"]
    ended, (ours, _) = runs[NPGD][0], best(runs[NPGD], target(runs))
    rows, verdicts = [], []
    for name, tried in runs.items():
        chosen, reached = best(tried, target(runs))
        passes, ratio = chosen["passes"], chosen["seconds"] / ours["seconds"]
        setting = chosen["setting"] + ("" if reached else " (not reached)")
        counts = [f"{passes[part]:.0f}" for part in ("generator", "back", "encoders", "all")]
        rows.append(
            [
                name,
                setting,
                chosen["error"],
                chosen["median"],
                chosen["seconds"],
                *counts,
                f"{chosen['multiplications'] / 1e6:.0f}",
                f"{ratio:.3g}",
            ]
        )
        if name != NPGD:
            verdicts.append(
                _verdict(name, chosen, reached, ours, target(runs), f"{len(tried)} of {s['settings'][name]}")
            )
            verdicts.append(_by_median(name, tried, ours))
    verdicts.append(
        f"NPGD to its default stop: {ended['iterations']} iterations, error {ended['error']:.3g}, "
        f"{ended['seconds']:.3g} s for an image."
    )
    shorter = ", ".join(str(run["iterations"]) for run in runs[NPGD][1:])
    heads = [
        "method",
        "setting",
        "mean error",
        "median",
        "s / image",
        "G",
        "back",
        "encoder",
        "passes",
        "million",
        "time / NPGD",
    ]
    colours, height, width = s["shape"]
    return f"""
The first {s["count"]} test pictures of `{s["pictures"]}` ({height} × {width} × {colours}) \
from m = {s["m"]} Gaussian measurements without noise, all in
one batch, by the same generator, in one process with the same threads. The target is {NEAR:g} times the mean error \
of NPGD at its default stop. The settings of
CSGM and PGDGAN (steps and starts) run in the order of their number of steps until one reaches it, \
NPGD for {shorter} iterations too; the
fastest run that reaches the target is in the table. The weights of ‖z‖² are {s["weights"]["CSGM"]:g} in CSGM and \
{s["weights"]["PGDGAN"]:g} in PGDGAN.
NPGD's time is the median of {s["repeats"]} runs, the others' that of the one run.

{table(heads, rows)}

{chr(10).join(verdicts)}

Passes are for one image, counted while the methods ran: G forward, back through G, encoders forward; in "passes", \
their sum, one back counts as {BACK}, the
usual rule. "million" are multiplications with addition in the networks, {work["generator"] / 1e6:.3g} for G, \
{work["back"] / 1e6:.3g} back through it (to z
alone, because the weights are frozen, so less than the rule says) and {work["encoder"] / 1e6:.3g} for an encoder, \
the mean over the passes of a projection.
The products with A and Aᵀ are not counted: {s["m"] * height * width * colours / 1e6:.3g} each. \
In the figure a star is the run of the table, and a cross
where no run was as accurate.

## All runs

{table(["method", "setting", "mean error", "median", "s / image", "time / NPGD"], _all(runs, ours["seconds"]))}
"""


def _all(runs: Numbers, seconds: float) -> list[list[Any]]:
    """Every run, the fastest of each method first."""
    ordered = {name: sorted(tried, key=lambda run: float(run["seconds"])) for name, tried in runs.items()}
    return [
        [name, one["setting"], one["error"], one["median"], one["seconds"], one["seconds"] / seconds]
        for name, tried in ordered.items()
        for one in tried
    ]


def _verdict(name: str, chosen: Numbers, reached: bool, ours: Numbers, least: float, tried: str) -> str:
    ratio, error = chosen["seconds"] / ours["seconds"], chosen["error"]
    if reached:
        return (
            f"{name} is as accurate with {chosen['setting']}, in {ratio:.3g} times the time of NPGD "
            f"({tried} settings were run)."
        )
    return (
        f"{name} is as accurate in none of the settings tried ({tried} were run): "
        f"its least mean error, {error:.3g} against {least:.3g}, took {ratio:.3g} times the time of NPGD."
    )


def _by_median(name: str, tried: Sequence[Numbers], ours: Numbers) -> str:
    """When the usual picture, whatever becomes of those that come out wrong, is as good as that of NPGD."""
    good = [run for run in tried if run["median"] <= ours["median"]]
    if not good:
        return f"The median error of {name} is above that of NPGD ({ours['median']:.3g}) in all of these."
    first = min(good, key=lambda run: float(run["seconds"]))
    return (
        f"By the median {name} is as good already with {first['setting']}: "
        f"{first['median']:.3g} against {ours['median']:.3g}, "
        f"in {first['seconds'] / ours['seconds']:.3g} times the time of NPGD."
    )


EXPERIMENT = Experiment(
    summary="time for an image at equal accuracy, with network passes: NPGD against CSGM and PGDGAN", run=run, page=page
)
