"""Volumes from three sides."""

import matplotlib.figure
import numpy as np
import pytest
import torch

from fastip import figures
from fastip.errors import InvalidInput


def shown(axes):
    return [np.asarray(image.get_array()) for image in axes.images]


@pytest.mark.parametrize("view", ["maximum", "slices"])
def test_three_sides_of_each_in_the_scale_of_its_voxels(view):
    figure, x = matplotlib.figure.Figure(), torch.rand(2, 1, 4, 5, 7) * 300
    colour = np.random.default_rng(0).random((1, 3, 4, 5, 6))
    figures.draw_volumes(figure, {"stack": x, "colour": colour}, spacing=(2, 1, 0.5), view=view)
    first, second = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["stack", "colour"]
    v = x[0, 0].numpy()
    if view == "maximum":
        sides = [v.max(0), v.max(1), v.max(2).T]
    else:
        sides = [v[2], v[:, 2], v[:, :, 3].T]
    low, high = min(s.min() for s in sides), max(s.max() for s in sides)
    for found, side in zip(shown(first), sides, strict=True):
        assert np.allclose(found, (side - low) / (high - low), atol=1e-6)
    wide, across, along = (np.ptp(np.reshape(image.get_extent(), (2, 2)), axis=1).tolist() for image in first.images)
    assert wide == [3.5, 5] and np.allclose(across, [3.5, 8]) and np.allclose(along, [8, 5])
    assert [s.shape for s in shown(second)] == [(5, 6, 3), (4, 6, 3), (5, 4, 3)]


def test_a_black_volume_is_drawn():
    figure = matplotlib.figure.Figure()
    figures.draw_volumes(figure, {"nothing": torch.zeros(1, 2, 3, 3, 3)})
    assert not any(side.any() for side in shown(figure.axes[0]))


@pytest.mark.parametrize(
    ("volumes", "how", "message"),
    [
        ({}, {}, "volumes is empty"),
        ({"y": torch.ones(1, 1, 5, 5)}, {}, "'y' has shape .*expected b c d h w"),
        ({"y": torch.ones(1, 1, 2, 2, 2)}, {"view": "maximun"}, "did you mean 'maximum'"),
        ({"y": torch.ones(1, 1, 2, 2, 2)}, {"spacing": (1, 2)}, "for 2 axes"),
        ({"y": torch.ones(1, 1, 2, 2, 2)}, {"spacing": 2}, "spacing is 2"),
    ],
)
def test_refused(volumes, how, message):
    with pytest.raises(InvalidInput, match=message):
        figures.draw_volumes(matplotlib.figure.Figure(), volumes, **how)
