"""Parallel imaging beside sigpy: the error of each reconstruction and the processor time that it takes.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python -P bench/bench_mri.py                some minutes
    ... -o bench/results/mri.md                                                           the table as a page

The Shepp-Logan phantom of scikit-image with a smooth phase, 8 smooth coils around it whose squares add to 1, every
fourth row of k-space and the 9 % in the middle, complex noise of 0.002. Errors are |x - truth| / |truth|. sigpy
(`pip install sigpy`) runs its three applications: least squares by conjugate gradients, l1 of wavelets, and total
variation; each with the best of the listed weights and the iterations after which its error is within 1 % of the least
that was seen (at most 300), least time of two runs. fastip runs admm with total variation, "auto", each of its weights,
likewise; and until its error is below the least of sigpy's.
"""

from __future__ import annotations

import argparse
import datetime
import math
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import fastip
from fastip import operators, priors
from fastip.io.replace import replace_file
from measure import processor

SIZES, COILS, NOISE = (128, 256), 8, 0.002
ITERATIONS = (5, 10, 20, 30, 50, 75, 100, 150, 200, 300)
WEIGHTS = (3e-4, 1e-3, 3e-3, 1e-2)
NEAR, RUNS = 1.01, 2
COMMAND = "OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python -P bench/bench_mri.py -o bench/results/mri.md"
HEAD = "| size | solver | weight | iterations | error | s |\n|---|---|--:|--:|--:|--:|"
Solve = Callable[[float, int], Any]


class Scan(NamedTuple):
    """The truth, fastip's operator, and the data as it and as sigpy have them."""

    truth: Tensor
    op: operators.Sense
    y: Tensor
    centred: np.ndarray[Any, Any]
    coils: np.ndarray[Any, Any]

    def error(self, x: Any) -> float:
        found = torch.as_tensor(x).reshape(self.truth.shape)
        return float((found - self.truth).norm() / self.truth.norm())


def scan(n: int) -> Scan:
    """An image n x n."""
    from skimage.data import shepp_logan_phantom
    from skimage.transform import resize

    along = torch.linspace(-1, 1, n)
    row, column = torch.meshgrid(along, along, indexing="ij")
    phantom = torch.from_numpy(resize(shepp_logan_phantom(), (n, n))).float()
    truth = torch.polar(phantom, 0.7 * column + 0.5 * row.square())[None, None]
    at = 2 * math.pi * torch.arange(COILS)[:, None, None] / COILS
    away = (row - 1.2 * at.sin()).square() + (column - 1.2 * at.cos()).square()
    coils = torch.polar((-away / 1.2).exp(), at + 0.5 * column * at.cos())
    coils = coils / coils.abs().square().sum(0).sqrt()
    rows = (torch.arange(n) % 4 == 0) | (torch.fft.fftfreq(n).abs() < 0.047)
    op = operators.Sense(rows[:, None].expand(n, n), coils)
    noise = NOISE * torch.randn(1, COILS, n, n, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    noise = noise * rows[:, None]
    # sigpy has the middle of the image, and of k-space, in the middle of the array
    seen = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(coils * truth, dim=(-2, -1)), norm="ortho"), (-2, -1))
    centred = (seen + torch.fft.fftshift(noise, (-2, -1))) * torch.fft.fftshift(rows)[:, None]
    return Scan(truth, op, op(truth) + noise, centred[0].numpy(), coils.numpy())


def solvers(data: Scan) -> dict[str, Solve]:
    """By name."""
    import sigpy.mri as mri

    def app(make: Any, most: int = max(ITERATIONS)) -> Solve:
        return lambda weight, n: make(
            data.centred, data.coils, lamda=weight / 2, max_iter=min(n, most), show_pbar=False
        ).run()

    def fast(weight: float, n: int) -> Tensor:
        op = operators.Sense(data.op.mask, data.op.coils)  # anew: nothing is known of it
        return fastip.admm(data.y, op, priors.TV(weight), iterations=n, tolerance=0).x

    return {
        "sigpy, least squares": app(mri.app.SenseRecon),
        "sigpy, wavelets": app(mri.app.L1WaveletRecon),
        "sigpy, total variation": app(mri.app.TotalVariationRecon),
        "fastip, total variation": fast,
    }


def timed(solve: Solve, weight: float, n: int) -> float:
    """Seconds, the least of some runs."""
    best = math.inf
    for _ in range(RUNS):
        began = time.process_time()
        solve(weight, n)
        best = min(best, time.process_time() - began)
    return best


def compare(n: int) -> list[str]:
    """The rows of one size."""
    data, rows, least = scan(n), [], math.inf
    for name, solve in solvers(data).items():
        solve(WEIGHTS[0], 2)  # compiles what it compiles
        errors = {(w, k): data.error(solve(w, k)) for w in WEIGHTS for k in ITERATIONS}
        best = min(errors.values())
        weight, count = next((w, k) for k in ITERATIONS for w in WEIGHTS if errors[w, k] <= NEAR * best)
        seconds = timed(solve, weight, count)
        rows.append(f"| {n} | {name} | {weight:g} | {count} | {errors[weight, count]:.4f} | {seconds:.2f} |")
        print(rows[-1], flush=True)
        if name.startswith("sigpy"):
            least = min(least, best)
        else:
            reached = next(((w, k) for k in ITERATIONS for w in WEIGHTS if errors[w, k] <= least), None)
            if reached is not None:
                seconds = timed(solve, *reached)
                rows.append(
                    f"| {n} | {name}, below sigpy's least | {reached[0]:g} | {reached[1]} | {errors[reached]:.4f} | "
                    f"{seconds:.2f} |"
                )
                print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, help="the page to write")
    output = parser.parse_args().output
    torch.set_num_threads(1)
    print(HEAD)
    rows = [row for n in SIZES for row in compare(n)]
    if output is not None:
        told = (__doc__ or "").partition("as a page\n\n")[2].strip()
        names = ", ".join(f"{name} {version(name)}" for name in ("torch", "sigpy", "numba", "scikit-image"))
        page = (
            f"# Parallel imaging beside sigpy\n\n{processor()}, 1 thread, fastip {fastip.__version__}, {names}, "
            f"{datetime.date.today()}.\n\n    {COMMAND}\n\n{told}\n\n{HEAD}\n" + "\n".join(rows) + "\n"
        )
        replace_file(output, lambda file: file.write(page.encode()))


if __name__ == "__main__":
    main()
