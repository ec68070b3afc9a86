"""What a long training of a denoiser sees: patches that grow, and noise of every level, made ready one step ahead."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch

from ...data import ReducedPhotographs
from ..losses.restoration import Drawn
from . import schedule


@dataclass(frozen=True)
class Stage:
    """From this share of the steps on: pictures a step in each process, and their side."""

    share: float
    batch: int
    size: int


@dataclass(frozen=True)
class Feed:
    """(x, e, levels, n) of a step, from (seed, step, rank) alone: patches, e ~ N(0, I) like x, levels, and an empty n.

    Args:
        pictures: Where the patches come from.
        stages: By shares of ``steps``, the first of share 0; small patches first, which is more different pictures in
            the same time.
        steps: Of the whole training.
        levels: (low, high). Of every two patches one level is uniform between them, one log-uniform: small levels
            matter as much as large ones, which are seen more.
        seed: Of the noise and its levels.
        ranks: How many processes there are.
    """

    pictures: ReducedPhotographs
    stages: Sequence[Stage]
    steps: int
    levels: tuple[float, float]
    seed: int
    ranks: int = 1
    _sets: dict[int, ReducedPhotographs] = field(default_factory=dict, repr=False, compare=False)

    def stage(self, step: int) -> tuple[Stage, int]:
        """The stage of a step, and how many pictures one process has seen before it."""
        seen = 0
        starts = [round(stage.share * self.steps) for stage in self.stages]
        for stage, start, end in zip(self.stages, starts, [*starts[1:], self.steps + step + 1], strict=True):
            if step < end:
                return stage, seen + (step - start) * stage.batch
            seen += (end - start) * stage.batch
        raise AssertionError("the last stage has no end")

    def __call__(self, step: int, rank: int) -> Drawn:
        stage, seen = self.stage(step)
        first = seen * self.ranks + rank * stage.batch
        if stage.size not in self._sets:
            self._sets[stage.size] = self.pictures.sized(stage.size)
        x = self._sets[stage.size].batch(range(first, first + stage.batch))
        generator = torch.Generator().manual_seed(schedule.stream(self.seed, step, rank))
        e = torch.randn(x.shape, generator=generator)
        low, high = self.levels
        share = torch.rand(stage.batch, generator=generator)
        levels = torch.where(
            torch.arange(stage.batch) % 2 == 0, low + (high - low) * share, low * (high / low) ** share
        )
        return x, e, levels, torch.empty(0)


class Ahead:
    """``draw(step, rank)`` with the step after it made ready in a thread meanwhile.

    Steps come in turn; others are drawn at once.
    """

    def __init__(self, draw: Any, steps: int) -> None:
        self._draw, self._steps = draw, steps
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._next: tuple[int, int] | None = None
        self._ready: Future[Any] | None = None

    def __call__(self, step: int, rank: int) -> Any:
        drawn = (
            self._ready.result() if self._ready is not None and self._next == (step, rank) else self._draw(step, rank)
        )
        self._next, self._ready = None, None
        if step + 1 < self._steps:
            self._next, self._ready = (step + 1, rank), self._thread.submit(self._draw, step + 1, rank)
        return drawn

    def close(self) -> None:
        """Wait for the thread."""
        self._thread.shutdown(cancel_futures=True)
