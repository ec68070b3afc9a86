"""The paper's second figure, left and middle: the objective against iterations and against time.

With and without an inner loop in the data step.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from matplotlib.figure import Figure

from ... import inverses
from ...contracts import Circulant, Inverse
from .. import drawing
from ..markdown import shown, table
from ..record import Experiment, Numbers, Outcome, Report, silent
from .contenders import Contender, DescentTo, by_admm, interleaved
from .learned import learned, linear, relu
from .synthetic import Problem, paper_problem

LINEAR, RELU = "learned, linear", "learned, ReLU"
SHOWN = (LINEAR, "stencil", "exact (FFT)", "CG to 1e-5", "gradient descent to 1e-5", RELU)  # as they are drawn
CLOSE = 2e-3  # relative distance to the optimum at which the figure of the paper ends


def run(
    report: Report = silent,
    *,
    size: int = 512,
    beta: float = 100.0,
    betas: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0, 100.0),
    iterations: int = 30,
    repeats: int = 15,
    steps: int = 300,
    relu_steps: int = 300,
    seed: int = 0,
) -> Outcome:
    """``beta`` is that of the curves; ``betas`` those of the table of times."""
    problem = paper_problem(size, seed=seed)
    taught = {
        LINEAR: learned(problem.op, beta, linear, steps=steps, seed=seed, report=report),
        RELU: learned(problem.op, beta, relu, steps=relu_steps, seed=seed, report=report),
    }
    contenders = [*closed_and_inner(beta), *(by_admm(name, "", t.inverse, beta) for name, t in taught.items())]
    start = problem.objective(problem.op.adjoint(problem.y))
    numbers = {
        "problem": {
            "size": size,
            "beta": beta,
            "iterations": iterations,
            "start": start,
            "half_square": problem.scale * float(problem.y.square().sum()),
            "steepest": problem.steepest(),
        },
        "curves": _curves(problem, contenders, iterations, repeats, report),
        "times": _times(problem, contenders, iterations, repeats, report),
        "betas": [_at(problem, b, iterations, repeats, report) for b in betas],
        "learned": {name: t.record() for name, t in taught.items()},
    }
    return Outcome(numbers, _draw(numbers))


# ---- measuring -------------------------------------------------------------------------------------------------------


def closed_and_inner(beta: float) -> list[Contender]:
    """The data steps that need no training, at this beta."""
    ways: list[tuple[str, Inverse]] = [
        ("gradient descent to 1e-5", DescentTo(1e-5)),
        ("CG to 1e-5", inverses.ConjugateGradient(1e-5)),
        ("exact (FFT)", inverses.Exact()),
        ("stencil", inverses.Stencil(2)),
    ]
    return [by_admm(method, "", inverse, beta) for method, inverse in ways]


def _curves(
    problem: Problem, contenders: Sequence[Contender], iterations: int, repeats: int, report: Report
) -> Numbers:
    """The objective after each iteration of a watched run, and the seconds of unwatched runs of some lengths."""
    counts = sorted({max(1, round(iterations ** (i / 7))) for i in range(8)})
    result = {}
    for done, contender in enumerate(contenders):
        report(f"curves of {contender.method}", done, len(contenders))
        values = contender.curve(problem, problem.objective, iterations)
        # each point takes a run of its own, so fewer repeats than in the table
        seconds = interleaved([contender.solve(problem, n) for n in counts], max(2, repeats // 3))
        result[contender.method] = {"objective": values, "counts": counts, "seconds": [min(s) for s in seconds]}
    return result


def _times(problem: Problem, contenders: Sequence[Contender], iterations: int, repeats: int, report: Report) -> Numbers:
    """Best and median seconds of all iterations, the methods taking turns."""
    report(f"timing {iterations} iterations of each method in turns", 0, 1)
    seconds = interleaved([c.solve(problem, iterations) for c in contenders], repeats)
    return {
        c.method: {"best": min(s), "median": statistics.median(s)} for c, s in zip(contenders, seconds, strict=True)
    }


def _at(problem: Problem, beta: float, iterations: int, repeats: int, report: Report) -> Numbers:
    """What one beta makes of the problem.

    Its condition, the iterations to the optimum, and the time of all iterations with each data step.
    """
    report(f"beta {beta:g}", 0, 1)
    contenders = closed_and_inner(beta)
    structure = problem.op.cogram(tuple(problem.y.shape))
    assert isinstance(structure, Circulant)
    low, high = (beta + float(v) for v in structure.spectrum.aminmax())
    limit = (1 + CLOSE) * problem.scale * float(problem.y.square().sum())
    exact = next(c for c in contenders if c.method == "exact (FFT)")
    values = exact.curve(problem, problem.objective, iterations, limit)
    seconds = interleaved([c.solve(problem, iterations) for c in contenders], max(2, repeats // 3))
    return {
        "beta": beta,
        "condition": high / low,
        "needed": len(values) if values[-1] <= limit else None,
        "seconds": {c.method: min(s) for c, s in zip(contenders, seconds, strict=True)},
    }


# ---- showing ---------------------------------------------------------------------------------------------------------


def _draw(numbers: Numbers) -> Figure:
    figure, p = drawing.sheet(15.5, 4.6), numbers["problem"]
    left, middle, right = figure.subplots(1, 3)
    drawing.clean(left, "objective", note=f"β = {p['beta']:g}", x="iterations")
    drawing.clean(middle, "objective", note="float32, set-up included", x="seconds", xscale="log")
    drawing.clean(
        right, f"time of {p['iterations']} iterations", note="float32", x="β", y="seconds", xscale="log", yscale="log"
    )
    inset = left.inset_axes((0.42, 0.4, 0.55, 0.5))
    for rank, name in enumerate(SHOWN):
        c, style = numbers["curves"][name], "--" if "1e-5" in name else "-"
        values = [p["start"], *c["objective"]]
        for axes in (left, inset):
            drawing.curve(axes, range(len(values)), values, name, rank=rank, style=style)
        drawing.curve(middle, c["seconds"], [values[n] for n in c["counts"]], name, rank=rank, style=style, marker="o")
        if name in numbers["betas"][0]["seconds"]:
            drawing.curve(
                right,
                [b["beta"] for b in numbers["betas"]],
                [b["seconds"][name] for b in numbers["betas"]],
                name,
                rank=rank,
                style=style,
                marker="o",
            )
        else:
            drawing.curve(right, [p["beta"]], [numbers["times"][name]["best"]], name, rank=rank, marker="s")
    first, last = round(0.73 * p["iterations"]), round(0.93 * p["iterations"])
    inside = [v for c in numbers["curves"].values() for v in c["objective"][first - 1 : last]]
    inset.set(xlim=(first, last), ylim=(min(inside) - 1, max(inside) + 1))
    inset.tick_params(labelsize=8)
    drawing.legend(right)
    return figure


def page(numbers: Numbers) -> str:
    """The problem, the times, and what beta does."""
    return "\n\n".join([_problem(numbers), _timing(numbers), _penalty(numbers)])


def _problem(numbers: Numbers) -> str:
    p = numbers["problem"]
    finals = [c["objective"][-1] for c in numbers["curves"].values()]
    spread = max(
        max(values) - min(values)
        for values in zip(*(c["objective"] for name, c in numbers["curves"].items() if name != RELU), strict=True)
    )
    off = max(abs(v / p["half_square"] - 1) for v in finals)
    return f"""
A {p["size"]} × {p["size"]} image of independent Laplace(0, 1) pixels, blurred by a 9 × 9 Gaussian of standard \
deviation 1.5, every fourth pixel of every
fourth row kept (circular), noise N(0, 1): what can be read from the second figure of Fan, Wei, \
Carin and Heller (2017). Objective: ½‖y − A x‖² + ‖x‖₁, that
is ‖y − A x‖² + 2‖x‖₁ in fastip's scale, from x = Aᵀy, {p["iterations"]} iterations.

**Result.** All data steps start at {p["start"]:.0f} and end between {min(finals):.1f} and {max(finals):.1f}, \
at most {100 * off:.3f} % from ½‖y‖² =
{p["half_square"]:.1f}. Per iteration the linear ones never differ by more than {spread:.2g}.

**The optimum is x = 0.** The largest entry of Aᵀy is {p["steepest"]:.3f} of the weight of the 1-norm. \
At most 1 means that 0 is the minimiser (0 ∈ −Aᵀy +
∂‖·‖₁), so ½‖y‖² is the optimal value and the problem asks for nothing to be restored. The figure is a test of speed, \
not of restoration;
[repaired](repaired.md) is the same with something to find."""


def _timing(numbers: Numbers) -> str:
    times, nets = numbers["times"], numbers["learned"]
    rows = [
        [name, 1e3 * t["best"], 1e3 * t["median"], t["best"] / times[LINEAR]["best"]]
        for name, t in sorted(times.items(), key=lambda e: e[1]["best"])
    ]
    slower = times[RELU]["best"] / times["gradient descent to 1e-5"]["best"]
    trained = [[name, n["steps"], n["seconds"], n["accuracy"], n["products"]] for name, n in nets.items()]
    return f"""## Time of {numbers["problem"]["iterations"]} iterations at β = {shown(numbers["problem"]["beta"])}

{table(["data step", "best ms", "median ms", "over learned, linear"], rows)}

Float32, the same threads for all, the methods take turns; each time is that of a run of exactly so many iterations \
without a callback, its set-up included.
The objective is never evaluated in a timed run: the curves against iterations come from watched runs in float32 \
(evaluated in float64), those against time
from separate unwatched runs of 1 to {numbers["problem"]["iterations"]} iterations. Inner loops run until their \
residual is below 1e-5 ‖y‖, from the last
dual. The stencil and the linear net are one stencil each, and run in one kernel together with A, \
Aᵀ and the threshold; the others run in the visible loop.
The network of the paper, with its ReLU, takes {shown(slower, 2)} times as long as the inner loop that it replaces.

{table(["net", "training steps", "training s", "relative error on noise", "products a data pixel"], trained)}"""


def _penalty(numbers: Numbers) -> str:
    names = [n for n in SHOWN if n in numbers["betas"][0]["seconds"]]
    rows = [
        [shown(b["beta"]), f"{b['condition']:.4g}", b["needed"] or "-", *[1e3 * b["seconds"][n] for n in names]]
        for b in numbers["betas"]
    ]
    return f"""## What β does here

{table(["β", "condition of βI + AAᵀ", "iterations to 0.2 %", *[f"{n}, ms" for n in names]], rows)}

The paper does not state its β. The curves above have β = {shown(numbers["problem"]["beta"])} for every method, \
because the paper's fall over 30 iterations
and only a large β does that: with a small one the threshold 1/β exceeds every pixel and x is 0, the optimum, \
after the first iteration. But where β is
large beside the largest eigenvalue of AAᵀ, βI + AAᵀ is nearly a multiple of I and the inner loop has nothing to do; \
where the inner loop costs most, the
outer loop is over after one iteration. So this figure, honestly tuned, cannot separate the methods; \
the table gives the time of
{numbers["problem"]["iterations"]} iterations all the same, and [repaired](repaired.md) \
compares each method at its own best β."""


EXPERIMENT = Experiment(
    "objective against iterations and time for data steps with and without an inner loop", run, page
)
