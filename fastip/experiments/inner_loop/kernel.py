"""Learning A: the blur kernel from pairs of photographs, without noise and with it.

Figure 5 of Fan, Wei, Carin and Heller, 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...operators import Blur, psf
from .. import drawing
from ..markdown import shown, table
from ..photographs import NAMES, photographs
from ..record import Experiment, Numbers, Outcome, Report, silent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
KERNELS = ("motion:4:30", "gaussian:9:1.6")
STRIDE = 4


@dataclass(frozen=True)
class Case:
    """One true kernel, what noiseless pairs give in float64 and in float32, and the numbers."""

    truth: Tensor
    learned: Tensor
    single: Tensor
    numbers: dict[str, Any]


def run(
    report: Report = silent,
    *,
    size: int = 256,
    draws: int = 25,
    noises: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    seed: int = 0,
) -> Outcome:
    """Learn each kernel from 4 photographs of size x size pixels.

    Once without noise in each precision, then ``draws`` times at each noise level.
    """
    x = photographs(size).double()
    generator = torch.Generator().manual_seed(seed)
    cases = [_case(text, x, draws, noises, generator, report) for text in KERNELS]
    numbers = {
        "photographs": NAMES,
        "size": size,
        "stride": STRIDE,
        "draws": draws,
        "kernels": {case.numbers["psf"]: case.numbers for case in cases},
    }
    return Outcome(numbers, _figure(cases))


def _case(
    text: str, x: Tensor, draws: int, noises: tuple[float, ...], generator: torch.Generator, report: Report
) -> Case:
    from ...train.kernel import kernel

    truth = psf.parse(text)
    op, k = Blur(truth, stride=STRIDE), len(truth)
    y = op(x)
    fit = kernel(x, y, k, stride=STRIDE)
    single = kernel(x.float(), op(x.float()), k, stride=STRIDE)
    levels = []
    for level, sigma in enumerate(noises):
        squares, found = 0.0, 0.0
        for draw in range(draws):
            report(f"{k} x {k}, noise {sigma:g}", level * draws + draw, len(noises) * draws)
            noisy = kernel(x, y + sigma * torch.randn(y.shape, generator=generator, dtype=y.dtype), k, stride=STRIDE)
            squares += float((noisy.psf - truth).square().mean()) / draws
            found += noisy.noise**2 / draws
        measured, predicted = math.sqrt(squares), sigma * fit.spread
        levels.append(
            {
                "noise": sigma,
                "noise found": math.sqrt(found),
                "error": measured,
                "predicted": predicted,
                "ratio": measured / predicted,
            }
        )
    numbers = {
        "psf": text,
        "taps": truth.numel(),
        "data": y.numel(),
        "condition": fit.condition,
        "spread": fit.spread,
        "largest difference, float64": float((fit.psf - truth).abs().max()),
        "largest difference, float32": float((single.psf - truth).abs().max()),
        "levels": levels,
    }
    return Case(truth, fit.psf, single.psf, numbers)


# ---- showing ---------------------------------------------------------------------------------------------------------


def _figure(cases: list[Case]) -> Any:
    figure = drawing.sheet(16.5, 6.2)
    grid = figure.add_gridspec(2, 5, width_ratios=[1, 1, 1, 1, 1.4])
    for row, case in enumerate(cases):
        k = len(case.truth)
        top = float(case.truth.max())
        drawing.matrix(figure.add_subplot(grid[row, 0]), case.truth, "true", note=f"{k} × {k}", limit=top)
        drawing.matrix(figure.add_subplot(grid[row, 1]), case.learned, "learned", limit=top)
        drawing.matrix(
            figure.add_subplot(grid[row, 2]), case.learned - case.truth, "difference", note="float64", centred=True
        )
        drawing.matrix(
            figure.add_subplot(grid[row, 3]), case.single - case.truth, "difference", note="float32", centred=True
        )
    _errors(figure.add_subplot(grid[:, 4]), cases)
    return figure


def _errors(axes: Axes, cases: list[Case]) -> None:
    for rank, case in enumerate(cases):
        levels = case.numbers["levels"]
        noises, name = [level["noise"] for level in levels], f"{len(case.truth)} × {len(case.truth)}"
        drawing.curve(axes, noises, [level["predicted"] for level in levels], f"{name}, predicted", rank=rank)
        drawing.curve(
            axes, noises, [level["error"] for level in levels], f"{name}, measured", rank=rank, style="none", marker="o"
        )
    drawing.clean(
        axes, "error of a tap", note="rms", x="standard deviation of the noise in y", xscale="log", yscale="log"
    )
    drawing.legend(axes)


def page(numbers: Numbers) -> str:
    """What was asked, the two noiseless answers, and the table of noise levels."""
    cases = list(numbers["kernels"].values())
    first = table(
        ["kernel", "taps", "data", "condition of X", "largest difference, float64", "float32"],
        [
            [
                f"`{c['psf']}`",
                c["taps"],
                c["data"],
                c["condition"],
                c["largest difference, float64"],
                c["largest difference, float32"],
            ]
            for c in cases
        ],
    )
    heads = ["kernel", "noise σ in y", "σ found by the fit", "rms error of a tap", "predicted", "measured / predicted"]
    rows = [
        [f"`{c['psf']}`", *(level[key] for key in ("noise", "noise found", "error", "predicted", "ratio"))]
        for c in cases
        for level in c["levels"]
    ]
    worst = max(abs(level["ratio"] - 1) for c in cases for level in c["levels"])
    size, stride, names = numbers["size"], numbers["stride"], numbers["photographs"]
    return f"""
`train.kernel(x, y, size, stride={stride})` finds the kernel h that minimises ‖y − A_h x‖² over pairs (x, y):
linear least squares with one unknown for each tap. The images are the middle {size} × {size} pixels of
{len(names)} photographs ({", ".join(names)}), three channels each; y = A x keeps every {stride}th pixel.

**Without noise** the kernel is exact to rounding. In float32 the pairs themselves are rounded, \
and that is what is left:
Fan, Wei, Carin and Heller (2017, figure 5) report differences of 2 × 10⁻⁹ to 8 × 10⁻⁹ for their 4 × 4 kernel.

{first}

**With noise** of standard deviation σ the rms error of a tap is predicted by σ √(tr((XᵀX)⁻¹) / k²),
where the columns of X are the shifted and decimated images.
Each row is the root mean square over {numbers["draws"]} draws; measured and predicted differ by at most \
{shown(100 * worst, 2)} %.
The fit also finds σ by itself, from its residual.

{table(heads, rows)}
"""


EXPERIMENT = Experiment(
    "the blur kernel learned from pairs of photographs: true, learned, difference, and the error against the noise",
    run,
    page,
)
