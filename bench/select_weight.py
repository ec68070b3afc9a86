"""Choosing the weight of a prior: what the misfit is, what it costs beside one solve, and what each rule gives away.

    OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 python -P bench/select_weight.py   writes results/select.md; some minutes

Cost: one grey photograph of 192 x 192, white noise, its deviation known. The misfit of the solution of
``fastip.select`` beside N times the square of the noise; its iterations and its processor time beside those of one
solve from nothing with the weight that it found, 100 iterations at most, tolerance 1e-4, with an operator made anew; of
each the least of five.
Quality: total variation on the seven everyday photographs of ``fastip.data.held_out_photographs``, grey, 96 x 96, noise
0.03, estimated by the rules that need it (given where half of the data is masked). PSNR with the weight of each rule,
below that with the best of 17 weights over four decades; nan where there is no corner.
"""

from __future__ import annotations

import pathlib
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import fastip
from fastip import data, metrics, operators, priors, psf
from fastip.solvers.selection import path

OPS: dict[str, Callable[[int], Any]] = {
    "x4": lambda n: operators.Blur(psf.gaussian(9, sigma=1.6), stride=4, boundary="circular"),
    "circular": lambda n: operators.Blur(psf.gaussian(9, sigma=1.6), boundary="circular"),
    "valid": lambda n: operators.Blur(psf.disk(9, 4), boundary="valid"),
    "half masked": lambda n: operators.Mask((torch.rand(n, n, generator=seeded(5)) < 0.5).float()),
    "noise alone": lambda n: operators.Identity(),
}
PRIORS: dict[str, Any] = {
    "TV": priors.TV,
    "TV + Box": lambda w: priors.TV(w) + priors.Box(0, 1),
    "Wavelet": priors.Wavelet,
    "L1": priors.L1,
}
LEVELS, SIZE, SMALL, REPEATS = (0.01, 0.03, 0.1), 192, 96, 5
RULES = ("discrepancy", "sure", "gcv", "lcurve")
PAGE = pathlib.Path(__file__).parent / "results" / "select.md"


def seeded(seed: int) -> torch.Generator:
    """Of what is drawn."""
    return torch.Generator().manual_seed(seed)


def scene(name: str, picture: Tensor, n: int, level: float) -> tuple[Tensor, Any, Tensor]:
    """The truth, the operator and the data."""
    truth, op = data.centre(picture, n).float().mean(1, keepdim=True), OPS[name](n)
    y = op(truth)
    noise = level * torch.randn(y.shape, generator=seeded(0))
    return truth, op, y + (op(noise) if name == "half masked" else noise)


def cost(name: str, prior: str, level: float, picture: Tensor) -> str:
    """A row: misfit, iterations and time."""
    truth, op, y = scene(name, picture, SIZE, level)
    solves: list[int] = []
    solve = path.admm

    def counting(*given: Any, **options: Any) -> Any:
        found = solve(*given, **options)
        solves.append(found.iterations)
        return found

    spent = once = float("inf")
    for _ in range(REPEATS):
        solves.clear()
        path.admm, fresh = counting, OPS[name](SIZE)  # type: ignore[assignment]
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            began = time.process_time()
            try:
                found = fastip.select(y, fresh, PRIORS[prior], noise=level)
            finally:
                path.admm = solve
            spent = min(spent, time.process_time() - began)
        fresh = OPS[name](SIZE)
        began = time.process_time()
        alone = fastip.admm(y, fresh, PRIORS[prior](found.weight), tolerance=1e-4)
        once = min(once, time.process_time() - began)
    count = int((op(torch.rand(truth.shape)) != 0).sum())
    misfit = float((y - op(found.solution.x)).double().square().sum()) / (count * level**2)
    mark = " (warned)" if told else ""
    return (
        f"| {name} | {prior} | {level:g} | {found.weight:.2e} | {misfit:.3f}{mark} | {sum(solves)} in {len(solves)} | "
        f"{alone.iterations} | {spent / once:.2f} | {once:.3f} |"
    )


def quality(name: str) -> list[str]:
    """Rows: what each rule gives away on each photograph."""
    rows, lost = [], []
    for title, picture in data.held_out_photographs(data.EVERYDAY).items():
        truth, op, y = scene(name, picture, SMALL, 0.03)
        grid = [10 ** (k / 4 - 4) for k in range(17)]
        psnrs = [float(metrics.psnr(fastip.admm(y, op, priors.TV(w), iterations=200).x, truth)) for w in grid]
        best = max(psnrs)
        row = []
        for rule in RULES:
            known = 0.03 if name == "half masked" and rule in ("discrepancy", "sure") else None
            try:
                found = fastip.select(y, op, priors.TV, rule=rule, noise=known)
                row.append(best - float(metrics.psnr(found.solution.x, truth)))
            except fastip.FastipError:  # no corner
                row.append(float("nan"))
        lost.append(row)
        rows.append(f"| {name} | {title} | {best:.2f} | " + " | ".join(f"{value:.2f}" for value in row) + " |")
        print(rows[-1], flush=True)
    mean = torch.tensor(lost).nanmean(0).tolist()
    rows.append(f"| {name} | mean | | " + " | ".join(f"{value:.2f}" for value in mean) + " |")
    print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measures, and writes the page."""
    torch.set_num_threads(1)
    told = (__doc__ or "").partition("some minutes")[2].strip()
    lines = [
        f"# Choosing the weight\n\nfastip {fastip.__version__}, torch {torch.__version__}, one thread.\n\n{told}\n"
    ]
    lines += ["| operator | prior | noise | weight | misfit | iterations | of one solve | time / one solve | s |"]
    lines += ["|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    picture = data.held_out_photographs(["astronaut"])["astronaut"]
    for name in OPS:
        for prior in PRIORS:
            for level in LEVELS:
                try:
                    lines.append(cost(name, prior, level, picture))
                except fastip.FastipError as error:
                    lines.append(f"| {name} | {prior} | {level:g} | refused: {str(error)[:60]} |")
                print(lines[-1], flush=True)
    lines += ["\nPSNR in dB of the best weight, and how far below it each rule is.\n"]
    lines += ["| operator | photograph | best | " + " | ".join(RULES) + " |", "|---|---|--:|--:|--:|--:|--:|"]
    for name in ("x4", "circular", "half masked", "noise alone"):
        lines += quality(name)
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
