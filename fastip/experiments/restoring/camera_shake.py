"""Camera shake undone on natural borders: the learned restorer on psfs that no training saw.

Beside the shipped denoiser and FFDNet in plug and play with the same data step, and total variation at its best weight.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ... import data
from ...arrays import check_counts
from ...checkpoint import shipped
from ...errors import InvalidInput
from ...inverses import Split
from ...inverses.close import Close
from ...operators import Blur, psf
from ...priors import TV, Box, Denoiser, Schedule
from ...priors.schedule import between
from ...solvers import admm
from .. import drawing, ffdnet
from ..markdown import listed, table
from ..record import Experiment, Numbers, Outcome, Report, silent
from ..scores import mean, psnr, under_data

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES = (25, 25, 27, 29, 31, 31, 33, 35, 37, 37, 39, 41)  # sides of the psfs
OURS, DENOISER, VARIATION, GIVEN = "restorer", "photo denoiser", "total variation, best weight", "data"
STEPS = (8, 16)  # of FFDNet


@dataclass(frozen=True)
class Tuned:
    """Plug and play of FFDNet: levels from ``first`` to ``last`` noise, beta = share noise^2 / level^2."""

    first: float
    last: float
    share: float


# The best of a search, one constant after the other, by the mean PSNR on validation photographs under six camera shakes
# with noise 2.55 and 7.65. Eight steps: 29.36 dB; first 0.3 29.32, last 2.4 29.33 and 4 29.34, share 0.45 27.84, 0.8
# 29.12. Sixteen: 29.28; first 0.3 29.23, last 2.4 29.20.
TUNED = {8: Tuned(0.5, 3.0, 0.6), 16: Tuned(0.5, 3.0, 0.6)}


@dataclass(frozen=True)
class Case:
    """One picture, blurred and every ``stride``-th pixel kept: y in 8 bits, the truth of the whole scene."""

    op: Blur
    noise: float
    y: Tensor
    truth: Tensor

    @property
    def kind(self) -> tuple[int, float]:
        """Stride, and noise in grey levels of 255."""
        return self.op.stride, round(255 * self.noise, 4)

    def psnr(self, x: Tensor) -> float:
        """Of a restored scene, under the data."""
        return psnr(under_data(x, self.op, self.y), under_data(self.truth, self.op, self.y))


def cases(
    photos: Sequence[str], sizes: Sequence[int], side: int, noises: Sequence[float], strides: Sequence[int]
) -> list[Case]:
    """Every photograph by every shake and noise (grey levels of 255); the strides above 1 with the first shake alone.

    The data are a window of a larger scene, their result side x side or a little less, for the stride to divide it.
    """
    found = []
    pictures = data.held_out_photographs(photos)
    for number, (stride, size) in enumerate([(1, size) for size in sizes] + [(s, sizes[0]) for s in strides if s > 1]):
        op = Blur(psf.shake(size, number + 1), stride=stride, boundary="valid")
        scene = (side // stride - 1) * stride + size
        for k, name in enumerate(photos):
            truth = data.centre(pictures[name], scene)
            for noise in noises:
                generator = torch.Generator().manual_seed(1000 * number + 10 * k + round(noise))
                y = op(truth)
                y = y + noise / 255 * torch.randn(y.shape, generator=generator)
                found.append(Case(op, noise / 255, (255 * y.clamp(0, 1)).round() / 255, truth))
    return found


Solve = Callable[[Case], Tensor]


def run(
    report: Report = silent,
    *,
    photos: tuple[str, ...] = data.EVERYDAY,
    sizes: tuple[int, ...] = SIZES,
    side: int = 224,
    noises: tuple[float, ...] = (2.55, 7.65),
    strides: tuple[int, ...] = (1, 2, 3, 4),
    weights: tuple[float, ...] = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2),
    restorer: str = "photo",
    denoiser: str = "photo",
) -> Outcome:
    """Undo every case in every way; every way is told the noise.

    The weight of total variation is the best one for each case, which only an experiment knows; its time is that of one
    weight. restorer, denoiser: names of shipped ones.
    """
    check_counts(side=side)
    if min(side, *sizes, *strides) < 1:
        raise InvalidInput(f"sizes are {sizes} and strides {strides}; expected numbers >= 1")
    every = cases(photos, sizes, side, noises, strides)
    ways = _ways(weights, restorer, denoiser)
    kinds = list(dict.fromkeys(case.kind for case in every))
    found: dict[tuple[int, float], dict[str, list[float]]] = {kind: {t: [] for t in (GIVEN, *ways)} for kind in kinds}
    seconds: dict[tuple[int, float], dict[str, float]] = {kind: dict.fromkeys(ways, 0.0) for kind in kinds}
    shown: dict[str, Tensor] = {}
    for k, case in enumerate(every):
        stride, noise = case.kind
        report(f"stride {stride}, noise {noise:g}", k, len(every))
        images: dict[str, Tensor] = {}
        for title, solve in ways.items():
            start = time.perf_counter()
            images[title] = solve(case)
            seconds[case.kind][title] += time.perf_counter() - start
            found[case.kind][title].append(case.psnr(images[title]))
        if stride == 1:
            found[case.kind][GIVEN].append(psnr(case.y, under_data(case.truth, case.op, case.y)))
        if k == len(photos) * len(noises) - 1:
            parts = {title: under_data(x, case.op, case.y) for title, x in images.items()}
            shown = {GIVEN: case.y} | parts | {"truth": under_data(case.truth, case.op, case.y)}
    rows = []
    for stride, noise in kinds:
        values = found[stride, noise]
        count = len(values[OURS])
        row: dict[str, Any] = {"stride": stride, "noise": noise, "count": count}
        row["psnr"] = {title: mean(some) for title, some in values.items() if some}
        row["seconds"] = {title: spent / count for title, spent in seconds[stride, noise].items()}
        rows.append(row)
    settings = {"photos": list(photos), "sizes": list(sizes), "side": side, "weights": list(weights)}
    settings |= {"threads": torch.get_num_threads(), "tuned": {steps: vars(tuned) for steps, tuned in TUNED.items()}}
    return Outcome({"settings": settings, "rows": rows}, _draw(shown))


def _ways(weights: Sequence[float], restorer: str, denoiser: str) -> dict[str, Solve]:
    learned = shipped.restorer(restorer)

    def restored(case: Case) -> Tensor:
        x: Tensor = learned.solve(case.y, case.op, case.noise).x
        return x

    def denoised(case: Case) -> Tensor:
        prior = shipped.prior(denoiser, noise=case.noise)
        return _plugged(case, prior, prior.schedule)

    def variation(case: Case) -> Tensor:
        def solve(weight: float) -> Tensor:
            prior = TV(weight=weight) + Box(0.0, 1.0)
            x: Tensor = admm(case.y, case.op, prior, inverse=Split(), iterations=100, tolerance=3e-2).x
            return x

        return max(map(solve, weights), key=case.psnr)

    found: dict[str, Solve] = {VARIATION: variation, DENOISER: denoised, OURS: restored}
    path = ffdnet.weights()
    if path is not None:
        peer = ffdnet.load(path)
        for steps, tuned in TUNED.items():

            def published(case: Case, steps: int = steps, tuned: Tuned = tuned) -> Tensor:
                plan = _levels(case.noise, steps, tuned)
                return _plugged(case, Denoiser(peer, sigma=plan.levels), plan)

            found[f"FFDNet, {steps} steps"] = published
    return found


def _levels(noise: float, steps: int, tuned: Tuned) -> Schedule:
    last = tuned.last * noise
    return between(max(tuned.first, last), last, noise=noise, share=tuned.share, steps=steps)


@torch.no_grad()
def _plugged(case: Case, prior: Any, plan: Schedule) -> Tensor:
    how: dict[str, Any] = {"beta": plan.betas, "iterations": len(plan), "tolerance": 0, "inverse": Close()}
    x: Tensor = admm(case.y, case.op, prior, **how).x
    return x


# ---- telling ---------------------------------------------------------------------------------------------------------


def _draw(shown: dict[str, Tensor]) -> Figure:
    figure = drawing.sheet(3.1 * len(shown), 3.6)
    for axes, (title, x) in zip(figure.subplots(1, len(shown)), shown.items(), strict=True):
        note = "" if title == "truth" else f"{psnr(x, shown['truth']):.2f} dB"
        drawing.image(axes, x.clamp(0, 1), title.split(", best")[0], note=note, strong=title == OURS)
    return figure


def page(numbers: Numbers) -> str:
    """PSNR by stride and noise, what the restorer gains, and the times."""
    s, rows = numbers["settings"], numbers["rows"]
    titles = list(rows[0]["seconds"])
    lines = [
        [
            f"{'every pixel' if row['stride'] == 1 else 'one pixel of ' + str(row['stride'])}, noise {row['noise']:g}",
            *(f"{row['psnr'][title]:.2f}" if title in row["psnr"] else "" for title in (GIVEN, *titles)),
        ]
        for row in rows
    ]
    times = [[title, f"{mean([row['seconds'][title] for row in rows]):.2f}"] for title in titles]
    gains = {t: mean([row["psnr"][OURS] - row["psnr"][t] for row in rows]) for t in titles if t != OURS}
    against = "; ".join(f"{gain:+.2f} dB against {title}" for title, gain in gains.items())
    return f"""
The middles of {", ".join(s["photos"])}, a window of {s["side"]} × {s["side"]} pixels of a larger scene, blurred by \
{len(s["sizes"])} camera shakes (random walks, {min(s["sizes"])} to {max(s["sizes"])} pixels wide)
that no training saw, with noise (grey levels of 255), in 8 bits; with every second to fourth pixel the first shake \
alone. Every way is told psf and noise. Total variation has the data step of
`inverses.Split`, the others that of the restorer, conjugate gradients with a circulant preconditioner.
PSNR in dB under the data, means:

{table(["data", GIVEN, *titles], lines)}

The restorer (`fastip.shipped.restorer("photo")`, six iterations): {against}, over all rows.

| way | seconds a picture, {s["threads"]} thread(s) |
| :--- | ---: |
{chr(10).join(f"| {title} | {value} |" for title, value in times)}

The photo denoiser is `fastip.shipped.prior("photo", noise=...)` in eight iterations. FFDNet has its published \
weights, in float32; its levels and betas were chosen on validation photographs.
Total variation has, for each picture, the best of the weights {listed(s["weights"])}, which nobody knows who has no \
truth; its time is that of all of them.
"""


EXPERIMENT = Experiment(
    summary="camera shake on natural borders: the learned restorer, plug and play, total variation at its best weight",
    run=run,
    page=page,
)
