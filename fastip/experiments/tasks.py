"""How well every task with a network restores pictures that no training saw, and how fast.

Figure 3 of the 2017 paper, and the record of ``fastip tasks``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from .. import data
from .. import tasks as registry
from ..errors import InvalidInput
from . import drawing
from .inner_loop import photo_tasks, small_tasks
from .inner_loop.photo_tasks import LEARNED, VARIATION, Compared
from .markdown import shown, table
from .photographs import photographs
from .published import check_file, publish, short, summary
from .record import Experiment, Numbers, Outcome, Report, silent
from .scores import comparator, mean, psnr

OTHERS = ("retina", "ihc")
# For the figure: the photograph of each task, and the part of it that is enlarged (top, left, side).
PANELS = {
    "photo-sr4": ("coffee", (0.3, 0.2, 0.25)),
    "photo-sr4-wide": ("astronaut", (0.45, 0.3, 0.25)),
    "photo-deblur-motion": ("motorcycle", (0.3, 0.3, 0.25)),
}
STRIP = 6  # digits and colour tiles in the figure


def run(
    report: Report = silent,
    *,
    names: tuple[str, ...] = (*photo_tasks.NAMES, small_tasks.DIGITS, small_tasks.COLOUR),
    photos: tuple[str, ...] = data.EVERYDAY,
    others: tuple[str, ...] = OTHERS,
    size: int = 256,
    boundaries: tuple[str, ...] = ("circular", "reflect", "valid"),
    digits: int = 1000,
    large: int = 512,
    repeats: int = 3,
    quality: str = "",
) -> Outcome:
    """Restore the middles of the held-out photographs, the first digits of the test set and coloured tiles.

    ``quality`` is a file to publish the means in.
    """
    given = {
        "names": names,
        "photos": photos,
        "others": others,
        "size": size,
        "boundaries": boundaries,
        "digits": digits,
        "large": large,
        "repeats": repeats,
    }
    _check(names, boundaries)
    check_file(quality)
    wanted = [name for name in names if name in photo_tasks.NAMES]
    judge = comparator()
    numbers: dict[str, Any] = {
        "settings": given | {"perceptual": judge is not None},
        "photographs": {},
        "other kinds": {},
        "time": {},
    }
    strips = _small(names, digits, photos, numbers, report)  # first: what is missing is missed before the long part
    compared: dict[str, Compared] = {}
    for k, name in enumerate(wanted, len(strips)):
        by_boundary: dict[str, Any] = {}
        for boundary in boundaries:
            report(f"{name}, {boundary}", k, len(names))
            found = photo_tasks.compare(name, photographs(size, photos), boundary, judge)
            compared.setdefault(name, found)
            by_boundary[boundary] = found.scores
        about = {"baseline": photo_tasks.baseline(name), "summary": registry.get(name).summary}
        numbers["photographs"][name] = {**about, "boundaries": by_boundary}
        numbers["other kinds"][name] = photo_tasks.singly(name, others, size, judge)
        numbers["time"][name] = [photo_tasks.timed(name, large, repeats, torch.device("cpu"))]
        if torch.cuda.is_available():  # a batch, as one small image leaves a GPU idle
            numbers["time"][name].append(photo_tasks.timed(name, large, repeats, torch.device("cuda"), batch=8))
    if quality:
        defaults = EXPERIMENT.parameters()
        publish(
            quality,
            "tasks",
            {key: value for key, value in given.items() if value != defaults[key]},
            _summaries(numbers),
        )
    return Outcome(numbers, _draw(compared, photos, strips))


def _check(names: tuple[str, ...], boundaries: tuple[str, ...]) -> None:
    known = (*photo_tasks.NAMES, small_tasks.DIGITS, small_tasks.COLOUR)
    unknown = [name for name in names if name not in known]
    if unknown or not names or not boundaries:
        raise InvalidInput(
            f"names is {names} and boundaries {boundaries}; "
            f"expected at least one of each, names among {', '.join(known)}"
        )


def _small(
    names: tuple[str, ...], digits: int, photos: tuple[str, ...], numbers: dict[str, Any], report: Report
) -> dict[str, dict[str, Tensor]]:
    """The tasks for digits and colour, into ``numbers``; their images."""
    strips = {}
    if small_tasks.DIGITS in names:
        report(small_tasks.DIGITS, 0, len(names))
        numbers["digits"], strips[small_tasks.DIGITS] = small_tasks.digits(digits)
    if small_tasks.COLOUR in names:
        report(small_tasks.COLOUR, len(strips), len(names))
        numbers["colour"], strips[small_tasks.COLOUR] = small_tasks.colour(photos)
    return strips


# ---- the record that is shipped --------------------------------------------------------------------------------------


def _summaries(numbers: Numbers) -> dict[str, dict[str, Any]]:
    s = numbers["settings"]
    found = {}
    for name, entry in numbers["photographs"].items():
        first = next(iter(entry["boundaries"].values()))
        pictures = f"{len(s['photos'])} photographs, {s['size']} × {s['size']}"
        found[name] = _summary(
            entry["baseline"],
            {method: {key: mean(values) for key, values in one.items()} for method, one in first.items()},
            pictures,
        )
    if "digits" in numbers:
        digits = numbers["digits"]
        found[small_tasks.DIGITS] = _summary(small_tasks.BICUBIC, digits, f"{s['digits']} digits") | {
            "nmse": short(digits[small_tasks.LEARNED]["nmse"])
        }
    if "colour" in numbers:
        found[small_tasks.COLOUR] = _summary(
            small_tasks.GREY, numbers["colour"], f"{len(s['photos'])} photographs in tiles of 64 × 64"
        )
    return found


def _summary(baseline: str, means: Mapping[str, Mapping[str, float]], pictures: str) -> dict[str, Any]:
    ours, simple = means[LEARNED], means[baseline]
    return summary(baseline, simple["psnr"], ours["psnr"], ours["ssim"], pictures)


# ---- the figure ------------------------------------------------------------------------------------------------------


def _draw(compared: dict[str, Compared], photos: tuple[str, ...], strips: dict[str, dict[str, Tensor]]) -> Figure:
    longest = max(map(len, strips.values()), default=0)
    heights = [3.3] * len(compared) + [1.35 * longest] * bool(strips)
    figure = drawing.sheet(13.2, sum(heights) + 0.2)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    for row, (name, found) in enumerate(compared.items()):
        _row(figure, grid[row].subgridspec(1, 4), name, found, photos)
    sides = grid[-1].subgridspec(1, max(1, len(strips)))
    for side, (name, images) in enumerate(strips.items()):
        part = sides[side].subgridspec(longest, 1)
        for line, (title, image) in enumerate(images.items()):
            strip = torch.cat(list(image[:: max(1, len(image) // STRIP)][:STRIP]), dim=-1)[None]
            drawing.image(
                figure.add_subplot(part[line]), strip, f"{name}: {title}", strong=title == small_tasks.LEARNED
            )
    return figure


def _row(figure: Figure, part: Any, name: str, found: Compared, photos: tuple[str, ...]) -> None:
    """Data enlarged, the better of the rest, ours, truth."""
    photo, zoom = PANELS[name]
    k = photos.index(photo) if photo in photos else 0
    truth, simple = found.truth[k : k + 1], photo_tasks.baseline(name)
    if simple == photo_tasks.WIENER:
        panels = {"blurred": found.y, simple: found.images[simple], LEARNED: found.images[LEARNED]}
    else:
        panels = {simple: found.images[simple], VARIATION: found.images[VARIATION], LEARNED: found.images[LEARNED]}
    for column, (title, images) in enumerate(panels.items()):
        x = images[k : k + 1].clamp(0, 1)
        note = f"{psnr(x, truth):.2f} dB" if x.shape == truth.shape else ""
        axes = figure.add_subplot(part[column])
        drawing.magnified(axes, x, title, note=note, strong=title == LEARNED, zoom=zoom)
        if column == 0:
            axes.set_ylabel(name, fontsize=11)
    drawing.magnified(figure.add_subplot(part[3]), truth, "truth", zoom=zoom)


# ---- the page --------------------------------------------------------------------------------------------------------


def page(numbers: Numbers) -> str:
    """Tables of each kind of task."""
    s = numbers["settings"]
    parts = []
    if numbers["photographs"]:
        parts += [
            f"""
The photographs: the middle {s["size"]} × {s["size"]} pixels of {", ".join(s["photos"])}, \
which no training saw and which no setting was chosen on. PSNR of RGB
after clipping, SSIM, both means over the photographs; the perceptual distance is that of SqueezeNet's features, \
unweighted. The best Wiener filter is
the best constant for each photograph. The same data for every method; for a valid boundary what lies under the \
data is measured.
""",
            _photographs(numbers),
            "Photograph by photograph, circular, PSNR:",
            _each(numbers),
            "Other kinds of image, circular, PSNR: the networks never saw anything like them.",
            _others(numbers),
            _times(numbers),
        ]
    if "digits" in numbers:
        rows = [
            [method, shown(n["nmse"]), f"{n['psnr']:.2f}", f"{n['ssim']:.4f}"]
            for method, n in numbers["digits"].items()
        ]
        heading = (
            f"Task `{small_tasks.DIGITS}`: the first {s['digits']} digits of the MNIST test set, 28 × 28 from 7 × 7."
        )
        parts += [heading, table(["", "NMSE", "PSNR", "SSIM"], rows)]
    if "colour" in numbers:
        rows = [[method, f"{n['psnr']:.2f}", f"{n['ssim']:.4f}"] for method, n in numbers["colour"].items()]
        reduced = f"reduced by {small_tasks.REDUCTION} and cut into tiles of 64 × 64"
        parts += [
            (
                f"Task `{small_tasks.COLOUR}`: the same photographs, {reduced}; "
                "means over their tiles, then over photographs."
            ),
            table(["", "PSNR", "SSIM"], rows),
        ]
    return "\n\n".join(part.strip() for part in parts if part)


def _photographs(numbers: Numbers) -> str:
    rows = []
    for name, entry in numbers["photographs"].items():
        for boundary, methods in entry["boundaries"].items():
            simple = methods[entry["baseline"]]
            for method, values in methods.items():
                gain = mean(values["psnr"]) - mean(simple["psnr"])
                distance = shown(mean(values["distance"])) if "distance" in values else "not measured"
                first = f"`{name}`, {boundary}" if method == entry["baseline"] else ""
                rows.append(
                    [
                        first,
                        method,
                        f"{mean(values['psnr']):.2f}",
                        "" if values is simple else f"{gain:+.2f}",
                        f"{mean(values['ssim']):.4f}",
                        distance,
                    ]
                )
    return table(["", "", "PSNR", "gain", "SSIM", "perceptual distance"], rows)


def _each(numbers: Numbers) -> str:
    rows = []
    for name, entry in numbers["photographs"].items():
        methods = next(iter(entry["boundaries"].values()))
        rows += [
            [f"`{name}`, {method}", *(f"{value:.2f}" for value in values["psnr"])] for method, values in methods.items()
        ]
    return table(["", *numbers["settings"]["photos"]], rows)


def _others(numbers: Numbers) -> str:
    rows = []
    for name, pictures in numbers["other kinds"].items():
        for method in next(iter(pictures.values()), {}):
            rows.append(
                [f"`{name}`, {method}", *(f"{methods[method]['psnr'][0]:.2f}" for methods in pictures.values())]
            )
    return table(["", *numbers["settings"]["others"]], rows) if rows else ""


def _times(numbers: Numbers) -> str:
    rows = []
    for name, entries in numbers["time"].items():
        for t in entries:
            what = f"`{name}`, {t['batch']} of {t['size']} × {t['size']} on {t['device']}"
            rows.append(
                [
                    what,
                    f"{t['seconds'][LEARNED]:.2f} s",
                    f"{t['seconds'][VARIATION]:.2f} s",
                    shown(t["images per second"]),
                ]
            )
    return table(["", "learned", "total variation", "learned, images per second"], rows)


EXPERIMENT = Experiment(
    summary="every task with a network on pictures that no training saw: PSNR, SSIM, perceptual distance, time",
    run=run,
    page=page,
)
