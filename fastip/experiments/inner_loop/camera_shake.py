"""Camera shake undone: the shipped denoiser as the prior of a blur it has never seen.

Beside total variation at its best weight and FFDNet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from ... import data, nets
from ...arrays import check_counts
from ...contracts import Prior
from ...operators import Blur, psf
from ...operators.base.fourier import fast_length
from ...priors import TV, Denoiser, PlugAndPlay, Schedule, schedule
from ...solvers import admm
from .. import drawing, ffdnet
from ..markdown import table
from ..photographs import NAMES
from ..record import Experiment, Numbers, Outcome, Report, silent
from ..scores import mean, psnr
from .photo_prior import read

SIZES = (25, 27, 27, 29, 31, 31)  # sides of the psf
OURS, PEER, VARIATION, OLD, GIVEN = (
    "photo prior",
    "FFDNet, published weights",
    "total variation, best weight",
    "other weights",
    "data",
)
CIRCULAR, NATURAL = "circular", "natural"
# beta of the second split for a denoiser. Mean PSNR at noise 2.55 / 7.65 on four validation photographs and two
# shakes: 0.3: 30.88 / 28.03, 1: 31.35 / 28.40, 1.5: 31.39 / 28.49, 2: 31.34 / 28.55, 3: 31.03 / 28.58,
# 4: 30.45 / 28.36.
PULL = 1.5
# Steps of the second split alone before the first denoising, which then sees what the data say beyond the border.
# With 0: 31.39 / 28.60, 10: 31.52 / 28.63, 40: 31.67 / 28.65, 100: 31.73 / 28.65, 200: 31.76 / 28.66; conjugate
# gradients to 1e-3 in each of the eight iterations, 42 steps in all: 31.72 / 28.60.
WARM = 100
TV_STEPS = {CIRCULAR: 100, NATURAL: 60}  # fewer end before total variation is at its minimum, more only take longer


@dataclass(frozen=True)
class Case:
    """One picture, blurred: y in 8 bits, the truth under it."""

    taps: Tensor
    border: str
    noise: float
    y: Tensor
    truth: Tensor


def cases(
    photos: Sequence[str], sizes: Sequence[int], side: int, noises: Sequence[float], borders: Sequence[str]
) -> list[Case]:
    """Every photograph by every shake, border and noise (grey levels of 255).

    Natural: a window of a larger scene, sharp beyond it too.
    """
    found = []
    pictures = data.held_out_photographs(photos)
    for number, size in enumerate(sizes):
        taps = psf.shake(size, number + 1)
        for border in borders:
            op = Blur(taps, boundary="circular" if border == CIRCULAR else "valid")
            for k, name in enumerate(photos):
                scene = data.centre(pictures[name], side if border == CIRCULAR else side + size - 1)
                truth = scene if border == CIRCULAR else data.centre(scene, side)
                for noise in noises:
                    generator = torch.Generator().manual_seed(1000 * number + 10 * k + round(noise))
                    blurred = op(scene)
                    y = blurred + noise / 255 * torch.randn(blurred.shape, generator=generator)
                    found.append(Case(taps, border, noise / 255, (255 * y.clamp(0, 1)).round() / 255, truth))
    return found


# ---- solving ---------------------------------------------------------------------------------------------------------


@torch.no_grad()
def restored(case: Case, prior: Prior, betas: Sequence[float], steps: int, pull: float = PULL) -> Tensor:
    """The window of the picture: by ``admm`` where the border wraps, by :func:`split` where it does not."""
    if case.border == CIRCULAR:
        x: Tensor = admm(case.y, Blur(case.taps), prior, beta=betas, iterations=steps, tolerance=0).x
        return x
    return split(case.y, case.taps, prior, betas, steps, pull)


def split(
    y: Tensor, taps: Tensor, prior: Prior, betas: Sequence[float], steps: int, pull: float, warm: int = WARM
) -> Tensor:
    """Minimise ``||M (H x) - y||^2 + R(x)`` with ``u = H x`` and ``z = x`` split off.

    H is circular on a larger grid, M the window that was seen::

        z = prox_{R/2b}(x + d)      u = (M y + p (H x + e)) / (M + p)      d <- d + x - z      e <- e + H x - u
        x = (b + p H^T H)^-1 (b (z - d) + p H^T (u - e))

    begun by ``warm`` steps of x, u and e alone, z being the data with its border repeated.

    Args:
        y: The data, 1 c h w.
        taps: The psf, an odd side.
        prior: ``R``.
        betas: ``b`` of each iteration; the last one stays.
        steps: Iterations.
        pull: ``p``.
        warm: Steps before the first prox.

    Returns:
        z in the window, 1 c h w.

    References:
        Almeida and Figueiredo, Deconvolving images with unknown boundaries using alternating optimization methods,
        2013.
    """
    size = taps.shape[0]
    rim, (h, w) = size // 2, y.shape[-2:]
    rows, columns = (fast_length(n + size - 1) for n in (h, w))
    window = (..., slice(rim, rim + h), slice(rim, rim + w))
    spectrum = torch.fft.rfft2(F.pad(taps.to(y), (0, columns - size, 0, rows - size)).roll((-rim, -rim), (0, 1)))
    seen = y.new_zeros(rows, columns)
    seen[window] = 1
    data_there = F.pad(y, (rim, columns - w - rim, rim, rows - h - rim))

    def through(image: Tensor, factor: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(image) * factor, s=(rows, columns))

    x = F.pad(y, (rim, columns - w - rim, rim, rows - h - rim), mode="replicate")
    z, d, e = x, torch.zeros_like(x), torch.zeros_like(x)
    u = seen * data_there + (1 - seen) * through(x, spectrum)
    prox = prior.bind(x, Blur(taps))
    before = betas[0]
    for k in range(steps):
        beta = betas[min(k, len(betas) - 1)]
        d, before = d * (before / beta), beta
        inverse = 1 / (beta + pull * spectrum.abs().square())
        for _ in range(1 + warm if k == 0 else 1):
            x = through(beta * (z - d) + pull * through(u - e, spectrum.conj()), inverse)
            blurred = through(x, spectrum)
            u = (seen * data_there + pull * (blurred + e)) / (seen + pull)
            e = e + blurred - u
        z = prox(x + d, 1 / (2 * beta))
        d = d + x - z
    return z[window]


def run(
    report: Report = silent,
    *,
    photos: tuple[str, ...] = NAMES,
    sizes: tuple[int, ...] = SIZES,
    side: int = 224,
    noises: tuple[float, ...] = (2.55, 7.65),
    borders: tuple[str, ...] = (CIRCULAR, NATURAL),
    weights: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
    denoiser: str = "photo-denoiser",
    other: str = "none",
    steps: int = 8,
) -> Outcome:
    """Undo every case with every prior.

    The weight of total variation is the best one for each case, which only an experiment knows. denoiser, other:
    shipped weights, or checkpoints; ``other`` is compared too.
    """
    check_counts(side=side, steps=steps)
    every = cases(photos, sizes, side, noises, borders)
    solvers = _solvers(denoiser, other, weights, steps)
    found: dict[str, list[float]] = {title: [] for title in (GIVEN, *solvers)}
    shown: dict[str, Tensor] = {}
    picked = next(
        k for k, case in enumerate(every) if case.border == every[-1].border and case.noise == every[-1].noise
    )
    for k, case in enumerate(every):
        report(f"{case.border} border, noise {255 * case.noise:g}", k, len(every))
        given = case.y if case.border == CIRCULAR else data.centre(case.y, side)
        images = {GIVEN: given} | {title: solve(case) for title, solve in solvers.items()}
        for title, x in images.items():
            found[title].append(psnr(x, case.truth))
        if k == picked:
            shown = images | {"truth": case.truth}
    rows = _rows(every, found)
    settings = {
        "photos": list(photos),
        "sizes": list(sizes),
        "side": side,
        "steps": steps,
        "weights": list(weights),
        "denoiser": denoiser,
        "other": other,
    }
    return Outcome({"settings": settings, "rows": rows}, _draw(shown, every[picked]))


def _solvers(denoiser: str, other: str, weights: Sequence[float], steps: int) -> dict[str, Callable[[Case], Tensor]]:
    def plugged(net: nets.PriorNet) -> Callable[[Case], Tensor]:
        def solve(case: Case) -> Tensor:
            plan = schedule(case.noise, steps=steps)
            return restored(case, PlugAndPlay(net, schedule=plan), plan.betas, steps)

        return solve

    def variation(case: Case) -> Tensor:
        count = TV_STEPS[case.border]
        # beta follows the weight, so that every weight has the same threshold; PULL was chosen for denoisers alone
        tried = [restored(case, TV(weight=weight), (10 * weight,), count, pull=0.1) for weight in weights]
        return max(tried, key=lambda x: psnr(x, case.truth))

    found: dict[str, Callable[[Case], Tensor]] = {VARIATION: variation, OURS: plugged(read(denoiser))}
    if other != "none":
        found[OLD] = plugged(read(other))
    path = ffdnet.weights()
    if path is not None:
        peer = ffdnet.load(path)

        def published(case: Case) -> Tensor:
            plan: Schedule = schedule(case.noise, steps=steps)
            return restored(case, Denoiser(peer, sigma=plan.levels), plan.betas, steps)

        found[PEER] = published
    return found


def _rows(every: Sequence[Case], found: dict[str, list[float]]) -> list[dict[str, Any]]:
    """The mean PSNR of each method for each border and noise."""
    kinds = list(dict.fromkeys((case.border, case.noise) for case in every))
    rows = []
    for border, noise in kinds:
        own = [k for k, case in enumerate(every) if (case.border, case.noise) == (border, noise)]
        rows.append(
            {"border": border, "noise": 255 * noise, "count": len(own)}
            | {"psnr": {t: mean([v[k] for k in own]) for t, v in found.items()}}
        )
    return rows


def _draw(shown: dict[str, Tensor], case: Case) -> Figure:
    figure = drawing.sheet(3.1 * len(shown), 3.6)
    for axes, (title, x) in zip(figure.subplots(1, len(shown)), shown.items(), strict=True):
        note = "" if title == "truth" else f"{psnr(x, case.truth):.2f} dB"
        drawing.image(axes, x.clamp(0, 1), title.split(",")[0], note=note, strong=title == OURS)
    return figure


def page(numbers: Numbers) -> str:
    """PSNR by border and noise, and what the photo prior gains."""
    s, rows = numbers["settings"], numbers["rows"]
    titles = list(rows[0]["psnr"])
    lines = [
        [f"{row['border']}, noise {row['noise']:g} of 255", *(f"{row['psnr'][title]:.2f}" for title in titles)]
        for row in rows
    ]
    gains = {
        title: mean([row["psnr"][OURS] - row["psnr"][title] for row in rows])
        for title in titles
        if title not in (OURS, GIVEN)
    }
    against = "; ".join(f"{gain:+.2f} dB against {title}" for title, gain in gains.items())
    return f"""
{", ".join(s["photos"])}, the middle {s["side"]} × {s["side"]} pixels, blurred by {len(s["sizes"])} camera shakes \
(random walks, {min(s["sizes"])} to
{max(s["sizes"])} pixels wide) that no training saw, with noise, rounded to 8 bits. Circular: \
the picture wraps around. Natural: the data are a window of a
larger scene, restored on a padded grid with a second split, exact and without an inner loop,
begun by {WARM} steps of that split alone. PSNR in dB, means over {rows[0]["count"]} pictures each:

{table(["border", *titles], lines)}

The photo prior is `fastip.shipped.prior("photo", noise=...)` with its {s["steps"]} iterations: {against}, \
over all rows. FFDNet has the same schedule.
Total variation has, for each picture, the best of the weights {", ".join(f"{weight:g}" for weight in s["weights"])}, \
which nobody knows who has no truth.
"""


EXPERIMENT = Experiment(
    summary="camera shake: the shipped denoiser as the prior of any blur, total variation at its best weight, FFDNet",
    run=run,
    page=page,
)
