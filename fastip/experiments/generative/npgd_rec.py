"""Restricted eigenvalues of random and of designed measurements on the images of a generator.

The condition of the theorem of projected descent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import operators, rec
from ...arrays import check_counts
from ...checkpoint import shipped
from ...nets import Generator
from .. import drawing
from ..markdown import table
from ..record import Experiment, Numbers, Outcome, Report, silent

RANDOM, DESIGNED = "Gaussian", "designed"
QUANTILES = (0.01, 0.5, 0.99)  # further out a sample of pairs says less, and there the search looks
BINS = 80  # of the histograms: more are ragged, fewer hide how narrow a peak is


def run(
    report: Report = silent,
    *,
    pictures: str = "digits",
    measurements: tuple[int, ...] = (20, 50, 100, 200, 500),
    pairs: int = 10_000,
    restarts: int = 20,
    iterations: int = 200,
    designed_from: int = 50_000,
    seed: int = 0,
) -> Outcome:
    """Sample and search ``||A s||^2 / ||s||^2`` for both kinds of A.

    The rows of the designed one come from ``designed_from`` pairs of images.
    """
    from ... import train

    check_counts(pairs=pairs, restarts=restarts, iterations=iterations, designed_from=designed_from)
    generator = shipped.generator(pictures)
    total = 1 + 2 * len(measurements)
    report("designed rows", 0, total)
    rows = train.measurements(generator, max(measurements), pairs=designed_from, seed=seed).matrix
    made: dict[str, Callable[[int], operators.Dense]] = {
        RANDOM: lambda m: operators.GaussianMeasurements(m, generator.shape, seed=seed),
        DESIGNED: lambda m: operators.Dense(rows[:m], generator.shape),
    }
    found: dict[str, list[dict[str, Any]]] = {}
    samples: dict[tuple[str, int], Tensor] = {}
    for k, (kind, make) in enumerate(made.items()):
        ops = {m: make(m) for m in measurements}
        worst: list[Tensor] = []
        for m, op in ops.items():
            report(f"{kind}, m = {m}", 1 + k * len(measurements) + len(worst), total)
            samples[kind, m] = rec.sampled(op, generator, pairs=pairs, seed=seed)
            worst.append(rec.extremes(op, generator, restarts=restarts, iterations=iterations, seed=seed).pairs)
        values = {m: rec.stretch(op, generator, torch.cat(worst)) for m, op in ops.items()}
        found[kind] = [measured(samples[kind, m], one) for m, one in values.items()]
    settings = {
        "pictures": pictures,
        "shape": generator.shape,
        "latent": generator.latent,
        "measurements": measurements,
        "pairs": pairs,
        "restarts": restarts,
    }
    numbers = {
        "settings": settings | {"iterations": iterations, "designed_from": designed_from, "seed": seed},
        "found": found,
    }
    return Outcome(numbers, _draw(measurements, found, samples, generator))


def measured(values: Tensor, searched: Tensor) -> dict[str, Any]:
    """Quantiles of the sample, and the extremes of it and of what the search found.

    A sample can hold one that the search misses.
    """
    low, middle, high = torch.quantile(values.double(), torch.tensor(QUANTILES, dtype=torch.float64)).tolist()
    whole = torch.cat([values.double(), searched])
    alpha, beta = float(whole.min()), float(whole.max())
    ratio = beta / alpha if alpha > 0 else math.inf
    return {
        "low": low,
        "median": middle,
        "high": high,
        "sampled_ratio": high / low,
        "alpha": alpha,
        "beta": beta,
        "ratio": ratio,
    }


def _draw(
    measurements: tuple[int, ...],
    found: dict[str, list[dict[str, Any]]],
    samples: dict[tuple[str, int], Tensor],
    generator: Generator,
) -> Figure:
    figure = drawing.sheet(15, 4.6)
    axes = figure.subplots(1, 3)
    last = len(measurements) - 1
    for part, at in zip(axes, (last // 4, last - last // 4), strict=False):
        m = measurements[at]
        drawing.clean(
            part,
            f"m = {m} of {math.prod(generator.shape)}",
            note="dashed: extremes",
            x="‖As‖² / ‖s‖²",
            y="density over pairs of images",
        )
        edges = torch.linspace(0, float(max(samples[kind, m][-1] for kind in found)), BINS).tolist()
        for colour, kind in zip(drawing.COLOURS[1::-1], found, strict=False):
            part.hist(
                samples[kind, m].numpy(),
                bins=edges,
                density=True,
                histtype="stepfilled",
                color=colour,
                alpha=0.45,
                label=kind,
            )
            for end in (found[kind][at]["alpha"], found[kind][at]["beta"]):
                part.axvline(end, color=colour, linestyle="--", linewidth=1.2)
        part.set_yticks([])
        drawing.legend(part)
    drawing.clean(axes[2], "β / α", note="estimates, at least", x="measurements m", xscale="log", yscale="log")
    axes[2].axhline(2, color=drawing.MUTED, linewidth=1.2)
    axes[2].text(
        1,
        2,
        "2: the condition ",
        transform=axes[2].get_yaxis_transform(),
        color=drawing.MUTED,
        fontsize=9.5,
        va="bottom",
        ha="right",
    )
    for rank, kind in ((1, RANDOM), (0, DESIGNED)):
        drawing.curve(
            axes[2], measurements, [one["ratio"] for one in found[kind]], f"{kind}, extremes", rank=rank, marker="o"
        )
        drawing.curve(
            axes[2],
            measurements,
            [one["sampled_ratio"] for one in found[kind]],
            f"{kind}, 99 % / 1 % of pairs",
            rank=rank,
            style=":",
            marker="o",
        )
    axes[2].set_xticks(measurements, [str(m) for m in measurements])
    axes[2].minorticks_off()
    axes[2].set_ylim(top=300 * axes[2].get_ylim()[1])  # room for the legend above the curves
    drawing.legend(axes[2])
    return figure


def page(numbers: Numbers) -> str:
    """The estimates for both kinds of measurements, and whether the condition can hold."""
    s, found = numbers["settings"], numbers["found"]
    rows = [
        [
            m,
            kind,
            *(one[key] for key in ("low", "median", "high", "sampled_ratio", "alpha", "beta", "ratio")),
            _verdict(one["ratio"]),
        ]
        for k, m in enumerate(s["measurements"])
        for kind, one in ((kind, found[kind][k]) for kind in (RANDOM, DESIGNED))
    ]
    headings = [
        "m",
        "A",
        *("1 %", "median", "99 %", "99 % / 1 %", "α at most", "β at least", "β / α at least"),
        "β / α < 2",
    ]
    width = " × ".join(map(str, s["shape"]))
    return f"""
Where α ‖s‖² ≤ ‖As‖² ≤ β ‖s‖² for all differences s of two images of the generator and β / α < 2, \
projected gradient descent with the step 1 / β is proven to
find the image (Raj, Li and Bresler 2019). Here s are differences of images of the `{s["pictures"]}` generator \
({width} pixels, {s["latent"]} latent numbers).
Gaussian: independent N(0, 1/m) entries, so that ‖As‖² = ‖s‖² on average. Designed: the first m right singular \
vectors of {s["designed_from"]} normalised
differences, orthonormal rows, so that ‖As‖² ≤ ‖s‖². The two scales differ; the ratios are what compares.

{table(headings, rows)}

The quantiles are those of {s["pairs"]} random pairs. α and β are the furthest of these and of {s["iterations"]} \
steps of descent and of ascent on the pair from
{s["restarts"]} starts each; a pair that the search found for one m counts for every m of that kind, \
computed again in float64. All of them are
estimates from inside: the true α is at most the one here, the true β at least, so the true ratio is at least the \
last but one column. A ratio of 2 or more
there refutes the condition; one below 2 proves nothing. The condition speaks of every image of the generator, \
and the search may end at latent vectors that
are rare under N(0, I); what is usual is in the quantiles.

{_reached(s["measurements"], found)} The design maximises the mean of ‖As‖², not the least; nothing holds its α up. \
{_compared(s["measurements"], found)}
The condition is sufficient, not necessary, and the descent also works where it is refuted.
"""


def _verdict(ratio: float | None) -> str:
    return "refuted" if ratio is None or ratio >= 2 else "not refuted"


def _reached(measurements: list[int], found: dict[str, list[dict[str, Any]]]) -> str:
    """Where the condition is not refuted, in words."""
    words = []
    for kind in (RANDOM, DESIGNED):
        open_at = [
            str(m) for m, one in zip(measurements, found[kind], strict=True) if _verdict(one["ratio"]) == "not refuted"
        ]
        words.append(
            f"for {kind} measurements the condition is "
            + (f"not refuted at m = {', '.join(open_at)}" if open_at else "refuted at every m here")
        )
    text = "; ".join(words)
    return f"{text[0].upper()}{text[1:]}."


def _compared(measurements: list[int], found: dict[str, list[dict[str, Any]]]) -> str:
    """The ratio of random pairs of the two kinds at each m, in words.

    Bounds from one side say of the extremes no more than whether 2 is passed.
    """
    key, pairs = "sampled_ratio", zip(measurements, found[RANDOM], found[DESIGNED], strict=True)
    better = [
        str(m) for m, one, other in pairs if other[key] is not None and (one[key] is None or other[key] < one[key])
    ]
    where = f"m = {', '.join(better)}" if better else "no m here"
    return f"For designed measurements the ratio of random pairs is smaller than that of Gaussian ones at {where}."


EXPERIMENT = Experiment(
    summary="restricted eigenvalues on the range of a generator: Gaussian against designed measurements",
    run=run,
    page=page,
)
