"""Networks of other libraries as denoisers.

Where the level goes, sizes they do not take, their unit and their precision.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fastip
from cases.checks import noise
from fastip import operators, priors, psf
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.priors import adapters

V = noise((2, 3, 9, 11))


class Ffdnet(nn.Module):
    """As FFDNet: an image and a map (or one number an image), sizes of even numbers."""

    def __init__(self, colours=3):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(4 * colours + 1, 4 * colours, 3, padding=1, padding_mode="circular").double()

    def forward(self, x, sigma):
        small = nn.functional.pixel_unshuffle(x, 2)
        level = nn.functional.interpolate(sigma, size=small.shape[2:])
        return x - 0.1 * nn.functional.pixel_shuffle(self.conv(torch.cat([small, level], dim=1)), 2)


class Drunet(nn.Module):
    """As DRUNet: the level is the last channel."""

    def __init__(self, multiple=8):
        super().__init__()
        self.multiple = multiple

    def forward(self, x):
        assert x.shape[1] == 4 and all(n % self.multiple == 0 for n in x.shape[2:])
        return x[:, :3] * (1 - x[:, 3:])


def test_a_map_of_the_level():
    net = Ffdnet()
    even = V[..., :8, :10]
    for pixels in (True, False):
        x = adapters.level_map(net, pixels=pixels)(even, 0.2)
        torch.testing.assert_close(x, net(even, torch.full((2, 1, 8, 10), 0.2, dtype=torch.float64)))
    assert (adapters.level_map(net)(even, 0.4) - x).abs().max() > 1e-3


def test_a_channel_of_the_level():
    torch.testing.assert_close(adapters.level_channel(Drunet(), multiple=8)(V, 0.25), 0.75 * V)


def test_a_network_that_finds_the_level():
    assert torch.equal(adapters.blind(lambda v: 0.5 * v)(V, 0.3), 0.5 * V)


def test_other_sizes_are_mirrored_and_cropped():
    sizes = []

    def net(v):
        sizes.append(v.shape[2:])
        assert torch.equal(v[..., 9, :11], V[..., 8, :]) and torch.equal(v[..., :9, 11], V[..., 10])
        return v

    assert torch.equal(adapters.blind(net, multiple=8)(V, 0.1), V) and sizes == [(16, 16)]


def test_the_unit_of_the_network():
    seen = []

    def net(v, levels):
        seen.append((float(v.max()), float(levels[0, 0, 0, 0])))
        return v + 51

    x = adapters.level_map(net, scale=255)(V, 0.1)
    torch.testing.assert_close(x, V + 0.2)
    assert seen == [(pytest.approx(255 * float(V.max())), pytest.approx(25.5))]


def test_grey_networks_on_colours():
    net = Ffdnet(colours=1)
    x = adapters.each_channel(adapters.level_map(net, multiple=2))(V, 0.2)
    torch.testing.assert_close(x[1:, 2:], adapters.level_map(net, multiple=2)(V[1:, 2:], 0.2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_the_precision_of_the_weights(dtype):
    net = Ffdnet().to(dtype)
    x = adapters.level_map(net, multiple=2)(V, 0.2)
    assert x.dtype == V.dtype
    torch.testing.assert_close(
        x, adapters.level_map(Ffdnet(), multiple=2)(V, 0.2), rtol=0, atol=5e-2 if dtype == torch.bfloat16 else 1e-6
    )


def test_a_grey_network_of_another_precision_is_a_denoiser_of_colours():
    class Grey(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, v, level):
            return v - level * self.conv(v)

    net = Grey().requires_grad_(False)
    x = priors.Denoiser(adapters.each_channel(net), sigma=0.1).bind(V, operators.Identity())(V, 1.0)
    assert x.dtype == torch.float64
    torch.testing.assert_close(x[1:, 2:], net(V[1:, 2:].float(), 0.1).double(), rtol=0, atol=1e-6)


def test_they_serve_in_a_solve_and_keep_gradients():
    net = Ffdnet(colours=1)
    op = operators.Blur(psf.gaussian(5, sigma=1.0).double(), stride=2)
    y = op(noise((1, 3, 10, 6)))
    prior = priors.Denoiser(adapters.each_channel(adapters.level_map(net, multiple=4)), noise=0.1)
    fastip.admm(y, op, prior, beta=[0.2, 1.0], iterations=3, tolerance=0).x.square().sum().backward()
    assert net.conv.weight.grad.abs().max() > 0


def test_refusals():
    with pytest.raises(InvalidInput, match="the multiple it needs"):
        adapters.blind(lambda v: v[..., :8, :])(V, 0.1)
    with pytest.raises(InvalidInput, match="returned NoneType .* expected the same: give a denoiser of grey images"):
        adapters.each_channel(lambda v, level: None)(V, 0.1)
    with pytest.raises(InvalidInput, match="multiple"):
        adapters.level_channel(Drunet(), multiple=0)
    with pytest.raises(InvalidInput, match="scale"):
        adapters.level_map(Ffdnet(), scale=0)
    with pytest.raises(UnknownKeyword, match="multiple"):
        adapters.level_map(Ffdnet(), multipel=2)
