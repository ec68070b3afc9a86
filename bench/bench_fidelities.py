"""Both forms of a data step for other data terms than squares: time to a gap, the default data_beta, a colour picture.

    OMP_NUM_THREADS=2 python -P bench/bench_fidelities.py        writes results/fidelities.md; eight minutes

Problems: ``fidelity_problems``, an image of 128 x 128, float32, one thread. The gap is that of ``D(A x) + R(x)``, over
its least value that any solve here found (float64 for 1000 iterations among them), D counted from its least; looked at
every fifth iteration. Time is the iterations to the gap by the time of one, which is that of 40 iterations less that of
5, the least of three: CPU time, as other programs share the machine. "–": not in 400 iterations.
"""

from __future__ import annotations

import functools
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import fastip
import fidelity_problems
from fastip import data, fidelities, inverses, operators, priors, psf

PAGE = pathlib.Path(__file__).parent / "results" / "fidelities.md"
SIZE, EVERY, MOST, LONG = 128, 5, 400, 1000
GAP = 1e-3
SHOWN = {  # operators, and the priors beside them
    "gaussian 9": ("tv", "l1"),
    "shake 25": ("tv", "l1"),
    "disk 31": ("tv",),
    "holes": ("tv",),
    "x2, shake 25": ("tv",),
}
NAMES = ("squares", "clipped", "huber", "counts")
SWEPT, TIMES = ("gaussian 9", "disk 31"), (0.1, 0.5, 1.0, 2.0, 5.0)
SECTIONS = (
    ("Time to a gap of 1e-3", "Weight of the prior 1e-2 of squares and images in [0, 1]."),
    (
        "data_beta, times its default",
        "Iterations of the split to 1e-3 (absolute differences: 1e-2) on 96 x 96 with total variation, behind\n"
        "a Gaussian of 9 and a disk of 31: geometric mean, 400 where 200 do not do.",
    ),
    (
        "A colour picture",
        "300 x 420 x 3, a shake of 25 x 25, valid border, noise 0.01, total variation of the suggested weight and a\n"
        "box, two threads, wall clock beside other programs: the gap, and the relative distance from 1000 iterations\n"
        "in float64.",
    ),
)
FORMS: dict[str, Any] = {"split": inverses.Split(), "number": inverses.Scalar(), "diagonal": inverses.Diagonal()}


def solving(problem: Any, op: Any, inverse: Any, y: Tensor | None = None) -> Callable[..., fastip.Solution]:
    """A solve of so many iterations."""
    y = problem.y if y is None else y
    given: dict[str, Any] = {"fidelity": problem.fidelity, "inverse": inverse, "tolerance": 0}
    return lambda iterations, **more: fastip.admm(y, op, problem.prior, iterations=iterations, **given, **more)


def trace(solve: Callable[..., Any], iterations: int, look: Callable[[Tensor], Any]) -> list[Any]:
    """What ``look`` sees in every fifth iterate."""
    seen: list[Any] = []

    def called(state: Any) -> bool:
        if state.iteration % EVERY == 0:
            seen.append(look(state.x))
        return True

    solve(iterations, callback=called)
    return seen


def reached(seen: list[float], best: float, gap: float = GAP) -> float:
    """The iteration that comes within a gap, infinite where none does."""
    return next((float(EVERY * (i + 1)) for i, value in enumerate(seen) if value <= best * (1 + gap)), math.inf)


def each(solve: Callable[..., object], clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of an iteration."""
    took: dict[int, list[float]] = {5: [], 40: []}
    solve(2)
    for _ in range(3):
        for count, times in took.items():
            begun = clock()
            solve(count)
            times.append(clock() - begun)
    return (min(took[40]) - min(took[5])) / 35


def told(value: float, form: str) -> str:
    return "–" if math.isinf(value) else format(value, form)


def chosen(problem: Any, op: Any) -> str:
    """What "auto" takes."""
    text = fastip.explain(op, problem.prior, problem.y, fidelity=problem.fidelity)
    words = {"second split": "split", "exact, pointwise": "exact", "each datum": "diagonal", "a number": "number"}
    return next(name for word, name in words.items() if word in text)


def forms() -> list[str]:
    """The time of each form to the gap."""
    lines = ["| operator | data term | prior | iterations: split, number, diagonal | ms each | ms to the gap | auto |"]
    lines.append("|---|---|---|--:|--:|--:|---|")
    for blur, name, prior in ((b, n, p) for b, kinds in SHOWN.items() for p in kinds for n in NAMES):
        problem = fidelity_problems.problem(blur, name, prior, SIZE)
        op = problem.make()
        look = functools.partial(problem.objective, op=op)
        solves = {form: solving(problem, op, inverse) for form, inverse in FORMS.items()}
        seen = {form: trace(solve, MOST, look) for form, solve in solves.items()}
        exact = [solving(problem, op, FORMS[form], problem.y.double())(LONG).x for form in ("split", "number")]
        best = min(*map(look, exact), *(min(values) for values in seen.values()))
        counts = [reached(values, best) for values in seen.values()]
        times = [1e3 * each(solve) for solve in solves.values()]
        row = [blur, name, prior, ", ".join(told(n, ".0f") for n in counts), ", ".join(told(t, ".2f") for t in times)]
        row += [", ".join(told(n * t, ".0f") for n, t in zip(counts, times, strict=True)), chosen(problem, op)]
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    return lines


def data_betas() -> list[str]:
    """Iterations with data_beta times its default: the geometric mean over the operators."""
    lines = [f"| data term | weight of the prior | {' | '.join(f'× {value:g}' for value in TIMES)} |"]
    lines.append("|---|---|" + "--:|" * len(TIMES))
    for name, weight in ((name, weight) for name in (*NAMES, "absolute") for weight in (1e-2, 2e-3)):
        found: list[list[float]] = []
        for blur in SWEPT:
            problem = fidelity_problems.problem(blur, name, "tv", 96, weight)
            op = problem.make()
            look = functools.partial(problem.objective, op=op)
            suited = problem.fidelity.suited(problem.y, op.norm((1, 1, 96, 96)))
            usual = 0.1 * suited.curvature * suited.stiffness
            seen = [trace(solving(problem, op, inverses.Split(n * usual)), MOST // 2, look) for n in TIMES]
            exact = solving(problem, op, inverses.Split(), problem.y.double())(LONG).x
            best = min(look(exact), *(min(values) for values in seen))
            found.append([min(reached(values, best, 10 * GAP if name == "absolute" else GAP), MOST) for values in seen])
        means = (math.exp(sum(map(math.log, column)) / len(column)) for column in zip(*found, strict=True))
        lines.append(f"| {name} | {weight:g} | {' | '.join(f'{value:.0f}' for value in means)} |")
        print(lines[-1], flush=True)
    return lines


def coloured(kind: str) -> fidelity_problems.Problem:
    """300 x 420 x 3 behind a shake of 25 x 25 with its valid border, float64: clipped data, or weights with holes."""
    op, noise = operators.Blur(psf.shake(25, 1), boundary="valid"), fidelity_problems.generator(1)
    (picture,) = data.held_out_photographs(("astronaut",)).values()
    y = op(picture.double()[..., 60:360, 40:460])
    y = y + 0.01 * torch.randn(y.shape, generator=noise, dtype=y.dtype)
    weight = fastip.tasks.suggested_weight("tv", 0.01, op)
    fidelity: Any = fidelities.Clipped(high=1.0)
    box = priors.Box(0.0, float("inf") if kind == "clipped" else 1.0)
    if kind == "clipped":
        scale = float(y.quantile(0.85))
        y, weight = (y / scale).clamp(max=1), weight / scale
    else:
        a = torch.rand(y.shape, generator=noise, dtype=y.dtype)
        fidelity = fidelities.Squares(torch.where(a < 0.1, 0.0, 0.2 + 0.8 * a))
    return fidelity_problems.Problem(lambda: op, y, fidelity, priors.TV(weight) + box)


def picture() -> list[str]:
    """The colour picture on two threads, by the wall clock."""
    torch.set_num_threads(2)
    at = (10, 20, 50, 100, 200)
    lines = [f"| data | form | ms each | gap after {', '.join(map(str, at))} | distance | ms to 5e-3 | ms to 1e-3 |"]
    lines.append("|---|---|--:|---|---|--:|--:|")
    for kind in ("clipped", "weights"):
        problem = coloured(kind)
        op = problem.make()
        best = solving(problem, op, inverses.Scalar())(LONG).x
        problem.y = problem.y.float()

        def look(x: Tensor, problem: Any = problem, op: Any = op, best: Tensor = best) -> tuple[float, float]:
            return problem.objective(x, op), float((x.double() - best).norm() / best.norm())

        seen = {form: trace(solving(problem, op, inverse), 300, look) for form, inverse in FORMS.items()}
        least = min(look(best)[0], *(value for values in seen.values() for value, _ in values))
        for form, inverse in FORMS.items():
            ms = 1e3 * each(solving(problem, op, inverse), time.perf_counter)
            values = [seen[form][n // EVERY - 1] for n in at]
            row = [kind, form, f"{ms:.1f}", ", ".join(f"{value / least - 1:.1e}" for value, _ in values)]
            row.append(", ".join(f"{apart:.3f}" for _, apart in values))
            row += [told(ms * reached([v for v, _ in seen[form]], least, gap), ".0f") for gap in (5e-3, 1e-3)]
            lines.append(f"| {' | '.join(row)} |")
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measures, and writes the page."""
    begun, doc = time.perf_counter(), __doc__ or ""
    torch.set_num_threads(1)
    about = f"fastip {fastip.__version__}, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
    parts = ["# Data steps of other data terms", f"{about}, `OMP_NUM_THREADS=2 python -P bench/bench_fidelities.py`."]
    parts.append(doc.partition("eight minutes\n\n")[2].strip())
    for (heading, text), table in zip(SECTIONS, (forms, data_betas, picture), strict=True):
        parts += [f"## {heading}", text, "\n".join(table())]
    PAGE.write_text("\n\n".join(parts) + "\n")
    print(f"{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
