"""Pictures of what projected descent makes of each task, for every projector that is shipped.

Beside the best of the classical priors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import metrics
from ...arrays import check_counts
from ...checkpoint import load_projector, shipped
from ...errors import InvalidInput
from ...priors import Projector
from ...solvers import consistent, npgd
from ...solvers.pgd import BackProjection
from ...tasks import MEASURED
from .. import drawing
from ..markdown import table
from ..published import check_file, publish, summary
from ..record import Experiment, Numbers, Outcome, Report, silent
from .compressed_sensing import networks, projector
from .compressed_sensing import pictures as first_pictures
from .projector_tasks import GAUSSIAN, Classical, Task, classical, tasks

DATA, LEAST, CLASSICAL, TRUTH = "data", "A⁺y", "classical", "truth"
NPGD, BACK, KEPT = "NPGD", "NPGD, step A⁺", "NPGD, data put back"
METHODS = (LEAST, CLASSICAL, NPGD, BACK, KEPT)
UNSEEN = (LEAST, BACK)  # in the table alone
COLUMNS = 8  # pictures in a row of the figure
BATCH = 64  # images at once: more fill the memory, fewer leave cores idle
VISIBLE = 0.005  # dB: less is 0.00 on the page
AVATARS = " Drawn heads stand in for the faces."
Images = dict[str, Tensor]


def run(
    report: Report = silent,
    *,
    pictures: str = "all",
    checkpoint: str = "",
    count: int = 64,
    measurements: int = 0,
    iterations: int = 30,
    tuned: int = 16,
    designed_from: int = 10_000,
    seed: int = 0,
    quality: str = "",
) -> Outcome:
    """Restore the first ``count`` test pictures of each set.

    Args:
        report: Called with what is done.
        pictures: "all", or the name of one set.
        checkpoint: A file with a projector for ``pictures``, in place of the shipped one.
        count: Pictures of each set.
        measurements: 0 for 100 of 28 x 28 pixels and 1000 of 64 x 64 in colour.
        iterations: Of NPGD, at most.
        tuned: Validation pictures on which the classical priors are chosen.
        designed_from: Pairs of images that the designed measurements are made of.
        seed: Of the measurements.
        quality: A file to publish the tasks of random measurements in.
    """
    check_counts(count=count, iterations=iterations, tuned=tuned, designed_from=designed_from)
    if checkpoint and pictures == "all":
        raise InvalidInput(
            f"checkpoint is {checkpoint!r}, and pictures are all; "
            "expected the set that it was trained on, such as pictures=digits"
        )
    check_file(quality)
    if quality and (checkpoint or seed or any(task.iterations != iterations for task in MEASURED)):
        raise InvalidInput(
            "quality is of the tasks as they come: leave checkpoint, seed and iterations out, or quality"
        )
    sets = shipped.names("projectors") if pictures == "all" else [pictures]
    found: dict[str, Any] = {}
    images: dict[str, dict[str, Images]] = {}
    for k, name in enumerate(sets):
        report(f"{name}: designed measurements", 10 * k, 10 * len(sets))
        prior = load_projector(checkpoint) if checkpoint else projector(name)
        truth, others = first_pictures(name, "test", count), first_pictures(name, "validation", tuned)
        generator = networks(prior).generator
        if generator.shape != tuple(truth.shape[1:]):
            raise InvalidInput(
                f"the projector is for images {generator.shape}, those of {name} are {tuple(truth.shape[1:])}"
            )
        jobs = tasks(generator, measurements, designed_from, seed=seed)
        found[name], images[name] = {"shape": generator.shape, "tasks": {}}, {}
        with torch.no_grad():
            found[name]["projected"] = _mean(metrics.psnr(_projected(prior, truth, jobs[0]).clamp(0, 1), truth))
            for j, task in enumerate(jobs):
                report(f"{name}: {task.title}", 10 * k + 2 * j + 1, 10 * len(sets))
                plain = classical(task.op, others)
                restored = restore(task, truth, prior, plain, iterations)
                found[name]["tasks"][task.title] = scores(restored, truth) | {
                    "classical": plain.words,
                    "ssim": _mean(metrics.ssim(restored[NPGD].clamp(0, 1), truth)),
                }
                images[name][task.title] = {
                    title: image[:COLUMNS] for title, image in {**restored, TRUTH: truth}.items() if title not in UNSEEN
                }
    source = (
        f"the projector of {Path(checkpoint).name} ({type(generator).__name__})"
        if checkpoint
        else "the shipped projector"
    )
    about = {"count": count, "iterations": iterations, "tuned": tuned, "designed_from": designed_from, "seed": seed}
    settings = {"pictures": sets, "projector": source, **about}
    if quality:
        own = {"pictures": pictures, "checkpoint": checkpoint, "measurements": measurements, **about}
        defaults = EXPERIMENT.parameters()
        publish(
            quality,
            "npgd_pictures",
            {key: value for key, value in own.items() if value != defaults[key]},
            _entries(found, count),
        )
    return Outcome({"settings": settings, "found": found}, _draw(images, found))


def _entries(found: Mapping[str, Any], count: int) -> dict[str, dict[str, Any]]:
    """The tasks of random measurements among them."""
    made = {}
    for task in MEASURED:
        job = found.get(task.pictures, {"tasks": {}})["tasks"].get(f"{GAUSSIAN}, m = {task.measurements}")
        if job is not None:
            made[task.name] = summary(
                job["classical"], job["psnr"][CLASSICAL], job["psnr"][NPGD], job["ssim"], f"{count} pictures"
            )
    return made


def _projected(prior: Projector, x: Tensor, task: Task) -> Tensor:
    """P(x): what the projector makes of the truth itself."""
    project = prior.bind(task.op(x[:1]), task.op)
    return torch.cat([project(part, 0.5) for part in x.split(BATCH)])


def restore(task: Task, truth: Tensor, prior: Projector, plain: Classical, iterations: int) -> Images:
    """The data as an image, and what each method makes of them."""
    op = task.op
    found: dict[str, list[Tensor]] = {title: [] for title in (DATA, *METHODS)}
    for part in truth.split(BATCH):
        y = op(part)
        x = npgd(y, op, prior, iterations=iterations).x
        # a larger epsilon does not put the data back, a smaller one is lost in the rounding of float32
        back = npgd(y, op, prior, step=BackProjection(epsilon=1e-6), iterations=iterations).x
        least, kept = consistent(torch.zeros_like(x), y, op), consistent(x, y, op)
        images = {DATA: task.seen(y), LEAST: least, CLASSICAL: plain.restore(y), NPGD: x, BACK: back, KEPT: kept}
        for title, image in images.items():
            found[title].append(image)
    return {title: torch.cat(parts) for title, parts in found.items()}


def scores(restored: Images, truth: Tensor) -> dict[str, Any]:
    """For each method the mean PSNR, clipped to [0, 1], and its 95 % bar; and the two comparisons of the page.

    These are image by image, means with their bars. steps: of the step A^+ less the default one. plain: of NPGD, with
    or without the data put back, less A^+ y or the classical prior, the better one of each.
    """
    values = {title: metrics.psnr(restored[title].clamp(0, 1), truth).double() for title in METHODS}
    psnr = {title: float(value.mean()) for title, value in values.items()}
    ours, plain = max((NPGD, KEPT), key=psnr.__getitem__), max((LEAST, CLASSICAL), key=psnr.__getitem__)
    apart = {"steps": values[BACK] - values[NPGD], "plain": values[ours] - values[plain]}
    return {
        "psnr": psnr,
        "bar": {title: _bar(value) for title, value in values.items()},
        "apart": {what: [float(value.mean()), _bar(value)] for what, value in apart.items()},
        "better": [ours, plain],
    }


def _bar(values: Tensor) -> float:
    return 1.96 * float(values.std()) / len(values) ** 0.5 if len(values) > 1 else 0.0


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def _draw(images: Mapping[str, Mapping[str, Images]], found: Mapping[str, Any]) -> Figure:
    rows = len(next(iter(next(iter(images.values())).values())))
    columns = max(map(len, images.values()))
    few = max(len(strips[TRUTH]) for jobs in images.values() for strips in jobs.values())
    figure = drawing.sheet(4.6 * columns, len(images) * (0.5 + rows * (0.3 + 4.4 / few)))
    bands = figure.subfigures(len(images), 1, squeeze=False)[:, 0]
    for band, (name, jobs) in zip(bands, images.items(), strict=True):
        band.suptitle(name, fontsize=14, x=0.01, ha="left")
        grid = band.add_gridspec(rows, columns)
        for column, (title, strips) in enumerate(jobs.items()):
            one = found[name]["tasks"][title]
            for row, (method, strip) in enumerate(strips.items()):
                part = band.add_subplot(grid[row, column])
                words = title if method == DATA else one["classical"] if method == CLASSICAL else method
                note = f"{one['psnr'][method]:.1f} dB" if method in one["psnr"] else ""
                drawing.image(part, torch.cat(list(strip), dim=-1)[None], words, note=note, strong=method == NPGD)
    return figure


def page(numbers: Numbers) -> str:
    """PSNR of every method on every task, which step is better, and what the projector can reach."""
    s, found = numbers["settings"], numbers["found"]
    parts = []
    for name, one in found.items():
        rows = []
        for title, job in one["tasks"].items():
            rows.append(
                [
                    title,
                    job["classical"],
                    *(f"{job['psnr'][method]:.2f} ± {job['bar'][method]:.2f}" for method in METHODS),
                ]
            )
        size = " × ".join(map(str, one["shape"]))
        shown = f"**{name}** ({size}); P of the truth itself: {one['projected']:.2f} dB"
        parts.append(f"{shown}\n\n{table(['task', 'classical prior', *METHODS], rows)}")
    tables = "\n\n".join(parts)
    return f"""
The first {s["count"]} test pictures of each set, which no training saw, without noise; `npgd` with {s["projector"]}, \
at most {s["iterations"]} iterations.
Entries are PSNR in dB, the mean over pictures of the whole image clipped to [0, 1], ± 1.96 standard errors.

{tables}

A⁺y is the image of least norm that gives the data. The classical prior is the best of what fits the task, \
its basis and weight chosen on {s["tuned"]}
validation pictures: for measurements the Lasso in pixels, DCT and wavelets, else total variation with 0 ≤ x ≤ 1. \
NPGD takes the default step, 1 / β of the
range; step A⁺ is BackProjection. What both return is an image of the generator, which does not give the data \
exactly. "Data put back" is
`solvers.consistent`, one step x + A⁺(y − Ax) further, out of the range, to an image that does: \
pixels that are seen are then those of the data.
In the figure, data of measurements are shown as Aᵀy, hidden pixels grey, small images enlarged.

Which step, and whether the trained range is worth it, image by image (± 1.96 standard errors):

{_steps(found)}
{_verdict(found)}

The published experiments used photographs of faces and of churches, CelebA and LSUN, \
which are in no package registry.{AVATARS * ("avatars" in found)}
A folder of other pictures trains by the same commands.
"""


def _steps(found: Numbers) -> str:
    """Which step is better where, in words."""
    words = (
        "The step A⁺ is better than the default for",
        "The default step is better than A⁺ for",
        "The two steps are not told apart (A⁺ less the default) for",
    )
    return _sorted(found, "steps", words)


def _verdict(found: Numbers) -> str:
    """Where NPGD beats what needs no training, in words."""
    what = "the better of A⁺y and the classical prior for"
    ours = "NPGD, the better of its outputs with the default step,"
    return _sorted(
        found,
        "plain",
        (
            f"{ours} is above {what}",
            f"{ours} is below {what}",
            f"{ours} is not told apart (NPGD less the other) from {what}",
        ),
    )


def _sorted(found: Numbers, key: str, words: tuple[str, str, str]) -> str:
    """The tasks where a difference is above 0, below 0, and within its bar."""
    kinds: tuple[list[str], ...] = ([], [], [])
    for name, one in found.items():
        for title, job in one["tasks"].items():
            mean, bar = job["apart"][key]
            kind, digits = 2 if abs(mean) <= max(bar, VISIBLE) else 0 if mean > 0 else 1, 2 if bar >= VISIBLE else 4
            difference = f"{mean:+.{digits}f}" if kind == 2 else f"by {abs(mean):.{digits}f}"
            kinds[kind].append(f"{name}, {title} ({difference} ± {bar:.{digits}f} dB)")
    return "\n".join(f"- {word} {'; '.join(entries)}." for word, entries in zip(words, kinds, strict=True) if entries)


EXPERIMENT = Experiment(
    summary="pictures and PSNR of projected descent on every task for every shipped projector, beside classical priors",
    run=run,
    page=page,
)
