"""The denoiser of photographs that is shipped: its shape, its recipe, its score. long_training.py runs it in parts."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from ... import checkpoint, data, nets
from ...arrays import check_count
from ...errors import InvalidInput
from ...priors import PixelShuffleAutoencoder, Trained
from ..denoising_score import denoising_psnr
from ..described import described
from ..engine import loop, state
from ..engine.course import AveragedSettings, Course, Weights
from ..engine.feed import Ahead, Feed, Stage
from ..engine.progress import Bar
from ..engine.run import quick_precision, run_of, training
from ..losses.restoration import Denoising

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from typing_extensions import Unpack

NAME = "photo-denoiser"  # also the kind of its record
SETS = ("photos", "photos-more")
LEVELS = (0.003, 0.3)  # less than a grey level of 255, to what ``priors.schedule`` begins with
STEPS = 200_000  # planned in all: with more it comes further, but the rate, and the noise of the weights, fall later
# First more different pictures in the same time; late, more of them a step, for a steadier gradient, and larger ones.
STAGES = (Stage(0.0, 8, 128), Stage(0.6, 16, 128), Stage(0.85, 12, 192))
LOOK = 2000  # steps between two scores: each runs the network over all validation pictures
SAVE = 5.0  # minutes between two states: what a kill may cost, against the time of writing
PAUSE = 60.0  # seconds: a step that takes longer was halted; 0.2 to 0.65 s of processor time is usual
WARM_UP = 500  # steps until Adam's moments say something; weights that are gone on with begin without moments
RATE = 1e-3  # of Adam, after the warm-up: larger learns faster and may diverge
BALANCE = 0.3  # brings the loss to about the mean absolute error at a middling level


def network() -> nets.PixelShuffleAutoencoder:
    """Four grids, the first of the image's size, within 150 thousand products a pixel, with its first weights.

    docs/experiments/denoiser_shapes.md compares shapes: 32/64/128/256 came about 0.1 dB further in 450 s, and takes
    668 ms a picture of 512 x 512 in float32 where this takes 549.
    """
    torch.manual_seed(0)
    # Zeros at the borders make for more steps: 1549 in 450 s with 16/48/128, where repeated borders made 1189.
    return nets.PixelShuffleAutoencoder(widths=(16, 48, 128, 192), blocks=(1, 2, 2, 1), padding_mode="zeros")


@dataclass(frozen=True, kw_only=True)
class Settings(AveragedSettings):
    """All that decides the trained weights, but the net and the pictures."""

    warm_up: int
    clip: float
    balance: float
    betas: tuple[float, float]
    stages: tuple[Stage, ...]
    levels: tuple[float, float]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.warm_up, "warm_up", low=0)
        shares = [stage.share for stage in self.stages]
        if not shares or shares != sorted(set(shares)) or not 0 == shares[0] <= shares[-1] < 1:
            raise InvalidInput(
                f"the stages begin at shares {shares} of the steps; expected 0 first, then rising numbers below 1"
            )
        for stage in self.stages:
            check_count(stage.batch, "the batch of a stage", low=1)
            check_count(stage.size, "the size of a stage", low=1)


class BalancedDenoising(Denoising):
    """BALANCE times the mean of ``|x_hat - x| / sqrt(level)``.

    Without the division large levels alone would count; a good denoiser's error grows about like the root.
    """

    def forward(self, x: Tensor, e: Tensor, levels: Tensor, n: Tensor) -> Tensor:
        x_hat = self.estimate(self.net, x, e, levels, n)
        return BALANCE * ((x_hat - x).abs().mean(dim=(1, 2, 3)) / levels.sqrt()).mean()


@dataclass(frozen=True)
class Start:
    """Weights to go on from, and the history of their training."""

    net: nets.PriorNet
    history: state.History


class Place(TypedDict, total=False):
    """The keywords of :class:`fastip.train.Run` that say where it runs and what is told."""

    accelerator: str
    precision: str
    progress: bool
    report: loop.Report | None


@training(Place)
def train_photo_denoiser(
    output: str | Path,
    *,
    net: nets.PriorNet | None = None,
    pictures: data.ReducedPhotographs | None = None,
    validation: list[Tensor] | None = None,
    begun: Start | None = None,
    steps: int = STEPS,
    stages: tuple[Stage, ...] = STAGES,
    look_every: int = LOOK,
    warm_up: int = WARM_UP,
    learning_rate: float = RATE,
    **run: Unpack[Place],
) -> PixelShuffleAutoencoder:
    """Train it and return it as a prior; ``output`` is written at the end, its state beside it until then.

    Over the weights it minimises ::

        E |net(x + s e, s) - x| / sqrt(s),   e ~ N(0, I), s in LEVELS

    Args:
        output: The .safetensors file.
        net: The network to begin with, by default :func:`network`.
        pictures: Photographs that were reduced, by default :func:`training_pictures`; x are patches of them.
        validation: What the score is measured on, each 1 3 h w.
        begun: Weights to go on from where there is no state yet.
        steps: Planned in all; the learning rate is half a cosine over them.
        stages: How many patches, and how large, from which share of the steps on.
        look_every: Steps between two scores.
        warm_up: Steps in which the learning rate rises.
        learning_rate: Of Adam, after the warm-up.
        **run: The keywords of :class:`fastip.train.Run` that :class:`Place` has.

    Returns:
        The prior with the running mean of the weights, frozen, on the CPU.

    Raises:
        InvalidInput: For bad values, and files of other settings.
        MissingData: Where pictures are not fetched.
        Diverged: When the loss is no longer a number.
        Unsupported: Without the extra ``train``.
    """
    batch = stages[0].batch if stages else 1
    precision = quick_precision(run.get("accelerator", "auto"))
    how = run_of(run, batch=batch, steps=steps, learning_rate=learning_rate, output=output, precision=precision)
    settings = settled(
        steps=steps, stages=stages, precision=how.precision, warm_up=warm_up, learning_rate=learning_rate
    )
    check_count(look_every, "look_every", low=1)
    chosen = begun.net if begun is not None else network() if net is None else net
    pictures = training_pictures() if pictures is None else pictures
    whole = _Run(chosen, pictures, data.validation_photographs() if validation is None else validation, settings)
    plan = how.plan(
        save_every=settings.steps,
        clip=settings.clip,
        betas=settings.betas,
        warm_up=settings.warm_up,
        look_every=look_every,
        save_minutes=SAVE,
        pause=PAUSE,
        begun=None if begun is None else begun.history,
    )
    course = Course(
        "prior",
        checkpoint.load_prior,
        saved,
        record(chosen, pictures, settings),
        output,
        plan,
        how.accelerator,
        settings,
    )
    return course.run(whole.train, whole.made)


def settled(
    *,
    steps: int = STEPS,
    stages: tuple[Stage, ...] = STAGES,
    precision: str = "bf16-mixed",
    warm_up: int = WARM_UP,
    learning_rate: float = RATE,
) -> Settings:
    """The recipe's settings, with what a caller may change."""
    return Settings(
        batch=stages[0].batch if stages else 1,
        steps=check_count(steps, "steps", low=1),
        learning_rate=learning_rate,
        seed=0,
        devices=1,
        precision=precision,
        average=0.9999,  # over some ten thousand steps: more forgets slowly, less is noisier
        warm_up=warm_up,
        clip=1.0,
        balance=BALANCE,
        betas=(0.9, 0.99),  # squares over a hundred steps, as levels and patches are mixed in each
        stages=stages,
        levels=LEVELS,
    )


def record(net: nets.PriorNet, pictures: data.Pictures, settings: Settings) -> dict[str, Any]:
    """What must be the same for a state to be gone on from, as JSON values: settings, network's structure, pictures."""
    return {
        "kind": NAME,
        "net": {"name": type(net).__name__, "config": net.config()},
        "images": described(pictures),
    } | asdict(settings)


def test_photographs(size: int = 256) -> list[Tensor]:
    """The middles of the seven everyday test photographs, 1 3 size size."""
    return [data.centre(x, size) for x in data.held_out_photographs(data.EVERYDAY).values()]


def training_pictures() -> data.ReducedPhotographs:
    """What it learns from. The first call reduces the photographs, which takes a minute."""
    return data.ReducedPhotographs("train", STAGES[0].size, sets=SETS, report=_said)


def _said(what: str, done: int, total: int) -> None:
    if done % 50 == 0 or done == total:
        Bar(1, 0, True).say(f"{what}: {done} of {total}")


def saved(path: Path, made: PixelShuffleAutoencoder, summary: Mapping[str, Any]) -> None:
    """``Course.save`` of the denoiser: in float16, which halves the file."""
    checkpoint.save_prior(path, made, training=summary, dtype=torch.float16)


def psnr(net: nn.Module, pictures: Sequence[Tensor], half: bool = True) -> list[float]:
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
        draw = Ahead(
            Feed(
                self.pictures,
                self.settings.stages,
                plan.steps,
                self.settings.levels,
                self.settings.seed,
                fabric.world_size,
            ),
            plan.steps,
        )
        try:
            history = loop.fit(
                fabric, objective, draw, plan.watched(objective.follow, lambda: (self._score(objective), {}))
            )
        finally:
            draw.close()
        return {name: tensor.cpu().numpy().copy() for name, tensor in objective.average.state_dict().items()}, history

    def _score(self, objective: Denoising) -> float:
        return float(np.mean(psnr(objective.average, self.validation, self.settings.precision == "bf16-mixed")))

    def made(self, weights: Weights) -> PixelShuffleAutoencoder:
        net = copy.deepcopy(self.net).cpu()
        net.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
        return PixelShuffleAutoencoder(net.eval().requires_grad_(False), trained=Trained(self.settings.levels))
