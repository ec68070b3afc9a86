"""Training the network of a prior on pictures: as a denoiser, or through the iterations of the solver it will serve."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .. import checkpoint, nets
from ..arrays import check_count, check_number
from ..checkpoint.prior import check_dtype
from ..contracts import Inverse, LinearOperator
from ..data import Batches, Pictures
from ..errors import InvalidInput
from ..priors import PixelShuffleAutoencoder, Trained
from ..priors.trained import likeness
from .described import described
from .engine import loop, state
from .engine.course import AveragedSettings, Course, Weights
from .engine.run import PriorOptions, Run, run_of, training
from .losses.perceptual import Judges, Perceptual
from .losses.restoration import Denoising, Draw, Drawn, Restoration, Score, Unrolled

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from typing_extensions import Unpack

LOOKED_AT = 8  # pictures of the validation set: more are a steadier score, and each look takes longer


@dataclass(frozen=True, kw_only=True)
class Settings(AveragedSettings):
    """All that decides the trained weights, but the net, the operator and the pictures."""

    data_noise: float
    norm: int
    clip: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if check_count(self.norm, "norm", low=1) > 2:
            raise InvalidInput(
                f"norm is {self.norm}; expected 1 for the mean of absolute differences, or 2 for that of squares"
            )
        check_number(self.data_noise, "data_noise", low=0.0)
        check_number(self.clip, "clip", low=0.0, strict=True)


@training(PriorOptions)
def prior(
    net: nets.PriorNet,
    images: Pictures,
    op: LinearOperator | None = None,
    *,
    noise: tuple[float, float] | float = (0.01, 0.2),
    data_noise: float = 0.0,
    norm: int = 1,
    perceptual: Perceptual | None = None,
    validation: Pictures | None = None,
    **run: Unpack[PriorOptions],
) -> PixelShuffleAutoencoder:
    """Train a network to take noise of any level of a range away, and return it as a prior.

    It minimises over the weights ::

        E |net(x + s e, y, s) - x|^norm,   e ~ N(0, I), log s uniform

    with y = A x + data_noise n, n ~ N(0, I), for a network that takes data.

    Args:
        net: Trained from the weights it has, and left alone (a copy is trained).
        images: What it learns from, e.g. ``data.Photographs("train", 128)``.
        op: The operator A whose data the network takes; None for one that takes none.
        noise: (low, high), positive levels in image units, or one.
        data_noise: The standard deviation of the noise in y.
        norm: 1 for the mean of absolute differences, 2 for that of squares.
        perceptual: Losses that are added to that of the pixels: a comparator's distance and a discriminator's doubt,
            see :class:`Perceptual`.
        validation: Pictures that are not trained on; the log then has the PSNR of eight of them (with the least, a
            middling and the most noise).
        **run: The keywords of :class:`fastip.train.Run`; here batch (8), steps (3000), learning_rate (1e-3), average
            (0.999), clip (1). torch.float16 as dtype halves the file (load_prior gives float32 again).

    Returns:
        The prior with the running mean of the weights, frozen, on the CPU. It has no level yet:
        ``prior.at(noise=0.01)``.

    Raises:
        InvalidInput: For bad values, and files of other settings.
        Diverged: When the loss is no longer a number (``train.engine.loop.Diverged``).
        Unsupported: Without the extra ``train``.
    """
    how = run_of(run, batch=8, steps=3000, learning_rate=1e-3, average=0.999, clip=1.0)
    settings = Settings(**how.decisive, data_noise=data_noise, norm=norm)
    trained = Trained(_range(noise), _likeness(net, op))
    if op is not None and not net.conditional:
        raise InvalidInput(
            f"op is given, and this {type(net).__name__} takes no data; leave op out, "
            "or build the network with data_colours"
        )
    whole = _Run(net, images, op, validation, trained, settings, "denoising", Denoising, perceptual)
    return whole.prior(how)


@training(PriorOptions)
def unrolled(
    net: nets.PriorNet,
    images: Pictures,
    op: LinearOperator,
    *,
    beta: float | Sequence[float],
    levels: float | Sequence[float],
    iterations: int,
    inverse: str | Inverse = "auto",
    data_noise: float = 0.0,
    norm: int = 1,
    perceptual: Perceptual | None = None,
    validation: Pictures | None = None,
    **run: Unpack[PriorOptions],
) -> PixelShuffleAutoencoder:
    """Fine-tune a network through the iterations of the solver, and return it as a prior.

    The result of the iterations is to be near the truth: over the weights it minimises ::

        E |admm(y, op, net) - x|^norm,   y = A x + data_noise n, n ~ N(0, I)

    Args:
        net: A network that ``train.prior`` made; a copy is trained.
        images: What it learns from, e.g. ``data.Photographs("train", 96)``.
        op: The operator A, whose data a network that takes data sees too.
        beta: The penalty, a number or one for each iteration (the last is repeated).
        levels: The level that the network is told, in image units, a number or one for each iteration likewise.
        iterations: As many as the solver will make.
        inverse: As for ``admm``; it must be differentiable, as all of fastip are.
        data_noise: The standard deviation of the noise in y.
        norm: 1 for the mean of absolute differences, 2 for that of squares.
        perceptual: Losses that are added to that of the pixels, as for ``train.prior``.
        validation: Pictures that are not trained on; the log then has the PSNR of eight of them.
        **run: The keywords of :class:`fastip.train.Run`; here batch (4), steps (1000), learning_rate (2e-4), average
            (0.999), clip (1).

    Returns:
        The prior with the running mean of the weights, frozen, on the CPU. It has the levels of the iterations, and
        ``prior.trained.beta`` is what to pass to ``admm`` as beta.

    Raises:
        InvalidInput: For bad values, and files of other settings.
        Diverged: When the loss is no longer a number (``train.engine.loop.Diverged``).
        Unsupported: Without the extra ``train``.
    """
    how = run_of(run, batch=4, steps=1000, learning_rate=2e-4, average=0.999, clip=1.0)
    settings = Settings(**how.decisive, data_noise=data_noise, norm=norm)
    count = check_count(iterations, "iterations", low=1)
    pairs = tuple(zip(_each(beta, "beta", count), _each(levels, "levels", count), strict=True))
    told = [level for _, level in pairs]
    trained = Trained((min(told), max(told)), _likeness(net, op), pairs)
    objective = partial(Unrolled, iterations=pairs, inverse=inverse)
    return _Run(net, images, op, validation, trained, settings, "unrolled", objective, perceptual).prior(how)


def _range(noise: float | Sequence[float]) -> tuple[float, float]:
    given = tuple(noise) if isinstance(noise, Sequence) and not isinstance(noise, str) else (noise, noise)
    if len(given) != 2:
        raise InvalidInput(f"noise is {noise!r}; expected a level, or two for a range (low, high)")
    return check_number(given[0], "noise"), check_number(given[1], "noise")


def _each(value: float | Sequence[float], name: str, count: int) -> tuple[float, ...]:
    """One number for each iteration."""
    given = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    numbers = tuple(check_number(number, name, low=0.0, strict=True) for number in given)
    if not 1 <= len(numbers) <= count:
        raise InvalidInput(
            f"{name} has {len(numbers)} numbers for {count} iterations; expected one, or at most as many"
        )
    return numbers + numbers[-1:] * (count - len(numbers))


def _likeness(net: Any, op: LinearOperator | None) -> str | None:
    """What ties the network to the operator. Raises InvalidInput for what is no network, and for a missing operator."""
    if not isinstance(net, nets.PriorNet) or nets.PRIOR_NETS.get(type(net).__name__) is not type(net):
        raise InvalidInput(f"net is {type(net).__name__}; expected one of {', '.join(nets.PRIOR_NETS)}")
    if not net.conditional:
        return None
    if op is None:
        raise InvalidInput(f"this {type(net).__name__} takes data beside the image; give the operator that makes them")
    return likeness(op)


@dataclass(frozen=True)
class _Run:
    """A training of a prior, from its arguments to what it returns."""

    net: nets.PriorNet
    images: Pictures
    op: LinearOperator | None
    validation: Pictures | None
    trained: Trained
    settings: Settings
    kind: str
    objective: Any  # (net, op, data_noise, norm, decay) -> Restoration
    perceptual: Perceptual | None

    def __post_init__(self) -> None:
        for name, pictures in (("images", self.images), ("validation", self.validation)):
            if not isinstance(pictures, Pictures) and not (name == "validation" and pictures is None):
                raise InvalidInput(
                    f"{name} is {type(pictures).__name__}; expected pictures of fastip.data, "
                    "e.g. data.Photographs('train', 128)"
                )
        if self.perceptual is not None:
            if not isinstance(self.perceptual, Perceptual):
                raise InvalidInput(
                    f"perceptual is {type(self.perceptual).__name__}; expected a train.Perceptual, "
                    "e.g. train.Perceptual(comparator=0.1)"
                )
            object.__setattr__(self, "perceptual", self.perceptual.suited(self.images.batch([0]), self.settings.seed))

    def record(self) -> dict[str, Any]:
        """The settings as JSON values, with the network's structure, the operator and the pictures."""
        record = {
            "kind": self.kind,
            "net": {"name": type(self.net).__name__, "config": self.net.config()},
            "operator": None if self.op is None else self.op.fingerprint(),
            "images": described(self.images),
            "levels": list(self.trained.levels),
            "schedule": [list(pair) for pair in self.trained.schedule],
        }
        # A key that is not used is left out, so that trainings without it are those of before.
        return (
            record
            | ({} if self.perceptual is None else {"perceptual": self.perceptual.record()})
            | asdict(self.settings)
        )

    def prior(self, how: Run) -> PixelShuffleAutoencoder:
        """What an earlier run made, or what this one makes."""
        check_dtype(how.dtype)

        def save(path: Path, made: PixelShuffleAutoencoder, summary: Mapping[str, Any]) -> None:
            checkpoint.save_prior(path, made, op=self.op, training=summary, dtype=how.dtype)

        course = Course(
            "prior", checkpoint.load_prior, save, self.record(), how.output, how.plan(), how.accelerator, self.settings
        )
        return course.run(partial(_train, self), self._made)

    def _made(self, weights: Weights) -> PixelShuffleAutoencoder:
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        dtype = next(tensor.dtype for tensor in tensors.values() if tensor.is_floating_point())
        net = copy.deepcopy(self.net).to("cpu", dtype)
        net.load_state_dict(tensors)
        return PixelShuffleAutoencoder(net.eval().requires_grad_(False), sigma=self.trained.sigma, trained=self.trained)


def _train(run: _Run, plan: loop.Plan, fabric: Fabric) -> tuple[Weights, state.History]:
    """In each process: the averaged weights, and what happened."""
    settings = run.settings
    own = copy.deepcopy(run.net).cpu().train().requires_grad_()
    objective: Restoration = run.objective(own, run.op, settings.data_noise, settings.norm, settings.average)
    draw = Draw(
        Batches(run.images, settings.batch, settings.seed, fabric.world_size), run.trained.levels, run.op, settings.seed
    )
    look = (
        None if run.validation is None else Score(objective, run.validation, draw, min(LOOKED_AT, len(run.validation)))
    )
    if run.perceptual is None:
        history = loop.fit(fabric, objective, draw, plan.watched(objective.follow, look))
    else:
        judges = _judges(run, objective, draw(0, 0), fabric)
        watched = plan.watched(objective.follow, look, lambda: judges.terms)
        history = loop.fit(fabric, objective, draw, watched, judges.opponent(run.perceptual.learning_rate))
    return {name: tensor.cpu().numpy().copy() for name, tensor in objective.average.state_dict().items()}, history


def _judges(run: _Run, objective: Restoration, drawn: Drawn, fabric: Fabric) -> Judges:
    """What looks at the results beside the pixels, on the device and in the precision of the training."""
    assert run.perceptual is not None
    dtype = torch.float64 if run.settings.precision == "64-true" else torch.float32
    x, e, levels, n = (part.to(fabric.device, dtype) for part in drawn)
    objective.to(fabric.device, dtype)
    judges = Judges(run.perceptual, x)
    objective.judged(judges, x, e, levels, n)
    return judges
