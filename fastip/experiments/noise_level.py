"""How near ``fastip.noise_level`` comes to the noise of photographs: sharp, reduced and blurred, grey and in colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor

from .. import data
from ..arrays import check_count
from ..errors import InvalidInput
from ..noise import SMALLEST, noise_level
from ..operators import Blur, Identity, ToGray, psf
from . import drawing
from .markdown import rounded, table
from .record import Experiment, Numbers, Outcome, Report, silent
from .scores import mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REDUCTION = 4
SHARP, REDUCED = "sharp", f"reduced by {REDUCTION}"
BLURS = {
    "9 × 9 Gaussian 1.6": lambda: psf.gaussian(9, sigma=1.6),
    "9 × 9 motion, 45°": lambda: psf.motion(9, angle=45),
    "25 × 25 camera shake": lambda: psf.shake(25, 1),
}
COLOURS = ("grey", "colour")
BESIDE = 1.05  # how far the kinds stand apart in the figure, as a factor
RATIOS = (0.8, 0.9, 1, 1.1, 1.5, 2, 3)


def run(
    report: Report = silent,
    *,
    photos: tuple[str, ...] = data.EVERYDAY,
    size: int = 256,
    noises: tuple[float, ...] = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0),
) -> Outcome:
    """Add noise (grey levels of 255) to the held-out photographs and measure it again, in 8 bits, clipped.

    Whole, and the middle size x size pixels of the sharp and the blurred ones.
    """
    if not noises or not 0 <= min(noises) <= max(noises) < float("inf") or max(noises) == 0:
        raise InvalidInput(f"noises is {noises!r}; expected grey levels of 255, each >= 0 and one of them > 0")
    check_count(size, "size", low=SMALLEST)
    rows = []
    pictures = data.held_out_photographs(photos)
    every = [(kind, part, colour) for kind, part in _kinds(size) for colour in COLOURS]
    for k, (kind, part, colour) in enumerate(every):
        report(f"{kind}, {part}, {colour}", k, len(every))
        sources = [_source(x, kind, 0 if part == "whole" else size, colour) for x in pictures.values()]
        for noise in noises:
            seen = [_seen(x, noise, seed) for seed, x in enumerate(sources)]
            row: dict[str, Any] = {"kind": kind, "part": part, "colour": colour, "noise": noise}
            row["found"] = rounded([255 * float(noise_level(y)) for y in seen])
            row["plain"] = rounded([255 * plain_median(y) for y in seen])
            rows.append(row)
    numbers = {"settings": {"photos": list(photos), "noises": list(noises), "size": size}, "rows": rows}
    return Outcome(numbers, _draw(rows))


def _kinds(size: int) -> Iterator[tuple[str, str]]:
    """(kind, part) of each set of pictures."""
    for kind in (SHARP, *BLURS):
        yield kind, f"middle {size}²"
        yield kind, "whole"
    yield REDUCED, "whole"


def _source(x: Tensor, kind: str, size: int, colour: str) -> Tensor:
    """A picture without noise."""
    x = ToGray()(x) if colour == "grey" else x
    x = data.centre(x, size) if size else x
    if kind == REDUCED:
        return F.avg_pool2d(x, REDUCTION)
    return x if kind == SHARP else Blur(BLURS[kind]())(x)


def _seen(x: Tensor, noise: float, seed: int) -> Tensor:
    """As an 8-bit file has it."""
    y = data.degrade(x, Identity(), noise / 255, generator=1000 * round(10 * noise) + seed)
    return (255 * y.clamp(0, 1)).round() / 255


def plain_median(y: Tensor) -> float:
    """What the median of the finest diagonal detail of the Haar wavelet says, over the whole picture."""
    fine = (y[..., 1:, 1:] - y[..., :-1, 1:] - y[..., 1:, :-1] + y[..., :-1, :-1]) / 2
    return float(fine.abs().median()) / 0.6745


# ---- telling ---------------------------------------------------------------------------------------------------------


def _draw(rows: Sequence[dict[str, Any]]) -> Figure:
    """Every estimate over the truth, and the means relative to it."""
    from matplotlib.ticker import NullLocator

    figure = drawing.sheet(12, 5.2)
    left, right = figure.subplots(1, 2)
    noisy = [row for row in rows if row["noise"] > 0]
    levels = sorted({row["noise"] for row in noisy})
    for rank, kind in enumerate((SHARP, REDUCED, *BLURS)):
        own = [row for row in noisy if row["kind"] == kind]
        x = [row["noise"] * BESIDE ** (rank - 2) for row in own for _ in row["found"]]
        drawing.curve(left, x, [v for row in own for v in row["found"]], kind, rank=rank, style="none", marker="o")
        for key, style in (("found", "-"), ("plain", ":")):
            means = [mean([v for row in own if row["noise"] == level for v in row[key]]) / level for level in levels]
            drawing.curve(right, levels, means, kind, rank=rank, style=style, marker="o")
    ends = ([level * BESIDE**power for level in levels] for power in (-3, 3))
    left.hlines(levels, *ends, drawing.INK, linewidth=1)
    log = {"xscale": "log", "yscale": "log"}
    drawing.clean(left, "every picture", note="lines: the truth", x="noise", y="estimate", **log)
    drawing.clean(right, "means", note="dotted: plain median", x="noise", y="estimate / truth", **log)
    right.axhspan(0.9, 1.1, color=drawing.GRID, zorder=0)
    for axis, ticks in ((left.xaxis, levels), (left.yaxis, levels), (right.xaxis, levels), (right.yaxis, RATIOS)):
        axis.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        axis.set_minor_locator(NullLocator())
    drawing.legend(left)
    return figure


def _cell(values: Sequence[float]) -> str:
    return f"{mean(values):.2f} ({min(values):.2f} – {max(values):.2f})"


def page(numbers: Numbers) -> str:
    """Means, least and largest by kind and noise, then the plain median."""
    s, rows = numbers["settings"], numbers["rows"]
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["kind"], row["part"], row["colour"]), []).append(row)
    headings = ["noise", *(f"{noise:g}" for noise in s["noises"])]
    ours = [[", ".join(key), *(_cell(row["found"]) for row in own)] for key, own in groups.items()]
    plain = [[", ".join(key), *(f"{mean(row['plain']):.2f}" for row in own)] for key, own in groups.items()]
    blurred = [row for row in rows if row["kind"] in BLURS and row["noise"] >= 1]
    strong = [row for row in rows if row["kind"] not in BLURS and row["noise"] >= 5]
    weak = [row for row in rows if row["kind"] not in BLURS and row["noise"] < 5]
    told = []
    for what, some in (("blurred, from noise 1 up", blurred), ("sharp and reduced, from 5 up", strong)):
        if some:
            told.append(f"{what}, {max(_off(row) for row in some):.1%}")
    if weak:
        told.append(
            f"sharp and reduced, below 5, {max(abs(mean(row['found']) - row['noise']) for row in weak):.2f} levels"
        )
    return f"""
White noise was added to {", ".join(s["photos"])}, with a circular blur or without, and the result clipped to [0, 1] \
and rounded to 8 bits, whose own
noise is 0.29. `fastip.noise_level` then had the picture alone. Its constants were chosen on validation photographs; \
one of them, the share of a patch that must be free
of saturated pixels, was looked at again after one of these pictures, reduced and at noise 30, had been refused. \
All numbers are grey levels of 255: the mean over {len(s["photos"])} pictures, in brackets the least and the largest.

{table(headings, ours)}

The mean of a row is off by at most: {"; ".join(told)}. Noise that the photographs themselves have is in the numbers.

For comparison the plain median of the finest diagonal detail (Haar, the whole picture, divided by 0.6745), means:

{table(headings, plain)}
"""


def _off(row: dict[str, Any]) -> float:
    """How far the mean is from the truth, relative to it."""
    return abs(mean(row["found"]) / row["noise"] - 1)


EXPERIMENT = Experiment(
    summary="white noise measured in photographs, sharp, reduced and blurred, from the picture alone",
    run=run,
    page=page,
)
