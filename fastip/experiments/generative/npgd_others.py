"""What was published before the trained projector, on the same pictures.

One network for all problems in ADMM, and CSGM with the decoder of a VAE.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import data, metrics, nets
from ...arrays import check_counts
from ...errors import InvalidInput
from ...operators import GaussianMeasurements, Operator
from ...priors import Projector
from ...solvers import admm, npgd
from .. import drawing
from ..markdown import listed, shown, table
from ..record import Experiment, Numbers, Outcome, Report, silent
from .compressed_sensing import WEIGHTS, Search, average, errors, networks, projector, tuned
from .compressed_sensing import pictures as first_pictures
from .projector_tasks import GAUSSIAN, HOLES, MEASUREMENTS, Task, hole, smaller

SETS = {"digits": "Digits", "fashion": "Fashion"}
DATA, NPGD, ONE, VAE, GAN, TRUTH = "data", "NPGD", "one network in ADMM", "CSGM, VAE", "CSGM, DCGAN", "truth"
METHODS = (NPGD, ONE, VAE, GAN)
# a network that is no proximal map has no known best beta; a finer grid is more solves for each task
BETAS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
FEW = 20  # random measurements, beside as many as the other tasks have
COLUMNS = 8  # pictures in a row of the figure
Solve = Callable[[Tensor, Operator], Tensor]


@dataclass(frozen=True)
class Run:
    """What one method made of the data of one task."""

    images: Tensor
    seconds: float  # for an image
    setting: str


def run(
    report: Report = silent,
    *,
    pictures: str = "digits",
    count: int = 32,
    tuned_on: int = 16,
    one_net_steps: int = 5000,
    one_net_width: int = 16,
    vae_steps: int = 20_000,
    hidden: int = 500,
    iterations: int = 100,
    steps: int = 300,
    restarts: int = 10,
    kept: str = "",
    seed: int = 0,
) -> Outcome:
    """Train the one network and the VAE on ``pictures``, and restore test pictures of each task by all methods.

    The shipped networks are the other methods.

    Args:
        report: Called with what is done.
        pictures: "digits" or "fashion".
        count: The first so many test pictures.
        tuned_on: Validation pictures on which, for each task, the one network's beta and CSGM's weights of ``||z||^2``
            are chosen.
        one_net_steps: Of the training of the one network.
        one_net_width: Of the one network.
        vae_steps: Of the training of the VAE.
        hidden: Width of the VAE.
        iterations: Of ADMM.
        steps: Of CSGM.
        restarts: Of CSGM.
        kept: A folder for the trainings' checkpoints, where they go on from.
        seed: Of the trainings and the measurements.
    """
    if pictures not in SETS:
        raise InvalidInput(f"pictures is {pictures!r}; expected one of {', '.join(SETS)}")
    check_counts(
        count=count,
        tuned_on=tuned_on,
        vae_steps=vae_steps,
        hidden=hidden,
        iterations=iterations,
        steps=steps,
        restarts=restarts,
    )  # training is long
    prior = projector(pictures)
    generator, side = networks(prior).generator, networks(prior).generator.shape[-1]
    truth, others = first_pictures(pictures, "test", count), first_pictures(pictures, "validation", tuned_on)
    jobs = _tasks(generator.shape, side, seed)
    with tempfile.TemporaryDirectory() as unnamed:
        folder = Path(kept or unnamed)
        folder.mkdir(parents=True, exist_ok=True)
        one, one_record = _one_net(pictures, one_net_width, one_net_steps, seed, folder, report)
        decoder, vae_record = _vae(pictures, hidden, vae_steps, seed, folder, report)
    search = Search(steps, restarts)
    found: dict[str, Any] = {}
    strips: dict[str, dict[str, Tensor]] = {}
    for j, task in enumerate(jobs):
        y, shown_y = task.op(truth), task.op(others)
        runs = {}
        for k, name in enumerate(METHODS):
            report(f"{task.title}: {name}", j * len(METHODS) + k, len(jobs) * len(METHODS))
            with torch.no_grad():
                if name == NPGD:
                    runs[name] = _timed(lambda y, op: npgd(y, op, prior).x, y, task.op, "as it comes")
                elif name == ONE:
                    runs[name] = _one_network(one, y, task.op, shown_y, others, iterations)
                else:
                    runs[name] = _csgm(search, decoder if name == VAE else generator, y, task.op, shown_y, others)
        found[task.title] = {name: _measured(one_run, truth) for name, one_run in runs.items()}
        images = {DATA: task.seen(y), **{name: one_run.images for name, one_run in runs.items()}, TRUTH: truth}
        strips[task.title] = {name: image[:COLUMNS] for name, image in images.items()}
    settings = {
        "pictures": pictures,
        "shape": generator.shape,
        "count": count,
        "tuned_on": tuned_on,
        "iterations": iterations,
        "search": search.words,
        "betas": BETAS,
        "weights": WEIGHTS[search.name],
        "seed": seed,
    }
    return Outcome(
        {"settings": settings, "training": {ONE: one_record, VAE: vae_record}, "found": found}, _draw(strips, found)
    )


def _tasks(shape: tuple[int, ...], side: int, seed: int) -> list[Task]:
    gaussian = [GaussianMeasurements(m, shape, seed=seed) for m in (FEW, MEASUREMENTS[side])]
    return [
        *(Task(f"{GAUSSIAN}, m = {len(op.matrix)}", op, op.adjoint) for op in gaussian),
        hole(side, HOLES[side]),
        smaller(2),
    ]


def _one_net(
    pictures: str, width: int, steps: int, seed: int, folder: Path, report: Report
) -> tuple[Projector, dict[str, Any]]:
    from ... import train

    images, output = getattr(data, SETS[pictures])("train"), folder / "one_net.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nets.OneNetProjector(colours=1, size=28, width=width)
    about: dict[str, Any] = {
        "steps": steps,
        "seed": seed,
        "output": output,
        "progress": False,
        "report": _told(f"training the {ONE}", steps, report),
    }
    made = train.one_net(net, images, learning_rate=1e-3, precision="bf16-mixed", **about)
    return made, _trained(made.net, output, steps)


def _vae(
    pictures: str, hidden: int, steps: int, seed: int, folder: Path, report: Report
) -> tuple[nets.Generator, dict[str, Any]]:
    from ... import train

    images, output = getattr(data, SETS[pictures])("train"), folder / "vae.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = nets.VAEDecoder(hidden=hidden), nets.VAEEncoder(hidden=hidden)
    about: dict[str, Any] = {
        "steps": steps,
        "seed": seed,
        "output": output,
        "progress": False,
        "report": _told("training the VAE", steps, report),
    }
    made = train.vae(*parts, images, **about)
    return made, _trained(made, output, steps)


def _told(what: str, steps: int, report: Report) -> Callable[[int, float], None]:
    """What a training reports, as a report of the experiment."""
    return lambda step, loss: report(f"{what}: loss {loss:.4g}", step, steps)


def _trained(net: torch.nn.Module, output: Path, steps: int) -> dict[str, Any]:
    """What the page tells of a training, which may have been run in parts."""
    seconds = json.loads(output.with_suffix(".json").read_text())["training"]["seconds"]
    return {"steps": steps, "seconds": seconds, "weights": sum(p.numel() for p in net.parameters())}


def _one_network(prior: Projector, y: Tensor, op: Operator, shown_y: Tensor, others: Tensor, iterations: int) -> Run:
    """With the beta of least error on the validation pictures."""

    def solve(data: Tensor, beta: float) -> Tensor:
        x: Tensor = admm(data, op, prior, beta=beta, iterations=iterations, tolerance=0).x
        return x

    beta = min(BETAS, key=lambda beta: float(errors(solve(shown_y, beta), others).mean()))
    return _timed(lambda y, op: solve(y, beta), y, op, f"β = {beta:g}")


def _csgm(search: Search, generator: nets.Generator, y: Tensor, op: Operator, shown_y: Tensor, others: Tensor) -> Run:
    """With the weight of ||z||^2 of least error on the validation pictures."""
    best = tuned(search, shown_y, op, generator, others, lambda what: None)
    return _timed(
        lambda y, op: torch.cat([best.solve(part, op, generator).x for part in best.parts(y, generator)]),
        y,
        op,
        f"weight {best.weight:g}",
    )


def _timed(solve: Solve, y: Tensor, op: Operator, setting: str) -> Run:
    start = time.perf_counter()
    images = solve(y, op)
    return Run(images, (time.perf_counter() - start) / len(y), setting)


def _measured(found: Run, truth: Tensor) -> dict[str, Any]:
    psnr = average(metrics.psnr(found.images.clamp(0, 1), truth).double())
    error = errors(found.images, truth)
    return {
        "psnr": [psnr.mean, psnr.bar],
        "error": float(error.mean()),
        "median": float(error.median()),
        "seconds": found.seconds,
        "setting": found.setting,
    }


def _draw(strips: Mapping[str, Mapping[str, Tensor]], found: Mapping[str, Any]) -> Figure:
    rows = len(next(iter(strips.values())))
    figure = drawing.sheet(4.2 * len(strips), 0.5 + rows * 0.85)
    grid = figure.add_gridspec(rows, len(strips))
    for column, (title, images) in enumerate(strips.items()):
        for row, (name, strip) in enumerate(images.items()):
            note = f"{found[title][name]['psnr'][0]:.1f} dB" if name in found[title] else ""
            drawing.image(
                figure.add_subplot(grid[row, column]),
                torch.cat(list(strip), dim=-1)[None],
                title if name == DATA else name,
                note=note,
                strong=name == NPGD,
            )
    return figure


def page(numbers: Numbers) -> str:
    """PSNR, errors and times of each method on each task."""
    s, training, found = numbers["settings"], numbers["training"], numbers["found"]
    rows = [
        [
            title,
            name,
            f"{one['psnr'][0]:.2f} ± {one['psnr'][1]:.2f}",
            one["error"],
            one["median"],
            one["seconds"],
            one["setting"],
        ]
        for title, job in found.items()
        for name, one in job.items()
    ]
    best = {title: min(job, key=lambda name: job[name]["error"]) for title, job in found.items()}
    least = "; ".join(
        f"for {title}: {name}" + _times(found[title][name], found[title][NPGD]) for title, name in best.items()
    )
    told = "; ".join(
        f"{name}: {r['weights'] / 1e6:.2f} million weights, {r['steps']} steps in {shown(r['seconds'])} s"
        for name, r in training.items()
    )
    width = " × ".join(map(str, s["shape"]))
    return f"""
The first {s["count"]} test pictures of `{s["pictures"]}` ({width}), without noise. NPGD has the shipped projector. \
The one network of Chang et al. 2017
(`train.one_net`, an auto-encoder trained against two discriminators to undo damage, for every A alike) \
is the prior of `admm` for {s["iterations"]}
iterations, its β the best of {listed(s["betas"])} on {s["tuned_on"]} validation pictures of the task. \
CSGM of Bora et al. 2017 searches
for z by {s["search"]}, with the decoder of a VAE (`train.vae`) and with the generator that is shipped, \
its weight of ‖z‖² the
best likewise of {listed(s["weights"])}.

{table(["task", "method", "PSNR in dB", "mean error", "median", "s / image", "setting"], rows)}

The method of least mean error, {least}.

Errors are of (x̂ − x)² over the pixels, x̂ clipped to [0, 1]; ± is 1.96 standard errors. Trained here, \
as part of the run: {told}.
Times are of the run with all pictures in one batch, without the choice of the setting.
"""


def _times(one: Numbers, other: Numbers) -> str:
    """How long the one with the least error takes, where it is not NPGD."""
    return "" if one is other else f", in {shown(one['seconds'] / other['seconds'])} times the time of NPGD"


EXPERIMENT = Experiment(
    summary="the one network in ADMM and CSGM with a VAE, trained here, beside NPGD on the same tasks",
    run=run,
    page=page,
)
