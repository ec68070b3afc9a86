"""What the figures of experiments share: clean axes, curves with a label, matrices and images with a colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import Tensor

from ..figures import ACCENT, INK, MUTED, Panel, draw_panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (ACCENT, "#2f6690", "#3a7d44", "#b07d2b", "#6b4e9b", MUTED)  # the strong one first
GRID = "#e6e9ed"


def sheet(width: float, height: float) -> Figure:
    """An empty white figure of so many inches that arranges its parts by itself."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)  # type: ignore[union-attr, call-arg]
    return figure


def clean(
    axes: Axes, title: str, *, note: str = "", x: str = "", y: str = "", xscale: str = "linear", yscale: str = "linear"
) -> None:
    """Axes with a title at the left, a note at the right, labels, scales and a faint grid, without the box."""
    axes.set(xscale=xscale, yscale=yscale)
    axes.set_title(title, loc="left", fontsize=12, color=INK)
    axes.set_title(note, loc="right", fontsize=10, color=MUTED)
    axes.set_xlabel(x, color=INK, fontsize=10)
    axes.set_ylabel(y, color=INK, fontsize=10)
    axes.grid(True, which="major", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def curve(
    axes: Axes, x: Sequence[float], y: Sequence[float], label: str, *, rank: int = 0, style: str = "-", marker: str = ""
) -> None:
    """One labelled curve; values that are None (not finite) leave a gap.

    ``rank`` 0 is the strong one; ``style`` "none" leaves the markers alone.
    """
    values = np.array([np.nan if v is None else v for v in y], dtype=float)
    colour, width = COLOURS[rank % len(COLOURS)], 2.0 if rank == 0 else 1.5
    axes.plot(x, values, linestyle=style, color=colour, linewidth=width, marker=marker, markersize=4, label=label)


def legend(axes: Axes) -> None:
    """The labels of the curves, without a frame."""
    axes.legend(frameon=False, fontsize=9.5)


def matrix(
    axes: Axes,
    values: Tensor | np.ndarray,
    title: str,
    *,
    note: str = "",
    centred: bool = False,
    limit: float | None = None,
) -> Any:
    """A matrix as a picture with a colour bar; one that is at least 4 times as wide as high is stretched.

    White to dark from 0, or ``centred``: blue, white, red around 0 up to +-``limit``.
    """
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=float)
    largest = float(np.abs(array).max()) if limit is None else limit
    low, colours = (-largest, "RdBu_r") if centred else (min(0.0, float(array.min())), "Greys")
    # a long strip of square cells is too low to be read, but stretched cells bend a diagonal
    aspect: Literal["auto", "equal"] = "auto" if array.shape[1] >= 4 * array.shape[0] else "equal"
    shown = axes.imshow(array, cmap=colours, vmin=low, vmax=largest, interpolation="nearest", aspect=aspect)
    _frame(axes, title, note)
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.02)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)
    return shown


def image(axes: Axes, x: Tensor, title: str, *, note: str = "", strong: bool = False) -> None:
    """An image 1 c h w in [0, 1], grey or colour."""
    pixels = x[0].detach().cpu().float().clamp(0, 1).permute(1, 2, 0).numpy()
    axes.imshow(
        pixels if pixels.shape[2] == 3 else pixels[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest"
    )
    _frame(axes, title, note, strong)


def _frame(axes: Axes, title: str, note: str, strong: bool = False) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(edgecolor=INK, linewidth=0.6)
    axes.set_title(
        title, loc="left", fontsize=12, color=ACCENT if strong else INK, fontweight="bold" if strong else "normal"
    )
    axes.set_title(note, loc="right", fontsize=10, color=MUTED)


def magnified(
    axes: Axes,
    x: Tensor,
    title: str,
    *,
    note: str = "",
    strong: bool = False,
    zoom: tuple[float, float, float] = (0.35, 0.35, 0.2),
) -> None:
    """An image 1 c h w in [0, 1] with a part of it enlarged in its corner.

    ``zoom``: top, left and side of that part, as fractions.
    """
    draw_panel(axes, Panel(x, title, note, strong), zoom)
