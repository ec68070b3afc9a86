"""The digit experiment at a small size, on digits that need no download."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from fastip import data
from fastip.experiments import digits


class Drawn:
    """The 8 x 8 digits of scikit-learn as MNIST has them: 20 x 20 in a frame of 4."""

    def __init__(self, split):
        assert split == "test"
        # importing scikit-learn brings another OpenMP
        table = Path(importlib.util.find_spec("sklearn").origin).parent / "datasets" / "data" / "digits.csv.gz"
        small = torch.tensor(np.loadtxt(table, delimiter=",", max_rows=40)[:, :64] / 16, dtype=torch.float32).view(
            -1, 1, 8, 8
        )
        self.images = torch.nn.functional.pad(
            torch.nn.functional.interpolate(small, size=20, mode="bicubic").clamp(0, 1), (4, 4, 4, 4)
        )

    def batch(self, indices):
        return self.images[list(indices)]


@pytest.fixture(scope="module")
def outcome():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "Digits", Drawn)
        return digits.run(count=12, betas=(1e-3, 1e-1), iterations=20)


def test_the_prior_restores_digits(outcome):
    """Far better than A^T y, and a small beta is better than a large one."""
    curves = outcome.numbers["curves"]
    assert {len(curve) for curve in curves.values()} == {20}
    assert curves["0.001"][-1] < 0.6 * outcome.numbers["adjoint"] and curves["0.001"][-1] < 0.6 * curves["0.1"][-1]


def test_the_page_tells_the_numbers(outcome):
    page = digits.page(outcome.numbers)
    assert f"{outcome.numbers['curves']['0.001'][-1]:.3g}" in page and "β = 0.001" in page
