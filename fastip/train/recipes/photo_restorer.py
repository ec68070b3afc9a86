"""The restorer of photographs that is shipped: where it begins, its recipe, its score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ... import checkpoint, data, metrics, nets, operators
from ...arrays import check_count
from ...checkpoint import shipped
from ...restorer import ITERATIONS, Distribution, Restorer
from ..degradation import Example, example
from ..engine import schedule
from ..engine.run import quick_precision, run_of, training
from ..losses.restoring import looked_at
from ..restorer import Settings, Tuning
from . import photo_denoiser
from .photo_degradations import NOISIEST, WIDEST, WORDS, PhotoDegradations
from .photo_denoiser import PAUSE, SAVE, SETS, Place, Start

if TYPE_CHECKING:
    from typing_extensions import Unpack

NAME = "photo-restorer"  # also the kind of its record
SIZE = 128  # pixels a side of a picture in training: with the widest psf 88 of them have data; larger takes longer
BATCH = 4
# Planned in all. The shipped weights have not come by this recipe alone: 1490 steps minimised mean |error| through
# data steps that were not at rest, and lost 1 dB under camera shake to the denoiser they began with; 300 steps of this
# recipe won half of it back, and a mean of the weights then, 0.4, and of the denoiser's, 0.6, the other half.
STEPS = 20_000
RATE = 1e-4  # of Adam: a tenth of the denoiser's, whose weights it tunes
WARM_UP = 50
LOOK = 250  # steps between two scores
SEED = 5  # of the problems it is scored on
LOOKED_AT = 24  # validation pictures at a look while it trains
MOST = 40.0  # dB: nobody sees what is beyond
KINDS = ("blur", "made smaller", "noise", "holes")
_KIND = {"Blur": 0, "Resize": 1, "Identity": 2, "Mask": 3}
_TURNS = ("Blur", "Resize", "Blur", "Resize", "Identity", "Mask")  # of what it is scored on, as often as it is trained


@training(Place)
def train_photo_restorer(
    output: str | Path,
    *,
    net: nets.PriorNet | None = None,
    pictures: data.Pictures | None = None,
    validation: Sequence[Tensor] | None = None,
    begun: Start | None = None,
    steps: int = STEPS,
    batch: int = BATCH,
    iterations: int = ITERATIONS,
    look_every: int = LOOK,
    **run: Unpack[Place],
) -> Restorer:
    """Tune the denoiser of photographs through the solver, as ``train.restorer`` does, on :class:`PhotoDegradations`.

    Args:
        output: The .safetensors file, written at the end, its state beside it until then.
        net: The denoiser to begin with, by default the shipped one.
        pictures: What it learns from, by default photographs that were reduced, in patches of SIZE.
        validation: Pictures 1 3 h w that it is scored on.
        begun: Weights to go on from where there is no state yet.
        steps: Planned in all; the learning rate is half a cosine over them.
        batch: Pictures a step.
        iterations: Of the solver.
        look_every: Steps between two scores.
        **run: The keywords of :class:`fastip.train.Run` that :class:`Place` has.

    Returns:
        The restorer with the running mean of the weights, frozen, on the CPU.

    Raises:
        InvalidInput: For bad values, and files of other settings.
        MissingData: Where pictures are not fetched.
        Diverged: When the loss is no longer a number.
        Unsupported: Without the extra ``train``.
    """
    how = run_of(
        run,
        batch=batch,
        steps=steps,
        learning_rate=RATE,
        output=output,
        precision=quick_precision(run.get("accelerator", "auto")),
        average=0.999,
        clip=1.0,
    )
    check_count(look_every, "look_every", low=1)
    chosen = begun.net if begun is not None else denoiser() if net is None else net
    pictures = data.ReducedPhotographs("train", SIZE, sets=SETS) if pictures is None else pictures
    seen = problems(data.validation_photographs()[:LOOKED_AT] if validation is None else validation)
    size = pictures.batch([0]).shape[-1]
    settings = Settings(**how.decisive, iterations=iterations)
    work = Tuning(chosen, pictures, PhotoDegradations(size), seen, settings, known(), NAME)
    plan = how.plan(
        save_every=steps,
        warm_up=WARM_UP,
        look_every=look_every,
        save_minutes=SAVE,
        pause=PAUSE,
        begun=None if begun is None else begun.history,
    )
    return work.course(how.output, plan, how.accelerator, dtype=torch.float16)


def known() -> Distribution:
    """What it is trained on."""
    return Distribution(NOISIEST, WIDEST, WORDS)


def denoiser() -> nets.PriorNet:
    """The shipped denoiser, which it begins with."""
    with shipped.weights("priors", photo_denoiser.NAME) as path:
        return checkpoint.load_prior(path).net


def problems(pictures: Sequence[Tensor]) -> list[Example]:
    """One problem for each picture, always the same; every kind among any six."""
    found = []
    for number, x in enumerate(pictures):
        generator = torch.Generator().manual_seed(schedule.stream(SEED, number, -1))
        side = min(x.shape[-2:])
        draw = PhotoDegradations(side)
        degradation = draw(generator)
        while type(degradation.op).__name__ != _TURNS[number % len(_TURNS)]:
            degradation = draw(generator)
        masked = isinstance(degradation.op, operators.Mask)  # which are as wide as high
        found.append(example(x[..., :side, :side] if masked else x, degradation, generator))
    return found


@torch.no_grad()
def psnr(restorer: Restorer, seen: Sequence[Example]) -> list[float]:
    """The mean PSNR in dB, of a picture at most MOST, over the problems of each of KINDS; NaN where there is none."""
    found: list[list[float]] = [[] for _ in KINDS]
    for x, y, op, noise in seen:
        restored = looked_at(restorer.solve(y, op, noise).x.clamp(0, 1), y, op)
        found[_KIND[type(op).__name__]].append(min(MOST, float(metrics.psnr(restored, looked_at(x, y, op)).mean())))
    return [sum(some) / len(some) if some else float("nan") for some in found]


def saved(path: Path, made: Restorer, summary: Mapping[str, Any]) -> None:
    """``Course.save`` of the restorer: in float16, which halves the file."""
    checkpoint.save_restorer(path, made, training=summary, dtype=torch.float16)
