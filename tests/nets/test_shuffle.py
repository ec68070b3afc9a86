"""Shuffled pixels: sizes that r does not divide, mirrored borders, data of finer and coarser grids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cases.checks import noise
from fastip.errors import InvalidInput
from fastip.nets.shuffle import beside, check_strides, data_channels, shuffle, unshuffle


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(12, 12), (13, 7), (5, 24), (1, 1)])
def test_there_and_back(factor, size):
    v = noise((2, 3, *size))
    f = unshuffle(v, factor, 0)
    assert f.shape == (2, 3 * factor**2, -(-size[0] // factor), -(-size[1] // factor))
    assert torch.equal(shuffle(f, factor, *size), v)


@pytest.mark.parametrize(("factor", "size"), [(2, (9, 12)), (4, (8, 8)), (3, (4, 11))])
def test_the_rim_mirrors_the_image(factor, size):
    v = noise((1, 2, *size))
    rows, columns = (-(-n // factor) * factor - n + factor for n in size)
    expected = np.pad(v.numpy(), ((0, 0), (0, 0), (factor, rows), (factor, columns)), mode="symmetric")
    assert torch.equal(F.pixel_shuffle(unshuffle(v, factor, 1), factor), torch.from_numpy(expected))


def test_up_to_a_common_multiple():
    v = noise((1, 2, 9, 17))
    f = unshuffle(v, 2, 1, 8)
    assert f.shape == (1, 8, 16 // 2 + 2, 24 // 2 + 2)
    expected = np.pad(v.numpy(), ((0, 0), (0, 0), (2, 9), (2, 9)), mode="symmetric")
    assert torch.equal(F.pixel_shuffle(f, 2), torch.from_numpy(expected))
    assert torch.equal(shuffle(f[..., 1:-1, 1:-1], 2, 9, 17), v)


def test_data_lie_beside_their_pixels():
    """A ramp over the image.

    What a grid point holds of the image and of the data is about the same, also where the image was filled up.
    """
    ramp = torch.arange(24.0)[None, None, :, None].expand(1, 1, 24, 24).contiguous()
    for factor, stride in ((4, 4), (4, 1), (4, 2), (2, 4), (1, 4), (3, 3)):
        y = ramp[..., ::stride, ::stride]
        n = 24 // factor
        image, data = unshuffle(ramp, factor, 0), beside(y, factor, stride, n, n)
        assert data.shape[1] == data_channels(1, factor, stride) and data.shape[2:] == image.shape[2:]
        assert (image.mean(1) - data.mean(1)).abs().max() < max(factor, stride)
        larger = beside(y, factor, stride, n + 2, n + 1)
        assert (
            torch.equal(larger[..., :n, :n], data)
            and torch.equal(larger[..., n + 1, :n], data[..., -1, :])
            and larger.shape[2:] == (n + 2, n + 1)
        )


def test_grids_that_do_not_meet_are_refused():
    for factor, stride in ((4, 3), (3, 2), (6, 4)):
        with pytest.raises(InvalidInput, match="divide"):
            check_strides(factor, stride)
