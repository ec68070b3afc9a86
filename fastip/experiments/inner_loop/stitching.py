"""A large photograph restored whole, in patches that are each solved alone and stitched, and in between.

That is with the network in tiles and the data step on the whole.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import data, inverses, nets, tasks
from ...contracts import Solution
from ...nets.tiles import Tiles
from ...priors import PixelShuffleAutoencoder
from .. import drawing
from ..markdown import shown, table
from ..record import Experiment, Numbers, Outcome, Report, silent
from ..scores import scores

WHOLE, TILED = "whole", "network in tiles, data step on the whole"
PATCHES = "patches solved alone, {}"
# Pixels at each side of the middle of an overlap that count as the seam, and the part of a tile that far from it is
# the middle. A wider band or nearer middles take in pixels of the other kind, a narrower band has few pixels.
BAND, FAR = 4, 4
Solve = Callable[[Tensor], Solution]


def run(
    report: Report = silent,
    *,
    task: str = "photo-sr4-wide",
    photo: str = "motorcycle",
    height: int = 480,
    width: int = 736,
    tile: int = 128,
    overlap: int = 16,
    window: int = 320,
    repeats: int = 2,
) -> Outcome:
    """Restore the middle of a photograph in four ways.

    Whole, the network in tiles of ``window``, by patches with two guesses at what is beyond them.
    """
    known, problem = tasks.get(task), tasks.load_task(task, boundary="circular", dtype=torch.float32)
    op = problem.op
    truth = _middle(data.held_out_photographs([photo])[photo], height, width)
    y = data.degrade(truth, op, problem.noise or 0.0)
    tiles = Tiles(height, width, tile, overlap=overlap, multiple=known.stride)
    ways = _ways(task, problem, tiles, window)
    found, images = _measured(ways, y, repeats, report)
    places = seams(tiles)
    numbers = {
        title: _numbers(x, images[WHOLE], truth, places) | {"seconds": found[title]} for title, x in images.items()
    }
    settings = {"task": task, "summary": known.summary, "picture": photo, "height": height, "width": width}
    settings |= {"tile": tile, "overlap": overlap, "patches": len(tiles), "window": window}
    return Outcome({"settings": settings, "ways": numbers}, _draw(images, truth, numbers))


def _middle(x: Tensor, height: int, width: int) -> Tensor:
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


def _ways(task: str, problem: tasks.Problem, tiles: Tiles, window: int) -> dict[str, Solve]:
    """Each way by its title."""
    prior = problem.prior
    assert isinstance(prior, PixelShuffleAutoencoder)
    whole, tiled = (
        PixelShuffleAutoencoder(net, sigma=prior.sigma, trained=prior.trained)
        for net in (prior.net, nets.Tiled(prior.net, tile=window))
    )
    ways: dict[str, Solve] = {
        WHOLE: dataclasses.replace(problem, prior=whole).solve,
        TILED: dataclasses.replace(problem, prior=tiled).solve,
    }
    for boundary in ("circular", "reflect"):  # the data step to 1e-5 for both, so that what differs is the border
        own = tasks.learned(task).problem(boundary=boundary, dtype=torch.float32)
        alone = dataclasses.replace(own, prior=whole, inverse=inverses.ConjugateGradient())
        ways[PATCHES.format(boundary)] = partial(_stitched, tiles, alone)
    return ways


def _stitched(tiles: Tiles, problem: tasks.Problem, y: Tensor) -> Solution:
    """Patches of the data solved each for itself; their images averaged with the weights of the tiles."""
    stride = tiles.height // y.shape[2]
    result = y.new_zeros(1, y.shape[1], tiles.height, tiles.width)
    for k, box in enumerate(tiles):
        solution = problem.solve(box.of(y, stride).contiguous())
        box.of(result).add_(solution.x * tiles.weight(k).to(y))
    return dataclasses.replace(solution, x=result)


def _measured(
    ways: dict[str, Solve], y: Tensor, repeats: int, report: Report
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """The shortest time of each way, which take turns, and its image."""
    seconds, images = dict.fromkeys(ways, float("inf")), {}
    for turn in range(repeats):
        for k, (title, solve) in enumerate(ways.items()):
            report(title, turn * len(ways) + k, repeats * len(ways))
            start = time.perf_counter()
            images[title] = solve(y).x
            seconds[title] = min(seconds[title], time.perf_counter() - start)
    return seconds, images


def seams(tiles: Tiles) -> tuple[Tensor, Tensor]:
    """True on the seams, and in the middles of the tiles; both h w.

    Seams are within BAND of the middle of what two neighbouring tiles share, middles at least tile / FAR away from
    that. Both leave out what is nearer than tile / FAR to the border of the image, where data that wrap are another
    thing than seams.
    """
    boxes, far = list(tiles), tiles.tile // FAR
    rows = _distances(tiles.height, {box.top: box.height for box in boxes})
    columns = _distances(tiles.width, {box.left: box.width for box in boxes})
    nearest = torch.minimum(rows[:, None], columns[None])
    inner = torch.zeros(tiles.height, tiles.width, dtype=torch.bool)
    inner[far : tiles.height - far, far : tiles.width - far] = True
    return inner & (nearest < BAND), inner & (nearest >= far)


def _distances(size: int, extents: dict[int, int]) -> Tensor:
    """Of each of ``size`` pixels from the nearest middle of what neighbours share; extents: {start: length}."""
    at, starts = torch.arange(size) + 0.5, sorted(extents)
    lines = [(after + before + extents[before]) / 2 for before, after in zip(starts, starts[1:], strict=False)]
    return (
        torch.stack([(at - line).abs() for line in lines]).amin(dim=0) if lines else torch.full((size,), float("inf"))
    )


def _numbers(x: Tensor, whole: Tensor, truth: Tensor, places: tuple[Tensor, Tensor]) -> dict[str, float]:
    """PSNR and SSIM, the largest difference from the whole solve, and its root mean square on seams and in middles."""
    found = scores(x, truth)
    difference = (x - whole).square().mean(dim=(0, 1))
    on, off = (float(difference[where].mean().sqrt()) for where in places)
    return {
        "psnr": found["psnr"][0],
        "ssim": found["ssim"][0],
        "largest": float((x - whole).abs().max()),
        "on seams": on,
        "in middles": off,
    }


def _draw(images: dict[str, Tensor], truth: Tensor, numbers: dict[str, Any]) -> Figure:
    """The three images that differ, and their differences from the whole solve, ten times as strong."""
    figure = drawing.sheet(15, 7.4)
    grid = figure.add_gridspec(2, 3)
    for column, title in enumerate(title for title in images if title != WHOLE):
        x = images[title]
        note = f"{numbers[title]['psnr']:.2f} dB"
        drawing.magnified(
            figure.add_subplot(grid[0, column]),
            x.clamp(0, 1),
            title,
            note=note,
            strong=title == TILED,
            zoom=(0.3, 0.42, 0.22),
        )
        difference = (10 * (x - images[WHOLE])).abs().clamp(0, 1)
        drawing.image(
            figure.add_subplot(grid[1, column]),
            difference,
            "difference from the whole solve, × 10",
            note=f"largest {numbers[title]['largest']:.2g}",
        )
    return figure


def page(numbers: Numbers) -> str:
    """What each way costs in quality and time."""
    s, ways = numbers["settings"], numbers["ways"]
    rows = []
    for title, n in ways.items():
        where = [""] * 3 if title == WHOLE else [f"{n[key]:.2g}" for key in ("largest", "on seams", "in middles")]
        rows.append([title, f"{n['psnr']:.2f}", f"{n['ssim']:.4f}", *where, f"{n['seconds']:.2f} s"])
    tiled, whole = ways[TILED], ways[WHOLE]
    alone = [way for title, way in ways.items() if title not in (WHOLE, TILED)]
    lost = " and ".join(f"{whole['psnr'] - way['psnr']:.2f}" for way in alone)
    seam = " and ".join(f"{way['on seams'] / way['in middles']:.1f}" for way in alone)
    return f"""
Task `{s["task"]}` ({s["summary"]}) on the middle {s["height"]} × {s["width"]} pixels of {s["picture"]}, \
data circular on the whole, in float32:
{s["patches"]} patches of {s["tile"]} × {s["tile"]} that share {s["overlap"]} pixels, \
or the network in tiles of {s["window"]} × {s["window"]}. The last
columns before the time are differences from the whole solve: the largest, and the root mean square on the seams \
(within {BAND} pixels of the middle of
what two patches share) and in the middles of the patches (at least {s["tile"] // FAR} pixels away from that), \
both without the outer
{s["tile"] // FAR} pixels of the image.

{table(["", "PSNR", "SSIM", "largest", "on seams", "in middles", "time"], rows)}

A patch solved alone must guess what lies beyond its border, by wrapping or mirroring, \
and explains its data wrongly there: that costs {lost} dB, and
the difference on the seams is {seam} times that in the middles, although the patches are blended. \
With the data step on the whole image and only the
network in tiles that overlap by twice what it sees, the result differs by {shown(tiled["largest"], 2)} at most, in
{shown(tiled["seconds"] / whole["seconds"], 2)} times the time of the whole solve; the network then needs the memory \
of a tile alone.
"""


EXPERIMENT = Experiment(
    summary="a large photograph in patches that are stitched, with the network in tiles, and whole: seams and time",
    run=run,
    page=page,
)
