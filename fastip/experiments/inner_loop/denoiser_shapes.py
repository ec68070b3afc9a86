"""Which shape a denoiser of photographs should have: quality against the time of a picture.

Several shapes, trained for the same time.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ... import data
from ...nets.prior.pixel_shuffle_autoencoder import PixelShuffleAutoencoder
from .. import drawing, ffdnet
from ..markdown import table
from ..record import Experiment, Numbers, Outcome, Report, silent
from ..scores import mean
from .denoiser_blocks import GatedBlock, MixBlock, with_blocks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CALMER = 0.3  # of the learning rate, for shapes that diverge at the recipe's: a smaller part learns less in the time
FFDNET, DRUNET = "FFDNet, published weights", "DRUNet's shape"
PRODUCTS = {FFDNET: (15 * 96 + 10 * 96 * 96 + 96 * 12) * 9 / 4}  # twelve 3 x 3 convolutions on a grid twice as coarse


ZEROS: dict[str, Any] = {"padding_mode": "zeros"}
SHAPES: dict[str, Callable[[], PixelShuffleAutoencoder]] = {
    "half 64/128": partial(PixelShuffleAutoencoder, factor=2, widths=(64, 128), blocks=(2, 3), **ZEROS),
    "half 48/96/192": partial(PixelShuffleAutoencoder, factor=2, widths=(48, 96, 192), blocks=(2, 2, 2), **ZEROS),
    "16/48/128 borders repeated": partial(PixelShuffleAutoencoder, widths=(16, 48, 128), blocks=(1, 2, 3)),
    "16/48/128": partial(PixelShuffleAutoencoder, widths=(16, 48, 128), blocks=(1, 2, 3), **ZEROS),
    "16/48/128/192": partial(PixelShuffleAutoencoder, widths=(16, 48, 128, 192), blocks=(1, 2, 2, 1), **ZEROS),
    "32/64/128/256": partial(PixelShuffleAutoencoder, widths=(32, 64, 128, 256), blocks=(1, 1, 1, 1), **ZEROS),
    "16/32/64/128/256": partial(
        PixelShuffleAutoencoder, widths=(16, 32, 64, 128, 256), blocks=(2, 3, 3, 3, 2), **ZEROS
    ),
    "gated 16/48/128/192": partial(with_blocks, GatedBlock, widths=(16, 48, 128, 192), blocks=(1, 2, 3, 2), **ZEROS),
    "depthwise 16/48/128/192": partial(with_blocks, MixBlock, widths=(16, 48, 128, 192), blocks=(1, 3, 4, 4), **ZEROS),
}


def drunet() -> PixelShuffleAutoencoder:
    """Four residual blocks on each way through the grids 64/128/256/512, as DRUNet has them; untrained.

    References:
        Zhang et al., Plug-and-play image restoration with deep denoiser prior, 2021.
    """
    return PixelShuffleAutoencoder(widths=(64, 128, 256, 512), blocks=(4, 4, 4, 4), **ZEROS)


# ---- measuring -------------------------------------------------------------------------------------------------------


def run(
    report: Report = silent,
    *,
    seconds: float = 600.0,
    shapes: tuple[str, ...] = tuple(SHAPES),
    side: int = 512,
    probe: int = 12,
    validation: int = 45,
) -> Outcome:
    """Train each shape for ``seconds`` of processor time, whole cosine, and score it.

    A picture of ``side`` pixels is timed for each.
    """
    from ...train.recipes import photo_denoiser

    pictures = {"test": photo_denoiser.test_photographs(), "validation": data.validation_photographs()[:validation]}
    feed = photo_denoiser.training_pictures()
    rows: dict[str, dict[str, Any]] = {}
    drawing_time = _feeding(feed)
    for k, name in enumerate(shapes):
        report(name, k, len(shapes) + 1)
        rows[name] = (
            _numbers(SHAPES[name]().eval(), side)
            | {"products": SHAPES[name]().products}
            | _learned(SHAPES[name], feed, seconds, probe, pictures)
        )
    report("published networks", len(shapes), len(shapes) + 1)
    path = ffdnet.weights()
    peer = ffdnet.FFDNet().eval() if path is None else ffdnet.load(path)
    rows[FFDNET] = (
        _numbers(peer, side) | {"products": PRODUCTS[FFDNET]} | ({} if path is None else _psnr(peer, pictures))
    )
    rows[DRUNET] = _numbers(drunet().eval(), side) | {"products": drunet().products}
    settings = {
        "seconds": seconds,
        "side": side,
        "threads": torch.get_num_threads(),
        "feeding": drawing_time,
        "counts": {name: len(some) for name, some in pictures.items()},
    }
    return Outcome({"settings": settings, "rows": rows}, _draw(rows))


def _learned(
    build: Callable[[], PixelShuffleAutoencoder],
    feed: Any,
    seconds: float,
    probe: int,
    pictures: dict[str, list[Tensor]],
) -> dict[str, Any]:
    """What a shape came to: steps, learning rate and scores.

    At a lower rate where the recipe's makes it diverge, and without scores where that does too.
    """
    from ...train.engine import loop
    from ...train.recipes import photo_denoiser

    for rate in (photo_denoiser.RATE, CALMER * photo_denoiser.RATE):
        try:
            trained = _trained(build, feed, seconds, probe, rate)
            return {"steps": trained.steps, "rate": rate} | _psnr(trained.net, pictures)
        except loop.Diverged:
            continue
    return {"rate": None}


@dataclass(frozen=True)
class _Trained:
    net: PixelShuffleAutoencoder
    steps: int


def _trained(
    build: Callable[[], PixelShuffleAutoencoder], feed: Any, seconds: float, probe: int, rate: float
) -> _Trained:
    """The recipe of the long training, its whole cosine in as many steps as the time allows.

    The first patches alone, without a later stage.
    """
    from ...train.recipes import photo_denoiser

    def train(steps: int) -> PixelShuffleAutoencoder:
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            about: dict[str, Any] = {
                "stages": photo_denoiser.STAGES[:1],
                "warm_up": 200,  # of steps: shorter lets shapes diverge, longer leaves less of a short training
                "learning_rate": rate,
                "progress": False,
            }
            about |= {"net": build(), "pictures": feed, "validation": [torch.full((1, 3, 8, 8), 0.5)]}
            made = photo_denoiser.train_photo_denoiser(Path(folder) / "net.safetensors", steps=steps, **about)
        assert isinstance(made.net, PixelShuffleAutoencoder)
        return made.net

    train(2)  # what is slow the first time alone
    begun = time.process_time()
    train(2)
    between = time.process_time()
    train(2 + probe)
    longer = time.process_time() - between
    # a difference of two times may be anything on a busy machine, so a fourth of the plain mean is the least
    a_step = max((longer - (between - begun)) / probe, longer / (2 + probe) / 4)
    steps = max(1, round(seconds / a_step))
    return _Trained(train(steps), steps)


def _feeding(pictures: Any, count: int = 40) -> float:
    """Seconds of processor time for what a step sees: patches, noise and levels.

    In a training it is made in a thread beside the step before.
    """
    from ...train.engine.feed import Feed
    from ...train.recipes import photo_denoiser

    feed = Feed(pictures, photo_denoiser.STAGES[:1], photo_denoiser.STEPS, photo_denoiser.LEVELS, seed=0)
    feed(0, 0)  # maps what is looked at
    begun = time.process_time()
    for step in range(count):
        feed(step, 0)
    return (time.process_time() - begun) / count


def _psnr(net: nn.Module, pictures: dict[str, list[Tensor]]) -> dict[str, list[float]]:
    from ...train.recipes import photo_denoiser

    return {name: photo_denoiser.psnr(net, some) for name, some in pictures.items()}


def _numbers(net: nn.Module, side: int) -> dict[str, Any]:
    """Seconds for a picture of side x side pixels, the best of five, in both precisions, and the number of weights."""
    v = torch.rand(1, 3, side, side)
    found: dict[str, Any] = {"weights": sum(p.numel() for p in net.parameters())}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        made = net.to(dtype)
        times = []
        with torch.no_grad():
            for _ in range(6):
                begun = time.perf_counter()
                made(v, level=0.1)
                times.append(time.perf_counter() - begun)
        found[name] = min(times[1:])
    net.to(torch.float32)
    return found


# ---- telling ---------------------------------------------------------------------------------------------------------

LINE = {"arrowstyle": "-", "color": drawing.GRID, "shrinkA": 1, "shrinkB": 3}  # from a label to its point


def _draw(rows: dict[str, dict[str, Any]]) -> Figure:
    figure = drawing.sheet(10, 5.2)
    for axes, name in zip(figure.subplots(1, 2), ("test", "validation"), strict=True):
        drawing.clean(
            axes,
            f"{name} photographs",
            note="PSNR in dB, mean of three levels",
            x="seconds for a picture, bfloat16",
            xscale="log",
        )
        shown = {title: (row["bfloat16"], mean(row[name])) for title, row in rows.items() if name in row}
        right, places = 1.5 * max((x for x, _ in shown.values()), default=1.0), _apart([y for _, y in shown.values()])
        for (title, (x, y)), place in zip(shown.items(), places, strict=True):
            peer = title == FFDNET
            axes.plot(
                x, y, marker="s" if peer else "o", color=drawing.COLOURS[1 if peer else 0], markersize=6, zorder=3
            )
            axes.annotate(
                title, (x, y), xytext=(right, place), va="center", fontsize=8, color=drawing.INK, arrowprops=LINE
            )
        axes.axvline(rows[DRUNET]["bfloat16"], color=drawing.MUTED, linestyle=":", linewidth=1.5)
        axes.annotate(
            DRUNET,
            (rows[DRUNET]["bfloat16"], 0.03),
            xycoords=("data", "axes fraction"),
            rotation=90,
            ha="right",
            fontsize=8,
            color=drawing.MUTED,
        )
    return figure


def _apart(values: list[float], share: float = 0.045) -> list[float]:
    """Places of labels as near to the values as they can be, from the largest down.

    They have a gap of this share of the range.
    """
    gap, places, last = share * (max(values, default=0.0) - min(values, default=0.0)), list(values), math.inf
    for k in sorted(range(len(values)), key=lambda k: -values[k]):
        last = places[k] = min(values[k], last - gap)
    return places


def _steps(row: dict[str, Any]) -> str:
    return str(row["steps"]) if "steps" in row else "diverged" if "rate" in row else ""


def page(numbers: Numbers) -> str:
    """The table, best on validation first."""
    s, rows = numbers["settings"], numbers["rows"]
    order = sorted(rows, key=lambda name: -mean(rows[name].get("validation", [0.0])))

    def triple(row: dict[str, Any], name: str) -> str:
        return " / ".join(f"{value:.2f}" for value in row[name]) if name in row else ""

    lines = [
        [
            name,
            f"{rows[name]['products'] / 1000:.0f}",
            f"{rows[name]['weights'] / 1e6:.2f}",
            _steps(rows[name]),
            triple(rows[name], "test"),
            triple(rows[name], "validation"),
            f"{1000 * rows[name]['bfloat16']:.0f}",
            f"{1000 * rows[name]['float32']:.0f}",
        ]
        for name in order
    ]
    trained = [row for row in rows.values() if "steps" in row]
    longest = 1000 * s["seconds"] / min(row["steps"] for row in trained)
    shortest = 1000 * s["seconds"] / max(row["steps"] for row in trained)
    best = next(name for name in order if "steps" in rows[name])
    calmer = ", ".join(
        name for name, row in rows.items() if "steps" in row and row["rate"] < max(other["rate"] for other in trained)
    )
    note = f" With it {calmer} diverged, and had {CALMER:g} of it." if calmer else ""
    head = [
        "grids",
        "thousand products a pixel",
        "million weights",
        "steps",
        "test",
        "validation",
        "bfloat16, ms",
        "float32, ms",
    ]
    return f"""
Each shape was trained from nothing for {s["seconds"]:g} seconds of processor time on {s["threads"]} \
thread{"s" * (s["threads"] > 1)} with the recipe of
`fastip train task photo-denoiser`: 8 × 128² pixels a step, bfloat16, the whole cosine of the learning rate within \
that time.{note} One run each.
PSNR in dB at noise of 15, 25 and 50 of 255: {s["counts"]["test"]} test photographs (middles of 256²) \
and {s["counts"]["validation"]} validation pictures
(photographs reduced 2, 3 and 4 times, middles of 192²), each clamped to [0, 1], then the mean. \
The times are for one picture of {s["side"]}² on the same
threads. "Half" begins with a pixel shuffle by 2. Borders are zeros within the network but where the name \
says otherwise.

{table(head, lines)}

A step took {shortest:.0f} to {longest:.0f} ms of processor time, and drawing what it sees {1000 * s["feeding"]:.1f} \
ms of them, in a thread beside the
step before. Of those trained here, {best} is best on validation. {DRUNET} is here for its time alone. \
A few minutes tell which shapes learn fast, not what
each comes to in the end.
"""


EXPERIMENT = Experiment(
    summary="shapes of a denoiser of photographs at equal training time: quality against the time of a picture",
    run=run,
    page=page,
)
