"""What eigenvalues tend to as data grow: symbols between samples, and A A^T along an edge."""

import pytest
import torch

from cases.checks import noise
from cases.problems import gaussian
from fastip import inverses, operators
from fastip.contracts import Convolution
from fastip.errors import InvalidInput
from fastip.inverses import edges, limits
from fastip.inverses.stencil import symbol_taps


@pytest.mark.parametrize("boundary", ["zero", "valid", "reflect"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_along_an_edge_a_blur_is_itself(boundary, stride):
    a = Convolution(torch.rand(5, 4, dtype=torch.float64), stride, boundary)
    v = noise((1, 1, 7, 12))
    op = operators.Blur(a.psf, stride=stride, boundary=boundary)
    whole = op(op.adjoint(v.repeat(1, 1, 1, 5)))[0, 0, :, 24:36]
    frequencies = 2 * torch.pi / 12 * torch.arange(12, dtype=torch.float64)
    found = edges.cogram(a, symbol_taps(a), 7)(frequencies)(torch.fft.fft(v[0, 0]).T)
    torch.testing.assert_close(torch.fft.ifft(found.T).real, whole)


@pytest.mark.parametrize("boundary", ["zero", "valid", "reflect"])
@pytest.mark.parametrize("stride", [1, 3])
def test_transforms_apply_the_same_blur(boundary, stride):
    op, v = operators.Blur(torch.rand(8, 5), stride=stride, boundary=boundary), noise((1, 1, 11, 14))
    a = op.convolution()
    torch.testing.assert_close(edges.by_transforms(a, symbol_taps(a), (11, 14))(v), op(op.adjoint(v)))


def test_symbols_are_searched_between_samples():
    for seed in range(20):
        torch.manual_seed(seed)
        taps, other = torch.randn(5, 7, dtype=torch.float64), torch.randn(3, 3, dtype=torch.float64)
        taps, other = taps + taps.flip(0, 1), other + other.flip(0, 1)
        fine = [edges.spectrum(t, (601, 601)) for t in (taps, other)]
        assert limits.infimum(taps) == pytest.approx(float(fine[0].min()), rel=1e-3)
        value = limits.supremum(torch.mul, limits.sampled(taps, other), taps, other)
        assert value == pytest.approx(float((fine[0] * fine[1]).max()), rel=1e-3)
        assert limits.infimum(taps) <= float(fine[0].min()) + 1e-3 * float(fine[0].max())


def test_a_stencil_whose_symbol_dips_below_zero_between_samples_is_refused():
    """-6e-6 / beta; of 49 x 49 samples the smallest is 2e-4, and Lanczos on 96 x 96 says 1.2e-3."""
    with pytest.raises(InvalidInput, match="positive definite"):
        inverses.Stencil(2).bind(gaussian(1, "zero"), torch.zeros(1, 1, 400, 400), 1e-3)
