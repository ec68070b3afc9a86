"""Transparent pixels: what a file has under them does not leak into what is seen."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from fastip import io, tasks
from fastip.errors import InvalidInput

H, W = 45, 58
ROWS, COLUMNS = np.mgrid[:H, :W]
RADIUS = np.hypot(ROWS - 22, COLUMNS - 28)
SHAPES = {
    "hard": (RADIUS < 16) * 255.0,
    "soft": np.clip((18 - RADIUS) / 4, 0, 1) * 255,
    "veil": np.clip((22 - RADIUS) / 15, 0, 1) * 255,
}


def waves() -> np.ndarray:
    """Colours that go slowly up and down, the same at opposite borders."""
    down, along = 2 * np.pi * ROWS / H, 2 * np.pi * COLUMNS / W
    planes = 128 + 70 * np.sin(down + along), 140 + 60 * np.cos(along), 90 + 50 * np.sin(down)
    return np.dstack(planes).round().astype("uint8")


def composed(x: torch.Tensor, alpha: np.ndarray, ground: float) -> np.ndarray:
    """In levels, over a ground of [0, 1]."""
    share = alpha[..., None] / 255
    return 255 * (np.moveaxis(x[0].clamp(0, 1).numpy(), 0, -1) * share + ground * (1 - share))


def restored(folder, task, colours, alpha) -> tuple[torch.Tensor, np.ndarray]:
    Image.fromarray(np.dstack([colours, alpha])).save(folder / "a.png")
    y, kind = io.read_image(folder / "a.png")
    io.write_image(folder / "b.png", tasks.get(task).problem().solve(y).x, like=kind)
    found = np.asarray(Image.open(folder / "b.png"))
    return torch.from_numpy(found[..., :3] / 255).permute(2, 0, 1)[None], found[..., 3]


@pytest.mark.parametrize("shape", SHAPES)
def test_no_fringe_on_any_ground(tmp_path, shape):
    assert fringe(tmp_path, "sr4", shape) <= 8


def test_a_network_leaves_no_fringe(tmp_path):
    assert fringe(tmp_path, "photo-sr4", "hard") <= 8


def fringe(folder, task, shape) -> float:
    """In levels, on any ground: against the whole picture restored, and cut out after that."""
    colours, alpha = waves(), SHAPES[shape].round().astype("uint8")
    whole, _ = restored(folder, task, colours, np.full_like(alpha, 255))
    cut, share = restored(folder, task, np.where(alpha[..., None] > 0, colours, 0).astype("uint8"), alpha)
    grounds = (0.0, 0.5, 1.0)
    return max(np.abs(composed(cut, share, g) - composed(whole, share, g)).max() for g in grounds)


@pytest.mark.parametrize("hidden", [0, 77, 255])
@pytest.mark.parametrize("grey", [False, True])
def test_one_colour_stays_one_colour(tmp_path, hidden, grey):
    colours = np.full((23, 31, 1 if grey else 3), 200, "uint8")
    alpha = np.zeros((23, 31), "uint8")
    alpha[3:5, 7], alpha[20, 30], alpha[0, 0] = 255, 128, 8
    array = np.dstack([np.where(alpha[..., None] > 0, colours, hidden).astype("uint8"), alpha])
    Image.fromarray(array).save(tmp_path / "a.png")
    x, kind = io.read_image(tmp_path / "a.png")
    np.testing.assert_allclose(x * 255, 200, atol=1e-3)
    assert np.array_equal(kind.alpha, alpha)


def test_what_is_seen_is_kept_to_the_bit(tmp_path):
    rng = np.random.default_rng(5)
    array = rng.integers(0, 255, (33, 20, 4), dtype="uint8")
    Image.fromarray(array).save(tmp_path / "a.png")
    x = io.read_image(tmp_path / "a.png")[0][0].permute(1, 2, 0).numpy()
    seen = array[..., 3] >= 8
    assert np.array_equal(x[seen], array[seen][:, :3] / np.float32(255)) and (~seen).any()
    # Between, a colour counts by its alpha: on no ground does a pixel change by more than two levels.
    faint = np.abs(x - array[..., :3] / 255) * array[..., 3:]
    assert faint.max() <= 2


def test_faint_premultiplied_colours_do_not_rule_their_neighbours(tmp_path):
    """One level of alpha holds a colour of 0 or 255."""
    alpha = np.tile(np.array([255, 1, 0, 255], "uint8"), (8, 4))
    array = np.dstack([np.round(alpha / 255 * 120)] * 3 + [alpha]).astype("uint8")
    array[:, 1::4, :3] = 1
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["assocalpha"])
    x = io.read_image(tmp_path / "a.tif")[0] * 255
    np.testing.assert_allclose(x[..., 2::4], 120, atol=15)
    np.testing.assert_allclose(x[..., 1::4], 120, atol=30)


def test_where_nothing_is_seen_nothing_changes(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (5, 4, 4), dtype="uint8")
    array[..., 3] = 0
    Image.fromarray(array).save(tmp_path / "a.png")
    x = io.read_image(tmp_path / "a.png")[0]
    assert np.array_equal(x[0].permute(1, 2, 0).numpy(), array[..., :3] / np.float32(255))


def test_nan_in_alpha_is_refused(tmp_path):
    array = np.full((5, 4, 4), 0.5, "float32")
    array[2, 2, 3] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["unassalpha"])
    with pytest.raises(InvalidInput, match="NaN"):
        io.read_image(tmp_path / "a.tif")
