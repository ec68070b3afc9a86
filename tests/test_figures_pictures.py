"""Pictures beside each other, as the gallery shows them."""

import matplotlib.figure
import numpy as np
import pytest
import torch

from fastip import figures
from fastip.errors import InvalidInput


def test_each_has_its_title_and_its_own_pixels():
    figure = matplotlib.figure.Figure()
    grey, colour = torch.rand(2, 1, 5, 7), np.random.default_rng(0).random((1, 3, 6, 4)) * 1.5
    figures.draw_pictures(figure, {"grey, the first": grey, "colour": colour})
    first, second = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["grey, the first", "colour"]
    assert np.allclose(first.images[0].get_array(), grey[0, 0]) and first.images[0].get_clim() == (0, 1)
    assert np.allclose(second.images[0].get_array(), colour[0].transpose(1, 2, 0).clip(0, 1))
    assert figure.get_size_inches().tolist() == pytest.approx([6.4, 3.6])


@pytest.mark.parametrize(
    "pictures, message",
    [
        ({}, "pictures is empty"),
        ({"y": torch.ones(3, 5, 5)}, "'y' has shape .*expected b c h w"),
        ({"y": 3}, "'y' is int"),
    ],
)
def test_refused(pictures, message):
    with pytest.raises(InvalidInput, match=message):
        figures.draw_pictures(matplotlib.figure.Figure(), pictures)
