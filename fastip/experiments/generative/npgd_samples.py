"""What the shipped generators draw, beside pictures that no training saw, and how far the two are apart as sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import metrics
from ...arrays import check_count
from ...checkpoint import load_generator, shipped
from ...errors import InvalidInput
from .. import drawing
from ..markdown import shown, table
from ..record import Experiment, Numbers, Outcome, Report, silent
from .compressed_sensing import pictures as first_pictures

ROWS, COLUMNS = 5, 10  # of each sheet
BATCH = 250  # images drawn at once: more fill the memory, fewer leave cores idle
HEADS = """The heads of the test split wear hair and hats that no training head wears, \
and those of the validation split others again: a generator that
knows neither can come nearer to the test pictures than the validation pictures are.
"""
MADE, REAL = "generator", "test pictures"


def run(
    report: Report = silent, *, pictures: str = "all", checkpoint: str = "", count: int = 2000, seed: int = 0
) -> Outcome:
    """Draw ``count`` images of each generator and compare them with as many test pictures.

    These are compared with as many of the validation split.

    Args:
        report: Called with what is done.
        pictures: all, digits, fashion or avatars.
        checkpoint: A file with a generator for these, in place of the shipped one.
        count: Images of each kind, at least 2.
        seed: Of the images that are drawn.
    """
    check_count(count, "count", low=2)
    if checkpoint and pictures == "all":
        raise InvalidInput(
            f"checkpoint is {checkpoint!r}, and pictures are all; "
            "expected the set that it was trained on, such as pictures=digits"
        )
    sets = shipped.names("projectors") if pictures == "all" else [pictures]
    found: dict[str, dict[str, Any]] = {}
    sheets: dict[str, dict[str, Tensor]] = {}
    for k, name in enumerate(sets):
        report(name, k, len(sets))
        generator = load_generator(checkpoint) if checkpoint else shipped.generator(name)
        real, others = (first_pictures(name, split, count) for split in ("test", "validation"))
        if generator.shape != tuple(real.shape[1:]):
            raise InvalidInput(
                f"the generator makes images {generator.shape}, those of {name} are {tuple(real.shape[1:])}"
            )
        made = drawn(generator.latent, generator, count, seed)
        found[name] = {
            "shape": generator.shape,
            "latent": generator.latent,
            "made": metrics.frechet_distance(made, real),
            "others": metrics.frechet_distance(others, real),
            "mean": metrics.frechet_distance(_constant(real), real),
        }
        few = min(ROWS * COLUMNS, count)
        sheets[name] = {MADE: made[:few], REAL: real[:few]}
    source = (
        f"the generator of {Path(checkpoint).name} ({type(generator).__name__})"
        if checkpoint
        else "the shipped generators"
    )
    return Outcome(
        {"settings": {"pictures": sets, "generator": source, "count": count, "seed": seed}, "found": found},
        _draw(sheets),
    )


def drawn(latent: int, generator: Any, count: int, seed: int) -> Tensor:
    """G(z) for ``count`` z ~ N(0, I), none of them chosen, a few at a time."""
    z = torch.randn(count, latent, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return torch.cat([generator(part) for part in z.split(BATCH)])


def _constant(real: Tensor) -> Tensor:
    """The mean picture, twice: a set without any variety."""
    return real.mean(dim=0, keepdim=True).expand(2, -1, -1, -1)


def _draw(sheets: dict[str, dict[str, Tensor]]) -> Figure:
    figure = drawing.sheet(13, 3.6 * len(sheets))
    grid = figure.subplots(len(sheets), 2, squeeze=False)
    for row, (name, parts) in zip(grid, sheets.items(), strict=True):
        for axes, (title, images) in zip(row, parts.items(), strict=True):
            lines = [
                torch.cat(list(line), dim=-1)
                for line in images.split(COLUMNS)
                if len(line) == min(COLUMNS, len(images))
            ]
            drawing.image(axes, torch.cat(lines, dim=-2)[None], title, note=name, strong=title == MADE)
    return figure


def page(numbers: Numbers) -> str:
    """The distances of the sets, with what they are to be measured by."""
    s, found = numbers["settings"], numbers["found"]
    rows = [
        [
            name,
            " × ".join(map(str, one["shape"])),
            one["latent"],
            one["made"],
            one["others"],
            one["mean"],
            _between(one),
        ]
        for name, one in found.items()
    ]
    headings = [
        "set",
        "pixels",
        "latent numbers",
        "generator",
        "validation pictures",
        "the mean picture",
        "way from the mean",
    ]
    return f"""
Images of {s["generator"]}: those of z ~ N(0, I) in the figure are the first that the seed {s["seed"]} draws, \
not a choice. The distance is
that of Fréchet between two normal distributions in the first {metrics.COMPONENTS} principal components of \
{s["count"]} test pictures, in squared pixels summed
over an image (`metrics.frechet_distance`). It sees means and covariances, and neither sharpness nor whether a \
picture is likely. Two others stand beside it:
that of as many validation pictures, other real ones, and that of the mean test picture alone.

{table(headings, rows)}

The last column is how much of the way from the mean picture to validation pictures the generator has gone: \
100 % is as close as other real pictures are.
{HEADS * ("avatars" in found)}The published experiments used photographs of faces and of churches, CelebA and LSUN, \
which are in no package registry.
"""


def _between(one: Numbers) -> str:
    whole = one["mean"] - one["others"]
    return f"{shown(100 * (one['mean'] - one['made']) / whole)} %" if whole > 0 else "not defined"


EXPERIMENT = Experiment(
    summary="random images of the generators beside pictures that no training saw", run=run, page=page
)
