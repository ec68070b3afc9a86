"""The bound of memory: what it is read from, what a network takes, and the tiles that follow from both."""

from __future__ import annotations

import pytest
import torch

from cases.tasks import network
from fastip import nets, operators, psf
from fastip.errors import InvalidInput
from fastip.priors import memory


@pytest.mark.parametrize(
    ("given", "bytes_"),
    [
        (7, 7),
        ("2GB", 2 * 10**9),
        ("800 mb", 8 * 10**8),
        ("1.5GiB", 3 * 2**29),
        ("64k", 64_000),
        (".5g", 5 * 10**8),
        ("12", 12),
        ("3TiB", 3 * 2**40),
    ],
)
def test_sizes_as_people_write_them(given, bytes_):
    assert memory.parse(given) == bytes_


@pytest.mark.parametrize(
    "given", [0, -5, True, 1.5, None, "", "GB", "two GB", "2XB", "-1GB", "1e9", "inf", "2i", "0GB"]
)
def test_what_is_no_size(given):
    with pytest.raises(InvalidInput, match="memory is"):
        memory.parse(given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_tile_is_the_largest_that_fits(dtype):
    net = network(3, 3, 4, widths=(16, 32))
    shape, op = (1, 3, 4000, 3000), operators.Blur(psf.gaussian(9, 1.6), stride=4)
    held, each = memory.state(op, shape, 4, torch.float32), memory.features(net, dtype)
    assert memory.state(op, shape, 4, torch.float64) == 2 * held
    # conjugate gradients keep more
    assert memory.state(operators.Blur(op.psf, stride=4, boundary="reflect"), shape, 4, torch.float32) > held
    for spare in (30e6, 100e6):
        side = memory.tile(net, shape, held, bound=int(held + spare), dtype=dtype)
        assert nets.Tiled.smallest(net) <= side and each * side**2 <= spare < each * (side + 1) ** 2
    assert memory.tile(net, shape, held, bound=10**12, dtype=dtype) == memory.LARGEST_TILE
    with pytest.raises(
        InvalidInput,
        match=r"with 3 channels would take about (\d+) MB, and memory is bound to 500 MB; "
        r"raise the bound to at least \1 MB",
    ):
        memory.tile(net, shape, held, bound=500_000_000, dtype=dtype)
