"""The tasks of compressed sensing: what they measure and solve, and what they refuse."""

from __future__ import annotations

import pytest
import torch

import fastip
from cases.generators import dcgan, encoder
from fastip import io, nets, operators, priors, tasks
from fastip.checkpoint import shipped
from fastip.errors import InvalidInput
from fastip.io import vectors

NAMES = ["digits-cs100", "fashion-cs100", "avatars-cs1000"]


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A projector of random weights in the place of those that ship."""
    net = nets.Projector(dcgan(), encoder()).eval()
    (tmp_path / "weights" / "projectors").mkdir(parents=True)
    fastip.save_projector(tmp_path / "weights" / "projectors" / "digits.safetensors", priors.Projector(net))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "weights")
    return priors.Projector(net)


def test_the_registry():
    assert [task.name for task in tasks.MEASURED] == NAMES == tasks.names()[-3:]
    for task in tasks.MEASURED:
        assert (
            task.name == f"{task.pictures}-cs{task.measurements}"
            and task.prior_text == "generator"
            and "seed 0" in task.data_text
        )


def test_a_problem_is_npgd_with_the_projector_of_the_set(small):
    problem = fastip.load_task("digits-cs100")
    op = operators.GaussianMeasurements(100, (1, 28, 28), seed=0)
    y = op(torch.rand(3, 1, 28, 28))
    seen: list[int] = []
    found = problem.solve(y, report=seen.append)
    expected = fastip.npgd(y, op, small, iterations=problem.iterations, tolerance=problem.tolerance)
    assert torch.equal(found.x, expected.x) and torch.equal(problem.solve(y).x, found.x) and not found.x.requires_grad
    assert (
        problem.op.fingerprint() == op.fingerprint()
        and seen == list(range(1, found.iterations + 1))
        and problem.noise == 0.0
    )
    short = tasks.get("digits-cs100").problem(iterations=2, tolerance=0.5)
    assert (short.iterations, short.tolerance) == (2, 0.5)
    assert next(tasks.get("digits-cs100").problem(dtype=torch.float64).prior.net.parameters()).dtype == torch.float64


@pytest.mark.parametrize(
    "option",
    [
        {"psf": "box:2"},
        {"boundary": "zero"},
        {"prior": "tv"},
        {"weight": 0.1},
        {"beta": 1.0},
        {"inverse": "cg"},
        {"memory": 10**9},
    ],
)
def test_what_a_measurement_leaves_no_choice_of(small, option):
    with pytest.raises(InvalidInput, match=f"{next(iter(option))} is given.*leave it out"):
        tasks.get("digits-cs100").problem(**option)


def test_bad_numbers(small):
    for option in (
        {"iterations": 0},
        {"tolerance": -1.0},
        {"dtype": torch.int64},
        {"dtype": "float32"},
        {"dtype": torch.complex64},
    ):
        with pytest.raises(InvalidInput, match=next(iter(option))):
            tasks.get("digits-cs100").problem(**option)
    with pytest.raises(InvalidInput, match="expected b x 100"):
        fastip.load_task("digits-cs100").solve(torch.rand(1, 99))


def test_its_data_are_vectors_in_a_file(tmp_path):
    y = torch.randn(1, 100)
    vectors.write_vector(tmp_path / "y.npy", y)
    found, kind = tasks.get("digits-cs100").read(tmp_path / "y.npy")
    assert torch.equal(found, y) and kind == io.Kind()
    assert isinstance(tasks.get("sr4"), tasks.ClassicalTask) and tasks.classical("sr4") is tasks.get("sr4")
    with pytest.raises(InvalidInput, match="no classical task 'digits-cs100'"):
        tasks.classical("digits-cs100")
