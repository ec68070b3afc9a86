"""Three updates with the same approximate inverse: as printed in the paper, in residual form, and corrected.

The last by the dual that is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor, nn

from ... import inverses, operators, psf
from ...contracts import Inverse
from ...errors import InvalidInput
from ...solvers import admm
from ...solvers.monitor import State
from .. import drawing
from ..markdown import rounded, shown, table
from ..record import Experiment, Numbers, Outcome, Report, silent
from .learned import learned, relu, wide
from .synthetic import Optimum, Problem, observed, optimum, spikes

FORMS = {"printed": inverses.Printed, "residual": inverses.Uncorrected, "corrected": lambda inverse: inverse}
APPROXIMATE = ("closed-form stencil", "learned, linear", "learned, ReLU")
LIMIT = 1e3  # the relative gap beyond which a run has diverged and is stopped
EXACT = "exact"


def cases() -> dict[str, tuple[operators.Operator, int]]:
    """Each operator, all circular, and the half-width of its stencil."""
    # wider stencils come nearer to the inverse; without a stride the inverse reaches further
    gaussian = psf.gaussian(9, 1.6)
    return {
        "× 4, 9 × 9 Gauss 1.6": (operators.Blur(gaussian, stride=4), 3),
        "9 × 9 motion": (operators.Blur(psf.motion(9, 45)), 6),
        "9 × 9 Gauss deblur": (operators.Blur(gaussian), 6),
    }


class Single(nn.Module):
    """A network evaluated in float32 inside a float64 solve.

    Its rounding is far below its error, and float64 convolutions are slow.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, r: Tensor, beta: float) -> Tensor:
        values: Tensor = self.net(r.float(), beta).to(r)
        return values


def run(
    report: Report = silent,
    *,
    size: int = 128,
    betas: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4),
    iterations: int = 300,
    weight: float = 1e-2,
    noise: float = 1e-2,
    steps: int = 800,
    relu_steps: int = 200,
    seed: int = 0,
) -> Outcome:
    """Trace the three updates with each inverse on each operator and beta.

    ``steps``, ``relu_steps``: training of each linear and each ReLU net, one for every operator and beta.
    """
    results, references, nets = [], {}, []
    for name, (op, half_width) in cases().items():
        truth = spikes(size, seed=seed)
        problem = Problem(op, truth, observed(op, truth, noise=noise, seed=seed + 1), weight, 1.0)
        report(f"{name}: reference optimum (FISTA)", 0, 1)
        best = optimum(problem, most=50_000)  # ill-conditioned problems may end here; the page says how close
        references[name] = {
            "objective": best.value,
            "certified_gap": best.gap,
            "fista_steps": best.steps,
            "nonzeros": best.nonzeros,
        }
        for beta in betas:
            ways: dict[str, Inverse] = {"closed-form stencil": inverses.Stencil(half_width)}
            for kind, architecture, budget in (("learned, linear", wide, steps), ("learned, ReLU", relu, relu_steps)):
                taught = learned(op, beta, architecture, steps=budget, seed=seed, report=report)
                ways[kind] = (
                    taught.inverse if taught.inverse.net.linear else inverses.Learned(Single(taught.inverse.net))
                )
                nets.append({"problem": name, "beta": beta, "net": kind} | taught.record())
            report(f"{name}, beta {beta:g}: solving", 0, 1)
            runs = {EXACT: trace(problem, best, inverses.Exact(side="data"), beta, iterations)}
            for kind, inverse in ways.items():
                for form, wrap in FORMS.items():
                    runs[f"{kind}, {form}"] = trace(problem, best, wrap(inverse), beta, iterations)
            results.append({"problem": name, "beta": beta, "runs": runs})
    settings = {"size": size, "iterations": iterations, "weight": weight, "noise": noise}
    numbers = {"settings": settings, "references": references, "results": results, "nets": nets}
    return Outcome(numbers, _draw(numbers))


def trace(problem: Problem, best: Optimum, inverse: Inverse, beta: float, iterations: int) -> Numbers:
    """Relative objective gap after each iteration (float64), and how it ended.

    "diverged": the gap passed LIMIT or is not finite. "useless": it ends above that of x = 0. "refused": the inverse is
    not positive definite.
    """
    gaps: list[float] = []

    def look(state: State) -> bool:
        gaps.append(problem.objective(state.x) / best.value - 1)
        return math.isfinite(gaps[-1]) and gaps[-1] < LIMIT

    try:
        admm(
            problem.y,
            problem.op,
            problem.prior(),
            beta=beta,
            inverse=inverse,
            iterations=iterations,
            tolerance=0.0,
            callback=look,
        )
    except InvalidInput as error:
        return {"status": "refused", "gap": None, "iterations": 0, "curve": [], "reason": str(error)}
    ended = math.isfinite(gaps[-1]) and gaps[-1] < LIMIT
    status = (
        "diverged"
        if not ended
        else "useless"
        if gaps[-1] > problem.objective(0 * problem.truth) / best.value - 1
        else "ran"
    )
    return {"status": status, "gap": gaps[-1], "iterations": len(gaps), "curve": rounded(gaps)}


# ---- showing ---------------------------------------------------------------------------------------------------------


def _draw(numbers: Numbers) -> Figure:
    names, betas = list(numbers["references"]), sorted({r["beta"] for r in numbers["results"]}, reverse=True)
    figure = drawing.sheet(3.6 * len(betas) + 0.4, 3.0 * len(names))
    grid = figure.subplots(len(names), len(betas), squeeze=False, sharex=True, sharey="row")
    lines = [
        (EXACT, EXACT, 5),
        ("learned, linear, corrected", "corrected", 0),
        ("learned, linear, residual", "residual form", 1),
    ]
    lines.append(("learned, linear, printed", "printed form", 3))
    for result in numbers["results"]:
        axes = grid[names.index(result["problem"])][betas.index(result["beta"])]
        drawing.clean(axes, result["problem"], note=f"β = {result['beta']:g}", yscale="log")
        for key, label, rank in lines:
            curve = result["runs"][key]["curve"]
            drawing.curve(
                axes,
                range(1, len(curve) + 1),
                [max(v, 1e-13) if math.isfinite(v) else v for v in curve],
                label,
                rank=rank,
            )
    for row, name in zip(grid, names, strict=True):
        found = [r["runs"][key]["gap"] for r in numbers["results"] if r["problem"] == name for key, *_ in lines]
        row[0].set_ylim(max(1e-13, 0.3 * min(v for v in found if v is not None and math.isfinite(v))), 1e2)
    for axes in grid[-1]:
        axes.set_xlabel("iterations", color=drawing.INK, fontsize=10)
    grid[0][0].set_ylabel("relative gap, linear net", color=drawing.INK, fontsize=10)
    drawing.legend(grid[0][0])
    return figure


def page(numbers: Numbers) -> str:
    """The three updates, how often each fails, and every run."""
    s = numbers["settings"]
    references = [
        [name, f"{r['objective']:.9f}", shown(r["certified_gap"], 2), r["fista_steps"]]
        for name, r in numbers["references"].items()
    ]
    return f"""
min ‖y − A x‖² + λ‖x‖₁ with λ = {shown(s["weight"])}: a {s["size"]} × {s["size"]} image of which 5 % of the pixels \
are not zero, noise of standard deviation
{shown(s["noise"])}, circular boundary. The same approximate inverse C of B⁻¹ = βI + AAᵀ is used in three updates:

- **printed**: q⁺ = (y − C A Aᵀy)/β − C A w, w = x − Aᵀq, equation (11) of Fan, Wei, Carin and Heller (2017), \
`inverses.Printed(C)`;
- **residual**: q⁺ = C (y − A w), the same number for an exact C, `inverses.Uncorrected(C)`;
- **corrected**: q⁺ = q + C (y − A x − βq), what `fastip.admm` does: every fixed point is an exact \
minimiser whatever C is.

Entries are the relative objective gap after {s["iterations"]} iterations in float64; \
"diverged" runs passed {LIMIT:g} and were stopped,
"useless" ones end above the objective of x = 0.

{_summary(numbers["results"])}

{chr(10).join(_section(numbers, kind) for kind in APPROXIMATE)}
The reference is the optimum of FISTA in float64 with a dual certificate:

{table(["problem", "objective", "certified to", "steps"], references)}

The curves are those of the linear net; one that is not there lies above its panel or diverged in its first \
iteration. A gap below 1e-13 is
rounding. The linear net is scaled by its certificate when it is bound, in all three updates alike; \
a stencil that is not positive definite is
refused; the ReLU net has no certificate, and is evaluated in float32 inside the float64 solve.
"""


def _section(numbers: Numbers, kind: str) -> str:
    """The table of one kind of C, with the error of the nets where they were trained."""
    accuracy = {(n["problem"], n["beta"]): n for n in numbers["nets"] if n["net"] == kind}
    headings, rows = ["problem", "β", "exact B", "printed form", "residual form", "**corrected**"], []
    for result in numbers["results"]:
        runs, net = result["runs"], accuracy.get((result["problem"], result["beta"]))
        cells = [_cell(runs[EXACT]), *[_cell(runs[f"{kind}, {form}"]) for form in FORMS]]
        rows.append(
            [result["problem"], shown(result["beta"]), *cells] + ([] if net is None else [shown(net["accuracy"], 2)])
        )
    if accuracy:
        headings.append("relative error of C")
    budget = _budget(list(accuracy.values()))
    return f"## C: {kind}\n\n{budget}{table(headings, rows)}\n"


def _budget(nets: Sequence[Numbers]) -> str:
    trained = [n for n in nets if n["steps"]]
    if not trained:
        return ""
    seconds = sorted(n["seconds"] for n in trained)
    return (
        f"Trained here from noise, {trained[0]['steps']} steps and {seconds[0]:.0f} to {seconds[-1]:.0f} s "
        "for each operator and β.\n\n"
    )


def _cell(run: Numbers) -> str:
    if run["status"] in ("refused", "diverged"):
        return str(run["status"])
    # below that a gap in float64 is rounding, of either sign
    gap = shown(run["gap"], 1) if run["gap"] > 1e-15 else "< 1e-15"
    return f"{gap} (useless)" if run["status"] == "useless" else gap


def _summary(results: Sequence[Numbers]) -> str:
    """How often each update diverges or is of no use, and how often it ends as close as the exact inverse does."""
    rows = []
    for form in FORMS:
        runs = [(r["runs"][EXACT], r["runs"][f"{kind}, {form}"]) for r in results for kind in APPROXIMATE]
        runs = [(exact, run) for exact, run in runs if run["status"] != "refused"]
        diverged, useless = (sum(run["status"] == status for _, run in runs) for status in ("diverged", "useless"))
        near = sum(run["status"] == "ran" and run["gap"] <= max(10 * exact["gap"], 1e-10) for exact, run in runs)
        rows.append([form, len(runs), diverged, useless, near])
    return table(["update", "runs", "diverged", "useless", "as good as exact (10 × its gap, or 1e-10)"], rows)


EXPERIMENT = Experiment("the update as printed, in residual form and corrected, with approximate inverses", run, page)
