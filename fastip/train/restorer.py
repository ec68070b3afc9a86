"""Tuning one network through the solver on all kinds of problems: ``train.restorer``."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .. import checkpoint, nets
from ..arrays import check_count
from ..data import Batches, Pictures
from ..errors import InvalidInput, brief
from ..restorer import ITERATIONS, Distribution, Restorer
from .degradation import Draw, Example
from .described import described
from .engine import loop, state
from .engine.course import AveragedSettings, Course, Weights
from .engine.feed import Ahead
from .engine.run import PriorOptions, run_of, training
from .losses.restoring import Feed, Restoring, examples, score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightning_fabric import Fabric
    from typing_extensions import Unpack

LOOKED_AT = 8  # pictures of the validation set: more are a steadier score, and each look takes longer


@dataclass(frozen=True, kw_only=True)
class Settings(AveragedSettings):
    """All that decides the trained weights, but the net, the pictures and their degradations."""

    clip: float
    iterations: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.iterations, "iterations", low=1)


@training(PriorOptions)
def restorer(
    net: nets.PriorNet,
    images: Pictures,
    draw: Draw,
    *,
    iterations: int = ITERATIONS,
    trained: Distribution | None = None,
    validation: Pictures | None = None,
    **run: Unpack[PriorOptions],
) -> Restorer:
    """Tune a denoiser through the iterations of the solver on a distribution of problems, and return it as a restorer.

    Over the weights it minimises ::

        E log(|admm(y, A, net) - x|^2 + 1e-5),   y = A x + s n in 8 bits, n ~ N(0, I), (A, s) from draw

    the squared error a mean over the pixels of a picture that the data are of, with the levels and betas of
    ``priors.schedule(s, steps=iterations)``.

    Args:
        net: A denoiser that ``train.prior`` made, which takes no data; a copy is trained.
        images: What it learns from, e.g. ``data.ReducedPhotographs("train", 128)``.
        draw: ``draw(generator)`` gives the problem of a step, for all pictures of the batch: a
            :class:`Degradation`, or (operator, noise). A function of a module, or an object whose repr says all of it.
        iterations: As many as the restorer will make.
        trained: The distribution in words and bounds, for its warnings; None gives none.
        validation: Pictures that are not trained on; the log then has the PSNR of eight of them, each with a problem of
            its own that stays the same.
        **run: The keywords of :class:`fastip.train.Run`; here batch (4), steps (20,000), learning_rate (1e-4), average
            (0.999), clip (1).

    Returns:
        The restorer with the running mean of the weights, frozen, on the CPU.

    Raises:
        InvalidInput: For bad values, what ``draw`` should not give, and files of other settings.
        Diverged: When the loss is no longer a number (``train.engine.loop.Diverged``).
        Unsupported: Without the extra ``train``.
    """
    how = run_of(run, batch=4, steps=20_000, learning_rate=1e-4, average=0.999, clip=1.0)
    settings = Settings(**how.decisive, iterations=iterations)
    seen = [] if validation is None else list(validation.batch(range(min(LOOKED_AT, len(validation)))).split(1))
    work = Tuning(net, images, draw, examples(seen, draw, settings.seed), settings, trained)
    return work.course(how.output, how.plan(), how.accelerator, dtype=how.dtype)


@dataclass(frozen=True)
class Tuning:
    """A training of a restorer, from its arguments to what it returns.

    Args:
        net: To begin with.
        images: What it learns from.
        draw: The problem of a step.
        seen: What the score is measured on.
        settings: All numbers.
        trained: What the restorer will say of its training.
        kind: Of the record.
    """

    net: nets.PriorNet
    images: Pictures
    draw: Draw
    seen: Sequence[Example]
    settings: Settings
    trained: Distribution | None
    kind: str = "restorer"

    def __post_init__(self) -> None:
        Restorer(self.net, iterations=self.settings.iterations, trained=self.trained)  # refuses what is none
        if not isinstance(self.images, Pictures):
            expected = "pictures of fastip.data, e.g. data.ReducedPhotographs('train', 128)"
            raise InvalidInput(f"images is {brief(self.images)}; expected {expected}")

    def record(self) -> dict[str, Any]:
        """What must be the same for a state to be gone on from, as JSON values."""
        return {
            "kind": self.kind,
            "net": {"name": type(self.net).__name__, "config": self.net.config()},
            "images": described(self.images),
            "draw": getattr(self.draw, "__qualname__", None) or repr(self.draw),
        } | asdict(self.settings)

    def course(
        self, output: str | Path | None, plan: loop.Plan, accelerator: str, *, dtype: torch.dtype | None
    ) -> Restorer:
        """What an earlier run made, or what this one makes."""

        def save(path: Path, made: Restorer, summary: Mapping[str, Any]) -> None:
            checkpoint.save_restorer(path, made, training=summary, dtype=dtype)

        whole: Course[Restorer] = Course(
            "restorer", checkpoint.load_restorer, save, self.record(), output, plan, accelerator, self.settings
        )
        return whole.run(partial(_train, self), self.made)

    def made(self, weights: Weights) -> Restorer:
        """The restorer with these weights."""
        net = copy.deepcopy(self.net).cpu()
        net.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
        net = net.eval().requires_grad_(False)
        return Restorer(net, iterations=self.settings.iterations, trained=self.trained)


def _train(work: Tuning, plan: loop.Plan, fabric: Fabric) -> tuple[Weights, state.History]:
    """In each process: the averaged weights, and what happened."""
    settings = work.settings
    own = copy.deepcopy(work.net).cpu().train().requires_grad_().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    objective = Restoring(own, settings.iterations, settings.average)
    batches = Batches(work.images, settings.batch, settings.seed, fabric.world_size)
    draw = Ahead(Feed(batches, work.draw, settings.seed), plan.steps)
    look = partial(score, objective, work.seen) if work.seen else None
    try:
        history = loop.fit(fabric, objective, draw, plan.watched(objective.follow, look))
    finally:
        draw.close()
    return {name: tensor.cpu().numpy().copy() for name, tensor in objective.average.state_dict().items()}, history
