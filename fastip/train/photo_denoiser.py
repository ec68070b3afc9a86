"""The denoiser of photographs that is shipped: a long training in many parts, on whatever machine has time, exported when it is better than before."""

from __future__ import annotations

import copy
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .. import checkpoint, data, nets, shipped
from ..arrays import check_count
from ..data import cache
from ..errors import FastipError, InvalidInput, strict_keywords
from ..priors import PixelShuffleAutoencoder, Trained
from . import loop, state
from .course import AveragedSettings, Course, Weights
from .denoising_score import SIGMAS, denoising_psnr
from .described import described
from .feed import Ahead, Feed, Stage
from .files import Files
from .progress import Bar
from .restoration import Denoising
from .summary import summarise, told

if TYPE_CHECKING:
    from lightning_fabric import Fabric

NAME = "photo-denoiser"  # also the kind of its record
SETS = ("photos", "photos-more")
LEVELS = (0.003, 0.3)
STEPS = 200_000
STAGES = (Stage(0.0, 8, 128), Stage(0.6, 16, 128), Stage(0.85, 12, 192))
LOOK = 2000  # steps between two scores
SAVE = 5.0  # minutes between two states
WARM_UP = 500  # steps
BALANCE = 0.3  # brings the loss to about the mean absolute error at a middling level


def network() -> nets.PixelShuffleAutoencoder:
    """The shape that docs/experiments/denoiser_shapes.md chose, with its first weights."""
    torch.manual_seed(0)
    return nets.PixelShuffleAutoencoder(widths=(16, 48, 128, 192), blocks=(1, 2, 2, 1), padding_mode="zeros")


@dataclass(frozen=True, kw_only=True)
class Settings(AveragedSettings):
    """All that decides the trained weights, but the net and the pictures."""

    warm_up: int
    clip: float
    stages: tuple[Stage, ...]
    levels: tuple[float, float]


class BalancedDenoising(Denoising):
    """mean of |x_hat - x| / sqrt(level): without the division the large levels alone would count. The error of a good denoiser grows about like the root."""

    def forward(self, x: Tensor, e: Tensor, levels: Tensor, n: Tensor) -> Tensor:
        x_hat = self.estimate(self.net, x, e, levels, n)
        return BALANCE * ((x_hat - x).abs().mean(dim=(1, 2, 3)) / levels.sqrt()).mean()


@dataclass(frozen=True)
class Start:
    """Weights to go on from, and the history of their training."""

    net: nets.PriorNet
    history: state.History


@strict_keywords
def train_photo_denoiser(
    output: str | Path,
    *,
    net: nets.PriorNet | None = None,
    pictures: data.ReducedPhotographs | None = None,
    validation: list[Tensor] | None = None,
    begun: Start | None = None,
    steps: int = STEPS,
    stages: tuple[Stage, ...] = STAGES,
    accelerator: str = "auto",
    precision: str = "bf16-mixed",
    progress: bool = True,
    report: loop.Report | None = None,
    look_every: int = LOOK,
    warm_up: int = WARM_UP,
) -> PixelShuffleAutoencoder:
    """Train it and return it as a prior; ``output``.safetensors is written at the end, its state beside it until then.

    min over the weights of E |net(x + s e, s) - x| / sqrt(s), e ~ N(0, I), s in LEVELS; x: patches of photographs that were reduced, by ``stages``.

    begun: weights to go on from where there is no state yet. steps: planned in all; the learning rate is half a cosine over them. The rest as for train.prior.
    """
    settings = settled(steps=steps, stages=stages, precision=precision, warm_up=warm_up)
    chosen = begun.net if begun is not None else network() if net is None else net
    pictures = training_pictures() if pictures is None else pictures
    run = _Run(chosen, pictures, data.validation_photographs() if validation is None else validation, settings)
    plan = loop.Plan(
        settings.steps,
        settings.learning_rate,
        settings.steps,
        {},
        None,
        None,
        progress,
        report,
        settings.clip,
        betas=(0.9, 0.99),
        warm_up=settings.warm_up,
        look_every=look_every,
        save_minutes=SAVE,
        begun=None if begun is None else begun.history,
    )
    course = Course("prior", checkpoint.load_prior, _save, record(chosen, pictures, settings), output, plan, accelerator, settings)
    return course.run(run.train, run.made)


def settled(*, steps: int = STEPS, stages: tuple[Stage, ...] = STAGES, precision: str = "bf16-mixed", warm_up: int = WARM_UP) -> Settings:
    """The recipe's settings, with what a caller may change."""
    return Settings(
        batch=stages[0].batch,
        steps=check_count(steps, "steps", low=1),
        learning_rate=1e-3,
        seed=0,
        devices=1,
        precision=precision,
        average=0.9999,
        warm_up=warm_up,
        clip=1.0,
        stages=stages,
        levels=LEVELS,
    )


def record(net: nets.PriorNet, pictures: data.Pictures, settings: Settings) -> dict[str, Any]:
    """What must be the same for a state to be gone on from: the settings, the network's structure and the pictures, as JSON values."""
    return {"kind": NAME, "net": {"name": type(net).__name__, "config": net.config()}, "images": described(pictures)} | asdict(settings)


def training_pictures() -> data.ReducedPhotographs:
    """What it learns from. The first call reduces the photographs, which takes a minute."""
    return data.ReducedPhotographs("train", STAGES[0].size, sets=SETS, report=_said)


def _said(what: str, done: int, total: int) -> None:
    if done % 50 == 0 or done == total:
        Bar(1, 0, True).say(f"{what}: {done} of {total}")


def _save(path: Path, made: PixelShuffleAutoencoder, summary: Mapping[str, Any]) -> None:
    checkpoint.save_prior(path, made, training=summary, dtype=torch.float16)


def psnr(net: nets.PriorNet, pictures: list[Tensor], half: bool) -> list[float]:
    """The PSNR at each of SIGMAS, the convolutions in bfloat16 where ``half``."""
    device = next(net.parameters()).device

    def denoise(v: Tensor, level: float) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            x: Tensor = net(v, level=level)
        return x

    return denoising_psnr(denoise, [x.to(device) for x in pictures])


@dataclass(frozen=True)
class _Run:
    """The training, from its arguments to what it returns."""

    net: nets.PriorNet
    pictures: data.ReducedPhotographs
    validation: list[Tensor]
    settings: Settings

    def train(self, plan: loop.Plan, fabric: Fabric) -> tuple[Weights, state.History]:
        own = copy.deepcopy(self.net).cpu().train().requires_grad_().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        objective = BalancedDenoising(own, None, 0.0, 1, self.settings.average)
        draw = Ahead(Feed(self.pictures, self.settings.stages, plan.steps, self.settings.levels, self.settings.seed, fabric.world_size), plan.steps)
        try:
            history = loop.fit(fabric, objective, draw, plan.watched(objective.follow, lambda: (self._score(objective), {})))
        finally:
            draw.close()
        return {name: tensor.cpu().numpy().copy() for name, tensor in objective.average.state_dict().items()}, history

    def _score(self, objective: Denoising) -> float:
        return float(np.mean(psnr(objective.average, self.validation, self.settings.precision == "bf16-mixed")))

    def made(self, weights: Weights) -> PixelShuffleAutoencoder:
        net = copy.deepcopy(self.net).cpu()
        net.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
        return PixelShuffleAutoencoder(net.eval().requires_grad_(False), trained=Trained(self.settings.levels))


# ---- in parts --------------------------------------------------------------------------------------------------------


class Busy(FastipError):
    """Another process trains the same."""


def folder() -> Path:
    """Where the state of the long training is kept: training/photo-denoiser below FASTIP_CACHE, or fastip's folder in the user's cache."""
    return cache.root() / "training" / NAME


def go_on(
    *, steps: int | None = None, accelerator: str = "auto", progress: bool = True, report: loop.Report | None = None, **small: Any
) -> PixelShuffleAutoencoder:
    """Go on with the long training: from its state, else from the shipped weights at their place in the schedule, else from nothing.

    Stop it at any time, in any way; the state is at most five minutes old. Raises Busy where another process is at it already.
    """
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    output = place / f"{NAME}.safetensors"
    say = Bar(1, 0, progress).say
    with alone(place):
        begun = None
        if not (output.exists() or output.with_suffix(".unfinished.safetensors").exists()):
            begun = shipped_start(say)
        return train_photo_denoiser(output, begun=begun, steps=steps or STEPS, accelerator=accelerator, progress=progress, report=report, **small)


def shipped_start(say: Any) -> Start | None:
    """The shipped weights with their history, None where they are of another shape or of another training."""
    with shipped.weights("priors", NAME) as path:
        training = checkpoint.read_record(path, "prior").get("training", {})
        prior = checkpoint.load_prior(path)
    if training.get("settings", {}).get("kind") != NAME or prior.net.config() != network().config():
        say("no state is kept and the shipped weights are of another kind: the training begins from nothing")
        return None
    history = told(training)
    history.since = history.step  # Adam begins anew, with a warm-up
    say(f"no state is kept: the training goes on from the shipped weights, at step {history.step} of {training['settings']['steps']}")
    return Start(prior.net, history)


@dataclass(frozen=True)
class Exported:
    """What an export found: mean PSNR in dB on validation and test photographs at each of SIGMAS, of the shipped weights and of those of the training."""

    step: int
    seconds: float
    shipped: dict[str, list[float]]
    trained: dict[str, list[float]]
    written: Path | None


@strict_keywords
def export(target: str | Path) -> Exported:
    """Write the averaged weights of the long training into the folder ``target`` if they are better on validation than those that are shipped.

    Called while it trains, too: the last state is read. The file is in float16, with a record of all parts beside it.
    Raises InvalidInput where nothing has been trained, or ``target`` is no folder.
    """
    files = Files.beside(Path(target) / f"{NAME}{shipped.SUFFIX}", "prior")
    prior, settings, history = _latest()
    with shipped.weights("priors", NAME) as path:
        before = checkpoint.load_prior(path)
    pictures = {"validation": data.validation_photographs(), "test": test_photographs()}
    old, new = ({name: psnr(made.net, some, True) for name, some in pictures.items()} for made in (before, prior))
    better = np.mean(new["validation"]) > np.mean(old["validation"])
    if better:
        quality = {"sigmas": list(SIGMAS), "precision": "bfloat16"} | new
        summary = summarise(settings, history, torch.device("cpu")) | {"psnr": quality}
        files.finish(lambda path: _save(path, prior, summary))
    return Exported(history.step, history.seconds, old, new, files.output if better else None)


def test_photographs(size: int = 256) -> list[Tensor]:
    """The middles of the seven everyday test photographs, 1 3 size size."""
    return [data.centre(x, size) for x in data.held_out_photographs(data.EVERYDAY).values()]


def _latest() -> tuple[PixelShuffleAutoencoder, dict[str, Any], state.History]:
    """The averaged weights of the last state, or the result where it is finished; its settings and history."""
    output = folder() / f"{NAME}{shipped.SUFFIX}"
    unfinished = output.with_suffix(f".unfinished{shipped.SUFFIX}")
    if output.exists():
        training = checkpoint.read_record(output, "prior")["training"]
        return checkpoint.load_prior(output), training["settings"], told(training)
    if not unfinished.exists():
        raise InvalidInput(f"nothing is trained yet: {folder()} holds no state; begin with: fastip train task {NAME}")
    kept, tensors = checkpoint.read(unfinished, "training")
    settings = dict(kept["settings"])
    net = nets.build(nets.PRIOR_NETS, settings["net"]["name"], dict(settings["net"]["config"]))
    prefix = "module.average."
    net.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)})
    prior = PixelShuffleAutoencoder(net.eval().requires_grad_(False), trained=Trained(tuple(settings["levels"])))
    return prior, settings, state.History.read(kept["progress"])


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """The lock of the training, which the system frees however this process ends; the file names the process that has it."""
    with open(place / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Busy(f"process {lock.read().strip() or '?'} is at this training already; stop that one first, or leave it at work") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
