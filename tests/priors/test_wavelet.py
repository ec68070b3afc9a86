"""Wavelet: the transform is orthogonal for every size, and is the usual one where the sides are even."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch

from cases.checks import dense_matrix
from cases.priors import draw, prox
from fastip import operators, priors
from fastip.errors import InvalidInput, Unsupported
from fastip.priors.wavelet import FilterBank, _join, _split


@pytest.mark.parametrize(
    "wavelet, tolerance", [("haar", 1e-13), ("db4", 1e-13), ("db20", 1e-13), ("coif2", 1e-13), ("sym8", 1e-11)]
)
@pytest.mark.parametrize("shape", [(8, 8), (9, 11), (5, 4), (12, 7)], ids=str)
@pytest.mark.parametrize("levels", [1, 2])
def test_transform_is_orthogonal(wavelet: str, tolerance: float, shape: tuple[int, int], levels: int) -> None:
    """Odd sides and filters longer than the image included."""
    prior, n = priors.Wavelet(1.0, wavelet, levels=levels), shape[0] * shape[1]
    forward = dense_matrix(prior.transform, (1, 1, *shape))
    torch.testing.assert_close(forward @ forward.T, torch.eye(n, dtype=torch.float64), rtol=0, atol=tolerance)
    torch.testing.assert_close(dense_matrix(prior.inverse, (1, 1, *shape)), forward.T, rtol=0, atol=tolerance)


@pytest.mark.filterwarnings("ignore:Level value:UserWarning")
@pytest.mark.parametrize("levels", [1, 3])
def test_even_sides_give_the_usual_coefficients(levels: int) -> None:
    x, prior = draw(2, 3, 16, 24, seed=1), priors.Wavelet(1.0, "db4", levels=levels)
    usual = pywt.wavedec2(x.numpy(), "db4", mode="periodization", level=levels, axes=(-2, -1))
    array, _ = pywt.coeffs_to_array(usual, axes=(-2, -1))
    np.testing.assert_allclose(prior.transform(x).numpy(), array, atol=1e-13)
    details = sum(np.abs(d).sum(axis=(-3, -2, -1)) for level in usual[1:] for d in level)
    np.testing.assert_allclose(priors.Wavelet(0.3, levels=levels).value(x).numpy(), 0.3 * details)


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db3", "db4", "db20", "coif2", "sym5"])
@pytest.mark.parametrize("size", [2, 3, 4, 5, 7, 10, 16, 31])
@pytest.mark.parametrize("axis", [-1, -2])
def test_filter_bank_is_that_of_pywavelets(wavelet: str, size: int, axis: int) -> None:
    """What serves other devices, on the CPU: filters longer than the signal and odd sides included."""
    filters = pywt.Wavelet(wavelet)
    bank, x = FilterBank(filters.dec_lo, filters.dec_hi), draw(2, size, size, seed=size)
    np.testing.assert_allclose(bank.split(x, axis).numpy(), _split(filters, x.numpy(), axis), rtol=0, atol=1e-14)
    np.testing.assert_allclose(bank.join(x, axis).numpy(), _join(filters, x.numpy(), axis), rtol=0, atol=1e-14)


def test_approximation_is_not_penalised() -> None:
    prior = priors.Wavelet(10.0, "haar", levels=2)
    flat = torch.full((1, 2, 9, 13), 0.4, dtype=torch.float64)
    assert prior.value(flat).item() < 1e-12
    torch.testing.assert_close(prox(prior, flat, 1.0), flat)
    assert prior.corner(flat) == (3, 4)
    x = prox(prior, draw(1, 2, 9, 13), 100.0)
    assert prior.value(x).item() < 1e-10 and x.std() > 0.01


def test_prox_thresholds_the_coefficients() -> None:
    prior, v = priors.Wavelet(0.2, "sym4", levels=2), draw(2, 1, 11, 10, seed=2)
    expected = prior.transform(v)
    h, w = prior.corner(v)
    kept = expected[..., :h, :w].clone()
    expected = expected.sign() * (expected.abs() - 0.5 * 0.2).clamp(min=0)
    expected[..., :h, :w] = kept
    torch.testing.assert_close(prior.transform(prox(prior, v, 0.5)), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["bior2.2", "rbio3.1", "dmey"])
def test_wavelets_that_are_not_orthogonal_are_refused(name: str) -> None:
    with pytest.raises(Unsupported, match=f"{name}.*not orthogonal"):
        priors.Wavelet(0.1, name)


@pytest.mark.parametrize("name", ["db99", "morl", "", None, 4])
def test_unknown_wavelets_are_refused(name: object) -> None:
    with pytest.raises(InvalidInput, match="expected the name"):
        priors.Wavelet(0.1, name)  # type: ignore[arg-type]


def test_too_many_levels_are_refused_with_advice() -> None:
    with pytest.raises(InvalidInput, match="levels=2 or fewer"):
        priors.Wavelet(0.1, levels=3).bind(torch.zeros(1, 1, 7, 64), operators.Identity())
    with pytest.raises(InvalidInput, match="at least 2"):
        priors.Wavelet(0.1, levels=1).bind(torch.zeros(1, 1, 1, 64), operators.Identity())
    with pytest.raises(InvalidInput, match="whole number"):
        priors.Wavelet(0.1, levels=0)


def test_other_tensors_are_refused() -> None:
    prior = priors.Wavelet(0.1)
    with pytest.raises(Unsupported, match="float32 or float64"):
        prior.transform(torch.zeros(1, 1, 16, 16, dtype=torch.bfloat16))
    with pytest.raises(InvalidInput, match="b c h w"):
        prior.bind(torch.zeros(1, 6), operators.Dense(torch.eye(6)))
