"""Gaussian measurements: the distribution of the matrix, its seed, bad inputs."""

from __future__ import annotations

import pickle

import pytest
import torch

from fastip import operators
from fastip.errors import InvalidInput, UnknownKeyword


def test_entries_are_normal_with_variance_one_over_m() -> None:
    matrix = operators.GaussianMeasurements(80, (3, 10, 15), seed=1).matrix
    assert matrix.shape == (80, 450) and matrix.dtype == torch.float64
    scaled = matrix.flatten() * 80**0.5
    assert (
        abs(scaled.mean()) < 0.02
        and abs(scaled.var() - 1) < 0.03
        and abs((scaled.abs() < 1).double().mean() - 0.6827) < 0.01
    )
    x = torch.randn(200, 3, 10, 15, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ratios = operators.GaussianMeasurements(80, (3, 10, 15))(x).square().sum(dim=1) / x.flatten(1).square().sum(dim=1)
    assert abs(ratios.mean() - 1) < 0.04 and 0.05 < ratios.std() < 0.3


def test_the_seed_decides() -> None:
    one, again, other = (operators.GaussianMeasurements(4, (1, 3, 5), seed=seed) for seed in (2, 2, 3))
    assert torch.equal(one.matrix, again.matrix) and one.fingerprint() == again.fingerprint() != other.fingerprint()
    assert not torch.equal(one.matrix, other.matrix)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    operators.GaussianMeasurements(4, (1, 3, 5))
    assert torch.equal(torch.rand(3), expected), "the generator of the process is left alone"
    back = pickle.loads(pickle.dumps(one))
    x = torch.rand(2, 1, 3, 5)
    assert torch.equal(back(x), one(x)) and one(x).dtype == torch.float32


def test_bad_inputs() -> None:
    for m in (0, -3, 2.0, True):
        with pytest.raises(InvalidInput, match="measurements is"):
            operators.GaussianMeasurements(m, (1, 3, 5))
    for shape in (15, (3, 5), (1, 3, 5, 1), "135"):
        with pytest.raises(InvalidInput, match="image_shape is"):
            operators.GaussianMeasurements(4, shape)
    with pytest.raises(InvalidInput, match="a size in image_shape"):
        operators.GaussianMeasurements(4, (1, 0, 5))
    with pytest.raises(InvalidInput, match="seed"):
        operators.GaussianMeasurements(4, (1, 3, 5), seed=-1)
    with pytest.raises(UnknownKeyword, match="seed"):
        operators.GaussianMeasurements(4, (1, 3, 5), sede=1)
    with pytest.raises(InvalidInput, match="expected b x 1 x 3 x 5"):
        operators.GaussianMeasurements(4, (1, 3, 5))(torch.rand(1, 3, 5, 1))


def test_nothing_else_that_the_seed_draws_is_in_the_matrix() -> None:
    """The same seed for images, noise and measurements is common, and must not make them depend on each other."""
    op = operators.GaussianMeasurements(30, (1, 20, 20), seed=0)
    x = torch.randn(30, 1, 20, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert abs(torch.corrcoef(torch.stack([x.flatten(), op.matrix.flatten()]))[0, 1]) < 0.05
