"""The norm by Lanczos: never too small, close, and light."""

from __future__ import annotations

import pytest
import torch

from cases.checks import noise, operator_matrix
from fastip.operators import Blur, Dense, Function, Mask, MaskedFourier, psf
from fastip.operators.base.lanczos import largest_singular_value


@pytest.mark.parametrize("seed", range(6))
def test_random_matrices(seed):
    matrix = noise((30 + 5 * seed, 40), seed=seed)
    exact = torch.linalg.matrix_norm(matrix, ord=2).item()
    value = largest_singular_value(Dense(matrix), (1, 40), False)
    assert exact * (1 - 1e-12) <= value <= exact * (1 + 1e-6)


def test_crowded_spectrum_and_low_rank():
    orthogonal = torch.linalg.qr(noise((50, 50)))[0]
    crowded = orthogonal * torch.linspace(0.999, 1.0, 50, dtype=torch.float64)
    assert largest_singular_value(Dense(crowded), (1, 50), False) == pytest.approx(1.0, abs=1e-6)
    rank_one = torch.outer(noise((20,), seed=1), noise((50,), seed=2))
    assert largest_singular_value(Dense(rank_one), (1, 50), False) == pytest.approx(
        torch.linalg.matrix_norm(rank_one, ord=2).item(), rel=1e-9
    )
    assert largest_singular_value(Dense(orthogonal), (1, 50), False) == pytest.approx(1.0, abs=1e-9)


def test_complex_data_and_complex_images():
    fourier = MaskedFourier(noise((5, 6))) @ Mask(noise((5, 6), seed=1))
    exact = torch.linalg.matrix_norm(operator_matrix(fourier, (1, 1, 5, 6)), ord=2).item()
    assert fourier.norm() == pytest.approx(exact, rel=1e-6)
    assert largest_singular_value(fourier.T, (1, 1, 5, 6), True) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("boundary", ["zero", "valid", "reflect"])
def test_large_grids_approach_the_supremum_from_below(boundary):
    op = Blur(psf.gaussian(9, 1.6), stride=4, boundary=boundary)
    value = op.norm(op.input_shape((2, 3, 40, 40)))
    assert 0.24 < value <= op.norm()
    assert value == op.norm(op.input_shape((1, 1, 40, 40)))


def test_what_is_known_by_the_clock_takes_few_products():
    """A crowded spectrum of one's own: the norm is not too small, at most 1e-3 of its square too large, and quick."""
    matrix, called = torch.linalg.qr(noise((300, 300)))[0] * torch.linspace(0.97, 1.0, 300, dtype=torch.float64), 0

    def forward(x):
        nonlocal called
        called += 1
        return x @ matrix.T

    op = Function(forward, lambda y: y @ matrix, (300,), (300,))
    assert 1 - 1e-9 <= op.norm() ** 2 <= 1 + 1e-3
    assert called < 80
    assert (2 * op).norm() <= 2 * (1 + 1e-3)
    exact = Dense(matrix).norm((1, 300))
    assert exact == pytest.approx(1.0, abs=1e-7)
