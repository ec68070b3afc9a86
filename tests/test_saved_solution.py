"""A solution is saved and loaded: by torch.load, which makes objects that it knows and no others, pickle and copies."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fastip
from fastip import operators, priors, psf
from fastip.contracts import Solution, Status
from fastip.errors import InvalidInput

BLUR = operators.Blur(psf.gaussian(5, sigma=1.0))


def solved(array: bool = False) -> Solution:
    y = torch.rand(2, 1, 11, 12, generator=torch.Generator().manual_seed(3))
    return fastip.admm(y.numpy() if array else y, BLUR, priors.TV(1e-3), iterations=7)


def through_torch(solution: Any) -> Any:
    file = io.BytesIO()
    torch.save(solution, file)
    file.seek(0)
    return torch.load(file)


def check_equal(one: Solution, other: Solution) -> None:
    assert type(one.x) is type(other.x) and one.status is other.status
    for name in ("x", "q", "iterations", "residuals", "beta", "prior_state"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=0, msg=name)


WAYS = {
    "torch": through_torch,
    "pickle": lambda solution: pickle.loads(pickle.dumps(solution)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("array", [False, True], ids=["tensor", "numpy"])
@pytest.mark.parametrize("way", WAYS)
def test_a_solution_comes_back_as_it_was(way: str, array: bool) -> None:
    solution = solved(array)
    assert solution.prior_state is not None and isinstance(solution.x, np.ndarray) == array
    back = WAYS[way](solution)
    check_equal(back, solution)
    y = torch.rand(2, 1, 11, 12)
    y = y.numpy() if array else y
    check_equal(*(fastip.admm(y, BLUR, priors.TV(1e-3), iterations=5, init=init) for init in (back, solution)))


X = np.random.default_rng(0).random((2, 3, 5, 7), "float32")
READ_ONLY = X.copy()
READ_ONLY.flags.writeable = False
ARRAYS = {
    "reversed": X[..., ::-1],
    "reversed along one element": X[:, :1].copy()[:, ::-1],
    "foreign": X.astype(X.dtype.newbyteorder()),
    "read-only": READ_ONLY,
    "part": X[..., 1:5],
    "fortran": np.asfortranarray(X),
    "half": X.astype("float16"),
    "long": X.astype("longdouble"),
    "empty": X[:0],
}
TORCH_TAKES = ("reversed along one element", "half", "empty")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ARRAYS)
def test_images_of_numpy_come_back_however_they_lie(way: str, name: str) -> None:
    x = ARRAYS[name]
    solution = Solution(x, None, Status.STOPPED, 3, torch.zeros(0, 2, 1))
    if way == "torch" and name not in TORCH_TAKES:
        with pytest.raises(pickle.UnpicklingError, match="weights_only"):
            through_torch(solution)
        plain = Solution(np.array(x, "float32", order="C"), None, Status.STOPPED, 3, torch.zeros(0, 2, 1))
        assert np.array_equal(through_torch(plain).x, x.astype("float32"))
        return
    back = WAYS[way](solution)
    # NumPy may turn the bytes of foreign order round when it loads them.
    assert type(back.x) is np.ndarray and back.x.dtype.name == x.dtype.name and np.array_equal(back.x, x)
    assert np.shares_memory(back.x, x) == (way == "copy" and x.size > 0)


class Rated(Solution):
    """With an attribute and a constructor of its own."""

    def __init__(self, solution: Solution, rating: int) -> None:
        vars(self).update(vars(solution))
        vars(self)["rating"] = rating


@pytest.mark.parametrize("way", ["pickle", "deepcopy", "copy"])
@pytest.mark.parametrize("array", [False, True], ids=["tensor", "numpy"])
def test_a_subclass_comes_back_as_one(way: str, array: bool) -> None:
    solution = Rated(solved(array), 4)
    back = WAYS[way](solution)
    assert type(back) is Rated and back.rating == 4
    check_equal(back, solution)


def test_a_solution_saved_before_its_class_was_named() -> None:
    solution = solved()
    make, (held, array, _) = solution.__reduce__()
    check_equal(make(held, array), solution)
    with pytest.raises(InvalidInput, match="expected a fastip.Solution"):
        make(held, array, dict)


@pytest.mark.parametrize("status", Status)
def test_a_status_is_kept_by_name(status: Status) -> None:
    assert through_torch({"status": status})["status"] is status is pickle.loads(pickle.dumps(status))
    assert status.value.encode() not in pickle.dumps(status)


def test_a_saved_batch_of_solutions_and_a_solution_without_a_dual() -> None:
    pair = [solved(), Solution(torch.ones(1, 1, 2, 2), None, Status.STOPPED, 3, torch.zeros(0, 2, 1))]
    for one, other in zip(through_torch(pair), pair, strict=True):
        check_equal(one, other)


@pytest.mark.parametrize("before", ["import torch, fastip", "import fastip, torch; fastip.psf"])
def test_a_fresh_process_loads_it(tmp_path: Path, before: str) -> None:
    """torch.load refused the class."""
    solution = solved()
    torch.save(solution, tmp_path / "s.pt")
    code = f"{before}; s = torch.load('s.pt'); print(type(s).__name__, s.status.name, s.iterations, float(s.x.sum()))"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    told = f"Solution {solution.status.name} {solution.iterations} {float(solution.x.sum())}"
    assert run.stdout.strip() == told, run.stderr
