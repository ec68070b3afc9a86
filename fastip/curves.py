"""What searches saw: the scores of the weights of a prior, the cost of a blur, and what was chosen.

And volumes from three sides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import as_tensor
from .errors import InvalidInput, closest
from .solution import Selection

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .operators.psf import Estimate

INK, ACCENT, MUTED = "#1b1f24", "#d1495b", "#8a94a0"
SCORES = {
    "discrepancy": "misfit, in that of the noise",
    "sure": "estimated mean square error of A x",
    "gcv": "generalised cross-validation",
}


def draw_selection(axes: Axes, selection: Selection) -> None:
    """Draw the curve of a selection and the weight that was chosen.

    Args:
        axes: Where to.
        selection: Of any rule: the score against the weight, of "lcurve" R(x) / weight against the misfit.
    """
    last = {weight: i for i, weight in enumerate(selection.weights)}  # of a weight tried twice the solve in full
    shown = [i for _, i in sorted(last.items())]
    weights = [selection.weights[i] for i in shown]
    misfits = [selection.misfits[i] for i in shown]
    if selection.penalties is not None:
        penalties = [selection.penalties[i] for i in shown]
        axes.plot(misfits, penalties, color=INK, linewidth=1.5, marker="o", markersize=3)
        nearest = min(range(len(weights)), key=lambda i: abs(math.log(weights[i] / selection.weight)))
        axes.plot(misfits[nearest], penalties[nearest], "o", color=ACCENT, fillstyle="none", markersize=14)
        axes.set(xscale="log", yscale="log", xlabel="misfit D(A x)", ylabel="R(x) / weight")
    else:
        scores = [selection.scores[i] for i in shown]
        axes.plot(weights, scores, color=INK, linewidth=1.5, marker="o", markersize=3)
        axes.axvline(selection.weight, color=ACCENT, linewidth=1.5)
        if selection.rule == "discrepancy":
            axes.axhline(1, color=MUTED, linewidth=1, linestyle=":")
        axes.set(xscale="log", xlabel="weight", ylabel=SCORES[selection.rule])
        if min(scores) > 0 and max(scores) > 2 * min(scores):  # an estimate without bias can be below 0
            axes.set_yscale("log")
    _spaced(axes)
    axes.set_title(f"weight {selection.weight:.3g}", loc="left", fontsize=12, color=INK)
    axes.set_title(selection.rule, loc="right", fontsize=10.5, color=MUTED)
    axes.tick_params(colors=INK, labelsize=9, which="both")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _spaced(axes: Axes) -> None:
    """Labels of 1, 2 and 5 on logarithmic axes alone: those between run into each other."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter(NullFormatter())


def draw_blur(axes: Axes, estimate: Estimate) -> None:
    """Draw the curve of an estimate and the value that was chosen.

    Args:
        axes: Where to.
        estimate: Of a disk or a motion.
    """
    chosen, curve = estimate.parameters, estimate.curve
    cost = curve["cost"].double().numpy()
    low, high = float(cost.min()), max(0.0, float(np.median(cost)))  # far above the minimum there is nothing to see
    if "radius" in chosen:
        axes.plot(curve["radius"].numpy(), cost, color=INK, linewidth=1.5, marker="o", markersize=3)
        axes.set_ylim(low - 0.05 * (high - low), high)
        axes.axhline(0, color=MUTED, linewidth=1, linestyle=":")
        axes.axvline(chosen["radius"], color=ACCENT, linewidth=1.5)
        axes.set(xlabel="radius, pixels", ylabel="cost, nats (0: no such blur)")
    else:
        lengths, angles = curve["length"].numpy(), curve["angle"].numpy()
        image = axes.pcolormesh(angles, lengths, cost, cmap="gray", shading="nearest", vmin=low, vmax=high)
        axes.plot(chosen["angle"], chosen["length"], "o", color=ACCENT, fillstyle="none", markersize=14)
        axes.set(xlabel="angle, degrees", ylabel="length, pixels", yscale="log")
        ticks = [tick for tick in (2, 5, 10, 20, 40) if lengths[0] <= tick <= lengths[-1]]
        axes.yaxis.set_ticks(ticks, labels=[str(tick) for tick in ticks])
        axes.minorticks_off()
        bar = axes.figure.colorbar(image, ax=axes)
        bar.set_label("cost, nats (0: no such blur)", color=INK, fontsize=9.5)
    axes.set_title(str(estimate), loc="left", fontsize=12, color=INK)
    told = "clear" if estimate.clear else "not a blur of this kind"
    axes.set_title(told, loc="right", fontsize=10.5, color=MUTED if estimate.clear else ACCENT)
    axes.tick_params(colors=INK, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw_volumes(
    figure: Figure, volumes: Mapping[str, Any], *, spacing: Sequence[float] | None = None, view: str = "maximum"
) -> None:
    """Draw volumes beside each other, each from three sides and under its title; the figure is made to fit them.

    Args:
        figure: Where to: ``matplotlib.pyplot.figure()``, or a ``matplotlib.figure.Figure``.
        volumes: Title -> b c d h w, a tensor or an array, of which the first is drawn, from its least value (black) to
            its greatest; c = 3 is shown in colour, else the first channel in grey.
        spacing: The distance of neighbours along slices, rows and columns, as for ``priors.TV``; None: 1.
        view: "maximum", the brightest along each line of sight, or "slices" through the middle.

    Raises:
        InvalidInput: For no volumes, anything but b c d h w, and a bad spacing or view.
    """
    from .priors.prior import check_spacing, spaced

    if not volumes:
        raise InvalidInput("volumes is empty; expected at least one, e.g. {'stack': y, 'result': solution.x}")
    sides = spaced(None if spacing is None else check_spacing(spacing), 3)
    view = closest(view, ("maximum", "slices"), "view")
    tensors = {title: as_tensor(volume, f"the volume {title!r}")[0] for title, volume in volumes.items()}
    for title, tensor in tensors.items():
        if tensor.ndim != 5 or not tensor.numel():
            raise InvalidInput(f"the volume {title!r} has shape {tuple(tensor.shape)}; expected b c d h w")
    figure.set_layout_engine("constrained")
    figure.set_size_inches(4.4 * len(tensors), 4.8)
    for axes, (title, tensor) in zip(np.atleast_1d(figure.subplots(1, len(tensors))), tensors.items(), strict=True):
        first = tensor[0].detach().cpu().float().numpy()
        _draw_volume(axes, np.moveaxis(first, 0, -1) if len(first) == 3 else first[0], sides, view)
        axes.set_title(title, fontsize=12, color=INK)


def _draw_volume(axes: Axes, pixels: np.ndarray, spacing: Sequence[float], view: str) -> None:
    """Draw a volume from three sides, in one scale of grey or of each colour: from its least value to its greatest.

    Rows and columns at the upper left, slices and columns below, rows and slices at the right.

    Args:
        axes: Where to.
        pixels: d h w, or d h w 3 in colour.
        spacing: The distance of neighbours along slices, rows and columns.
        view: "maximum", the brightest along each line of sight, or "slices" through the middle.
    """
    deep, high, wide = (n * h for n, h in zip(pixels.shape, spacing, strict=False))
    gap = 0.02 * max(high, wide)
    sides = [pixels.max(axis=n) if view == "maximum" else pixels.take(pixels.shape[n] // 2, axis=n) for n in range(3)]
    sides[2] = sides[2].swapaxes(0, 1)  # h d
    low, top = min(side.min() for side in sides), max(side.max() for side in sides)
    places = (0, wide, high, 0), (0, wide, high + gap + deep, high + gap), (wide + gap, wide + gap + deep, high, 0)
    for side, extent in zip(sides, places, strict=True):
        shown = (side - low) / ((top - low) or 1.0)
        axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent)
    axes.set(xlim=(0, wide + gap + deep), ylim=(high + gap + deep, 0), aspect="equal")
    axes.axis("off")
