"""Operators of one's own: processor time to an objective within 1e-3 of its least, by "auto" and by what others do.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python bench/bench_own_operators.py                  all problems
    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python bench/bench_own_operators.py ct lensless      some
    ... --all                                             every inverse, each with every penalty, in place of the best
    ... -o bench/results/own-operators.md                 the tables as a page

Every line is a solve of a new operator, set-up, norms, sketches and choices included, float32, TV with x >= 0, on one
thread. The least objective is the lowest that any of them reached, and float64 solves of 3000 iterations beside them.
A solve runs twice: once to see after how many iterations the gap is reached, once for the seconds of so many, without
anything else in the loop. Tuned means: the fastest of all listed penalties, tolerances and step ratios.
pyproximal (`pip install pylops pyproximal`) runs its primal-dual method on the same operators, its norm given.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import fastip
import pyproximal_peer
from fastip import inverses
from fastip.io.replace import replace_file
from measure import processor
from own_problems import MAKERS, Problem, named

GAP, MOST = 1e-3, 800
PATIENCE, LEAST = 5.0, 2.0  # how long a way is looked at: times the seconds of "auto", and seconds
SKETCH = 4e6  # numbers of the largest sketch that is tried
BETAS = (0.1, 0.02, 0.005)  # times ||A||^2
TOLERANCES = (0.3, 1e-1, 1e-2)  # of conjugate gradients


@dataclasses.dataclass
class Row:
    """One way to solve: its iterations to the gap (None: not reached), seconds, and the least gap that was seen."""

    name: str
    iterations: int | None
    seconds: float
    gap: float

    @property
    def reached(self) -> bool:
        return self.iterations is not None

    def line(self, beside: float | None = None) -> str:
        seconds = f"{self.seconds:.2f}" if self.reached else f"not in {self.seconds:.0f}"
        ratio = "" if beside is None else f" {'' if self.reached else '> '}{self.seconds / beside:.2f} |"
        return f"| {self.name} | {self.iterations or ''} | {seconds} |{ratio} {self.gap:.1e} |"


def way(problem: Problem, name: str, inverse: Any, beta: float | None, least: float, limit: float) -> Row:
    """A solve until the gap, and the seconds of a second one of so many iterations."""
    op = problem.make()
    shape = op.input_shape(tuple(problem.y.shape))
    seen: list[float] = []
    begun = time.process_time()

    def look(state: Any) -> bool:
        if state.iteration % 5 == 0:
            seen.append(problem.objective(state.x, op))
        return (not seen or seen[-1] > least * (1 + GAP)) and time.process_time() - begun < limit

    def run(op: Any, iterations: int, callback: Any = None) -> None:
        penalty = None if beta is None else beta * op.norm(shape) ** 2
        fastip.admm(
            problem.y,
            op,
            problem.prior,
            inverse=inverse,
            beta=penalty,
            iterations=iterations,
            tolerance=0,
            callback=callback,
        )

    run(op, MOST, look)
    spent, gap = time.process_time() - begun, min(seen, default=float("inf")) / least - 1
    if gap > GAP:
        return Row(name, None, spent, gap)
    op, begun = problem.make(), time.process_time()
    run(op, 5 * len(seen))
    return Row(name, 5 * len(seen), time.process_time() - begun, gap)


def reference(problem: Problem) -> float:
    """The least objective of long solves in float64."""
    op = problem.make()
    exact = dataclasses.replace(problem, y=problem.y.to(torch.complex128 if problem.y.is_complex() else torch.float64))
    norm = op.norm(op.input_shape(tuple(problem.y.shape)))
    found = [
        fastip.admm(
            exact.y, op, problem.prior, inverse=inverses.Scalar(), beta=b * norm**2, iterations=3000, tolerance=1e-7
        ).x
        for b in (0.05, 0.01)
    ]
    return min(problem.objective(x, op) for x in found)


def rivals(problem: Problem, whole: bool) -> dict[str, list[tuple[str, Any]]]:
    """Inverses to tune, by name: all of them, or those that a careful user of a solver without "auto" would try."""
    y, op = problem.y, problem.make()
    rows = y[0].numel() * (2 if y.is_complex() else 1)
    found = {
        "Scalar": [("", inverses.Scalar())],
        "ConjugateGradient": [(f"{t:g}", inverses.ConjugateGradient(t)) for t in TOLERANCES],
    }
    if whole:
        found["Diagonal"] = [("", inverses.Diagonal())]
        found["Nystrom"] = [(f"{k}", inverses.Nystrom(k)) for k in (16, 64, 256) if k * rows <= SKETCH]
        found["Polynomial"] = [(f"{d}", inverses.Polynomial(d)) for d in (1, 3, 8)]
        if rows <= 4096:
            found["Exact"] = [("", inverses.Exact())]
        if op.window() is not None:
            found["Split"] = [("", inverses.Split())]
    return found


def tuned(problem: Problem, name: str, candidates: list[tuple[str, Any]], least: float, limit: float) -> list[Row]:
    """All of them with all penalties."""
    rows = []
    for parameter, inverse in candidates:
        for beta in (None, *BETAS):
            told = f"{name} {parameter}".strip() + (", default beta" if beta is None else f", beta {beta:g} ‖A‖²")
            try:
                rows.append(way(problem, told, inverse, beta, least, limit))
            except fastip.FastipError:
                break
    return rows


def best(rows: list[Row]) -> list[Row]:
    """The fastest that reached the gap, or the nearest."""
    return [min(rows, key=lambda row: (not row.reached, row.seconds if row.reached else row.gap))] if rows else []


def table(name: str, whole: bool) -> Iterator[str]:
    """The lines of a problem."""
    problem = named(name)
    least = reference(problem)
    auto = way(problem, "**auto**", "auto", None, least, 120.0)
    limit = max(LEAST, PATIENCE * auto.seconds)
    yield f"## {name}\n\n{problem.told} Least objective {least:.6g}.\n"
    yield f"```\n{fastip.explain(problem.make(), problem.prior, problem.y)}\n```\n"
    yield "| way | iterations | seconds | beside auto | gap |\n| --- | ---: | ---: | ---: | ---: |"
    yield auto.line(auto.seconds)
    yield way(problem, "conjugate gradients to 1e-5", inverses.ConjugateGradient(1e-5), None, least, limit).line(
        auto.seconds
    )
    for title, candidates in rivals(problem, whole).items():
        rows = tuned(problem, title, candidates, least, limit)
        for row in rows if whole else best(rows):
            yield row.line(auto.seconds)
    if pyproximal_peer.peer() is not None:
        found = pyproximal_peer.tuned(problem, least, GAP, 10 * MOST, limit)
        yield Row(f"pyproximal, {found[0]}", *found[1:]).line(auto.seconds)
    yield ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*", choices=[[], *MAKERS], help="which; all of them without")
    parser.add_argument("--all", action="store_true", help="every inverse with every penalty")
    parser.add_argument("-o", "--output", type=Path, help="the page to write")
    given = parser.parse_args()
    lines = []
    for name in given.problems or MAKERS:
        for line in table(name, given.all):
            print(line, flush=True)
            lines.append(line)
    if given.output is not None:
        with_peer = (
            ""
            if pyproximal_peer.peer() is None
            else f", pyproximal {version('pyproximal')}, pylops {version('pylops')}"
        )
        head = (
            f"# Operators of one's own\n\n{processor()}, {torch.get_num_threads()} thread(s), "
            f"fastip {fastip.__version__}, torch {torch.__version__}{with_peer}, {datetime.date.today()}.\n\n"
        )
        page = (head + (__doc__ or "").strip() + "\n\n" + "\n".join(lines)).rstrip() + "\n"
        replace_file(given.output, lambda file: file.write(page.encode()))


if __name__ == "__main__":
    main()
