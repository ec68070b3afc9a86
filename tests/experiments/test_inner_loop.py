"""The objective of the paper, its optimum at zero, and the experiment at a small size: facts, never times."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from fastip import experiments, inverses, nets
from fastip.experiments.inner_loop import inner_loop
from fastip.experiments.inner_loop.contenders import DescentTo, by_admm, interleaved, lowest_eigenvalue
from fastip.experiments.inner_loop.synthetic import laplace, optimum, paper_problem


def test_the_objective_is_that_of_the_paper() -> None:
    problem = paper_problem(32, gain=3.0, noise=0.5, seed=4)
    x = torch.randn(1, 1, 32, 32, dtype=torch.float64)
    expected = float((problem.y - problem.op(x)).square().sum()) / (2 * 0.5**2) + float(x.abs().sum())
    assert problem.objective(x) == pytest.approx(expected, rel=1e-12)


def test_laplace_pixels() -> None:
    x = laplace(256, seed=3)
    assert float(x.abs().mean()) == pytest.approx(1.0, abs=0.02)
    assert float(x.square().mean()) == pytest.approx(2.0, abs=0.08)
    assert abs(float(x.mean())) < 0.03
    assert float((x.abs() > 3).double().mean()) == pytest.approx(torch.exp(torch.tensor(-3.0)).item(), rel=0.1)


def test_the_paper_asks_for_zero() -> None:
    problem = paper_problem(128)
    assert problem.steepest() < 1
    best = optimum(problem)
    assert best.nonzeros == 0
    assert best.value == pytest.approx(problem.scale * float(problem.y.square().sum()), rel=1e-12)
    assert 0.5 * float(problem.y.square().sum()) == pytest.approx(best.value, rel=1e-12)


def test_more_gain_asks_for_more() -> None:
    problem = paper_problem(64, gain=10.0)
    assert problem.steepest() > 1
    best = optimum(problem)
    assert best.nonzeros > 0
    assert best.value < problem.objective(0 * problem.truth)


def test_no_x_is_below_the_bound() -> None:
    problem = paper_problem(48, gain=10.0, seed=2)
    best = optimum(problem)
    assert best.gap < 1e-10
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        size = 10.0 ** -(seed % 6)
        x = best.x + size * torch.randn(best.x.shape, generator=generator, dtype=torch.float64) * (best.x != 0)
        assert problem.objective(x) >= best.value * (1 - 1e-10)
        assert problem.bound(x) <= best.value * (1 + 1e-12)


@pytest.mark.parametrize("lowest", [False, True])
def test_descent_solves_to_its_tolerance(lowest: bool) -> None:
    problem = paper_problem(64, gain=10.0)
    op, y, beta = problem.op, problem.y, 0.3
    inverse = DescentTo(1e-6, lowest=lowest_eigenvalue(op, y) if lowest else None)
    e = inverse.bind(op, y, beta).apply(y)
    assert float((y - beta * e - op(op.adjoint(e))).norm() / y.norm()) <= 1e-6
    exact = inverses.Exact().bind(op, y, beta).apply(y)
    assert float((e - exact).norm() / exact.norm()) < 1e-5
    coarse = DescentTo(1e-1).bind(op, y, beta).apply(y)
    assert float((coarse - exact).norm() / exact.norm()) > 1e-4  # the tolerance decides


def test_solves_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    clock = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    seconds = interleaved([lambda: calls.append("a"), lambda: calls.append("b")], 2)
    assert calls == ["a", "b"] + ["a", "b"] * 2
    assert seconds == [[1.0, 1.0], [1.0, 1.0]]


def test_timed_and_watched_runs_are_the_same() -> None:
    problem = paper_problem(64, gain=10.0)
    for inverse in (inverses.Stencil(2), inverses.Exact(), DescentTo(1e-5)):
        contender = by_admm("a method", "", inverse, 0.3)
        values = contender.curve(problem, problem.objective, 12)
        assert len(values) == 12
        assert problem.objective(contender.solve(problem, 12)()) == pytest.approx(values[-1], rel=1e-5)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str]:
    folder = tmp_path_factory.mktemp("inner_loop")
    small = {"size": 64, "steps": 60, "relu_steps": 60, "repeats": 2, "betas": (0.1, 100.0)}
    with pytest.MonkeyPatch.context() as patch:
        # the paper's is slow to train
        patch.setattr(inner_loop, "relu", lambda boundary: nets.PaperInverseNet(channels=(4, 8), boundary=boundary))
        page = experiments.perform("inner_loop", folder, parameters=small)
    assert (folder / "inner_loop.png").stat().st_size > 10_000
    return json.loads((folder / "inner_loop.json").read_text())["numbers"], Path(page).read_text()


def test_every_data_step_ends_at_half_the_square_of_y(record: tuple[dict, str]) -> None:
    numbers, text = record
    assert set(numbers["curves"]) == set(inner_loop.SHOWN) == set(numbers["times"])
    half = numbers["problem"]["half_square"]
    assert numbers["problem"]["start"] > 1.5 * half
    for name, curve in numbers["curves"].items():
        assert curve["objective"][-1] == pytest.approx(half, rel=2e-3), name
        assert len(curve["objective"]) == numbers["problem"]["iterations"]
        assert curve["objective"][0] > 1.3 * half, name  # it has a way to go
    assert "x = 0" in text and f"{half:.1f}" in text


def test_the_curves_coincide(record: tuple[dict, str]) -> None:
    curves = {name: torch.tensor(c["objective"]) for name, c in record[0]["curves"].items()}
    for name, tolerance in (
        ("CG to 1e-5", 1e-5),
        ("gradient descent to 1e-5", 1e-5),
        ("stencil", 1e-4),
        ("learned, linear", 1e-2),
        ("learned, ReLU", 1e-2),
    ):
        assert torch.allclose(curves[name], curves["exact (FFT)"], rtol=tolerance), name


def test_a_small_beta_ends_at_once(record: tuple[dict, str]) -> None:
    small, large = record[0]["betas"]
    assert small["needed"] == 1 and large["needed"] > 5
    assert small["condition"] > 1.3 and large["condition"] < 1.001
