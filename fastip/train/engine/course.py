"""The course of every training.

What an earlier run finished is returned, what one left unfinished goes on, and what comes out is kept with its log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from ... import checkpoint, nets, priors
from ...arrays import check_count, check_number
from ...errors import InvalidInput
from . import loop, state
from .files import Files
from .summary import summarise

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Made = TypeVar("Made")
Weights = dict[str, np.ndarray]  # arrays, because tensors die with a spawned process
Work = Callable[[loop.Plan, "Fabric"], tuple[Weights, state.History]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What all trainings are told; subclasses add their own. ``record`` keeps them."""

    batch: int
    steps: int
    learning_rate: float
    seed: int
    devices: int
    precision: str

    least_batch = 1

    def __post_init__(self) -> None:
        for name, low in (("batch", self.least_batch), ("steps", 1), ("seed", 0), ("devices", 1)):
            check_count(getattr(self, name), name, low=low)
        check_number(self.learning_rate, "learning_rate", low=0.0, strict=True)


@dataclass(frozen=True, kw_only=True)
class AveragedSettings(Settings):
    """The same with the decay of the running mean of the weights."""

    average: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= check_number(self.average, "average") < 1:
            raise InvalidInput(
                f"average is {self.average}; expected 0 <= average < 1, 0 for the weights of the last step"
            )


@dataclass(frozen=True)
class Course(Generic[Made]):
    """A training but for its work.

    Args:
        kind: What it trains, as its checkpoint says it.
        load: ``load(path)`` reads that checkpoint.
        save: ``save(path, made, summary)`` writes it.
        record: What must be the same for a file to count.
        output: The checkpoint, or None.
        plan: Without its files.
        accelerator: As for ``loop.make_fabric``.
        settings: What all trainings are told; the devices and the precision are taken from them.
    """

    kind: str
    load: Callable[[Path], Made]
    save: Callable[[Path, Made, Mapping[str, Any]], None]
    record: Mapping[str, Any]
    output: str | Path | None
    plan: loop.Plan
    accelerator: str
    settings: Settings

    def run(self, work: Work, make: Callable[[Weights], Made]) -> Made:
        """What is finished already, or what ``make`` makes of the weights of ``work(plan, fabric)`` in each process."""
        check_count(self.plan.save_every, "save_every", low=1)
        files = Files.beside(self.output, self.kind)
        finished = files.finished(self.record, self.load)
        if finished is not None:
            return finished
        fabric = loop.make_fabric(self.accelerator, self.settings.devices, self.settings.precision)
        weights, history = loop.launch(fabric, partial(work, self.plan.within(self.record, files.state, files.logs)))
        made = make(weights)
        if fabric.is_global_zero:
            summary = summarise(self.record, history, fabric.device)
            files.finish(lambda path: self.save(path, made, summary))
        return made


def saved_generator(path: Path, made: nets.Generator, summary: Mapping[str, Any]) -> None:
    """``Course.save`` of a generator."""
    checkpoint.save_generator(path, made, training=summary)


def saved_projector(path: Path, made: priors.Projector, summary: Mapping[str, Any]) -> None:
    """``Course.save`` of a projector."""
    checkpoint.save_projector(path, made, training=summary)
