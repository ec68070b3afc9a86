"""The tasks for photographs on pictures that no training saw.

A baseline, total variation and the network, for each boundary; and how long they take.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ... import data, nets, tasks
from ...contracts import LinearOperator
from ..photographs import photographs
from ..scores import Scores, best_wiener, bicubic, fitted, scores, total_variation, under_data

NAMES = ("photo-sr4", "photo-sr4-wide", "photo-deblur-motion")
BICUBIC, WIENER, VARIATION, LEARNED = "bicubic", "best Wiener", "total variation", "learned"


def baseline(name: str) -> str:
    """What a task is measured against: bicubic interpolation, or without a stride the best Wiener filter."""
    return BICUBIC if tasks.get(name).stride > 1 else WIENER


@dataclass(frozen=True)
class Compared:
    """The data, the truth and what each method made of them, cut to what lies under the data; and the scores."""

    y: Tensor
    truth: Tensor
    images: dict[str, Tensor]
    scores: dict[str, Scores]


def compare(name: str, x: Tensor, boundary: str, judge: nets.Comparator | None) -> Compared:
    """Degrade the photographs b 3 h w as the task says, restore them by each method, and score."""
    problem = tasks.load_task(name, boundary=boundary)
    op = problem.op
    x = fitted(x, op)
    y = data.degrade(x, op, problem.noise or 0.0)
    truth = under_data(x, op, y)
    simple = _enlarged(y, op, truth) if baseline(name) == BICUBIC else under_data(best_wiener(y, op, x), op, y)
    images = {baseline(name): simple}
    for method, solve in ((VARIATION, total_variation(op)), (LEARNED, problem)):
        images[method] = under_data(solve.solve(y).x, op, y)
    return Compared(y, truth, images, {method: scores(image, truth, judge) for method, image in images.items()})


def _enlarged(y: Tensor, op: LinearOperator, truth: Tensor) -> Tensor:
    """Bicubic interpolation covers what lies under the data, and a little more where the psf is below the stride."""
    return bicubic(y, op)[..., : truth.shape[-2], : truth.shape[-1]]


def singly(
    name: str, pictures: Sequence[str], size: int, judge: nets.Comparator | None
) -> dict[str, dict[str, Scores]]:
    """Scores of the circular task by picture."""
    return {picture: compare(name, photographs(size, (picture,)), "circular", judge).scores for picture in pictures}


def timed(name: str, size: int, repeats: int, device: torch.device, batch: int = 1) -> dict[str, Any]:
    """The shortest of ``repeats`` times of the learned task and of total variation, which take turns.

    On size x size pixels; seconds for all of the batch.
    """
    problem = tasks.load_task(name, boundary="circular")
    x = photographs(size, ("astronaut",)).expand(batch, -1, -1, -1)
    y = data.degrade(x, problem.op, problem.noise or 0.0).to(device)
    solves = {LEARNED: problem, VARIATION: total_variation(problem.op)}
    seconds = {method: float("inf") for method in solves}
    for turn in range(repeats + 1):  # the first pays for plans and threads
        for method, solve in solves.items():
            _finish(device)
            start = time.perf_counter()
            solve.solve(y)
            _finish(device)
            if turn:
                seconds[method] = min(seconds[method], time.perf_counter() - start)
    return {
        "device": str(device),
        "size": size,
        "batch": batch,
        "seconds": seconds,
        "images per second": batch / seconds[LEARNED],
    }


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
