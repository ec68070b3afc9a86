"""Thumbnails enlarged again: photographs that an image program made small, PNG and JPEG."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ... import data, load_task
from ...arrays import check_count
from ...errors import InvalidInput
from ...operators import ToGray
from .. import drawing
from ..markdown import rounded, table
from ..record import Experiment, Numbers, Outcome, Report, silent
from ..scores import mean, psnr

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Pillow's filters by the names that operators.Resize has for them.
FILTERS = {"area": Image.Resampling.BOX, "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
BICUBIC, VARIATION, NETWORK = "bicubic", "total variation", "restorer"
WAYS = {VARIATION: "tv", NETWORK: "photo"}
PNG = "PNG"


def run(
    report: Report = silent,
    *,
    photos: tuple[str, ...] = data.EVERYDAY,
    size: int = 288,
    factors: tuple[int, ...] = (2, 3, 4),
    methods: tuple[str, ...] = tuple(FILTERS),
    quality: int = 90,
) -> Outcome:
    """Make the middles of the test photographs small by Pillow, write and read them, and enlarge them by the task.

    The noise is estimated from each file, as the command does it.
    """
    for factor in factors:
        if size % check_count(factor, "factor", low=1):
            raise InvalidInput(f"size is {size}; expected a multiple of each factor, as of {factor}")
    pictures = {name: data.centre(x, size) for name, x in data.held_out_photographs(photos).items()}
    kinds = [(factor, method, file) for factor in factors for method in methods for file in (PNG, f"JPEG {quality}")]
    rows: list[dict[str, Any]] = []
    shown: dict[str, Tensor] = {}
    for k, (factor, method, file) in enumerate(kinds):
        report(f"× {factor}, {method}, {file}", k, len(kinds))
        problems = {
            title: load_task("upscale", factor=factor, method=method, prior=prior) for title, prior in WAYS.items()
        }
        row: dict[str, Any] = {"factor": factor, "method": method, "file": file}
        found: dict[str, list[float]] = {title: [] for title in (BICUBIC, *WAYS)}
        seconds: dict[str, list[float]] = {title: [] for title in WAYS}
        shifts = []
        for name, truth in pictures.items():
            y = thumbnail(truth, factor, method, None if file == PNG else quality)
            images = {BICUBIC: enlarged(y, factor)}
            for title, problem in problems.items():
                start = time.perf_counter()
                images[title] = problem.solve(y).x.clamp(0, 1)
                seconds[title].append(time.perf_counter() - start)
            for title, x in images.items():
                found[title].append(psnr(x, truth))
            shifts.append(shift(images[NETWORK], truth))
            if (factor, method, file, name) == (max(factors), methods[-1], PNG, photos[0]):
                shown = {"thumbnail": y} | images | {"truth": truth}
        row |= {"psnr": {title: rounded(values, 6) for title, values in found.items()}, "shift": rounded(shifts)}
        rows.append(row | {"seconds": {title: mean(values) for title, values in seconds.items()}})
    settings = {"photos": list(photos), "size": size, "threads": torch.get_num_threads()}
    return Outcome({"settings": settings, "rows": rows}, _draw(rows, shown))


def thumbnail(x: Tensor, factor: int, method: str, quality: int | None) -> Tensor:
    """What a program that makes x 1 3 h w small writes, read again; JPEG where there is a quality."""
    image = Image.fromarray((255 * x[0]).round().byte().permute(1, 2, 0).numpy())
    small = image.resize((image.width // factor, image.height // factor), FILTERS[method])
    file = io.BytesIO()
    small.save(file, "PNG") if quality is None else small.save(file, "JPEG", quality=quality)
    return _tensor(Image.open(file))


def enlarged(y: Tensor, factor: int) -> Tensor:
    """Pillow's bicubic enlargement."""
    image = Image.fromarray((255 * y[0]).round().byte().permute(1, 2, 0).numpy())
    return _tensor(image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC))


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None].float().div(255)


def shift(x: Tensor, truth: Tensor) -> float:
    """How many pixels x lies beside the truth: the step of least squares, ``x - truth = - d . grad truth``.

    On means of 7 x 7 pixels, whose slopes differences tell rightly.
    """
    near, far = (F.avg_pool2d(ToGray()(image).double(), 7, stride=1)[0, 0] for image in (truth, x))
    slopes = torch.stack([slope.flatten() for slope in torch.gradient(near)], dim=1)
    found: Tensor = torch.linalg.lstsq(slopes, (near - far).flatten()[:, None]).solution
    return float(found.norm())


# ---- telling ---------------------------------------------------------------------------------------------------------


def _draw(rows: Sequence[dict[str, Any]], shown: dict[str, Tensor]) -> Figure:
    figure = drawing.sheet(3.1 * len(shown), 3.6)
    for axes, (title, x) in zip(figure.subplots(1, len(shown)), shown.items(), strict=True):
        note = "" if title in ("thumbnail", "truth") else f"{psnr(x, shown['truth']):.2f} dB"
        drawing.image(axes, x, title, note=note, strong=title == NETWORK)
    return figure


def _gains(row: dict[str, Any], title: str) -> list[float]:
    return [a - b for a, b in zip(row["psnr"][title], row["psnr"][BICUBIC], strict=True)]


def page(numbers: Numbers) -> str:
    """A row for each factor, method and file."""
    s, rows = numbers["settings"], numbers["rows"]
    lines = [
        [
            f"× {row['factor']}, {row['method']}, {row['file']}",
            *(f"{mean(row['psnr'][title]):.2f}" for title in (BICUBIC, *WAYS)),
            *(f"{mean(_gains(row, title)):+.2f}" for title in WAYS),
            f"{min(_gains(row, NETWORK)):+.2f}",
            f"{max(row['shift']):.3f}",
        ]
        for row in rows
    ]
    headings = [
        *("made small", *(f"{title}, dB" for title in (BICUBIC, *WAYS))),
        *(f"gain of {title}" for title in WAYS),
        "least gain of restorer",
        "largest shift, pixels",
    ]
    means: dict[tuple[int, str], list[float]] = {}
    for row in rows:
        means.setdefault((row["factor"], row["file"]), []).extend(_gains(row, NETWORK))
    told = "; ".join(f"× {factor} {file} {mean(values):+.2f} dB" for (factor, file), values in means.items())
    times: Callable[[str], float] = lambda title: mean([row["seconds"][title] for row in rows])  # noqa: E731
    cases = len(rows) * len(s["photos"])
    return f"""
The middle {s["size"]} × {s["size"]} pixels of {", ".join(s["photos"])}, which no training saw, were made small by \
Pillow (box, bicubic or Lanczos filter), written as PNG or JPEG, read,
and enlarged: by Pillow's bicubic, and by the task `upscale` with total variation and with the learned restorer, told \
the factor and the filter and nothing else.
{cases} cases; PSNR in dB, means over {len(s["photos"])} pictures. The shift is that of the restored picture beside \
the truth, by least squares.

{table(headings, lines)}

The restorer gains over bicubic: {told}. Mean seconds a picture on {s["threads"]} thread(s): total variation \
{times(VARIATION):.2f}, restorer {times(NETWORK):.2f}.
"""


EXPERIMENT = Experiment(
    summary="thumbnails enlarged: bicubic, total variation and the learned restorer on what Pillow made small",
    run=run,
    page=page,
)
