"""What searches saw: the scores of the weights of a prior, the cost of a blur, and what was chosen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .solution import Selection

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
