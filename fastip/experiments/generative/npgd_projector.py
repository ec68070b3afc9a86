"""The trained projector by itself.

What it does to noise, whether a second pass changes anything, and how near it comes to the nearest image of the range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import nets, operators
from ...arrays import check_counts
from ...nets import Generator
from ...priors import Projector
from ...solvers import csgm
from ...streams import stream
from .. import drawing
from ..markdown import shown, table
from ..record import Experiment, Numbers, Outcome, Report, silent
from .compressed_sensing import pictures as first_pictures
from .compressed_sensing import projector

REAL, MADE = "test pictures", "images of the generator"
BATCH = 64  # images, or starts of a descent, at once: more fill the memory, fewer leave cores idle
COLUMNS = 8  # pictures in the figure


def run(
    report: Report = silent,
    *,
    pictures: str = "digits",
    count: int = 512,
    noises: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0),
    compared: int = 16,
    steps: int = 400,
    restarts: int = 4,
    drawn: float = 0.5,
    seed: int = 0,
) -> Outcome:
    """Project pictures with noise, once and twice, and the first ``compared`` of them by descent on z as well.

    ``drawn``: the noise of the figure.
    """
    check_counts(count=count, compared=compared, steps=steps, restarts=restarts)
    prior = projector(pictures)
    assert isinstance(prior.net, nets.Projector)
    generator = prior.net.generator
    with torch.no_grad():
        sets = {REAL: first_pictures(pictures, "test", count), MADE: generator.sample(count, seed=seed + 1)}
    found: dict[str, list[dict[str, Any]]] = {title: [] for title in sets}
    shown_at = min(noises, key=lambda noise: abs(noise - drawn))
    strips: dict[str, dict[str, Tensor]] = {}
    for k, noise in enumerate(noises):
        for place, (title, truth) in enumerate(sets.items()):
            report(f"{title}, noise {noise:g}", k * len(sets) + place, len(noises) * len(sets))
            w = truth + noise * torch.randn(truth.shape, generator=stream(seed, f"noise {k} {title}"))
            once = Projected.of(prior, w)
            best = nearest(w[:compared], generator, steps=steps, restarts=restarts)
            found[title].append({"noise": noise} | measured(once, w, truth, best, known=title == MADE))
            if noise == shown_at:
                images = {
                    f"noise {noise:g}": w,
                    "P": once.image,
                    "P twice": once.again,
                    "by descent": best,
                    "truth": truth,
                }
                strips[title] = {name: image[: min(COLUMNS, compared)] for name, image in images.items()}
    settings = {
        "pictures": pictures,
        "shape": generator.shape,
        "count": count,
        "compared": compared,
        "steps": steps,
        "restarts": restarts,
        "drawn": shown_at,
    }
    return Outcome({"settings": settings | {"seed": seed}, "found": found}, _draw(found, strips))


@dataclass(frozen=True)
class Projected:
    """P(w) and P(P(w))."""

    image: Tensor
    again: Tensor

    @staticmethod
    @torch.no_grad()
    def of(prior: Projector, w: Tensor) -> Projected:
        """The network called as ``npgd`` calls it, a few images at a time."""
        project = prior.bind(w[:1], operators.Identity())
        image = torch.cat([project(part, 0.5) for part in w.split(BATCH)])
        return Projected(image, torch.cat([project(part, 0.5) for part in image.split(BATCH)]))


def nearest(w: Tensor, generator: Generator, *, steps: int, restarts: int) -> Tensor:
    """The image of the generator nearest to w that descent on z finds, the best of several starts.

    It looks for ``argmin ||w - G(z)||^2``.
    """
    size = max(1, BATCH // restarts)
    return torch.cat(
        [
            csgm(part, operators.Identity(), generator, iterations=steps, restarts=restarts, weight=0.0).x
            for part in w.split(size)
        ]
    )


def measured(once: Projected, w: Tensor, truth: Tensor, best: Tensor, *, known: bool) -> dict[str, float]:
    """Means over images and pixels of squared differences: of P(w) and of what descent found.

    Of P(w) on all images and on those that were compared. excess: how much further P(w) is from w than the nearest
    image that is known: P's own, that of the descent and, where ``known``, the truth.
    """
    few = len(best)
    apart = [_each(image[:few] - w[:few]) for image in (once.image, best, *([truth] if known else []))]
    return {
        "error": _mean(once.image - truth),
        "bar": 1.96 * float(_each(once.image - truth).std()) / len(truth) ** 0.5 if len(truth) > 1 else 0.0,
        "again": _mean(once.again - once.image),
        "few_error": _mean(once.image[:few] - truth[:few]),
        "best_error": _mean(best - truth[:few]),
        "few_distance": float(apart[0].mean()),
        "best_distance": float(apart[1].mean()),
        "excess": float((apart[0] - torch.stack(apart).amin(dim=0)).mean()),
    }


def _each(difference: Tensor) -> Tensor:
    return difference.double().square().flatten(1).mean(dim=1)


def _mean(difference: Tensor) -> float:
    return float(_each(difference).mean())


def _draw(found: dict[str, list[dict[str, Any]]], strips: dict[str, dict[str, Tensor]]) -> Figure:
    first = next(iter(strips.values()))
    _, _, height, width = first["truth"].shape
    rows_high = len(first) * (0.4 + 7 * height / (width * len(first["truth"])))
    figure = drawing.sheet(15, 4.4 + rows_high)
    parts: Any = figure.subfigures(2, 1, height_ratios=[4.4, rows_high])
    above, below = parts
    axes = above.subplots(1, 2, sharey=True)
    for part, (title, rows) in zip(axes, found.items(), strict=True):
        noises = [row["noise"] for row in rows]
        drawing.clean(part, title, note="mean squared differences per pixel", x="noise σ", yscale="log")
        drawing.curve(part, noises, [row["error"] for row in rows], "P(x + e) − x", rank=0, marker="o")
        drawing.curve(
            part, noises, [row["few_error"] for row in rows], "the same, of the compared ones", rank=0, style=":"
        )
        drawing.curve(part, noises, [row["best_error"] for row in rows], "nearest by descent − x", rank=1, marker="o")
        drawing.curve(part, noises, [row["again"] for row in rows], "P(P(x + e)) − P(x + e)", rank=2, marker="o")
        drawing.curve(part, noises, [row["noise"] ** 2 or None for row in rows], "the noise itself", rank=5, style="--")  # type: ignore[misc]
        drawing.legend(part)
    grid = below.add_gridspec(len(first), len(strips))
    for column, (title, images) in enumerate(strips.items()):
        for row, (name, image) in enumerate(images.items()):
            part = below.add_subplot(grid[row, column])
            drawing.image(
                part, torch.cat(list(image), dim=-1)[None], name, note=title if row == 0 else "", strong=name == "P"
            )
    return figure


def page(numbers: Numbers) -> str:
    """Errors and idempotence over the noise, beside the descent, and how far P is from a projection."""
    s, found = numbers["settings"], numbers["found"]
    size, few = " × ".join(map(str, s["shape"])), s["compared"]
    parts = []
    for title, rows in found.items():
        keys = ("again", "few_error", "best_error", "few_distance", "best_distance", "excess")
        entries = [
            [f"{row['noise']:g}", f"{shown(row['error'])} ± {shown(row['bar'], 2)}", *(row[key] for key in keys)]
            for row in rows
        ]
        headings = [
            "noise σ",
            "P(w) − x",
            "P(P(w)) − P(w)",
            *(f"first {few}: {what}" for what in ("P(w) − x", "D(w) − x", "P(w) − w", "D(w) − w", "excess")),
        ]
        parts.append(f"**{title[0].upper()}{title[1:]}:**\n\n{table(headings, entries)}")
    tables = "\n\n".join(parts)
    return f"""
The projector P of `{s["pictures"]}` ({size} pixels in [0, 1]) at w = x + e, e ~ N(0, σ²) in each pixel; \
x are the first {s["count"]} test pictures, which no
training saw, and as many images of the generator, which it can make exactly. All entries are squared differences, \
the mean over pixels and images; ± is
1.96 standard errors. D, the reference, is argmin ‖w − G(z)‖² by {s["steps"]} steps of Adam from {s["restarts"]} \
starts, the best kept, for the first {few} of
each: the nearest image that descent found, not a proven one.

{tables}

The excess is how much further P(w) is from w than the nearest image that is known, which is that of P or D, \
or x itself where the generator made it. It is
an estimate of δ / n for the theorem's δ-approximate projector, from inside: δ itself is that of the worst w, \
against the true nearest image.

{_words(found)}
"""


def _words(found: Numbers) -> str:
    """What the tables say, in words."""
    text = []
    for title, rows in found.items():
        quiet, loud = rows[0], rows[-1]
        wins = [f"{row['noise']:g}" for row in rows if row["few_error"] < row["best_error"]]
        nearer = f"at σ = {', '.join(wins)}" if wins else "at no noise here"
        moved = max((row["again"] / row["error"]) ** 0.5 for row in rows if row["error"])
        text += [
            (
                f"For {title} the error of P goes from {shown(quiet['error'])} at σ = {quiet['noise']:g} "
                f"to {shown(loud['error'])} at {loud['noise']:g}."
            ),
            (
                f"A second pass moves the image by at most {shown(moved)} times its distance from the truth "
                "(root mean squares, over the levels of noise)."
            ),
            f"On the first pictures P comes nearer to the truth than D does, in the mean, {nearer}.",
        ]
    aims = (
        "P was trained to find the image behind the noise, and D fits the noise as far as the range can: "
        "at much noise these are two aims."
    )
    return "\n".join([*text, aims])


EXPERIMENT = Experiment(
    summary="a trained projector by itself: errors over the noise, a second pass, and the nearest image by descent",
    run=run,
    page=page,
)
