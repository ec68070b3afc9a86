"""Networks in tiles, and colour networks on grey images."""

from __future__ import annotations

import math

import pytest
import torch

from cases.tasks import network
from fastip import nets
from fastip.errors import InvalidInput

STRUCTURES = [
    pytest.param({}, id="no data"),
    pytest.param({"data_colours": 3, "stride": 4}, id="data four times smaller"),
    pytest.param({"data_colours": 3, "stride": 1}, id="data as large"),
    pytest.param({"data_colours": 1, "stride": 3, "widths": (4,), "blocks": (2,)}, id="data three times smaller"),
    pytest.param({"data_colours": 3, "stride": 4, "factor": 2, "widths": (6,), "blocks": (1,)}, id="shuffled"),
]


class Counting(nets.PriorNet):
    """A network that notes how many pixels it is given."""

    def __init__(self, net):
        super().__init__()
        self.net, self.seen = net, []
        self.colours, self.data_colours, self.stride, self.takes_level = (
            net.colours,
            net.data_colours,
            net.stride,
            net.takes_level,
        )
        self.reach, self.multiple = net.reach, net.multiple

    def config(self):
        return {}

    def estimate(self, v, y, level):
        self.seen.append(len(v) * v.shape[2] * v.shape[3])
        return self.net(v, y, level)


def given(net, b, h, w, groups=1, seed=1):
    """v, y and levels for a network."""
    generator = torch.Generator().manual_seed(seed)
    v = torch.rand(b, groups * net.colours, h, w, generator=generator)
    y = (
        torch.rand(b, groups * net.data_colours, -(-h // net.stride), -(-w // net.stride), generator=generator)
        if net.conditional
        else None
    )
    return v, y, torch.linspace(0.05, 0.2, b)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize(("b", "h", "w"), [(1, 150, 203), (3, 97, 161), (2, 40, 260)])
def test_tiled_equals_whole(structure, b, h, w):
    net = network(**structure)
    counting = Counting(net)
    tiled = nets.Tiled(counting, tile=nets.Tiled.smallest(net))
    v, y, level = given(net, b, h, w)
    whole = net(v, y, level)
    assert float((whole - v).abs().max()) > 1e-3  # the network does something
    assert float((tiled(v, y, level) - whole).abs().max()) < 2e-6
    assert len(counting.seen) > b and max(counting.seen) <= tiled.tile**2


def test_the_reach_is_needed():
    """With half the margin the seams are there, so the equality above is not for nothing."""
    net = network(data_colours=3, stride=1)
    counting = Counting(net)
    counting.reach = net.reach // 4
    v, y, level = given(net, 1, 150, 203)
    assert float((nets.Tiled(counting, tile=80)(v, y, level) - net(v, y, level)).abs().max()) > 1e-5


def test_a_constant_has_no_seam():
    net = network(data_colours=3, stride=4)
    with torch.no_grad():
        net.tail.bias.normal_(std=0.1)
    x = nets.Tiled(net, tile=nets.Tiled.smallest(net))(
        torch.full((1, 3, 150, 203), 0.3), torch.full((1, 3, 38, 51), 0.6), 0.1
    )
    assert float(x.std(dim=(2, 3)).max()) < 1e-6 and float((x - 0.3).abs().max()) > 1e-3


def test_many_small_images_go_in_turn():
    net = network(data_colours=3, stride=4)
    counting = Counting(net)
    tiled = nets.Tiled(counting, tile=100)
    v, y, level = given(net, 7, 50, 64, groups=2)  # 14 images of three colours, three of them at a time
    assert torch.allclose(tiled(v, y, level), net(v, y, level), atol=2e-6)
    assert counting.seen == [3 * 50 * 64] * 4 + [2 * 50 * 64]
    counting.seen.clear()
    one = v[:1, :3]
    assert torch.equal(tiled(one, y[:1, :3], 0.1), net(one, y[:1, :3], 0.1)) and len(counting.seen) == 1


def test_gradients_pass_through_the_tiles():
    net = network(data_colours=3, stride=1, widths=(4,), blocks=(1,))
    v, y, level = given(net, 2, 61, 70)
    slopes = []
    for used in (net, nets.Tiled(net, tile=nets.Tiled.smallest(net))):
        v.grad = None
        used(v.requires_grad_(True), y, level).square().sum().backward()
        slopes.append(v.grad.clone())
    assert torch.allclose(*slopes, atol=1e-5)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_smallest_tile(structure):
    net = network(**structure)
    least, grid = nets.Tiled.smallest(net), math.lcm(net.multiple, net.stride)
    assert least % grid == 0 and least >= 4 * net.reach
    tiled = nets.Tiled(net, tile=least + grid - 1)
    assert (
        tiled.tile == least
        and tiled.config() == {"net": net.config(), "tile": least}
        and (tiled.reach, tiled.multiple) == (net.reach, net.multiple)
    )
    with pytest.raises(InvalidInput, match=f"at least {least}"):
        nets.Tiled(net, tile=least - 1)


def test_networks_that_cannot_be_tiled():
    for net in (nets.DigitAutoencoder(), nets.Grey(nets.PaperPixelShuffleAutoencoder(colours=3))):
        with pytest.raises(InvalidInput, match="does not state its reach"):
            nets.Tiled(net)


# ---- grey ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", [{}, {"data_colours": 3, "stride": 4}])
def test_grey_is_equal_colours(structure):
    net = network(**structure)
    grey = nets.Grey(net)
    assert (grey.colours, grey.data_colours, grey.reach, grey.multiple) == (
        1,
        min(net.data_colours, 1),
        net.reach,
        net.multiple,
    )
    v, y, level = given(grey, 2, 42, 57)
    expected = net(v.repeat(1, 3, 1, 1), None if y is None else y.repeat(1, 3, 1, 1), math.sqrt(3) * level).mean(
        dim=1, keepdim=True
    )
    assert torch.allclose(grey(v, y, level), expected, atol=1e-6) and grey.config() == {"net": net.config()}
    several, data, _ = given(grey, 2, 42, 57, groups=5)
    result = grey(several, data, level)
    for k in range(5):
        alone = grey(several[:, k : k + 1], None if data is None else data[:, k : k + 1], level)
        assert torch.allclose(result[:, k : k + 1], alone, atol=1e-6)
    tiled = nets.Tiled(grey, tile=nets.Tiled.smallest(grey))
    v, y, level = given(grey, 1, 97, 161)
    assert torch.allclose(tiled(v, y, level), grey(v, y, level), atol=2e-6)


def test_data_of_other_colours_are_not_grey():
    with pytest.raises(InvalidInput, match="as many channels as its image"):
        nets.Grey(network(colours=3, data_colours=1, stride=2))
