"""Total variation beside deepinv: processor time until |y - A x|^2 + w TV(x) is within 1e-3 of its least, both tuned.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python bench/bench_deepinv.py
    ... -o bench/results/deepinv.md                       the table as a page

Images of 48 x 48 (32 x 32 for compressed sensing), in float32, one thread. fastip is given deepinv's physics by
`interop.from_deepinv`, deepinv runs its own; Fourier measurements, which deepinv knows for complex images alone, are
fastip's, given to it by `interop.to_deepinv`. Settings: fastip its default beta and that times 0.1, 0.3, 3 and 10;
deepinv's ADMM step sizes and steps of its warm-started TV denoiser; iterations 5, 10, 20, ... 320. Least of three runs.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import deepinv_peer
import fastip
from fastip import interop, operators, priors, psf
from fastip.io.replace import replace_file
from measure import processor

GAP, RUNS = 1e-3, 3
ITERATIONS = (5, 10, 20, 40, 80, 160, 320)
OTHERS = (0.3, 3.0, 0.1, 10.0)  # times the default beta
STEP_SIZES, INNER = (10.0, 30.0, 100.0, 300.0, 3.0, 1.0), (10, 40)  # of deepinv
SLOWER = 3.0  # times the fastest so far: a setting that takes so long without the gap is given up
HEAD = (
    "| problem | fastip, ms | iterations | deepinv ADMM, ms | iterations x inner, step size | ratio |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: |"
)


Found = tuple[float, Any]  # milliseconds, and the setting with its iterations


@dataclass
class Problem:
    """deepinv's physics, the same as an operator of fastip, the data, and the weight of TV."""

    physics: Any
    op: Any
    y: Tensor
    weight: float

    def objective(self, x: Tensor) -> float:
        x, prior = x.detach().double(), priors.TV(self.weight)
        wide = torch.complex128 if self.y.is_complex() else torch.float64
        return float((self.op(x) - self.y.to(wide)).abs().square().sum() + prior.value(x).sum())


def image(channels: int, side: int) -> Tensor:
    """A part of the astronaut of scikit-image, made small."""
    (picture,) = fastip.data.held_out_photographs(("astronaut",)).values()
    part = picture[:, :channels, :192, 100:292].float()
    return torch.nn.functional.interpolate(part, (side, side), mode="bilinear", antialias=True)


def problems() -> Iterator[tuple[str, Problem]]:
    """The six of them."""
    import deepinv

    generator = torch.Generator().manual_seed(0)

    def made(physics: Any, op: Any, x: Tensor, noise: float, weight: float) -> Problem:
        y = op(x)
        return Problem(physics, op, y + noise * torch.randn(y.shape, dtype=y.dtype, generator=generator), weight)

    x = image(3, 48)
    size, kernel = (3, 48, 48), {"gaussian": psf.gaussian(9, sigma=2.0), "motion": psf.motion(9, 30)}
    kernel = {name: value.float()[None, None] for name, value in kernel.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        named = {
            "x 4, Gaussian": deepinv.physics.Downsampling(
                size, filter=kernel["gaussian"], factor=4, padding="circular"
            ),
            "motion, circular": deepinv.physics.BlurFFT(size, filter=kernel["motion"]),
            "motion, valid": deepinv.physics.Blur(filter=kernel["motion"], padding="valid"),
            "inpainting, 40 % kept": deepinv.physics.Inpainting(size, mask=0.4),
        }
        sensing = deepinv.physics.CompressedSensing(m=300, img_size=(1, 32, 32))
    for name, physics in named.items():
        yield name, made(physics, interop.from_deepinv(physics, size), x, 0.01, 2e-3)
    yield (
        "compressed sensing, 300 rows",
        made(sensing, interop.from_deepinv(sensing, (1, 32, 32)), image(1, 32), 0.01, 2e-3),
    )
    mask = torch.zeros(48, 48)
    mask[:, torch.randperm(48, generator=generator)[:12]] = mask[:, 0] = 1
    op = operators.MaskedFourier(mask)
    yield "MRI, 25 % of the columns", made(interop.to_deepinv(op, (1, 48, 48)), op, image(1, 48), 0.01, 2e-3)


def milliseconds(solve: Callable[[], Tensor]) -> float:
    """Of the processor, the least of some runs."""
    taken = []
    for _ in range(RUNS):
        start = time.process_time()
        solve()
        taken.append(time.process_time() - start)
    return 1e3 * min(taken)


def by_fastip(problem: Problem, beta: float | None, iterations: int) -> Tensor:
    """beta None: the default."""
    prior = priors.TV(problem.weight)
    return fastip.admm(problem.y, problem.op, prior, beta=beta, iterations=iterations, tolerance=0).x


def by_deepinv(problem: Problem, step_size: float, inner: int, iterations: int) -> Tensor:
    import deepinv

    y = torch.view_as_real(problem.y).movedim(-1, 2).flatten(1, 2) if problem.y.is_complex() else problem.y
    solver = deepinv.optim.ADMM(
        data_fidelity=deepinv.optim.L2(),
        prior=deepinv.optim.TVPrior(n_it_max=inner),
        stepsize=step_size,
        lambda_reg=problem.weight / 2,
        max_iter=iterations,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        return solver(y, problem.physics)


def first(problem: Problem, solve: Callable[..., Tensor], settings: Sequence[tuple[Any, ...]], least: float) -> Found:
    """The least time of the settings that reach the gap, and which it was; infinite: none."""
    best: Found = float("inf"), None
    for setting in settings:
        for iterations in ITERATIONS:
            start = time.process_time()
            value = problem.objective(solve(problem, *setting, iterations))
            if value <= least * (1 + GAP):
                found = (milliseconds(lambda s=setting, n=iterations: solve(problem, *s, n)), (*setting, iterations))
                best = min(best, found, key=lambda one: one[0])
                break
            if 1e3 * (time.process_time() - start) > SLOWER * best[0]:
                break
    return best


def row(name: str, problem: Problem) -> str:
    """A line of the table."""
    beta = float(fastip.admm(problem.y, problem.op, priors.TV(problem.weight), iterations=1).beta or 0)
    betas = (None, *(times * beta for times in OTHERS))
    wide = torch.promote_types(problem.y.dtype, torch.float64)
    exact = Problem(problem.physics, problem.op, problem.y.to(wide), problem.weight)
    least = min(problem.objective(by_fastip(exact, one, 3000)) for one in betas)
    ours = first(problem, by_fastip, [(one,) for one in betas], least)
    theirs = first(problem, by_deepinv, list(itertools.product(STEP_SIZES, INNER)), least)
    told, reached = "", "not reached"
    if theirs[1] is not None:
        (step_size, inner, iterations), reached = theirs[1], f"{theirs[0]:.0f}"
        told = f"{iterations} x {inner}, {step_size:g}"
    return f"| {name} | {ours[0]:.1f} | {ours[1][-1]} | {reached} | {told} | {theirs[0] / ours[0]:.0f} |"


def drop_in() -> Iterator[str]:
    """Lines: what deepinv's own calls gain where the physics is an operator of fastip, in milliseconds."""
    import deepinv

    size, x = (3, 256, 256), image(3, 256)
    gaussian, motion = (k.float()[None, None] for k in (psf.gaussian(9, sigma=2.0), psf.motion(9, 30)))
    reduced = deepinv.physics.Downsampling(size, filter=gaussian, factor=4, padding="circular")
    moved = deepinv.physics.Blur(filter=motion, padding="valid")
    for name, theirs in (("x 4, circular", reduced), ("motion, valid border", moved)):
        ours = interop.to_deepinv(interop.from_deepinv(theirs, size), size)
        y = theirs.A(x)

        def admm(physics: Any, y: Tensor = y) -> Tensor:
            prior = deepinv.optim.TVPrior(n_it_max=10)
            with contextlib.redirect_stdout(io.StringIO()):
                return deepinv.optim.ADMM(deepinv.optim.L2(), prior, stepsize=1.0, lambda_reg=1e-3, max_iter=5)(
                    y, physics
                )

        for title, call in (
            ("A", lambda physics: physics.A(x)),
            ("A_adjoint", lambda physics, y=y: physics.A_adjoint(y)),
            ("prox_l2", lambda physics, y=y: physics.prox_l2(x, y, gamma=1.0)),
            ("ADMM, 5 iterations of TV", admm),
        ):
            away = float((call(ours) - call(theirs)).norm() / call(theirs).norm())
            own, other = milliseconds(lambda f=call, p=ours: f(p)), milliseconds(lambda f=call, p=theirs: f(p))
            yield f"| {name}: {title} | {own:.2f} | {other:.1f} | {other / own:.1f} | {away:.0e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, help="the page to write")
    given = parser.parse_args()
    missing = deepinv_peer.why_absent()
    if missing is not None:
        raise SystemExit(missing)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    lines = [HEAD]
    print(HEAD)
    for name, problem in problems():
        lines.append(row(name, problem))
        print(lines[-1], flush=True)
    lines += [
        "",
        "What deepinv's own solvers gain by `interop.to_deepinv`, three planes of 256 x 256, milliseconds:",
        "",
    ]
    lines += [
        "| | with fastip's operator | deepinv's | ratio | relative difference |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for line in drop_in():
        lines.append(line)
        print(line, flush=True)
    if given.output is not None:
        head = (
            f"# Beside deepinv\n\n{processor()}, one thread, fastip {fastip.__version__}, "
            f"deepinv {deepinv_peer.VERSION}, torch {torch.__version__}, {datetime.date.today()}.\n\n"
        )
        page = head + (__doc__ or "").strip() + "\n\n" + "\n".join(lines) + "\n"
        replace_file(given.output, lambda file: file.write(page.encode()))


if __name__ == "__main__":
    main()
