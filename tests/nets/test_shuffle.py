"""Shuffled pixels: sizes that r does not divide, mirrored borders, data of finer and coarser grids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from checks import noise
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


def test_data_lie_beside_their_pixels():
    """A ramp over the image: what a grid point holds of the image and of the data is about the same."""
    ramp = torch.arange(24.0)[None, None, :, None].expand(1, 1, 24, 24).contiguous()
    for factor, stride in ((4, 4), (4, 1), (4, 2), (2, 4), (1, 4), (3, 3)):
        y = ramp[..., ::stride, ::stride]
        image, data = unshuffle(ramp, factor, 0), beside(y, factor, stride, 24 // factor, 24 // factor, 0)
        assert data.shape[1] == data_channels(1, factor, stride) and data.shape[2:] == image.shape[2:]
        assert (image.mean(1) - data.mean(1)).abs().max() < max(factor, stride)
        with_rim = beside(y, factor, stride, 24 // factor, 24 // factor, 1)
        assert torch.equal(with_rim[..., 1:-1, 1:-1], data) and torch.equal(with_rim[..., 0, 1:-1], data[..., 0, :])


def test_grids_that_do_not_meet_are_refused():
    for factor, stride in ((4, 3), (3, 2), (6, 4)):
        with pytest.raises(InvalidInput, match="divide"):
            check_strides(factor, stride)
