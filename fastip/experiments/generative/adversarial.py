"""Photographs at a fourth of their size, restored by networks that were tuned for three losses.

For pixels alone, with a comparator, and with a discriminator as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from ... import metrics, nets, operators, psf
from ...checkpoint import load_prior, shipped
from ...errors import InvalidInput
from ...solvers import admm, bicubic
from .. import drawing
from ..markdown import shown, table
from ..record import Experiment, Numbers, Outcome, Report, silent

if TYPE_CHECKING:
    from ...priors import PixelShuffleAutoencoder
    from ...train import Perceptual

PIXELS, COMPARATOR, BOTH = "pixels", "pixels + comparator", "pixels + comparator + adversarial"
START = "start"
SIDE = 72  # pixels of a crop in the figure
# centre of each, of height and width
CROPS = {"flower": (0.5, 0.45), "motorcycle": (0.35, 0.45), "chelsea": (0.35, 0.5)}


def run(
    report: Report = silent,
    *,
    start: str = "photo-sr4-wide",
    steps: int = 200,
    batch: int = 4,
    patch: int = 96,
    size: int = 256,
    comparator: float = 1.0,
    adversarial: float = 0.1,  # more asks for more detail and costs PSNR
    learning_rate: float = 2e-4,
    kernel: str = "gaussian:9:1.6",
    stride: int = 4,
    noise: float = 0.01,
) -> Outcome:
    """Fine-tune the same network three times on the same patches with other losses.

    Each is measured on the middle of photographs that no training saw. ``start``: a task that is shipped, or a
    checkpoint of ``train.unrolled`` for kernel, stride and noise.
    """
    from ... import data, train  # needs the extras train and perceptual, and the set: fastip data fetch photos

    op, judge, prior = operators.Blur(psf.parse(kernel), stride=stride), data.comparators.comparator(), _start(start)
    truth = {name: data.centre(x, size) for name, x in data.held_out_photographs(data.EVERYDAY).items()}
    given = {name: data.degrade(x, op, noise, generator=k) for k, (name, x) in enumerate(truth.items())}
    asked = {
        PIXELS: None,
        COMPARATOR: train.Perceptual(comparator=comparator, features=judge),
        BOTH: train.Perceptual(comparator=comparator, adversarial=adversarial, features=judge),
    }
    images = data.Photographs("train", patch)
    results = {
        "bicubic": {name: bicubic(y, stride).clamp(0, 1) for name, y in given.items()},
        START: _restored(prior, given, op),
    }
    for k, (name, perceptual) in enumerate(asked.items()):

        def tell(done: int, loss: float, k: int = k, name: str = name) -> None:
            report(name, k * steps + done, len(asked) * steps)

        tuned = train.unrolled(
            prior.net, images, op, **_settings(prior, perceptual, noise, batch, steps, learning_rate), report=tell
        )
        results[name] = _restored(tuned, given, op)
    scores = {
        name: {photograph: _scores(x, truth[photograph], judge) for photograph, x in restored.items()}
        for name, restored in results.items()
    }
    settings: dict[str, Any] = {
        "start": start,
        "iterations": len(prior.trained.schedule) if prior.trained else 0,
        "steps": steps,
        "batch": batch,
        "patch": patch,
    }
    weights = {"comparator": comparator, "adversarial": adversarial, "learning_rate": learning_rate}
    problem = {"size": size, "kernel": kernel, "stride": stride, "noise": noise}
    return Outcome({"settings": settings | weights | problem, "scores": scores}, _draw(results, truth, scores))


def _start(start: str) -> PixelShuffleAutoencoder:
    """The prior to begin with. Raises InvalidInput for one that was not tuned through a solver."""
    if start.endswith(".safetensors"):
        prior = load_prior(Path(start))
    else:
        with shipped.weights("tasks", start) as path:
            prior = load_prior(path)
    if prior.trained is None or not prior.trained.schedule:
        raise InvalidInput(
            f"start is {start!r}, a denoiser alone; "
            "expected a prior of train.unrolled, which has beta and level of each iteration"
        )
    return prior


def _settings(
    prior: PixelShuffleAutoencoder,
    perceptual: Perceptual | None,
    noise: float,
    batch: int,
    steps: int,
    learning_rate: float,
) -> dict[str, Any]:
    """What all three trainings are told.

    Squares of differences, as in the paper, and the solver that the network was tuned for.
    """
    assert prior.trained is not None and prior.trained.sigma is not None
    solver = {
        "beta": prior.trained.beta,
        "levels": prior.trained.sigma,
        "iterations": len(prior.trained.schedule),
        "data_noise": noise,
    }
    training = {
        "norm": 2,
        "batch": batch,
        "steps": steps,
        "learning_rate": learning_rate,
        "average": 0.98,  # nearer to 1 is smoother, but the first of 200 steps would still weigh in it
        "precision": "bf16-mixed",
        "progress": False,
    }
    return solver | training | {"perceptual": perceptual}


def _restored(prior: PixelShuffleAutoencoder, given: Mapping[str, Tensor], op: operators.Blur) -> dict[str, Tensor]:
    assert prior.trained is not None
    beta = prior.trained.beta
    with torch.no_grad():
        return {
            name: admm(y, op, prior, beta=beta, iterations=len(beta or ()), tolerance=0).x.clamp(0, 1)
            for name, y in given.items()
        }


def _scores(x: Tensor, truth: Tensor, judge: nets.Comparator) -> dict[str, float]:
    """PSNR in dB, SSIM, the perceptual distance, and detail: the norm of the Laplacian, relative to the truth's."""
    detail = _laplacian(x).norm() / _laplacian(truth).norm()
    found = {
        "psnr": metrics.psnr(x, truth),
        "ssim": metrics.ssim(x, truth),
        "distance": metrics.perceptual_distance(x, truth, judge),
        "detail": detail,
    }
    return {name: round(float(value), 4) for name, value in found.items()}


def _laplacian(x: Tensor) -> Tensor:
    """Four times each inner pixel less its neighbours."""
    kernel = torch.tensor([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]], dtype=x.dtype)
    return F.conv2d(x.transpose(0, 1), kernel[None, None])


def _mean(scores: Mapping[str, Mapping[str, float]], kind: str) -> float:
    return sum(entry[kind] for entry in scores.values()) / len(scores)


def _draw(
    results: Mapping[str, Mapping[str, Tensor]],
    truth: Mapping[str, Tensor],
    scores: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> Figure:
    columns = {"bicubic": "bicubic", PIXELS: "pixels", COMPARATOR: "+ comparator", BOTH: "+ adversarial"}
    figure = drawing.sheet(12.5, 2.75 * len(CROPS))
    grid = figure.add_gridspec(len(CROPS), len(columns) + 1)
    for row, (photograph, at) in enumerate(CROPS.items()):
        for column, (name, title) in enumerate(columns.items()):
            of = scores[name][photograph]
            axes = figure.add_subplot(grid[row, column])
            drawing.image(
                axes,
                _crop(results[name][photograph], at),
                title,
                note=f"{of['psnr']:.1f} dB, {of['distance']:.2f}",
                strong=name == BOTH,
            )
        drawing.image(figure.add_subplot(grid[row, len(columns)]), _crop(truth[photograph], at), "truth")
    return figure


def _crop(x: Tensor, at: tuple[float, float]) -> Tensor:
    side = min(SIDE, *x.shape[2:])
    top, left = (min(max(int(part * n) - side // 2, 0), n - side) for part, n in zip(at, x.shape[2:], strict=True))
    return x[..., top : top + side, left : left + side]


def page(numbers: Numbers) -> str:
    """The means for each loss, and in how many photographs the distance fell."""
    s, scores = numbers["settings"], numbers["scores"]
    names = {
        "bicubic": "bicubic",
        START: "the network at the start",
        PIXELS: "tuned: pixels alone (ℓ2)",
        COMPARATOR: f"tuned: {COMPARATOR}",
        BOTH: f"tuned: {BOTH}",
    }
    rows = []
    for name, title in names.items():
        psnr, ssim, distance, detail = (_mean(scores[name], kind) for kind in ("psnr", "ssim", "distance", "detail"))
        rows.append([title, f"{psnr:.2f}", f"{ssim:.4f}", f"{distance:.3f}", f"{detail:.3f}"])
    base = scores[PIXELS]
    fell = {name: sum(scores[name][k]["distance"] < base[k]["distance"] for k in base) for name in (COMPARATOR, BOTH)}
    change = 100 * (_mean(scores[BOTH], "distance") / _mean(base, "distance") - 1)
    cost = _mean(base, "psnr") - _mean(scores[BOTH], "psnr")
    return f"""
One network (`{s["start"]}`, {s["iterations"]} iterations of the solver) is tuned three times from the same weights, \
on the same patches and noise, for
{s["steps"]} steps of {s["batch"]} patches of {s["patch"]} × {s["patch"]} pixels: for the mean square error of its \
result; for that plus
{shown(s["comparator"])} times the distance of SqueezeNet's features; and for those plus {shown(s["adversarial"])} \
times the doubt −log D(x̂) of a
discriminator D, which is trained in turn (each term relative to the first at the start; losses (12) and (13) of Fan, \
Wei, Carin and Heller 2017).
Measured on the middle {s["size"]} × {s["size"]} pixels of {len(base)} photographs that no training saw: \
blur `{s["kernel"]}`, the first of
{s["stride"]} × {s["stride"]} pixels kept, noise {shown(s["noise"])}.

{table(["", "PSNR (dB)", "SSIM", "perceptual distance", "detail"], rows)}

The figure shows parts of three of them, with PSNR and perceptual distance of the whole {s["size"]} × \
{s["size"]} pixels.

Against pixels alone the perceptual distance is lower in {fell[COMPARATOR]} of {len(base)} photographs with the \
comparator and in {fell[BOTH]} with both; there
its mean changes by {change:+.1f} % and the mean PSNR by {-cost:+.2f} dB. The distance is the unweighted form of \
LPIPS on the nine layers of SqueezeNet 1.1
(smaller is closer), the same that the comparator loss asks for: it says that the loss does its work, \
and is no independent judge. Detail is the norm of
the Laplacian relative to the truth's, and knows nothing of a network: the mean of all images that fit the data is \
smooth, and a mean square error asks for it.
"""


EXPERIMENT = Experiment(
    summary=(
        "a photograph prior tuned with and without comparator and adversarial losses: PSNR, SSIM, perceptual distance"
    ),
    run=run,
    page=page,
)
