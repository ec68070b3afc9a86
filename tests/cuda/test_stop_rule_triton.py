"""The stop rule of the Triton solves on every script of the table, interpreted in a process of its own.

The loop is that of the product, and so are the kernels that judge; only what the iterations find is played.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cases.interpretation import INTERPRETED, run_again
from cases.interpretation import inspected as inspected
from cases.stop_rule import BETA, SOLVES, Script, assert_ends, assert_follows, every_script
from fastip.contracts import Convolution, Pointwise, Status, StencilStep
from fastip.kernels.family import Implementations
from fastip.stopping import EVERY, StopRule

triton = Implementations("triton")

FEW = 16  # images; more, and the interpreter would take seconds for each script


class TestOutside:
    __test__ = not INTERPRETED

    def test_the_rule_interpreted(self) -> None:
        run_again(__file__)


class Event:
    """In the place of an event of a GPU, so that the host reads the verdict one look late as it does there."""

    def record(self) -> None:
        self.recorded = True

    def synchronize(self) -> None:
        assert self.recorded


class Played:
    """In the place of the launches: two programs an image, of which the second has all sums."""

    def __init__(self, script: Script, x: Tensor, q: Tensor) -> None:
        self.script, self.x, self.q = script, x, q
        squares = script.squares()
        self.looks, self.asked = iter(squares.sums), 0

    def parts(self) -> tuple[int, int, int, int]:
        return 2, 2, 2, 2

    def run(self, count: int, watch: Any, last: bool) -> None:
        self.asked += count
        assert last == (self.asked == self.script.iterations)
        if watch is not None:
            data, moved, pending, pulled = next(self.looks)
            watch.data_squares.zero_().view(-1, 2)[:, 1] = data
            watch.pending_squares.zero_().view(-1, 2)[:, 1] = pending
            watch.image_squares.zero_().view(-1, 2)[:, 1] = moved
            watch.pulled_squares.zero_().view(-1, 2)[:, 1] = pulled
            watch.arrived = watch.arrived or [Event(), Event()]

    def result(self) -> Tensor:
        return self.x


class Ratios:
    """In the place of the kernel that makes ratios of sums, where one program an image takes the interpreter long."""

    def __init__(self, script: Script) -> None:
        self.looks = script.played()

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return self.launch

    def launch(self, state: Tensor, history: Tensor, *rest: Any, **options: Any) -> None:
        verdict, _, look, _ = state.tolist()
        if not verdict:
            history[look] = self.looks[look]


class TestScripts:
    __test__ = INTERPRETED

    @every_script
    def test_the_loop_judges_as_the_table_says(
        self, script: Script, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
    ) -> None:
        from fastip.kernels.triton import solve as module
        from fastip.kernels.triton import stop_rule

        if script.tolerance > 0:  # something is launched
            request.getfixturevalue("inspected")
        if script.images > FEW:
            monkeypatch.setattr(stop_rule, "ratios_kernel", Ratios(script))
        scales = script.squares().scales
        one, y = torch.ones(1, 1, dtype=torch.float64), scales.sizes[:, None, None, None]
        solves = []

        def play(step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, *rest: Any) -> Played:
            solves.append(Played(script, x, q))
            return solves[0]

        monkeypatch.setattr(module, "Solve", play)
        monkeypatch.setattr(stop_rule, "rounding", lambda dtype: 0.0)
        step = StencilStep(Convolution(one, 1, "zero"), one, BETA)
        rule = StopRule(script.tolerance, script.iterations, scales)
        found = triton.solve(step, Pointwise(), torch.zeros_like(y), torch.zeros_like(y), y, rule, 1.0)
        assert_ends(script, found[2:])
        late = EVERY if script.status is not Status.ITERATIONS else 0
        assert solves[0].asked == min(script.done + late, script.iterations)

    @pytest.mark.usefixtures("inspected")
    @pytest.mark.parametrize("name", ["converged", "not finite in the middle"])
    def test_whole_solves_follow_the_rule(self, name: str) -> None:
        # Squares of float32 are infinite a look earlier than those of float64.
        assert_follows(dataclasses.replace(SOLVES[name], done=None), triton.solve)
