"""Figures of a restoration: images with a magnified part, the residuals of the solve, the search of a blur."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from .arrays import as_tensor
from .contracts import Solution
from .curves import ACCENT, INK, MUTED
from .curves import draw_blur as draw_blur
from .curves import draw_selection as draw_selection
from .curves import draw_volumes as draw_volumes
from .errors import InvalidInput, strict_keywords
from .io.replace import replace_file
from .solution import Selection
from .stopping import EVERY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .operators.psf import Estimate

SUFFIXES = (".png", ".pdf", ".svg", ".jpg")
# Pixels a side; images of twice as many and more are thinned. A panel is at most 8 inches wide at 110 dots an inch: a
# larger number costs memory for pixels that are not seen, and a smaller one drops pixels that are.
LARGEST = 1200


@dataclass(frozen=True)
class Panel:
    """One image of a row and the line above it.

    Args:
        image: 1 c h w in [0, 1]; c = 3 is shown in colour, else the first channel in grey.
        title: The left half of the line.
        note: The right half.
        strong: Whether the title and the frame of the magnified part stand out.
    """

    image: Tensor
    title: str
    note: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Curve:
    """One residual curve.

    Args:
        label: Its name in the legend.
        at: Where the values are: iterations or seconds.
        values: As many, > 0 to be seen on the logarithmic axis.
        strong: Whether the curve stands out.
    """

    label: str
    at: Sequence[float]
    values: Sequence[float]
    strong: bool = False


@dataclass(frozen=True)
class Row:
    """A row of panels that show the same scene, and its curves.

    Args:
        panels: From left to right, at least one.
        curves: Drawn in one plot at the right of the panels; none: no plot.
        zoom: (top, left, size) of the magnified square, as fractions of the height, the width and the height.
        unit: What the curves are drawn against, "iterations" or "seconds".
        title: Stands at the left of the first panel.
        blur: An estimate whose search is drawn at the right of all, or None.
    """

    panels: Sequence[Panel]
    curves: Sequence[Curve]
    zoom: tuple[float, float, float]
    unit: str
    title: str = ""
    blur: Estimate | None = None


@strict_keywords
def check_figure(path: str | Path) -> Path:
    """Refuse, before any work is done, a path that no figure can be written to.

    Args:
        path: Ends in .png, .pdf, .svg or .jpg, in a folder that exists.

    Returns:
        The path.

    Raises:
        InvalidInput: For another suffix, a path that is a folder, or a folder that does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidInput(f"the figure {path} has the suffix {path.suffix!r}; expected one of {', '.join(SUFFIXES)}")
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidInput(
            f"the figure {path} cannot be written: {path if path.is_dir() else path.parent} "
            f"is {'a folder: give the name of a file' if path.is_dir() else 'no folder: create it first'}"
        )
    return path


@strict_keywords
def restoration(
    path: str | Path,
    y: Tensor,
    x: Tensor,
    solution: Solution,
    *,
    name: str,
    settings: str,
    blur: Estimate | None = None,
) -> None:
    """Write input, result and residual curves of one solve to a file.

    Args:
        path: The file: PNG, PDF, SVG or JPEG by its suffix.
        y: The input, 1 c h w in [0, 1].
        x: The result, 1 c h w in [0, 1].
        solution: That of the solve, for its residuals; without looks at the stop rule there is no plot.
        name: The title of the result.
        settings: Stands at the left of the images.
        blur: The estimate of the psf, whose search is drawn too, or None.

    Raises:
        InvalidInput: For a path that cannot be written.
    """
    path = check_figure(path)
    checks = solution.residuals[:, :, 0].tolist()
    every = [min(EVERY * (i + 1), solution.iterations) for i in range(len(checks))]
    curves = (
        [
            Curve("data residual", every, [c[0] for c in checks], strong=True),
            Curve("change of x", every, [c[1] for c in checks]),
        ]
        if checks
        else []
    )
    size = "{} × {}".format
    panels = [
        Panel(y, "input", size(y.shape[3], y.shape[2])),
        Panel(x, name, size(x.shape[3], x.shape[2]), strong=True),
    ]
    compare(path, [Row(panels, curves, (0.4, 0.4, 0.2), "iterations", settings, blur)])


@strict_keywords
def compare(path: str | Path, rows: Sequence[Row]) -> None:
    """Write rows of panels to a file, with the residual curves of each row, if any, at its right.

    Each panel of a row has the same part magnified.

    Args:
        path: The file: PNG, PDF, SVG or JPEG by its suffix.
        rows: From top to bottom, at least one; the last image of the first gives the shape of all panels.

    Raises:
        InvalidInput: For a path that cannot be written.
    """
    from matplotlib.figure import Figure

    path = check_figure(path)
    h, w = rows[0].panels[-1].image.shape[-2:]
    columns, height = max(len(row.panels) for row in rows), 2.75
    # Inches: a narrower panel leaves no room for its titles, a wider one makes the page huge.
    panel = min(max(height * w / h, 2.0), 8.0)
    curves = [3.0] if any(row.curves for row in rows) else []
    blurs = [4.0] if any(row.blur for row in rows) else []
    figure = Figure(
        figsize=(columns * panel + 1.2 * sum(curves + blurs), (height + 0.35) * len(rows) + 0.1),
        layout="constrained",
        facecolor="white",
    )
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06, wspace=0.02, hspace=0.02)  # type: ignore[union-attr, call-arg]
    grid = figure.add_gridspec(
        len(rows), columns + len(curves + blurs), width_ratios=[panel] * columns + curves + blurs
    )
    for i, row in enumerate(rows):
        for j, shown in enumerate(row.panels):
            axes = figure.add_subplot(grid[i, j])
            draw_panel(axes, shown, row.zoom)
            if j == 0 and row.title:
                axes.set_ylabel(row.title, fontsize=11, color=INK)
        if row.curves:
            _curves(figure.add_subplot(grid[i, columns]), row)
        if row.blur is not None:
            draw_blur(figure.add_subplot(grid[i, -1]), row.blur)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    kind = path.suffix[1:].lower()
    metadata: dict[str, Any] | None = {"Software": None} if kind == "png" else None
    replace_file(path, lambda file: figure.savefig(file, format=kind, dpi=110, metadata=metadata))


@strict_keywords
def blur(path: str | Path, estimate: Estimate) -> None:
    """Write what ``fastip.psf.estimate`` saw to a file: the cost over the radius, or over length and angle.

    Args:
        path: The file: PNG, PDF, SVG or JPEG by its suffix.
        estimate: Of a disk or a motion; the value that was chosen is marked.

    Raises:
        InvalidInput: For a path that cannot be written.
    """
    _alone(path, lambda axes: draw_blur(axes, estimate))


@strict_keywords
def selection(path: str | Path, selection: Selection) -> None:
    """Write the curve of a ``fastip.select`` to a file, the weight that was chosen marked.

    Args:
        path: The file: PNG, PDF, SVG or JPEG by its suffix.
        selection: Of any rule.

    Raises:
        InvalidInput: For a path that cannot be written.
    """
    _alone(path, lambda axes: draw_selection(axes, selection))


def _alone(path: str | Path, draw: Callable[[Axes], None]) -> None:
    from matplotlib.figure import Figure

    path = check_figure(path)
    figure = Figure(figsize=(7.5, 4.2), layout="constrained", facecolor="white")
    draw(figure.add_subplot())
    _save(figure, path)


def draw_pictures(figure: Figure, pictures: Mapping[str, Any]) -> None:
    """Draw pictures beside each other, each under its title; the figure is made to fit them.

    Args:
        figure: Where to: ``matplotlib.pyplot.figure()``, or a ``matplotlib.figure.Figure``.
        pictures: Title -> b c h w in [0, 1], a tensor or an array, of which the first is drawn; c = 3 is shown in
            colour, else the first channel in grey.

    Raises:
        InvalidInput: For no pictures, and for anything but b c h w.
    """
    if not pictures:
        raise InvalidInput("pictures is empty; expected at least one, e.g. {'input': y, 'result': solution.x}")
    tensors = {title: as_tensor(picture, f"the picture {title!r}")[0] for title, picture in pictures.items()}
    for title, tensor in tensors.items():
        if tensor.ndim != 4 or not tensor.numel():
            raise InvalidInput(f"the picture {title!r} has shape {tuple(tensor.shape)}; expected b c h w")
    figure.set_layout_engine("constrained")
    figure.set_size_inches(3.2 * len(tensors), 3.6)
    for axes, (title, tensor) in zip(np.atleast_1d(figure.subplots(1, len(tensors))), tensors.items(), strict=True):
        axes.imshow(_pixels(tensor), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(title, fontsize=12, color=INK)
        axes.axis("off")


def draw_panel(axes: Axes, shown: Panel, zoom: tuple[float, float, float]) -> None:
    """Draw an image, its magnified square in the lower right corner, and its title.

    Args:
        axes: Where to.
        shown: The image and its lines.
        zoom: (top, left, size) of the square, as fractions of the height, the width and the height.
    """
    from matplotlib.patches import Rectangle

    h, w = shown.image.shape[-2:]
    axes.imshow(_pixels(shown.image), interpolation="nearest", extent=(0, 1, h / w, 0), cmap="gray", vmin=0, vmax=1)
    side = zoom[2] * h
    top, left = int(zoom[0] * h), int(zoom[1] * w)
    part = shown.image[..., top : top + max(1, round(side)), left : left + max(1, round(side))]
    size = min(0.41, 0.6 * h / w)  # of the width: the inset is a square
    inset = axes.inset_axes((0.985 - size, 0.015 * w / h, size, size * w / h))
    inset.imshow(_pixels(part), interpolation="nearest", cmap="gray", vmin=0, vmax=1, aspect="auto")
    colour = ACCENT if shown.strong else "white"
    axes.add_patch(Rectangle((left / w, top / w), side / w, side / w, fill=False, edgecolor=colour, linewidth=1.2))
    for frame, edge, width in ((inset, colour, 1.6), (axes, INK, 0.6)):
        frame.set(xticks=[], yticks=[])
        for spine in frame.spines.values():
            spine.set(edgecolor=edge, linewidth=width)
    axes.set_title(
        shown.title,
        loc="left",
        fontsize=12,
        color=ACCENT if shown.strong else INK,
        fontweight="bold" if shown.strong else "normal",
    )
    axes.set_title(shown.note, loc="right", fontsize=10.5, color=INK if shown.strong else MUTED)


def _curves(axes: Axes, row: Row) -> None:
    for curve in row.curves:
        colour, width = (ACCENT, 2.0) if curve.strong else (MUTED, 1.5)
        marker = "o" if len(curve.at) < 4 else ""  # a single look would draw no line
        axes.plot(curve.at, curve.values, color=colour, linewidth=width, marker=marker, markersize=4, label=curve.label)
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.set_title("residual", loc="left", fontsize=12, color=INK)
    axes.set_title(f"against {row.unit}", loc="right", fontsize=10.5, color=MUTED)
    axes.grid(True, which="major", color="#e6e9ed", linewidth=0.8)
    axes.tick_params(colors=INK, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=9.5)


def _pixels(image: Tensor) -> np.ndarray:
    """1 c h w -> h w (3) in [0, 1], thinned to what a panel can show; the first channel unless there are three."""
    step = max(1, max(image.shape[-2:]) // LARGEST)
    pixels = image[0, :, ::step, ::step].detach().cpu().float().clamp(0, 1).permute(1, 2, 0).numpy()
    return pixels if pixels.shape[2] == 3 else pixels[..., 0]
