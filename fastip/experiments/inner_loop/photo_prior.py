"""The constants of ``priors.schedule``: the levels and betas that serve a denoiser of photographs best."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import data, metrics, nets, operators
from ...arrays import check_counts
from ...checkpoint import SUFFIX, load_prior, shipped
from ...inverses import Exact
from ...operators import psf
from ...priors import PlugAndPlay, Schedule, schedule
from ...priors.schedule import between
from ...solvers import admm
from .. import drawing
from ..markdown import rounded, table
from ..record import Experiment, Numbers, Outcome, Report, silent

OTHER_STEPS = (4, 8, 16, 24)


class Constants(NamedTuple):
    """levels from ``first`` to max(last noise, floor), beta = share noise^2 / level^2."""

    first: float
    last: float
    floor: float
    share: float

    def schedule(self, noise: float, steps: int) -> Schedule:
        return between(self.first, self.end(noise), noise=noise, share=self.share, steps=steps)

    def end(self, noise: float) -> float:
        return max(self.last * noise, self.floor)


@dataclass(frozen=True)
class Setting:
    """One operator with one noise: the data of all photographs, and the PSNR of schedules, each found once."""

    name: str
    op: operators.Operator
    noise: float
    y: Tensor
    truth: Tensor
    known: dict[Schedule, float]

    @torch.no_grad()
    def psnr(self, net: nets.PriorNet, plan: Schedule) -> float:
        """The mean over the photographs in dB, clipped as they would be written."""
        if plan not in self.known:
            prior = PlugAndPlay(net, schedule=plan)
            x = admm(self.y, self.op, prior, beta=plan.betas, inverse=Exact(), iterations=len(plan), tolerance=0).x
            self.known[plan] = float(metrics.psnr(x.clamp(0, 1), self.truth).mean())
        return self.known[plan]


class Found(NamedTuple):
    """What a setting came to: the PSNR of each schedule of the grid, and of ``priors.schedule`` by its steps."""

    setting: Setting
    scores: Tensor
    ours: dict[int, float]


def run(
    report: Report = silent,
    *,
    denoiser: str = "photo-denoiser",
    count: int = 4,
    size: int = 96,
    steps: int = 8,
    noises: tuple[float, ...] = (1.0, 2.55, 7.65),
    shares: tuple[float, ...] = (0.35, 0.5, 0.6, 0.8),
    firsts: tuple[float, ...] = (0.1, 0.2, 0.3),
    lasts: tuple[float, ...] = (1.0, 1.5, 2.2, 3.0),
    floors: tuple[float, ...] = (0.008, 0.012, 0.018),
    device: str = "cpu",
) -> Outcome:
    """Solve every setting with every schedule of the grid.

    denoiser: the name of shipped weights, or a checkpoint. noises: in grey levels of 255.
    """
    check_counts(count=count, size=size, steps=steps)
    net = read(denoiser)
    x = data.Photographs("validation", size).batch(range(count)).to(device)
    grid = [Constants(*values) for values in itertools.product(firsts, lasts, floors, shares)]
    found = []
    every = [(name, op, noise / 255) for name, op in problems(size).items() for noise in noises]
    for k, (name, op, noise) in enumerate(every):
        report(f"{name}, noise {255 * noise:g}/255", k, len(every))
        setting = Setting(name, op, noise, data.degrade(x, op, noise), x, {})
        scores = [setting.psnr(net, constants.schedule(noise, steps)) for constants in grid]
        ours = {several: setting.psnr(net, schedule(noise, steps=several)) for several in {steps, *OTHER_STEPS}}
        found.append(Found(setting, torch.tensor(scores, dtype=torch.float64), ours))
    settings = {"denoiser": denoiser, "products": getattr(net, "products", None), "count": count, "size": size}
    numbers = _numbers(grid, found, steps) | {"settings": settings | {"steps": steps}}
    return Outcome(numbers, _draw(numbers, steps))


def read(denoiser: str) -> nets.PriorNet:
    """The network of these shipped weights, or of this checkpoint."""
    if denoiser.endswith(SUFFIX):
        return load_prior(Path(denoiser)).net
    with shipped.weights("priors", denoiser) as path:
        return load_prior(path).net


def problems(size: int) -> dict[str, operators.Operator]:
    """What is undone, by name; everything wraps, so the inverses are exact."""
    wide = psf.gaussian(9, sigma=1.6)
    enlarging = {f"× {stride}": operators.Blur(wide, stride=stride) for stride in (2, 3, 4) if size % stride == 0}
    return {
        "camera shake, 25 × 25": operators.Blur(psf.shake(25, 1)),
        "camera shake, 31 × 31": operators.Blur(psf.shake(31, 2)),
        **enlarging,
        "half of the pixels": operators.Mask(torch.rand(size, size, generator=torch.Generator().manual_seed(3)) < 0.5),
        "scratches": operators.Mask(scratches(size, 4)),
    }


def scratches(size: int, seed: int) -> Tensor:
    """A mask that hides straight lines three pixels wide; side by side they would cover a quarter of the image."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    mask = torch.ones(size, size)
    for _ in range(max(1, size // 12)):
        turn, i, j = torch.rand(3, generator=generator).tolist()
        away = (rows - i * size) * math.cos(math.pi * turn) + (columns - j * size) * math.sin(math.pi * turn)
        mask[away.abs() < 1.5] = 0
    return mask


def _numbers(grid: Sequence[Constants], found: Sequence[Found], steps: int) -> dict[str, Any]:
    """Losses against each setting's best, in dB, and the constants with the least mean loss."""
    losses = torch.stack([one.scores.max() - one.scores for one in found])
    mean, worst = losses.mean(dim=0).tolist(), losses.amax(dim=0).tolist()
    chosen = mean.index(min(mean))
    rows = []
    for one, lost in zip(found, losses.tolist(), strict=True):
        best = int(one.scores.argmax())
        highest = float(one.scores[best])
        row = {"problem": one.setting.name, "noise": 255 * one.setting.noise, "best": highest}
        row |= {"best constants": list(grid[best]), "chosen loss": lost[chosen]}
        rows.append(row | {"loss": highest - one.ours[steps]})
    gains = {str(n): sum(one.ours[n] - one.ours[steps] for one in found) / len(found) for n in sorted(OTHER_STEPS)}
    tried = [[*constants, *rounded(pair)] for constants, *pair in zip(grid, mean, worst, strict=True)]
    return {"chosen": list(grid[chosen]), "rows": rows, "grid": tried, "steps": gains}


def _slices(numbers: Mapping[str, Any]) -> dict[str, list[tuple[float, float, float]]]:
    """(value, mean loss, largest loss) for each constant, the others being those that were chosen."""
    chosen, found = numbers["chosen"], {}
    for axis, name in enumerate(Constants._fields):
        same = [row for row in numbers["grid"] if all(row[k] == chosen[k] for k in range(4) if k != axis)]
        found[name] = sorted((row[axis], row[4], row[5]) for row in same)
    return found


def _draw(numbers: Mapping[str, Any], steps: int) -> Figure:
    figure = drawing.sheet(15, 4)
    axes = figure.subplots(1, 5)
    for place, (name, points) in zip(axes, _slices(numbers).items(), strict=False):
        values, mean, worst = zip(*points, strict=True)
        drawing.clean(place, "dB below the best" if name == "first" else "", x=name, xscale="log")
        drawing.curve(place, values, mean, "mean", marker="o")
        drawing.curve(place, values, worst, "largest", rank=1, marker="o")
        place.set_ylim(bottom=0)
        place.set_xticks(values, [f"{value:g}" for value in values], minor=False)
        place.minorticks_off()
    drawing.legend(axes[0])
    drawing.clean(axes[4], f"dB gained over {steps} iterations", x="iterations")
    gains = numbers["steps"]
    drawing.curve(axes[4], [int(count) for count in gains], list(gains.values()), "mean", marker="o")
    return figure


def page(numbers: Numbers) -> str:
    """What was chosen, what it loses, and how flat the optimum is."""
    s, chosen = numbers["settings"], Constants(*numbers["chosen"])
    lost = [sum(row[key] for row in numbers["rows"]) / len(numbers["rows"]) for key in ("chosen loss", "loss")]
    more = ", ".join(f"{count}: {gain:+.2f} dB" for count, gain in numbers["steps"].items())
    products = "" if s["products"] is None else f", {s['products']:.0f} products for each pixel"
    return f"""
`{s["denoiser"]}`{products}, plug and play in `admm` with exact inverses, {s["steps"]} iterations, on {s["count"]}
validation photographs of {s["size"]} × {s["size"]} pixels: levels from first to max(last · noise, floor) on a
logarithmic scale, β = share · noise² / level². Camera shakes are random walks, the enlargements undo a 9 × 9 Gaussian
of 1.6 pixels, everything wraps; noise in grey levels of 255.

**The constants with the least mean loss against each setting's own best: first {chosen.first:g}, last {chosen.last:g},
floor {chosen.floor:g}, share {chosen.share:g}**; they lose {lost[0]:.2f} dB in the mean, `priors.schedule` as it is
{lost[1]:.2f} dB.

{_each(numbers["rows"])}

Mean loss in dB along each constant, the others as chosen:

{_along(numbers)}

With the schedule as it is, other numbers of iterations give in the mean {more}.
"""


def _each(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row for each setting."""
    headings = ("problem", "noise", "best PSNR", *Constants._fields, "chosen: loss", "`priors.schedule`: loss")
    lines = []
    for row in rows:
        constants = [f"{value:g}" for value in row["best constants"]]
        lost = [f"{row[key]:.2f}" for key in ("chosen loss", "loss")]
        lines.append([row["problem"], f"{row['noise']:g}", f"{row['best']:.2f}", *constants, *lost])
    return table(headings, lines)


def _along(numbers: Mapping[str, Any]) -> str:
    """A row for each constant."""
    rows = [[name, *(f"{value:g}: {mean:.2f}" for value, mean, _ in some)] for name, some in _slices(numbers).items()]
    width = max(map(len, rows))
    return table(["constant", *[""] * (width - 1)], [row + [""] * (width - len(row)) for row in rows])


SUMMARY = "the constants of the plug-and-play schedule for photographs, measured on validation pictures"
EXPERIMENT = Experiment(summary=SUMMARY, run=run, page=page)
