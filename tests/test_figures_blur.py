"""figures.blur: the search of an estimate, and the value that was chosen."""

import numpy as np
import pytest
import torch
from PIL import Image

from fastip import figures, psf
from fastip.errors import InvalidInput

figure = pytest.importorskip("matplotlib.figure")

RADII = torch.arange(1, 9, dtype=torch.float64)
DISK = psf.Estimate(psf.disk(7, 3.2), {"radius": 3.2}, {"radius": RADII, "cost": (RADII - 3).square() - 1}, True)
LENGTHS, ANGLES = torch.tensor([2.0, 4, 8, 16], dtype=torch.float64), torch.arange(0, 180, 20.0, dtype=torch.float64)
COST = (LENGTHS[:, None] - 8).square() / 20 + (ANGLES - 60).square() / 1000
MOTION = psf.Estimate(
    psf.motion(11, 64, 8.6), {"length": 8.6, "angle": 64.0}, {"length": LENGTHS, "angle": ANGLES, "cost": COST}, False
)


def drawn(estimate):
    axes = figure.Figure().add_subplot()
    figures.draw_blur(axes, estimate)
    return axes


def test_a_disk_is_a_curve_with_a_line():
    axes = drawn(DISK)
    curve, zero, chosen = axes.lines
    np.testing.assert_array_equal(curve.get_xydata(), torch.stack([RADII, DISK.curve["cost"]], 1).numpy())
    assert set(zero.get_ydata()) == {0} and set(chosen.get_xdata()) == {3.2}
    low, high = axes.get_ylim()
    assert low < -1 and 0 < high < 24
    assert axes.get_title("left") == "disk of radius 3.2" and axes.get_title("right") == "clear"


def test_a_motion_is_an_image_with_a_ring():
    axes = drawn(MOTION)
    np.testing.assert_allclose(axes.collections[0].get_array(), COST.numpy())
    assert axes.lines[0].get_xydata().tolist() == [[64.0, 8.6]]
    assert axes.get_title("right") == "not a blur of this kind"


@pytest.mark.parametrize("estimate", [DISK, MOTION])
def test_the_file_is_written(tmp_path, estimate):
    figures.blur(tmp_path / "how.png", estimate)
    assert np.asarray(Image.open(tmp_path / "how.png")).std() > 5
    with pytest.raises(InvalidInput, match="suffix"):
        figures.blur(tmp_path / "how.bmp", estimate)
