"""The blind chain: pairs of photographs -> A -> C ~ (beta I + A A^T)^-1 from noise -> a held-out photograph.

It is restored without ever seeing the true kernel.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ... import inverses, priors
from ...contracts import Inverse
from ...figures import INK
from ...operators import Blur, psf
from ...solvers import admm
from .. import drawing
from ..markdown import shown, table
from ..photographs import photograph, photographs
from ..record import Experiment, Numbers, Outcome, Report, silent
from ..scores import psnr
from . import learned

PAIRS, HELD_OUT = ("astronaut", "coffee", "rocket"), "chelsea"
ITERATIONS, TOLERANCE = 1000, 1e-4  # a looser tolerance would hide how far the answers are apart, a tighter one costs
REFERENCE, GUESS, CHAIN = "true A, conjugate gradients", "guessed A, conjugate gradients", "learned A, learned C"
SHOWN = {GUESS: "guessed kernel", CHAIN: "blind chain", REFERENCE: "true kernel"}


@dataclass(frozen=True)
class Case:
    """A restoration with a valid boundary.

    Args:
        title: Its name on the page.
        kernel: That made the data.
        guess: The kernel that somebody would guess.
        stride: Of the operator.
        weight: Of total variation.
        beta: Of the solve.
    """

    title: str
    kernel: str
    guess: str
    stride: int
    weight: float
    beta: float


# a larger weight smooths more, a smaller one leaves noise; beta decides the number of iterations, not the answer
CASES = (
    Case("super-resolution × 4", "gaussian:9:1.6", "gaussian:9:2.2", 4, 5e-4, 1e-2),
    Case("motion deblurring", "motion:9:30", "gaussian:9:2", 1, 1.5e-3, 3e-2),
)


@dataclass(frozen=True)
class Chain:
    """The pictures and the numbers of one case. ``restored``: those of SHOWN."""

    case: Case
    y: Tensor
    learned: Tensor
    restored: list[Tensor]
    numbers: dict[str, Any]


def run(report: Report = silent, *, size: int = 256, noise: float = 0.01, steps: int = 1000, seed: int = 0) -> Outcome:
    """Learn A from three photographs with noise, train C for it, restore a fourth photograph.

    ``size``: about the side of the photographs; ``steps``: of the training of C.
    """
    chains = [_chain(case, size, noise, steps, seed, report) for case in CASES]
    numbers = {
        "pairs": PAIRS,
        "held out": HELD_OUT,
        "noise": noise,
        "tolerance": TOLERANCE,
        "cases": {chain.case.title: chain.numbers for chain in chains},
    }
    return Outcome(numbers, _figure(chains))


def _chain(case: Case, size: int, noise: float, steps: int, seed: int, report: Report) -> Chain:
    from ...train.kernel import kernel

    taps = psf.parse(case.kernel)
    true = Blur(taps, stride=case.stride, boundary="valid")
    size -= (size - len(taps)) % case.stride
    generator = torch.Generator().manual_seed(seed)

    def observe(x: Tensor) -> Tensor:
        clean: Tensor = true(x)
        return clean + noise * torch.randn(clean.shape, generator=generator)

    x, truth = photographs(size, PAIRS), photograph(HELD_OUT, size)
    fit = kernel(x, observe(x), len(taps), stride=case.stride, boundary="valid")
    taught = learned.learned(fit.operator(), case.beta, learned.wide, steps=steps, seed=seed, report=report)
    y = observe(truth)
    solved, rows = _solves(case, true, fit.operator(), taught.inverse, y, truth, report)
    numbers = {
        **asdict(case),
        "size": size,
        "rms error of a tap": float((fit.psf - taps).square().mean().sqrt()),
        "rms error predicted by the fit": fit.error,
        "noise found by the fit": fit.noise,
        "training": {"steps": taught.steps, "seconds": taught.seconds, "relative residual": taught.accuracy},
        "solves": rows,
    }
    return Chain(case, y, fit.psf, [solved[name] for name in SHOWN], numbers)


def _solves(
    case: Case, true: Blur, op: Blur, inverse: Inverse, y: Tensor, truth: Tensor, report: Report
) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    """The restored images and their numbers, by name; the first is the reference."""
    guess, exact = Blur(psf.parse(case.guess), stride=case.stride, boundary="valid"), inverses.ConjugateGradient()
    ways: dict[str, tuple[Blur, Inverse]] = {
        REFERENCE: (true, exact),
        GUESS: (guess, exact),
        "learned A, conjugate gradients": (op, exact),
        # half-width of the stencil: wider comes nearer to the inverse, and each application costs more
        "learned A, stencil": (op, inverses.Stencil(6 if case.stride == 1 else 3)),
        CHAIN: (op, inverse),
    }
    solved: dict[str, Tensor] = {}
    rows: dict[str, dict[str, Any]] = {}
    for done, (name, (a, way)) in enumerate(ways.items()):
        report(f"{case.title}: {name}", done, len(ways))
        solved[name], rows[name] = _solve(case, a, way, y, truth)
        rows[name]["distance"] = float((solved[name] - solved[REFERENCE]).norm() / solved[REFERENCE].norm())
    return solved, rows


def _solve(case: Case, op: Blur, inverse: Inverse, y: Tensor, truth: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """One solve with TV and a box, and the PSNR of the pixels that the data cover.

    A frame as wide as the kernel is left out.
    """
    prior = priors.TV(case.weight) + priors.Box(0.0, 1.0)
    solution = admm(y, op, prior, beta=case.beta, inverse=inverse, iterations=ITERATIONS, tolerance=TOLERANCE)
    frame = len(op.psf)
    inner = (..., slice(frame, -frame), slice(frame, -frame))
    return solution.x, {
        "PSNR": psnr(solution.x[inner], truth[inner]),
        "iterations": solution.iterations,
        "status": solution.status.name,
    }


# ---- showing ---------------------------------------------------------------------------------------------------------


def _figure(chains: list[Chain]) -> Any:
    figure = drawing.sheet(17.5, 2.9 * len(chains))
    grid = figure.add_gridspec(len(chains), 6)
    for row, chain in enumerate(chains):
        axes = [figure.add_subplot(grid[row, column]) for column in range(6)]
        top = float(psf.parse(chain.case.kernel).max())
        solves = chain.numbers["solves"]
        drawing.matrix(axes[0], chain.learned, "learned kernel", limit=top)
        drawing.matrix(axes[1], chain.learned - psf.parse(chain.case.kernel), "its error", centred=True)
        drawing.image(axes[2], chain.y, "input")
        for column, (name, title) in enumerate(SHOWN.items()):
            drawing.image(
                axes[3 + column],
                chain.restored[column],
                title,
                note=f"{solves[name]['PSNR']:.2f} dB",
                strong=name == CHAIN,
            )
        axes[0].set_ylabel(chain.case.title, fontsize=11, color=INK)
    return figure


def page(numbers: Numbers) -> str:
    """The chain in words, and one section for each case."""
    intro = f"""
Nothing but pairs (x, y) of the photographs {", ".join(numbers["pairs"])} is known, with noise of \
{numbers["noise"]:g} in y and valid boundaries.
`train.kernel` finds A from them, `train.inverse` trains C ≈ (β I + A Aᵀ)⁻¹ for the learned A from noise alone, \
and `admm` with total variation
restores another photograph ({numbers["held out"]}) to a tolerance of {numbers["tolerance"]:g}.
Conjugate gradients (an inner loop to 10⁻⁵) stand for the exact data step; the last column is the distance to the \
answer with the true A.
"""
    return intro + "".join(_section(title, case) for title, case in numbers["cases"].items())


def _section(title: str, case: Numbers) -> str:
    training, solves = case["training"], case["solves"]
    apart = abs(solves[CHAIN]["PSNR"] - solves[REFERENCE]["PSNR"])
    error, predicted = shown(case["rms error of a tap"]), shown(case["rms error predicted by the fit"])
    rows = [
        [name, f"{s['PSNR']:.2f}", s["iterations"], s["status"].lower(), s["distance"]] for name, s in solves.items()
    ]
    return f"""
## {title}

True kernel `{case["kernel"]}`, guessed kernel `{case["guess"]}`, stride {case["stride"]}, β = {case["beta"]:g}, \
TV weight {case["weight"]:g}.
Each tap is learned with an rms error of {error}; the fit itself predicts {predicted}.
C was trained for {training["steps"]} steps ({shown(training["seconds"])} s); its relative residual is \
{shown(training["relative residual"])}.
The PSNR of the blind chain and that of the solve with the true A differ by {apart:.2f} dB.

{table(["data step", "PSNR in dB", "iterations", "status", "distance"], rows)}
"""


EXPERIMENT = Experiment(
    "pairs of photographs to A, to C, to a restored photograph, without knowing the kernel", run, page
)
