"""Thumbnails at a small size: the files are Pillow's, shifts are found, every way is scored, what the page says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from fastip import data, operators
from fastip.errors import InvalidInput
from fastip.experiments.record import plain
from fastip.experiments.restoring import thumbnails

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def outcome():
    return thumbnails.run(photos=("coffee",), size=96, factors=(2,), methods=("bicubic",))


def test_every_way_is_scored_on_both_files(outcome):
    rows = outcome.numbers["rows"]
    assert [(row["factor"], row["method"], row["file"]) for row in rows] == [
        (2, "bicubic", "PNG"),
        (2, "bicubic", "JPEG 90"),
    ]
    for row in rows:
        assert set(row["psnr"]) == {thumbnails.BICUBIC, thumbnails.VARIATION, thumbnails.NETWORK}
        assert row["psnr"][thumbnails.VARIATION][0] > row["psnr"][thumbnails.BICUBIC][0] and row["shift"][0] < 0.1
    assert rows[0]["psnr"][thumbnails.NETWORK][0] > rows[1]["psnr"][thumbnails.NETWORK][0]  # JPEG costs


@pytest.mark.parametrize("method", list(thumbnails.FILTERS))
def test_a_thumbnail_is_what_the_operator_says(method):
    """To the rounding of 8 bits and, of what overshoots, the clipping."""
    x = 0.1 + 0.8 * data.centre(data.held_out_photographs(["coffee"])["coffee"], 48)
    x = (255 * x).round() / 255
    expected = operators.Resize(3, method=method)(x).clamp(0, 1)
    assert float((thumbnails.thumbnail(x, 3, method, None) - expected).abs().max()) <= 1.01 / 255
    coded = thumbnails.thumbnail(x, 3, method, 90)
    assert coded.shape == expected.shape and 1 / 255 < float((coded - expected).abs().max()) < 0.2


def test_the_shift_that_was_made():
    truth = data.centre(data.held_out_photographs(["coffee"])["coffee"], 128)
    array = (255 * truth[0].permute(1, 2, 0)).round().byte().numpy()
    for down, right in ((0.0, 0.0), (0.2, 0.0), (-0.15, 0.2)):
        image = Image.fromarray(array).transform(
            (128, 128), Image.Transform.AFFINE, (1, 0, right, 0, 1, down), Image.Resampling.BILINEAR
        )
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        inside = (..., slice(4, -4), slice(4, -4))
        assert thumbnails.shift(x[inside], truth[inside]) == pytest.approx((down**2 + right**2) ** 0.5, abs=0.05)


def test_the_page(outcome):
    text = thumbnails.page(plain(outcome.numbers))
    row = outcome.numbers["rows"][0]["psnr"]
    gain = row[thumbnails.NETWORK][0] - row[thumbnails.BICUBIC][0]
    assert f"| × 2, bicubic, PNG | {row[thumbnails.BICUBIC][0]:.2f} |" in text
    assert f"× 2 PNG {gain:+.2f} dB" in text and "2 cases" in text


def test_a_size_that_a_factor_does_not_divide():
    with pytest.raises(InvalidInput, match="multiple of each factor"):
        thumbnails.run(size=100, factors=(3,))
