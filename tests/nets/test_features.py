"""What a network holds between its layers, for each pixel of its image."""

from __future__ import annotations

import pytest
import torch

from cases.tasks import network
from fastip import nets
from fastip.nets.features import features


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        ({"widths": (16, 32), "blocks": (1, 1)}, 16.0),
        ({"widths": (4, 32), "blocks": (1, 1)}, 8.0),  # the coarser grid has more, 32 / 4
        ({"widths": (24, 8), "blocks": (1, 1), "factor": 2}, 6.0),
        ({"widths": (16, 32), "blocks": (1, 1), "data_colours": 3, "stride": 4}, 16.0),
        ({"widths": (2,), "blocks": (0,)}, 3.0),  # its estimate of the noise, three colours
    ],
    ids=str,
)
def test_the_largest_array_between_layers(structure, expected):
    net = network(**structure)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    assert features(net) == features(net.double()) == expected
    assert all(t.device.type == "cpu" and torch.equal(t, before[name].double()) for name, t in net.state_dict().items())


def test_other_networks_of_any_size():
    assert features(nets.NonexpansiveDenoiser(colours=1, factor=2, width=12)) == 12 / 4
