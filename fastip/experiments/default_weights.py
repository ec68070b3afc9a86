"""How much PSNR ``tasks.suggested_weight`` gives away to the best weight: blurs, thumbnails, holes and noise alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import data, inverses, operators, priors, solvers, tasks
from ..arrays import check_count
from ..contracts import LinearOperator, Prior
from ..errors import InvalidInput, closest
from ..operators import psf
from . import drawing
from .markdown import rounded, table
from .record import Experiment, Numbers, Outcome, Report, silent
from .scores import fitted, mean, psnr, under_data

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PRIORS: Mapping[str, Callable[[float], Prior]] = {
    "tv": lambda weight: priors.TV(weight) + priors.Box(0.0, 1.0),
    "wavelet": priors.Wavelet,
}
ROUNDING = 0.29  # grey levels: the standard deviation of the rounding to 8 bits, which all data here have
STEPS = 3  # doublings and halvings of the suggested weight: 7 weights in all
MULTIPLE = 12
ITERATIONS, TOLERANCE = 100, 3e-2  # of the tasks
STYLES = ("-", "--", ":")
GOAL = 0.3  # dB
ASSUMED = (0.01, 0.015)  # where the noise is not known


def _valid(taps: Tensor, stride: int = 1) -> Callable[[int], LinearOperator]:
    return lambda size: operators.Blur(taps, stride=stride, boundary="valid")


def _thumbnail(factor: int) -> Callable[[int], LinearOperator]:
    return lambda size: operators.Resize(factor)


def _holes(share: float) -> Callable[[int], LinearOperator]:
    def made(size: int) -> LinearOperator:
        return operators.Mask(torch.rand(size, size, generator=torch.Generator().manual_seed(5)) >= share)

    return made


OPERATORS: Mapping[str, Callable[[int], LinearOperator]] = {
    "9 × 9 motion 45°": _valid(psf.motion(9, angle=45)),
    "7 × 7 disk": _valid(psf.disk(7)),
    "9 × 9 Gaussian 1.6": _valid(psf.gaussian(9, sigma=1.6)),
    "25 × 25 camera shake": _valid(psf.shake(25, 1)),
    **{f"thumbnail × {factor} bicubic": _thumbnail(factor) for factor in (2, 3, 4)},
    **{f"9 × 9 Gaussian 1.6 stride {stride}": _valid(psf.gaussian(9, sigma=1.6), stride) for stride in (2, 3, 4)},
    "noise alone": lambda size: operators.Identity(),
    **{f"{share:.0%} missing": _holes(share) for share in (0.3, 0.5, 0.8)},
}


def run(
    report: Report = silent,
    *,
    prior: str = "tv",
    photos: tuple[str, ...] = data.EVERYDAY,
    size: int = 96,
    noises: tuple[float, ...] = (0.0, 1.0, 2.55, 5.0, 7.65, 15.0),
    kinds: tuple[str, ...] = tuple(OPERATORS),
) -> Outcome:
    """Restore the grey middles of the held-out photographs with the suggested weight, and with 1/8 to 8 times it.

    Noise in grey levels of 255; then the data are clipped and rounded to 8 bits. Once more with the weights for a
    noise that is assumed.
    """
    closest(prior, PRIORS, "prior")
    if check_count(size, "size", low=1) % MULTIPLE:
        raise InvalidInput(f"size is {size}; expected a multiple of {MULTIPLE}, which the factors 2, 3 and 4 divide")
    if not noises or not 0 <= min(noises) <= max(noises) < 255:
        raise InvalidInput(f"noises is {noises!r}; expected grey levels of 255, at least one, each >= 0 and < 255")
    pictures = [data.centre(operators.ToGray()(x), size) for x in data.held_out_photographs(photos).values()]
    cases = [(closest(kind, OPERATORS, "kind"), noise) for kind in kinds for noise in noises]
    rows = []
    for k, (kind, noise) in enumerate(cases):
        report(f"{kind}, noise {noise:g}", k, len(cases))
        rows.append(_row(prior, kind, noise, pictures))
    settings = {"prior": prior, "photos": list(photos), "size": size, "noises": list(noises), "assumed": list(ASSUMED)}
    numbers = {"settings": settings, "rows": rows}
    return Outcome(numbers, _draw(prior, rows))


def _row(prior: str, kind: str, noise: float, pictures: Sequence[Tensor]) -> dict[str, Any]:
    """The mean PSNR over the pictures at each weight."""
    op = OPERATORS[kind](pictures[0].shape[-1])
    suggested = tasks.suggested_weight(prior, max(noise, ROUNDING) / 255, op)
    weights = [suggested * 2.0**step for step in range(-STEPS, STEPS + 1)]
    weights += [tasks.suggested_weight(prior, assumed, op) for assumed in ASSUMED]
    found: list[list[float]] = [[] for _ in weights]
    for number, picture in enumerate(pictures):
        x = fitted(picture, op)
        y = data.degrade(x, op, noise / 255, generator=1000 * round(10 * noise) + number)
        y = (255 * y.clamp(0, 1)).round() / 255
        for weight, psnrs in zip(weights, found, strict=True):
            restored = solve(y, op, PRIORS[prior](weight))
            psnrs.append(psnr(under_data(restored, op, y), under_data(x, op, y)))
    means = [round(mean(psnrs), 3) for psnrs in found]
    row = {"kind": kind, "noise": noise, "weight": rounded([suggested])[0]}
    return {**row, "psnr": means[: len(means) - len(ASSUMED)], "assumed": means[len(means) - len(ASSUMED) :]}


def solve(y: Tensor, op: LinearOperator, prior: Prior) -> Tensor:
    """As the tasks do: a valid convolution by the second split, to their tolerance, with the prior's own beta."""
    convolution = op.convolution()
    split = convolution is not None and convolution.boundary == "valid"
    inverse = inverses.Split() if split else "auto"
    return solvers.admm(y, op, prior, inverse=inverse, iterations=ITERATIONS, tolerance=TOLERANCE).x


# ---- telling ---------------------------------------------------------------------------------------------------------


def lost(row: Mapping[str, Any]) -> float:
    """What the suggested weight gives away to the best of the seven, in dB."""
    return max(row["psnr"]) - row["psnr"][STEPS]


def _draw(prior: str, rows: Sequence[dict[str, Any]]) -> Figure:
    """What is lost, and the weights, over the noise."""
    figure = drawing.sheet(12, 5.2)
    left, right = figure.subplots(1, 2)
    for rank, kind in enumerate(dict.fromkeys(row["kind"] for row in rows)):
        own = [row for row in rows if row["kind"] == kind]
        look: dict[str, Any] = {
            "rank": rank,
            "style": STYLES[rank // len(drawing.COLOURS) % len(STYLES)],
            "marker": "o",
        }
        levels = [max(row["noise"], ROUNDING) for row in own]
        drawing.curve(left, levels, [lost(row) for row in own], kind, **look)
        drawing.curve(right, levels, [row["weight"] for row in own], kind, **look)
    left.axhline(GOAL, color=drawing.INK, linewidth=1)
    noise = "noise, grey levels"
    drawing.clean(left, prior, note="line: the goal", x=noise, y="dB below the best of 7", xscale="log")
    drawing.clean(right, "suggested weight", x=noise, xscale="log", yscale="log")
    drawing.legend(right)
    return figure


def page(numbers: Numbers) -> str:
    """What is lost by kind and noise; then where the noise is not known."""
    s, rows = numbers["settings"], numbers["rows"]
    worst = max(rows, key=lost)
    parts = [
        _words(s),
        f"At most {lost(worst):.2f} dB are lost ({worst['kind']}, noise {worst['noise']:g}), "
        f"{mean([lost(row) for row in rows]):.2f} in the mean; {sum(lost(row) > GOAL for row in rows)} of "
        f"{len(rows)} cases lose more than {GOAL:g}.",
        _table(rows, s["noises"], lambda row: f"{row['psnr'][STEPS]:.2f} (− {lost(row):.2f})"),
    ]
    for place, assumed in enumerate(s["assumed"]):
        told = f"{assumed:g} ({255 * assumed:.3g} grey levels)"
        parts.append(f"Where the noise is not known and {told} is assumed, PSNR changes by")
        parts.append(_table(rows, s["noises"], functools.partial(_change, place)))
    return "\n" + "\n\n".join(parts) + "\n"


def _change(place: int, row: Mapping[str, Any]) -> str:
    """What an assumed noise changes, in dB."""
    change = row["assumed"][place] - row["psnr"][STEPS]
    return f"{change:+.2f}".replace("-", "− ").replace("+", "+ ")


def _words(settings: Mapping[str, Any]) -> str:
    photos, size = settings["photos"], settings["size"]
    return f"""The middle {size} × {size} pixels, grey, of {", ".join(photos)}, on none of which the rule was fitted,
were blurred (borders that do not wrap), reduced, or punched with random holes; white noise was added, and the data
clipped to [0, 1] and rounded to 8 bits, whose own noise is {ROUNDING:g} grey levels. `fastip.admm` restored each as \
the tasks do, prior "{settings["prior"]}",
with `tasks.suggested_weight` for the noise (at least {ROUNDING:g}), and with 1/8, 1/4, 1/2, 2, 4 and 8 times that \
weight. PSNR in dB, the mean over
{len(photos)} pictures; in brackets what the best of these seven weights would gain. Noise in grey levels of 255."""


def _table(rows: Sequence[dict[str, Any]], noises: Sequence[float], cell: Callable[[dict[str, Any]], str]) -> str:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["kind"], []).append(row)
    headings = ["noise", *(f"{noise:g}" for noise in noises)]
    return table(headings, [[kind, *map(cell, own)] for kind, own in groups.items()])


EXPERIMENT = Experiment(
    summary="the weight suggested for a noise beside the best of seven, for every operator of photographs",
    run=run,
    page=page,
)
