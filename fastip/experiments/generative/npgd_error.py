"""Reconstruction error against the number of measurements.

NPGD with random and with designed measurements, CSGM, PGDGAN, and the Lasso in three bases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...arrays import check_counts
from ...errors import InvalidInput
from .. import drawing
from ..markdown import listed, table
from ..record import Experiment, Numbers, Outcome, Report, silent
from . import compressed_sensing as sensing
from . import lasso
from .compressed_sensing import Average, Search
from .reconstructions import CSGM, DESIGNED, LASSO, NPGD, PGDGAN, Given, error_numbers, reconstructed, tuned_searches

# by the side of the image; denser grids draw finer curves, and each m takes all searches again
GRIDS = {28: (10, 20, 50, 100, 200, 500), 64: (100, 200, 500, 1000, 2000, 5000)}
ENDS = {28: (20, 100), 64: (200, 1000)}  # few designed measurements against many random ones
SHOWN = 8  # pictures in the figure
STYLES = {
    NPGD: (0, "-"),
    DESIGNED: (0, "--"),
    CSGM: (1, "-"),
    PGDGAN: (2, "-"),
    "Lasso, pixels": (5, ":"),
    "Lasso, DCT": (5, "--"),
    "Lasso, wavelet": (5, "-"),
}


def run(
    report: Report = silent,
    *,
    pictures: str = "digits",
    count: int = 200,
    searched: int = 50,
    measurements: tuple[int, ...] = (0,),
    noise: float = 0.0,
    iterations: int = 300,
    restarts: int = 10,
    projections: int = 10,
    inner: int = 100,
    starts: int = 3,
    validation: int = 50,
    tuned: int = 16,
    pairs: int = 50_000,
    seed: int = 0,
) -> Outcome:
    """Reconstruct the first ``count`` test pictures from each number of measurements.

    Args:
        report: Called with what is done.
        pictures: The set, that of a shipped projector.
        count: How many pictures.
        searched: How many of them CSGM and PGDGAN are run on.
        measurements: 0 for the grid of the size of the pictures.
        noise: ``sqrt(E ||e||^2)`` of the data.
        iterations: Of CSGM.
        restarts: Of CSGM.
        projections: Of PGDGAN.
        inner: Steps of each projection of PGDGAN.
        starts: Of PGDGAN.
        validation: Pictures that the Lasso is set up on.
        tuned: How many of these the searches get their weights on.
        pairs: Of images, from which A is designed.
        seed: Of the measurements and of the noise.
    """
    from ...train import measurements as design

    check_counts(
        count=count,
        iterations=iterations,
        restarts=restarts,
        projections=projections,
        inner=inner,
        starts=starts,
        validation=validation,
        pairs=pairs,
    )
    prior = sensing.projector(pictures)
    generator = sensing.networks(prior).generator
    grid, few, many = _grid(measurements, generator.shape[-1])
    if not 1 <= searched <= count:
        raise InvalidInput(f"searched is {searched}; expected 1 to {count}, the number of pictures")
    if not 1 <= tuned <= validation:
        raise InvalidInput(f"tuned is {tuned}; expected 1 to {validation}, the number of validation pictures")
    report("designed measurements", 0, 1)
    rows = design(generator, grid[-1], pairs=pairs, seed=seed).matrix
    searches = Search(iterations, restarts), Search(projections, starts, inner)
    truth, held_out = sensing.pictures(pictures, "test", count), sensing.pictures(pictures, "validation", validation)
    given = Given(prior, generator, truth, held_out, rows, searches, searched, noise, seed)
    given = replace(given, searches=tuned_searches(given, held_out[:tuned], many, partial(_tell, report, grid, many)))
    found = {m: reconstructed(given, m, partial(_tell, report, grid, m)) for m in grid}
    numbers = error_numbers(given, found, few, many)
    settings = {
        "pictures": pictures,
        "measurements": grid,
        "few": few,
        "many": many,
        "pairs": pairs,
        "tuned": tuned,
    } | _settings(given)
    return Outcome({"settings": settings, **numbers}, _draw(numbers, grid, many, truth, found[many].images))


def _settings(given: Given) -> Numbers:
    counts = {
        "count": len(given.truth),
        "searched": given.searched,
        "validation": len(given.held_out),
        "noise": given.noise,
    }
    searches = {
        "searches": {each.name: each.words for each in given.searches},
        "weights": {each.name: each.weight for each in given.searches},
    }
    tried = {"tried": {**{each.name: sensing.WEIGHTS[each.name] for each in given.searches}, "Lasso": lasso.WEIGHTS}}
    return counts | {"shape": given.generator.shape, "latent": given.generator.latent} | searches | tried


def _tell(report: Report, grid: Sequence[int], m: int, what: str) -> None:
    report(f"m = {m}: {what}", grid.index(m), len(grid))


def _grid(asked: tuple[int, ...], side: int) -> tuple[tuple[int, ...], int, int]:
    """The numbers of measurements, and the two that are compared.

    Those are the ends of the grid where it has not the usual ones.
    """
    grid = GRIDS[side] if asked == (0,) else tuple(sorted(set(asked)))
    few, many = ENDS[side] if set(ENDS[side]) <= set(grid) else (grid[0], grid[-1])
    return grid, few, many


def best_lasso(curves: Numbers, at: int) -> str:
    """The kind of Lasso of least mean error at this place of the grid."""
    return min((name for name in curves if name.startswith(LASSO)), key=lambda name: float(curves[name]["mean"][at]))


# ---- the figure ------------------------------------------------------------------------------------------------------


def _draw(numbers: Numbers, grid: Sequence[int], many: int, truth: Tensor, images: Mapping[str, Tensor]) -> Figure:
    strips = [NPGD, DESIGNED, CSGM, PGDGAN, best_lasso(numbers["curves"], grid.index(many))]
    figure = drawing.sheet(13.5, 6.4)
    cells = figure.add_gridspec(len(strips) + 1, 2, width_ratios=[1.2, 1])
    _draw_curves(figure.add_subplot(cells[:, 0]), numbers, grid)
    count = min(SHOWN, *(len(x) for x in images.values()))
    for row, (name, x) in enumerate((("truth", truth), *((name, images[name]) for name in strips))):
        title = name if row == 0 else f"{name}, m = {many}"
        drawing.image(
            figure.add_subplot(cells[row, 1]), torch.cat(list(x[:count]), dim=-1)[None], title, strong=name == NPGD
        )
    return figure


def _draw_curves(axes: Axes, numbers: Numbers, grid: Sequence[int]) -> None:
    curves = numbers["curves"]
    drawing.clean(
        axes,
        "mean squared error of a pixel",
        note="mean over the pictures, 95 % bars",
        x="measurements",
        xscale="log",
        yscale="log",
    )
    for k, (name, curve) in enumerate(curves.items()):
        rank, style = STYLES[name]
        at = [m * 1.012 ** (k - len(curves) // 2) for m in grid]  # beside each other, so that each bar is seen
        drawing.curve(axes, at, curve["mean"], name, rank=rank, style=style, marker="o")
        axes.errorbar(
            at, curve["mean"], curve["bar"], fmt="none", ecolor=drawing.COLOURS[rank], elinewidth=0.9, capsize=2
        )
    axes.axhline(numbers["projected"][0], color=drawing.INK, linewidth=0.8, linestyle="-.", label="P(truth)")
    # an exact Lasso leaves through it
    axes.set_ylim(bottom=0.2 * min(min(curve["mean"]) for name, curve in curves.items() if not name.startswith(LASSO)))
    axes.set_xticks(grid, list(map(str, grid)))
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=9.5, handlelength=3.5, loc="lower left")


# ---- the page --------------------------------------------------------------------------------------------------------


def page(numbers: Numbers) -> str:
    """The errors by method and m, the same pictures side by side at one m, and what follows."""
    s, curves, same, grid = numbers["settings"], numbers["curves"], numbers["same"], numbers["settings"]["measurements"]
    many, (colours, height, width) = s["many"], s["shape"]
    rows = [
        [name, curve["images"], *(Average(*pair).text for pair in zip(curve["mean"], curve["bar"], strict=True))]
        for name, curve in curves.items()
    ]
    sides = [
        [name, Average(*one["mean"]).text, one["median"], "" if name == NPGD else Average(*one["above"]).text]
        for name, one in same.items()
    ]
    noise = f"noise of size √E‖e‖² = {s['noise']:g}" if s["noise"] else "no noise"
    return f"""
The first {s["count"]} pictures of the test split of `{s["pictures"]}`, which no training saw, \
{height} × {width} × {colours} = {height * width * colours}
numbers in [0, 1] each, measured by m × {height * width * colours} matrices, {noise}. \
The error is the mean of (x̂ − x)² over the pixels, x̂ clipped to
[0, 1]; the table has its mean over the pictures ± 1.96 standard errors, also where a curve leaves the figure below.

{table(["method", "pictures", *(f"m = {m}" for m in grid)], rows)}

All but one method see the same random data, A with entries N(0, 1/m). The designed A has the m orthonormal rows that \
see most of how the generator's images
differ, from {s["pairs"]} pairs of them and no picture. NPGD, CSGM and PGDGAN use the same generator (k = \
{s["latent"]}). NPGD runs as it comes, without a
tuned number, and can give only images that its projector P makes: of the truth itself P makes one with an error of
{Average(*numbers["projected"]).text}, the horizontal line. The searches are slow and were run on the first \
{s["searched"]} pictures:
CSGM with {s["searches"][CSGM]}, PGDGAN with {s["searches"][PGDGAN]}.
Their weights of ‖z‖² are those of least mean error at m = {many} on {s["tuned"]} validation pictures: \
{s["weights"][CSGM]:g} for CSGM (tried:
{listed(s["tried"][CSGM])}) and {s["weights"][PGDGAN]:g} for PGDGAN (tried: {listed(s["tried"][PGDGAN])}). \
The rest are their defaults.

## m = {many}: the same {s["searched"]} pictures for all

{table(["method", "mean error", "median", "above NPGD"], sides)}

{_verdicts(numbers)}

## The Lasso

min ‖y − A Tᵀs‖² + w W‖s‖₁ with an orthonormal transform T of each channel (none, the DCT, a wavelet) \
and W the least weight at which s = 0. For each m
and basis the w of least mean error on {s["validation"]} pictures of the validation split was taken, out of
{listed(s["tried"]["Lasso"])}, and of the wavelets haar and db4 the better one:

{_weights(numbers["chosen"], grid)}

{_sparse(curves, grid)}

CelebA and LSUN, on which these methods were published beside MNIST, are in no package registry, \
so the sets here are others. A folder of CelebA trains by the
same commands.
"""


def _verdicts(numbers: Numbers) -> str:
    """What the numbers say of NPGD against the searches, and of the designed A."""
    s, same, designed = numbers["settings"], numbers["same"], numbers["designed"]
    own = Average(*same[NPGD]["mean"])
    lines = []
    for name in (CSGM, PGDGAN):
        other, above = Average(*same[name]["mean"]), Average(*same[name]["above"])
        no_worse = "no worse" if own.mean <= other.mean else "worse"
        lines.append(f"NPGD's mean error is {no_worse} than {name}'s: {sensing.compared(own, other, above.negative)}.")
        lines.append(_crossed(name, numbers["curves"], s["measurements"]))
    curve = numbers["curves"][NPGD]
    at = s["measurements"].index(s["many"])
    random = Average(curve["mean"][at], curve["bar"][at])
    few, above = Average(*designed["mean"]), Average(*designed["above"])
    good = "at least as good as" if few.mean <= random.mean else "not as good as"
    lines.append(
        f"NPGD with {s['few']} designed measurements is {good} with {s['many']} random ones, "
        f"over all {s['count']} pictures: {sensing.compared(few, random, above)}."
    )
    medians = [f"{name} {same[name]['median']:.3g}" for name in (NPGD, CSGM, PGDGAN)]
    lines.append(
        f"The medians are {', '.join(medians)}: "
        "where a median lies far below its mean, a few pictures that came out wrong make the mean."
    )
    return "\n".join(lines)


def _crossed(name: str, curves: Numbers, grid: Sequence[int]) -> str:
    """Where the curve of a search lies below that of NPGD."""
    below = [
        f"m = {m}"
        for m, one, other in zip(grid, curves[name]["mean"], curves[NPGD]["mean"], strict=True)
        if one < other
    ]
    where = f"lies below that of NPGD at {', '.join(below)}" if below else "lies above that of NPGD at every m"
    pictures = f"over {curves[name]['images']} pictures against {curves[NPGD]['images']}"
    return f"In the table the mean error of {name}, {pictures}, {where}."


def _weights(chosen: Numbers, grid: Sequence[int]) -> str:
    rows = [
        [kind, *(f"{title}, {weight:g}" if kind == "wavelet" else weight for title, weight in each)]
        for kind, each in chosen.items()
    ]
    return table(["w", *(f"m = {m}" for m in grid)], rows)


def _sparse(curves: Numbers, grid: Sequence[int]) -> str:
    """Where sparsity is enough."""
    below = [m for k, m in enumerate(grid) if curves[best_lasso(curves, k)]["mean"][k] < curves[NPGD]["mean"][k]]
    if not below:
        return "At none of these m does its best basis come below NPGD with random measurements."
    where = (
        f"At m = {', '.join(map(str, below))} its best basis has a lower mean error than NPGD with random measurements"
    )
    return where + ("." if len(below) == len(grid) else "; at the other m all three have a higher one.")


EXPERIMENT = Experiment(
    summary=(
        "reconstruction error against the number of measurements: "
        "NPGD with random and designed A, CSGM, PGDGAN, Lasso in three bases"
    ),
    run=run,
    page=page,
)
