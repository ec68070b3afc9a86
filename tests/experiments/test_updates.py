"""The three updates at a small size: the corrected one is exact, the others are not; never times."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from fastip import experiments, inverses, nets
from fastip.experiments.inner_loop import updates
from fastip.experiments.inner_loop.synthetic import Optimum, Problem, observed, optimum, spikes

SMALL = {"size": 32, "betas": (1e-2,), "iterations": 200, "steps": 150, "relu_steps": 40}


@pytest.fixture(scope="module")
def motion() -> tuple[Problem, Optimum]:
    op, _ = updates.cases()["9 × 9 motion"]
    truth = spikes(32, seed=5)
    problem = Problem(op, truth, observed(op, truth, noise=0.01, seed=6), 1e-2, 1.0)
    return problem, optimum(problem)


def test_with_the_exact_inverse_the_three_updates_are_the_same(motion: tuple[Problem, Optimum]) -> None:
    exact = inverses.Exact(side="data")
    curves = [updates.trace(*motion, wrap(exact), 1e-1, 40)["curve"] for wrap in updates.FORMS.values()]
    for printed, residual, corrected in zip(*curves, strict=True):
        assert printed == pytest.approx(corrected, rel=1e-6, abs=1e-10)
        assert residual == pytest.approx(corrected, rel=1e-6, abs=1e-10)


def test_an_approximate_inverse_needs_the_correction(motion: tuple[Problem, Optimum]) -> None:
    stencil = inverses.Stencil(6)
    runs = {form: updates.trace(*motion, wrap(stencil), 1e-1, 300) for form, wrap in updates.FORMS.items()}
    assert runs["corrected"]["status"] == "ran" and runs["corrected"]["gap"] < 1e-7
    assert runs["residual"]["gap"] > 1e3 * max(runs["corrected"]["gap"], 1e-10)
    assert runs["printed"]["gap"] > 10 * runs["residual"]["gap"]


def test_a_run_that_diverges_is_stopped_and_said_to(motion: tuple[Problem, Optimum]) -> None:
    run = updates.trace(*motion, inverses.Printed(inverses.Stencil(6)), 1e-3, 500)
    assert run["status"] == "diverged" and run["iterations"] < 500
    assert not run["gap"] < updates.LIMIT
    assert updates._cell(run | {"gap": run["gap"] if math.isfinite(run["gap"]) else None}) == "diverged"


def test_a_run_that_ends_above_zero_is_said_to_be_useless(motion: tuple[Problem, Optimum]) -> None:
    run = updates.trace(*motion, inverses.Printed(inverses.Stencil(6)), 2e-2, 200)
    assert run["status"] == "useless" and run["iterations"] == 200
    problem, best = motion
    assert run["gap"] > problem.objective(0 * problem.truth) / best.value - 1


def test_an_inverse_that_is_not_definite_is_refused(motion: tuple[Problem, Optimum]) -> None:
    run = updates.trace(*motion, inverses.Stencil(1), 1e-3, 10)
    assert run["status"] == "refused" and "positive definite" in run["reason"] and updates._cell(run) == "refused"


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str]:
    folder = tmp_path_factory.mktemp("updates")
    with pytest.MonkeyPatch.context() as patch:  # the networks of the full size are slow to train
        patch.setattr(updates, "relu", lambda boundary: nets.PaperInverseNet(channels=(4, 8), boundary=boundary))
        patch.setattr(updates, "wide", lambda boundary: nets.InverseNet(channels=(8,), sizes=(5,), boundary=boundary))
        page = experiments.perform("updates", folder, parameters=SMALL)
    assert (folder / "updates.png").stat().st_size > 10_000
    return json.loads((folder / "updates.json").read_text())["numbers"], Path(page).read_text()


def test_the_references_are_certified(record: tuple[dict, str]) -> None:
    assert len(record[0]["references"]) == 3
    for name, reference in record[0]["references"].items():
        assert -1e-13 < reference["certified_gap"] < 1e-10, name


def test_the_corrected_update_follows_the_exact_one(record: tuple[dict, str]) -> None:
    for result in record[0]["results"]:
        exact = result["runs"][updates.EXACT]["gap"]
        for kind in ("closed-form stencil", "learned, linear"):
            run = result["runs"][f"{kind}, corrected"]
            assert run["status"] == "ran" and run["gap"] <= 10 * exact + 1e-3, (result["problem"], result["beta"], kind)


def test_the_corrected_update_beats_the_uncorrected_ones(record: tuple[dict, str]) -> None:
    worse = {"printed": 0, "residual": 0}
    for result in record[0]["results"]:
        runs = result["runs"]
        for form in worse:
            corrected, other = runs["learned, linear, corrected"], runs[f"learned, linear, {form}"]
            assert other["status"] != "ran" or other["gap"] >= corrected["gap"] - 1e-6, (
                result["problem"],
                result["beta"],
                form,
            )
            worse[form] += other["status"] != "ran" or other["gap"] > 10 * corrected["gap"] + 1e-9
    assert worse["printed"] == 3 and worse["residual"] >= 2


def test_the_page_shows_every_table(record: tuple[dict, str]) -> None:
    numbers, text = record
    for kind in updates.APPROXIMATE:
        assert f"## C: {kind}" in text
    assert "diverged" in text and len(numbers["nets"]) == 2 * 3 * len(SMALL["betas"])
    assert {n["steps"] for n in numbers["nets"]} == {SMALL["steps"], SMALL["relu_steps"]}
