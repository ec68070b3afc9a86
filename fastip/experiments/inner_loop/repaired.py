"""The paper's second figure with an optimum that is not zero: relative gap against iterations and time.

And the threshold 1 / beta against 1 / (2 beta).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from ... import inverses
from ...inverses.stencil import certify, fit
from ...nets import InverseNet
from ...solvers import admm
from .. import drawing
from ..markdown import shown, table
from ..record import Experiment, Numbers, Outcome, Report, silent
from .contenders import Contender, by_admm, by_fista, candidates, fastest, interleaved, summary, tune
from .learned import Taught, learned, linear, relu
from .synthetic import Optimum, Problem, optimum, paper_problem, recorder

LINEAR, RELU = "learned, linear", "learned, ReLU"
DRAWN = {  # rank of the colour, style of the line
    LINEAR: (0, "-"),
    "stencil": (1, "-"),
    "exact (FFT)": (2, "-"),
    "CG, tuned": (3, "-"),
    "CG to 1e-5": (3, "--"),
    "gradient descent, tuned": (4, "-"),
    "gradient descent to 1e-5": (4, "--"),
    RELU: (5, "-"),
    "FISTA": (5, ":"),
}
BASELINES = (
    "gradient descent to 1e-5",
    "gradient descent to 1e-5, best step",
    "gradient descent, tuned",
    "CG to 1e-5",
    "CG, tuned",
    "exact (FFT)",
    RELU,
    "FISTA",
)
POINTS = 8  # of the curves against time


def run(
    report: Report = silent,
    *,
    size: int = 512,
    gain: float = 10.0,
    noise: float = 1.0,
    betas: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2),
    target: float = 1e-4,
    most: int = 200,
    repeats: int = 15,
    steps: int = 1000,
    relu_steps: int = 500,
    threshold_iterations: int = 300,
    seed: int = 0,
) -> Outcome:
    """Tune every method over one grid, and time the fastest setting of each to the target.

    ``betas`` are multiples of ``||A||^2``; ``target`` is the relative gap that is timed, within ``most`` iterations.
    """
    problem = paper_problem(size, gain=gain, noise=noise, seed=seed)
    unit = problem.op.norm(tuple(problem.truth.shape)) ** 2
    report("reference optimum (FISTA)", 0, 1)
    best = optimum(problem)

    def gap(x: Tensor) -> float:
        return problem.objective(x) / best.value - 1

    grid = tune(
        problem,
        candidates(problem.op, problem.y, [b * unit for b in betas]),
        gap,
        target=target,
        most=most,
        report=report,
    )
    exact = next(c for c in fastest(grid) if c.method == "exact (FFT)")
    assert exact.beta is not None
    taught = {
        LINEAR: learned(problem.op, exact.beta, linear, steps=steps, seed=seed, report=report),
        RELU: learned(problem.op, exact.beta, relu, steps=relu_steps, seed=seed, report=report),
    }
    more = [by_admm(name, _setting(t), t.inverse, exact.beta) for name, t in taught.items()]
    grid += tune(problem, [*more, by_fista()], gap, target=target, most=most, report=report)
    finalists = fastest(grid)
    report("timing the best of each method in turns", 0, 1)
    numbers = {
        "problem": _about(problem, best, unit, size, gain, noise),
        "target": target,
        "grid": [_row(c, unit) for c in grid],
        "methods": _methods(problem, finalists, unit, gap, repeats),
        "curves": _curves(problem, finalists, gap, most, repeats, report),
        "learned": {name: _taught(t, problem, exact.beta) for name, t in taught.items()},
        "set_up": {"stencil_fit": _stencil_set_up(problem, exact.beta)},
        "threshold": _thresholds(problem, best, exact.beta, threshold_iterations),
    }
    return Outcome(numbers, _draw(numbers))


# ---- measuring -------------------------------------------------------------------------------------------------------


def _setting(taught: Taught) -> str:
    net = taught.inverse.net
    return (
        f"{2 * net.reach + 1} × {2 * net.reach + 1} taps"
        if isinstance(net, InverseNet)
        else "4 × 4, 32 and 64 channels"
    )


def _about(problem: Problem, best: Optimum, unit: float, size: int, gain: float, noise: float) -> Numbers:
    zero = problem.objective(0 * problem.truth)
    known = {"size": size, "gain": gain, "noise": noise, "norm_squared": unit, "weight": problem.weight, "zero": zero}
    fista = {"optimum": best.value, "certified_gap": best.gap, "fista_steps": best.steps, "nonzeros": best.nonzeros}
    return known | fista | {"pixels": best.x.numel()}


def _row(contender: Contender, unit: float) -> Numbers:
    return {
        "method": contender.method,
        "setting": contender.setting,
        "beta": None if contender.beta is None else contender.beta / unit,
        "iterations": contender.iterations,
        "seconds": contender.seconds,
    }


def _methods(problem: Problem, finalists: Sequence[Contender], unit: float, gap: Any, repeats: int) -> list[Numbers]:
    """The finalists side by side: seconds to the target of interleaved repeats, and the gap that was really reached."""
    solves = [c.solve(problem, c.iterations or 1) for c in finalists]
    seconds = interleaved(solves, repeats)
    return [
        _row(c, unit) | summary(s) | {"gap": gap(solve())}
        for c, s, solve in zip(finalists, seconds, solves, strict=True)
    ]


def _curves(
    problem: Problem, finalists: Sequence[Contender], gap: Any, most: int, repeats: int, report: Report
) -> Numbers:
    """Gap after each iteration of a watched run, and the seconds of unwatched runs of some numbers of iterations."""
    curves = {}
    for done, contender in enumerate(finalists):
        report(f"curves of {contender.method}", done, len(finalists))
        values = contender.curve(problem, gap, most, 1e-6)  # below the target, so that a curve goes on past it
        counts = sorted({max(1, round(len(values) ** (i / (POINTS - 1)))) for i in range(POINTS)})
        # each point takes a run of its own, so fewer repeats than in the table
        seconds = interleaved([contender.solve(problem, n) for n in counts], max(2, repeats // 3))
        curves[contender.method] = {"gap": values, "counts": counts, "seconds": [min(s) for s in seconds]}
    return curves


def _taught(taught: Taught, problem: Problem, beta: float) -> Numbers:
    certificate = taught.inverse.certificate(problem.op, problem.y, beta)
    bounds = (
        {} if certificate is None else {"kappa": certificate.kappa, "low": certificate.low, "high": certificate.high}
    )
    return taught.record() | bounds


def _stencil_set_up(problem: Problem, beta: float) -> float:
    """Seconds of the closed-form 7 x 7 fit and its certificate; a process pays them once for each problem."""
    convolution = problem.op.convolution()
    assert convolution is not None
    begun = time.perf_counter()
    certify(convolution, fit(convolution, beta, 3), (problem.y.shape[-2], problem.y.shape[-1]), beta, 1.0)
    return time.perf_counter() - begun


def _thresholds(problem: Problem, best: Optimum, beta: float, iterations: int) -> Numbers:
    """Exact ADMM in float64 with the threshold weight / (2 beta) and half of it, and the second one's own minimiser."""
    other = Problem(problem.op, problem.truth, problem.y, problem.weight / 2, problem.scale)
    own = optimum(other)
    result: Numbers = {
        "iterations": iterations,
        "other_optimum_gap": problem.objective(own.x) / best.value - 1,
        "other_certified_gap": own.gap,
    }
    for name, factor in (("derived", 1.0), ("printed", 0.5)):
        values: list[float] = []
        solution = admm(
            problem.y,
            problem.op,
            problem.prior(factor),
            beta=beta,
            inverse=inverses.Exact(),
            iterations=iterations,
            tolerance=0.0,
            init=problem.op.adjoint(problem.y),
            callback=recorder(problem.objective, values),
        )
        result[name] = {
            "objective": values[-1],
            "gap": values[-1] / best.value - 1,
            "own_gap": (other.objective(solution.x) / own.value if factor < 1 else values[-1] / best.value) - 1,
            "nonzeros": int(solution.x.count_nonzero()),
            "curve": values,
        }
    return result


# ---- showing ---------------------------------------------------------------------------------------------------------


def _draw(numbers: Numbers) -> Figure:
    figure = drawing.sheet(15.5, 4.6)
    left, middle, right = figure.subplots(1, 3)
    drawing.clean(left, "relative gap", note="each at its own best β", x="iterations", yscale="log")
    drawing.clean(middle, "relative gap", note="float32, set-up included", x="seconds", xscale="log", yscale="log")
    curves = numbers["curves"]
    for name, (rank, style) in DRAWN.items():
        if name not in curves:
            continue
        c = curves[name]
        gaps = [max(v, 1e-9) for v in c["gap"]]
        drawing.curve(left, range(1, len(gaps) + 1), gaps, name, rank=rank, style=style)
        drawing.curve(
            middle, c["seconds"], [gaps[n - 1] for n in c["counts"]], name, rank=rank, style=style, marker="o"
        )
    for axes in (left, middle):
        axes.axhline(numbers["target"], color=drawing.MUTED, linewidth=0.8, linestyle=":")
    drawing.legend(left)
    drawing.clean(right, "threshold", note="exact data step, float64", x="iterations", yscale="log")
    for rank, (name, label) in enumerate((("derived", "1/β"), ("printed", "1/(2β), as printed"))):
        values = [max(v / numbers["problem"]["optimum"] - 1, 1e-12) for v in numbers["threshold"][name]["curve"]]
        drawing.curve(right, range(1, len(values) + 1), values, label, rank=rank)
    drawing.legend(right)
    return figure


def page(numbers: Numbers) -> str:
    """The problem, the times, how they were measured, and the threshold."""
    return "\n\n".join([_problem(numbers), _timing(numbers), _method(numbers), _threshold(numbers)])


def _problem(numbers: Numbers) -> str:
    p = numbers["problem"]
    return f"""
A {p["size"]} × {p["size"]} image of independent Laplace(0, 1) pixels, blurred by a 9 × 9 Gaussian of standard \
deviation 1.5 with gain {shown(p["gain"])},
every fourth pixel of every fourth row kept (circular), noise of standard deviation s = {shown(p["noise"])}. \
With a gain and a noise of 1 the minimiser is x
= 0 ([inner_loop](inner_loop.md)); here it is not. Objective: ‖y − A x‖² / 2s² + ‖x‖₁, \
that is ‖y − A x‖² + {shown(p["weight"])}‖x‖₁ in fastip's scale.

**Reference.** FISTA in float64, {p["fista_steps"]} steps: objective {p["optimum"]:.2f}, \
{p["nonzeros"]} of {p["pixels"]} pixels not zero. A dual bound
proves that no x is better by more than {shown(p["certified_gap"], 2)} of it. At x = 0 the objective is \
{p["zero"]:.1f}."""


def _timing(numbers: Numbers) -> str:
    methods = {m["method"]: m for m in numbers["methods"]}
    rows = [
        [
            m["method"],
            m["setting"],
            "-" if m["beta"] is None else m["beta"],
            m["iterations"],
            1e3 * m["best"],
            1e3 * m["median"],
        ]
        for m in sorted(methods.values(), key=lambda m: m["best"])
    ]
    fast = [name for name in (LINEAR, "stencil") if name in methods]
    ratios = [
        [name, *[methods[name]["best"] / methods[f]["best"] for f in fast]] for name in BASELINES if name in methods
    ]
    return f"""## Time to a relative gap of {shown(numbers["target"])}

{table(["method", "setting", "β / ‖A‖²", "iterations", "best ms", "median ms"], rows)}

Times as multiples of those of the data steps without an inner loop, from the same run (‖A‖² = \
{shown(numbers["problem"]["norm_squared"])}):

{table(["method", *[f"over {f}" for f in fast]], ratios)}"""


def _method(numbers: Numbers) -> str:
    nets = [
        [name, n["steps"], n["seconds"], n["accuracy"], n["products"], n.get("kappa", "not linear")]
        for name, n in numbers["learned"].items()
    ]
    return f"""How it was measured: every method starts from x = Aᵀy and runs in float32 with the same threads. \
Each setting was tried with every β of one
grid. The number of iterations to the gap was found in a watched run (objective in float64), \
then exactly that many iterations were timed without a
callback; the fastest setting of each method entered the table, where the methods take turns. \
"To 1e-5" is an inner loop that runs until its residual is
below 1e-5 ‖y‖, from the last dual, so that the data step is solved. "Tuned" is the fastest number of inner steps, \
or tolerance: a data
step that is far from solved, which still leads to the exact answer only because of the correction q⁺ = q + C (y − A \
x − βq). The learned inverses were
trained for the best β of the exact step, as an application of C costs the same for every β.

Spectra and certificates depend on the problem alone and are remembered between solves: \
the closed-form fit of a 7 × 7 stencil with its certificate takes
{1e3 * numbers["set_up"]["stencil_fit"]:.0f} ms once, the training of the nets what this table says. FISTA, \
which has no data step, is here as the outside
view.

{table(["net", "training steps", "training s", "relative error on noise", "products a data pixel", "κ"], nets)}"""


def _threshold(numbers: Numbers) -> str:
    t = numbers["threshold"]
    rows = [
        [label, f"{t[key]['objective']:.2f}", _rounded(t[key]["gap"]), t[key]["nonzeros"], _rounded(t[key]["own_gap"])]
        for key, label in (("derived", "1/β"), ("printed", "1/(2β)"))
    ]
    return f"""## The threshold: 1/β, not 1/(2β)

With the data term ‖y − A x‖² and the penalty β‖x − z‖² the weight of the 1-norm is 2s², \
so the soft threshold is 2s²/(2β) = s²/β, which is 1/β for s = 1. The
printed threshold, 1/(2β), belongs to another objective, with half the weight. Exact data step, float64, \
{t["iterations"]} iterations:

{table(["threshold", "objective", "gap", "pixels not zero", "gap in the objective it belongs to"], rows)}

The minimiser of the objective with half the weight (FISTA again, certified to {shown(t["other_certified_gap"], 2)}) \
is {100 * t["other_optimum_gap"]:.1f} %
above the optimum: the loop with the printed threshold converges, to that point."""


def _rounded(gap: float) -> str:
    return shown(gap, 2) if gap > 1e-13 else "< 1e-13"  # below that a gap in float64 is rounding


EXPERIMENT = Experiment(
    "gap against iterations and time where the optimum is not zero; threshold 1/β against 1/(2β)", run, page
)
