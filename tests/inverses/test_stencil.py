"""The stencil inverse: near the exact one where a small stencil can be, refused where it cannot serve."""

import pytest
import torch

from cases.problems import gaussian
from fastip import inverses, operators
from fastip.errors import InvalidInput, UnknownKeyword, Unsupported
from fastip.inverses.stencil import symbol_taps
from fastip.operators import psf


@pytest.mark.parametrize("half_width, error", [(3, 4e-3), (6, 2e-5), (10, 2e-8)])
def test_larger_stencils_approach_the_exact_inverse(half_width, error):
    """x4, 9 x 9 Gaussian 1.6, beta = 1e-2: the largest relative error falls as the support grows."""
    op = gaussian(4, "circular")
    y = torch.randn(2, 1, 48, 40, dtype=torch.float64)
    exact = inverses.Exact().bind(op, y, 1e-2).apply(y)
    stencil = inverses.Stencil(half_width).bind(op, y, 1e-2).apply(y)
    assert (stencil - exact).norm() < error * exact.norm()


def test_a_scalar_problem_is_fitted_exactly():
    op = operators.Blur(psf.gaussian(3, sigma=1.0), stride=4)
    y = torch.randn(1, 1, 9, 7, dtype=torch.float64)
    torch.testing.assert_close(
        inverses.Stencil(0).bind(op, y, 0.3).apply(y), inverses.Exact().bind(op, y, 0.3).apply(y)
    )


def test_small_grids_wrap():
    op = gaussian(4, "circular")
    y = torch.randn(1, 1, 3, 5, dtype=torch.float64)
    exact = inverses.Exact().bind(op, y, 0.1).apply(y)
    assert (inverses.Stencil(4).bind(op, y, 0.1).apply(y) - exact).norm() < 1e-3 * exact.norm()


def test_float32_and_non_square_psf():
    op = operators.Blur(torch.rand(3, 6), stride=2, boundary="valid")
    y = op(torch.rand(1, 2, 21, 26))
    step = inverses.Stencil(4).bind(op, y, 1.0)
    q, r = step(torch.zeros(op.input_shape(tuple(y.shape))), torch.zeros_like(y))
    assert q.dtype == torch.float32 and torch.equal(r, y)


def test_refusals():
    y = torch.randn(1, 3, 8, 8)
    with pytest.raises(Unsupported, match="strided convolution"):
        inverses.Stencil().bind(operators.Mask(torch.ones(8, 8)), y, 0.1)
    with pytest.raises(InvalidInput, match="half_width"):
        inverses.Stencil(-1)
    with pytest.raises(InvalidInput, match="half_width"):
        inverses.Stencil(2.5)
    with pytest.raises(UnknownKeyword, match="half_width"):
        inverses.Stencil(halfwidth=3)


def test_an_indefinite_fit_is_refused():
    """A 3 x 3 fit for Gaussian deblurring at beta = 1e-2 has negative eigenvalues; 13 x 13 has none."""
    y = torch.randn(1, 1, 64, 64)
    with pytest.raises(InvalidInput, match="positive definite"):
        inverses.Stencil(1).bind(gaussian(1, "circular"), y, 1e-2)
    inverses.Stencil(6).bind(gaussian(1, "circular"), y, 1e-2)


def test_a_wide_psf_costs_little_memory():
    """The symbol of a 151 x 151 psf by FFT; a direct correlation would take gigabytes."""
    convolution = operators.Blur(psf.gaussian(151, sigma=20.0), stride=2, boundary="valid").convolution()
    taps = symbol_taps(convolution)
    h = convolution.psf
    assert taps.shape == (151, 151)
    torch.testing.assert_close(taps[75, 75], h.square().sum(), rtol=1e-10, atol=0)
    torch.testing.assert_close(taps[75, 76], (h[:, 2:] * h[:, :-2]).sum(), rtol=1e-10, atol=0)
