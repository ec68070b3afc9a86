"""Packing two real planes into one complex plane: lossless, and a real filter acts on both."""

import pytest
import torch

from fastip.solvers.spectral import full_plane, pack, unpack


@pytest.mark.parametrize("shape", [(1, 1, 4, 5), (2, 3, 6, 7), (3, 1, 5, 8), (2, 2, 1, 1)])
def test_unpack_inverts_pack(shape):
    x = torch.randn(shape)
    assert torch.equal(unpack(pack(x), x.shape), x)


@pytest.mark.parametrize("h, w", [(4, 6), (5, 7), (6, 5), (1, 8), (7, 1), (8, 2)])
def test_a_real_filter_acts_on_packed_planes(h, w):
    kernel = torch.randn(h, w, dtype=torch.float64)
    half = torch.fft.rfft2(kernel).abs().square()
    x = torch.randn(3, 1, h, w, dtype=torch.float64)
    expected = torch.fft.irfft2(torch.fft.rfft2(x) * half, s=(h, w))
    torch.testing.assert_close(full_plane(half, w), torch.fft.fft2(kernel).abs().square())
    torch.testing.assert_close(
        unpack(torch.fft.ifft2(torch.fft.fft2(pack(x)) * full_plane(half, w)), x.shape), expected
    )
