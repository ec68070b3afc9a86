"""Patches against tiles at a small size."""

import pytest
import torch

from fastip.experiments.inner_loop import stitching
from fastip.experiments.record import plain
from fastip.nets.tiles import Tiles

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def outcome():
    return stitching.run(photo="coffee", height=232, width=136, tile=128, overlap=16, window=224, repeats=1)


def test_tiles_equal_the_whole_and_patches_do_not(outcome):
    ways = outcome.numbers["ways"]
    assert len(ways) == 4 and ways[stitching.WHOLE]["largest"] == 0
    assert 0 < ways[stitching.TILED]["largest"] < 1e-4
    assert ways[stitching.TILED]["psnr"] == pytest.approx(ways[stitching.WHOLE]["psnr"], abs=0.01)
    for boundary in ("circular", "reflect"):
        alone = ways[stitching.PATCHES.format(boundary)]
        assert (
            alone["on seams"] > 3 * alone["in middles"]
            and alone["psnr"] < ways[stitching.WHOLE]["psnr"] - 0.02
            and alone["largest"] > 0.02
        )


def test_seams_are_between_patches_and_middles_are_not():
    tiles = Tiles(176, 96, 96, overlap=16)
    seam, middle = stitching.seams(tiles)
    assert [box.top for box in tiles] == [0, 80]  # they share rows 80 to 95, around 88
    assert (
        seam[:, 48].nonzero().flatten().tolist() == list(range(84, 92))
        and not seam[:, :24].any()
        and not seam[:, 72:].any()
    )
    assert middle[:, 48].nonzero().flatten().tolist() == [*range(24, 64), *range(112, 152)]
    assert not (seam & middle).any()


def test_one_tile_has_no_seam():
    seam, middle = stitching.seams(Tiles(64, 64, 64, overlap=16))
    assert not seam.any() and int(middle.sum()) == 32 * 32


def test_patches_of_an_identity_are_the_image():
    x = torch.rand(1, 3, 72, 100)
    tiles = Tiles(72, 100, 40, overlap=8)

    class Same:
        def solve(self, y):
            return stitching.Solution(y, y, None, 0, torch.zeros(0, 2, 1), 1.0)

    assert torch.allclose(stitching._stitched(tiles, Same(), x).x, x, atol=1e-6)


def test_the_page_tells_the_differences(outcome):
    numbers = plain(outcome.numbers)
    page = stitching.page(numbers)
    for title, n in numbers["ways"].items():
        assert f"| {title} | {n['psnr']:.2f} | {n['ssim']:.4f} |" in page
    assert f"{numbers['ways'][stitching.TILED]['largest']:.2g} at most" in page and "4 patches" in page
