"""Tiles: they cover the image, their weights sum to 1, and nothing is seen of them in the result."""

from __future__ import annotations

import itertools

import pytest
import torch

from fastip import operators, psf
from fastip.errors import InvalidInput
from fastip.nets.tiles import Tiles

GRIDS = [
    pytest.param(*grid, id="-".join(map(str, grid)))
    for grid in [
        (256, 256, 64, 16, 0, 1),
        (97, 61, 20, 7, 0, 1),
        (97, 61, 20, 19, 2, 1),
        (33, 200, 32, 0, 0, 1),
        (5, 7, 64, 16, 8, 1),
        (64, 40, 64, 16, 4, 4),
        (100, 36, 24, 10, 5, 4),
        (1, 31, 9, 3, 1, 1),
        (65, 65, 64, 32, 16, 1),
        (48, 52, 8, 6, 3, 2),
        (101, 38, 24, 10, 5, 4),
        (77, 81, 32, 20, 10, 4),
        (7, 131, 16, 4, 1, 8),
    ]
]


def tiles(h, w, tile, overlap, margin, multiple) -> Tiles:
    return Tiles(h, w, tile, overlap=overlap, margin=margin, multiple=multiple)


@pytest.mark.parametrize("grid", [p.values for p in GRIDS], ids=[p.id for p in GRIDS])
def test_partition_of_unity(grid):
    t = tiles(*grid)
    h, w, tile, overlap, margin, multiple = grid
    total = torch.zeros(h, w, dtype=torch.float64)
    for k, box in enumerate(t):
        weight = t.weight(k)
        assert weight.shape == (box.height, box.width) and weight.min() >= 0 and weight.dtype == torch.float64
        for side, size, start in ((box.height, h, box.top), (box.width, w, box.left)):
            last = start + side == size and start > 0  # smaller by what the image lacks to a multiple
            assert side == min(tile, size) - (-size % multiple if last else 0)
        assert (
            0 <= box.top <= h - box.height
            and 0 <= box.left <= w - box.width
            and box.top % multiple == 0 == box.left % multiple
        )
        box.of(total).add_(weight)
        # no weight on the outermost pixels where the image goes on
        inner = weight[0 if box.top == 0 else margin :, 0 if box.left == 0 else margin :]
        assert float(weight.sum()) == pytest.approx(float(inner.sum()), rel=1e-12)
    assert (total - 1).abs().max() < 1e-14
    assert len(list(t)) == len(t)
    for starts in (t._rows, t._columns):
        assert all(b - a <= tile - overlap for a, b in itertools.pairwise(starts)) and sorted(set(starts)) == starts


@pytest.mark.parametrize("grid", [p.values for p in GRIDS], ids=[p.id for p in GRIDS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 3])
def test_identity_and_constants(grid, dtype, batch):
    t = tiles(*grid)
    x = torch.rand(2, 3, *grid[:2], dtype=dtype)
    sums = -(-grid[2] // (grid[2] - grid[3]))  # tiles over one pixel, along an axis
    rounding = 4 * sums * torch.finfo(dtype).eps
    assert (t.map(lambda piece: piece, x, batch=batch) - x).abs().max() <= rounding
    assert (t.map(lambda piece: torch.full_like(piece[:, :1], 0.7), x, batch=batch) - 0.7).abs().max() <= rounding
    assert t.map(lambda piece: piece, x).dtype == dtype


def test_twenty_five():
    assert (
        len(Tiles(256, 256, 64, overlap=16)) == 25
        and len(Tiles(256, 256, 64, overlap=32)) == 49
        and len(Tiles(256, 256, 64, overlap=0)) == 16
    )
    assert Tiles(256, 256, 64, overlap=16)._rows == [0, 48, 96, 144, 192]


@pytest.mark.parametrize(("margin", "equal"), [(3, True), (0, False)])
def test_with_a_margin_of_the_radius_tiled_equals_whole(margin, equal):
    """A 7 x 7 blur that sees zeros outside each tile: a margin of 3 hides what the tile's border spoilt."""
    x = torch.rand(1, 2, 70, 53, dtype=torch.float64)
    blur = operators.Blur(psf.gaussian(7, sigma=2.0), boundary="zero")
    error = (Tiles(70, 53, 24, overlap=10, margin=margin).map(blur, x) - blur(x)).abs().max()
    assert (error < 1e-14) == equal, error


def test_neighbours_blend_smoothly():
    """Two tiles of different value meet in a sin^2 ramp, without a step."""
    numbers = iter(range(100))
    result = Tiles(8, 52, 32, overlap=12).map(
        lambda piece: torch.full_like(piece, float(next(numbers))),
        torch.zeros(1, 1, 8, 52, dtype=torch.float64),
        batch=1,
    )
    ramp = result[0, 0, 4]
    assert torch.equal(ramp[:20], torch.zeros(20, dtype=torch.float64)) and torch.equal(
        ramp[32:], torch.ones(20, dtype=torch.float64)
    )
    expected = torch.sin((torch.arange(12, dtype=torch.float64) + 0.5) / 12 * torch.pi / 2).square()
    assert torch.allclose(ramp[20:32], expected) and ramp.diff().max() < 0.15


@pytest.mark.parametrize(("h", "w"), [(40, 64), (41, 63), (26, 99)])
def test_data_on_a_smaller_grid_are_cut_alike(h, w):
    """The data of a strided operator come along: each tile of y lies over its tile of x, whatever the size."""
    x = torch.rand(2, 3, h, w)
    y = x[..., ::4, ::4]

    def function(a, b):
        assert torch.equal(a[..., ::4, ::4], b)
        return a[:, :1]

    result = Tiles(h, w, 24, overlap=10, multiple=4).map(function, x, y, batch=2)
    assert torch.allclose(result, x[:, :1])


def test_memory_is_bounded_by_the_batch():
    seen = []
    t = Tiles(200, 200, 32, overlap=8)
    t.map(lambda piece: seen.append(len(piece)) or piece, torch.rand(2, 1, 200, 200), batch=5)
    assert max(seen) == 10 and sum(seen) == 2 * len(t) and len(seen) == -(-len(t) // 5)


def test_gradients_pass():
    x = torch.rand(1, 1, 30, 30, dtype=torch.float64, requires_grad=True)
    Tiles(30, 30, 16, overlap=4).map(lambda piece: 3 * piece, x).sum().backward()
    assert torch.allclose(x.grad, torch.full_like(x, 3.0))


def test_doors():
    for words, match in [
        ({"overlap": 64}, "overlap < tile"),
        ({"overlap": 8, "margin": 5}, r"2 \* margin"),
        ({"overlap": -1}, "overlap"),
        ({"multiple": 3}, "tile is 64; expected a multiple of 3"),
        ({"overlap": 62, "multiple": 4}, "could not advance"),
    ]:
        with pytest.raises(InvalidInput, match=match):
            Tiles(100, 100, 64, **words)
    t = Tiles(100, 100, 64, overlap=16, multiple=2)
    assert t.map(lambda piece, other: piece, torch.zeros(1, 1, 100, 100), torch.zeros(1, 1, 50, 50)).shape == (
        1,
        1,
        100,
        100,
    )
    for x in (torch.rand(1, 1, 99, 100), torch.rand(1, 1, 25, 25), torch.rand(1, 1, 50, 100), torch.rand(100, 100)):
        with pytest.raises(InvalidInput, match="expected"):
            t.map(lambda piece, other: piece, torch.rand(1, 1, 100, 100), x)
    with pytest.raises(InvalidInput, match="the function returned"):
        t.map(lambda piece: piece[..., :-1], torch.rand(1, 1, 100, 100))
    with pytest.raises(IndexError):
        t[len(t)]
