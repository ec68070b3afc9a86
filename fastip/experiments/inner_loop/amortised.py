"""A network that sees the data beside the image (amortised) against one that does not.

The same start, the same training through the solver.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import data, metrics, nets, tasks
from ...contracts import LinearOperator
from ...priors import PixelShuffleAutoencoder
from ...solvers import admm
from .. import drawing
from ..markdown import shown, table
from ..photographs import photographs
from ..record import Experiment, Numbers, Outcome, Report, silent
from ..scores import bicubic, comparator, mean, scores
from .iterations import denoiser

SEEING, BLIND = "sees the data", "does not"
START = "start: the denoiser, in the same schedule"
PRECISION = "bf16-mixed"


def run(
    report: Report = silent,
    *,
    task: str = "photo-sr4-wide",
    steps: int = 800,
    iterations: int = 6,
    patch: int = 64,
    batch: int = 4,
    learning_rate: float = 5e-4,
    photos: tuple[str, ...] = data.EVERYDAY,
    size: int = 256,
    seed: int = 0,
) -> Outcome:
    """Train both through the solver on patches of photographs, then restore the held-out ones."""
    known, problem = tasks.get(task), tasks.load_task(task, boundary="circular")
    op, noise = problem.op, problem.noise or 0.0
    base = denoiser().net
    assert isinstance(base, nets.PixelShuffleAutoencoder)
    seeing = base.conditioned(data_colours=base.colours, stride=known.stride)
    schedule = _schedule(iterations, noise)
    truth = photographs(size, photos)
    y = data.degrade(truth, op, noise, generator=seed)
    judge = comparator()
    found: dict[str, Any] = {}
    images: dict[str, Tensor] = {}
    for k, (title, net) in enumerate(((SEEING, seeing), (BLIND, base))):
        start = time.perf_counter()
        prior, curve = _trained(
            net, op, schedule, noise, (steps, patch, batch, learning_rate, seed), (title, k, report)
        )
        images[title] = _restored(y, op, prior)
        found[title] = {
            "scores": scores(images[title], truth, judge),
            "losses": curve,
            "seconds": time.perf_counter() - start,
            "parameters": _count(net),
        }
    images[START] = _restored(y, op, PixelShuffleAutoencoder(base, sigma=schedule[1]), schedule[0])
    found[START] = {"scores": scores(images[START], truth, judge)}
    images["bicubic"] = bicubic(y, op)
    found["bicubic"] = {"scores": scores(images["bicubic"], truth, judge)}
    settings = {
        "task": task,
        "summary": known.summary,
        "steps": steps,
        "iterations": iterations,
        "patch": patch,
        "batch": batch,
    }
    settings |= {"pictures": list(photos), "size": size}
    return Outcome({"settings": settings, "networks": found}, _draw(found, images, truth, steps))


def _schedule(iterations: int, noise: float) -> tuple[list[float], list[float]]:
    """(beta, level) of each iteration: the levels of plug and play, from much to little."""
    # A larger first level smooths more at first, a larger last one smooths the result, a smaller one leaves noise in
    # it. A larger share than 0.35 trusts the network more and the data less; below a noise of 0.004 beta would vanish.
    levels = [0.2 * (0.012 / 0.2) ** (k / max(1, iterations - 1)) for k in range(iterations)]
    return [0.35 * max(noise, 0.004) ** 2 / level**2 for level in levels], levels


def _trained(
    net: nets.PriorNet,
    op: LinearOperator,
    schedule: tuple[list[float], list[float]],
    noise: float,
    effort: tuple[int, int, int, float, int],
    told: tuple[str, int, Report],
) -> tuple[PixelShuffleAutoencoder, list[list[float]]]:
    """The trained prior, and (steps done, loss) as it went."""
    from ... import train  # needs the extra "train"

    steps, patch, batch, rate, seed = effort
    title, k, report = told
    curve: list[list[float]] = []

    def tell(done: int, loss: float) -> None:
        curve.append([done, float(f"{loss:.4g}")])
        report(f"training the network that {title}: loss {loss:.4f}", k * steps + done, 2 * steps)

    settings: dict[str, Any] = {
        "beta": schedule[0],
        "levels": schedule[1],
        "iterations": len(schedule[0]),
        "data_noise": noise,
    }
    prior = train.unrolled(
        net,
        data.Photographs("train", patch),
        op,
        **settings,
        batch=batch,
        steps=steps,
        learning_rate=rate,
        average=0.99,
        seed=seed,
        accelerator="cpu",
        precision=PRECISION,
        progress=False,
        report=tell,
    )
    return prior, curve


def _restored(y: Tensor, op: LinearOperator, prior: PixelShuffleAutoencoder, beta: list[float] | None = None) -> Tensor:
    betas = prior.trained.beta if beta is None and prior.trained is not None else beta
    assert betas is not None
    with torch.no_grad():
        x: Tensor = admm(y, op, prior, beta=betas, iterations=len(betas), tolerance=0).x
    return x


def _count(net: nets.PriorNet) -> int:
    return sum(p.numel() for p in net.parameters())


def _draw(found: dict[str, Any], images: dict[str, Tensor], truth: Tensor, steps: int) -> Figure:
    figure = drawing.sheet(14, 7.2)
    grid = figure.add_gridspec(2, 4, height_ratios=[1.15, 1])
    shown_images = {"bicubic": images["bicubic"], BLIND: images[BLIND], SEEING: images[SEEING]}
    for column, (title, x) in enumerate(shown_images.items()):
        note = f"{float(metrics.psnr(x[:1].clamp(0, 1), truth[:1])):.2f} dB"
        drawing.magnified(
            figure.add_subplot(grid[0, column]), x[:1].clamp(0, 1), title, note=note, strong=title == SEEING
        )
    drawing.magnified(figure.add_subplot(grid[0, 3]), truth[:1], "truth")
    losses, gains = figure.add_subplot(grid[1, :2]), figure.add_subplot(grid[1, 2:])
    drawing.clean(losses, "training loss", note=f"means of {max(1, steps // 20)} steps", x="steps")
    for rank, title in enumerate((SEEING, BLIND)):
        at, values = _smoothed(found[title]["losses"])
        drawing.curve(losses, at, values, title, rank=rank)
    drawing.legend(losses)
    base = found["bicubic"]["scores"]["psnr"]
    drawing.clean(gains, "gain over bicubic in dB", note="each photograph", x="photograph")
    for rank, title in enumerate((SEEING, BLIND, START)):
        gain = [a - b for a, b in zip(found[title]["scores"]["psnr"], base, strict=True)]
        drawing.curve(gains, range(1, len(gain) + 1), gain, title, rank=rank, marker="o", style="none")
    drawing.legend(gains)
    return figure


def _smoothed(curve: list[list[float]]) -> tuple[list[float], list[float]]:
    """Twenty means along the curve."""
    width = max(1, len(curve) // 20)
    groups = [curve[k : k + width] for k in range(0, len(curve) - width + 1, width)]
    return [group[-1][0] for group in groups], [mean([loss for _, loss in group]) for group in groups]


def page(numbers: Numbers) -> str:
    """The scores of both networks, and which is better by how much."""
    s, found = numbers["settings"], numbers["networks"]
    rows = []
    for title, entry in found.items():
        values = {name: mean(one) for name, one in entry["scores"].items()}
        distance = f"{values['distance']:.3f}" if "distance" in values else "not measured"
        rows.append(
            [
                title,
                f"{values['psnr']:.2f}",
                f"{values['ssim']:.4f}",
                distance,
                entry.get("parameters", ""),
                _seconds(entry),
            ]
        )
    psnr = {title: found[title]["scores"]["psnr"] for title in (SEEING, BLIND)}
    gain = mean(psnr[SEEING]) - mean(psnr[BLIND])
    better = sum(a > b for a, b in zip(psnr[SEEING], psnr[BLIND], strict=True))
    return f"""
Task `{s["task"]}` ({s["summary"]}). Both networks start as the shipped denoiser of photographs and are trained \
through the same {s["iterations"]} iterations
of the solver, for {s["steps"]} steps on the same {s["batch"]} patches of {s["patch"]} × {s["patch"]} pixels a step; \
the one that sees the data has one more
convolution, which is zero at the start. Measured on the middle {s["size"]} × {s["size"]} pixels of \
{", ".join(s["pictures"])}, which no training saw.

{table(["", "PSNR", "SSIM", "perceptual distance", "weights", "training"], rows)}

Seeing the data {"gains" if gain > 0 else "loses"} {shown(abs(gain), 2)} dB in the mean and is better on {better} of \
{len(psnr[BLIND])} photographs. The
network that does not see the data is told of them by v = x + Aᵀ(2q' − q) alone. The shipped network of this task \
sees the data, and was trained for longer.
"""


def _seconds(entry: dict[str, Any]) -> str:
    return f"{entry['seconds']:.0f} s" if "seconds" in entry else ""


EXPERIMENT = Experiment(
    summary="a prior that sees the data beside the image against one that does not, trained alike through the solver",
    run=run,
    page=page,
)
