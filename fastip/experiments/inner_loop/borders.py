"""Deblurring on borders that do not wrap: how many iterations each inverse needs.

And how near to B a wide network comes for the work of a small one.
"""

from __future__ import annotations

import time
from typing import Any

from matplotlib.figure import Figure

from ... import inverses, nets, operators, psf
from ...contracts import Convolution, Inverse
from ...inverses.stencil import fit, spectrum, symbol_taps
from ...solvers import admm
from ...solvers.monitor import State
from .. import drawing
from ..markdown import rounded, table
from ..record import Experiment, Numbers, Outcome, Report, silent
from .learned import dilated, learned, wide
from .synthetic import Optimum, Problem, observed, optimum, spikes

GAPS = (1e-2, 1e-4)
STENCIL = 6  # half-width: 13 x 13 taps, as the linear network
EXACT, CLOSED, SMALL, WIDE = "exact (CG to 1e-9)", "stencil 13 × 13", "learned 13 × 13", "learned 49 × 49, dilated"


def cases(boundary: str) -> dict[str, operators.Blur]:
    """The two blurs without a stride."""
    return {
        "9 × 9 motion": operators.Blur(psf.motion(9, 45), boundary=boundary),
        "9 × 9 Gauss 1.6": operators.Blur(psf.gaussian(9, 1.6), boundary=boundary),
    }


def run(
    report: Report = silent,
    *,
    size: int = 128,
    beta: float = 1e-2,
    weight: float = 1e-2,
    noise: float = 1e-2,
    most: int = 1500,
    steps: int = 3000,
    seed: int = 0,
) -> Outcome:
    """Count iterations of ADMM to each gap, in float64, on two blurs with a valid border.

    Then the error of C for motion on a circular grid. ``most``: iterations at most. ``steps``: training of each network
    that is not among the weights of the package (those of beta = 0.01 are).
    """
    valid = []
    for name, op in cases("valid").items():
        truth = spikes(size, seed=seed)
        problem = Problem(op, truth, observed(op, truth, noise=noise, seed=seed + 1), weight, 1.0)
        report(f"{name}: reference optimum (FISTA)", 0, 1)
        # far below the least of GAPS, so that the reference does not move them; a closer one takes longer
        best = optimum(problem, accuracy=1e-9, most=50_000)
        ways: dict[str, Inverse] = {
            EXACT: inverses.ConjugateGradient(tolerance=1e-9),
            CLOSED: inverses.Stencil(STENCIL),
        }
        for label, architecture in ((SMALL, wide), (WIDE, dilated)):
            ways[label] = learned(op, beta, architecture, steps=steps, seed=seed, report=report).inverse
        entries = {}
        for label, inverse in ways.items():
            report(f"{name}: {label}", 0, 1)
            entries[label] = count(problem, best, inverse, beta, most)
        valid.append({"problem": name, "optimum": best.value, "certified_gap": best.gap, "inverses": entries})
    circular = [_errors("9 × 9 motion", cases("circular")["9 × 9 motion"], beta, steps, seed, report)]
    settings = {"size": size, "beta": beta, "weight": weight, "noise": noise, "most": most}
    numbers = {"settings": settings, "valid": valid, "circular": circular}
    return Outcome(numbers, _draw(numbers))


def count(problem: Problem, best: Optimum, inverse: Inverse, beta: float, most: int) -> Numbers:
    """Iterations to each gap (None: not within ``most``), the curve of gaps, the certificate, seconds an iteration."""
    gaps: list[float] = []

    def look(state: State) -> bool:
        gaps.append(problem.objective(state.x) / best.value - 1)
        return gaps[-1] > min(GAPS)

    step = inverse.bind(problem.op, problem.y, beta)
    start = time.perf_counter()
    admm(
        problem.y,
        problem.op,
        problem.prior(),
        beta=beta,
        inverse=inverse,
        iterations=most,
        tolerance=0.0,
        callback=look,
    )
    seconds = (time.perf_counter() - start) / len(gaps)
    reached = {f"{gap:g}": next((k for k, g in enumerate(gaps, 1) if g <= gap), None) for gap in GAPS}
    return {"iterations": reached, "curve": rounded(gaps), "inverse": step.describe(), "seconds_an_iteration": seconds}


def _errors(name: str, op: operators.Blur, beta: float, steps: int, seed: int, report: Report) -> Numbers:
    """rms and largest ``|1 - c (beta + r)|`` over the frequencies of a 128 x 128 grid, and C's products a pixel."""
    # a grid beyond the reach of every C here, so that none wraps onto itself; a larger one only samples more densely
    shape, convolution = (128, 128), Convolution(op.psf, op.stride, op.boundary)
    target = beta + spectrum(symbol_taps(convolution), shape)
    closed = fit(convolution, beta, STENCIL)
    found = {CLOSED: (closed, closed.numel())}
    for label, architecture in ((SMALL, wide), (WIDE, dilated)):
        net = learned(op, beta, architecture, steps=steps, seed=seed, report=report).inverse.net
        assert isinstance(net, nets.InverseNet)
        taps = net.stencil(beta)
        found[label] = (taps, min(taps.numel(), net.products))
    entries: dict[str, Any] = {}
    for label, (taps, products) in found.items():
        error = (1 - spectrum(taps, shape) * target).abs()
        weights = error.new_full(error.shape, 2.0)
        weights[:, 0] = weights[:, -1] = 1  # the half plane: columns 0 and w / 2 stand for themselves
        entries[label] = {
            "rms": float(((weights * error**2).sum() / weights.sum()).sqrt()),
            "largest": float(error.max()),
            "products": products,
        }
    return {"problem": name, "inverses": entries}


# ---- showing ---------------------------------------------------------------------------------------------------------


def _draw(numbers: Numbers) -> Figure:
    figure = drawing.sheet(11.5, 3.8)
    grid = figure.subplots(1, len(numbers["valid"]), sharey=True)
    for axes, case in zip(grid, numbers["valid"], strict=True):
        drawing.clean(
            axes,
            f"{case['problem']}, valid",
            note=f"β = {numbers['settings']['beta']:g}",
            x="iterations",
            y="relative gap",
            yscale="log",
        )
        for rank, label in enumerate((SMALL, WIDE, CLOSED, EXACT)):
            curve = case["inverses"][label]["curve"]
            drawing.curve(axes, range(1, len(curve) + 1), curve, label, rank=rank)
        axes.axhline(min(GAPS), color=drawing.MUTED, linewidth=0.8)
    drawing.legend(grid[0])
    return figure


def page(numbers: Numbers) -> str:
    """Iterations on valid borders, then the error on a circular grid."""
    s, counts, ratios = numbers["settings"], [], []
    for case in numbers["valid"]:
        for label, entry in case["inverses"].items():
            to = [n if n is not None else f"> {s['most']}" for n in entry["iterations"].values()]
            counts.append([f"{case['problem']}: {label}", *to, 1e3 * entry["seconds_an_iteration"]])
        small, closed = (case["inverses"][label]["iterations"]["0.0001"] for label in (SMALL, CLOSED))
        share = (
            f"at most {100 * small / s['most']:.0f} %"
            if closed is None and small
            else f"{100 * small / closed:.0f} %"
            if small
            else "more than all"
        )
        ratios.append(f"{share} of the stencil's iterations for {case['problem']}")
    rows = []
    for case in numbers["circular"]:
        first = case["inverses"][CLOSED]
        for label, entry in case["inverses"].items():
            better, cost = first["rms"] / entry["rms"], entry["products"] / first["products"]
            rows.append(
                [
                    f"{case['problem']}: {label}",
                    entry["rms"],
                    entry["largest"],
                    entry["products"],
                    f"{better:.1f}",
                    f"{cost:.1f}",
                ]
            )
    notes = "\n".join(
        f"- {case['problem']}: {entry['inverse']}"
        for case in numbers["valid"]
        for label, entry in case["inverses"].items()
        if label != EXACT
    )
    return f"""
min ‖y − A x‖² + λ‖x‖₁, λ = {s["weight"]:g}, β = {s["beta"]:g}, float64: a {s["size"]} × {s["size"]} image of which 5 \
% of the pixels are not zero, noise
{s["noise"]:g}, blurred without a stride; only pixels whose neighbourhood lies inside the image are observed (valid), \
so no FFT inverts A Aᵀ. The optimum comes
from FISTA run until the duality gap is below 1e-9. Every inverse reaches it: C decides the speed.

{table(["inverse", *(f"iterations to {gap:g}" for gap in GAPS), "ms an iteration"], counts)}

With the same support, the learned inverse takes {" and ".join(ratios)}.
The stencil knows nothing of the border, and its certificate scales all of it down for the sake of a few rows; \
the network is trained on that border.

{notes}

On a circular grid B is known, so the error of C is known at each frequency, |1 − c(β + r)|:

{table(["inverse", "rms error", "largest", "products a pixel", "rms: times better", "work: times more"], rows)}
"""


EXPERIMENT = Experiment(
    summary="learned inverses on borders where no FFT helps, and a wide one for the work of a small one",
    run=run,
    page=page,
)
