"""DCGAN's generator and encoder: the published tables, the layers one by one, eval mode, first weights, bad inputs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cases.generators import dcgan, encoder, same
from fastip import nets
from fastip.errors import InvalidInput, UnknownKeyword

# million weights of generator and encoder, width 128, k = 100
PUBLISHED = {
    28: ["2.17", "4.12"],
    64: ["12.66", "27.90"],
}


def count(net):
    return sum(p.numel() for p in net.parameters())


def by_hand(size, colours, d, k):
    """Weights of the convolutions and the linear layer, BatchNorm's and the biases of the tables."""
    up = {28: [(k, 4, 3), (4, 2, 3), (2, 1, 4)], 64: [(k, 8, 4), (8, 4, 4), (4, 2, 4), (2, 1, 4)]}[size]
    generator = (
        sum((i if n == 0 else i * d) * o * d * s**2 + 2 * o * d for n, (i, o, s) in enumerate(up))
        + d * colours * 16
        + colours
    )
    wide = up[0][1] * d
    down = (
        sum(i * d * o * d * s**2 + 2 * i * d for i, o, s in up[1:]) + wide**2 * up[0][2] ** 2 + 2 * wide + wide * k + k
    )
    return generator, down + colours * d * 16 + d


@pytest.mark.parametrize("size, colours", [(28, 1), (64, 3)])
def test_the_published_numbers_of_weights(size, colours):
    with torch.device("meta"):
        found = (
            count(nets.DCGANGenerator(size=size, colours=colours, width=128)),
            count(nets.DCGANEncoder(size=size, colours=colours, width=128)),
        )
    assert found == by_hand(size, colours, 128, 100) and [f"{n / 1e6:.2f}" for n in found] == PUBLISHED[size]


@pytest.mark.parametrize("size, colours, sides", [(28, 1, (3, 7, 14, 28)), (64, 3, (4, 8, 16, 32, 64))])
def test_the_generator_layer_by_layer(size, colours, sides):
    net = dcgan(size=size, colours=colours)
    z = torch.randn(3, 5)
    f = z[:, :, None, None]
    convolutions = [m for m in net.layers if isinstance(m, nn.ConvTranspose2d)]
    norms = [m for m in net.layers if isinstance(m, nn.BatchNorm2d)]
    for k, conv in enumerate(convolutions):
        f = F.conv_transpose2d(f, conv.weight, conv.bias, conv.stride, conv.padding)
        assert f.shape[-2:] == (sides[k], sides[k]) and (conv.bias is None) == (k < len(convolutions) - 1)
        if k < len(norms):
            n = norms[k]
            f = (f - n.running_mean[:, None, None]) / (n.running_var[:, None, None] + n.eps).sqrt() * n.weight[
                :, None, None
            ] + n.bias[:, None, None]
            f = torch.where(f > 0, f, 0.2 * f)
    x = net(z)
    torch.testing.assert_close(x, (1 + f.tanh()) / 2, rtol=1e-4, atol=1e-5)
    assert x.shape == (3, *net.shape) and x.min() >= 0 and x.max() <= 1 and x.std(dim=0).mean() > 0.01


@pytest.mark.parametrize("size, colours, sides", [(28, 1, (14, 7, 3, 1)), (64, 3, (32, 16, 8, 4, 1))])
def test_the_encoder_layer_by_layer(size, colours, sides):
    net = encoder(size=size, colours=colours)
    x = torch.rand(3, colours, size, size)
    f = 2 * x - 1
    convolutions = [m for m in net.layers if isinstance(m, nn.Conv2d)]
    norms = [None, *(m for m in net.layers if isinstance(m, nn.BatchNorm2d))]
    for conv, n, side in zip(convolutions, norms, sides, strict=True):
        f = F.conv2d(f, conv.weight, conv.bias, conv.stride, conv.padding)
        assert f.shape[-2:] == (side, side) and (conv.bias is None) == (n is not None)
        if n is not None:
            f = (f - n.running_mean[:, None, None]) / (n.running_var[:, None, None] + n.eps).sqrt() * n.weight[
                :, None, None
            ] + n.bias[:, None, None]
        f = torch.where(f > 0, f, 0.2 * f)
    linear = net.layers[-1]
    torch.testing.assert_close(net(x), f.flatten(1) @ linear.weight.T + linear.bias, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(m, nn.Dropout | nn.Dropout2d) for m in net.modules())


def test_eval_mode_is_deterministic_and_each_image_is_on_its_own():
    g, e = dcgan(), encoder()
    z = torch.randn(6, 5)
    torch.manual_seed(1)
    x = g(z)
    torch.manual_seed(2)
    assert torch.equal(g(z), x)
    codes = e(x)
    for k in range(6):
        torch.testing.assert_close(g(z[k : k + 1]), x[k : k + 1], rtol=0, atol=1e-6)
        torch.testing.assert_close(e(x[k : k + 1]), codes[k : k + 1], rtol=0, atol=1e-5)
    g.train()
    assert (g(z[:2]) - x[:2]).abs().max() > 1e-3, "in training mode the batch is looked at"


def test_latent_vectors_of_another_kind_are_refused():
    g = dcgan()
    for wrong, message in (
        ([0.0], "z is list"),
        (torch.zeros(2, 5, dtype=torch.int64), "int64; expected torch.float32"),
        (torch.zeros(2, 5).double(), "float64"),
    ):
        with pytest.raises(InvalidInput, match=message):
            g(wrong)
    with torch.autocast("cpu", torch.bfloat16):
        assert g(torch.zeros(2, 5)).shape == (2, 1, 28, 28)


def test_samples_come_from_their_seed():
    g = dcgan()
    x = g.sample(3, seed=4)
    assert torch.equal(x, g.sample(3, seed=4)) and not torch.equal(x, g.sample(3, seed=5)) and x.shape == (3, 1, 28, 28)
    assert g.sample(1, seed=2**64 + 3).shape == (1, 1, 28, 28)
    torch.testing.assert_close(x, g(torch.randn(3, 5, generator=torch.Generator().manual_seed(4))))
    assert g.double().sample(2).dtype == torch.float64
    for wrong in ({"count": 0}, {"count": 2, "seed": -1}, {"count": 1.5}):
        with pytest.raises(InvalidInput, match="whole number"):
            g.sample(**wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nets.DCGANGenerator(size=64, colours=3, width=16),
        lambda: nets.DCGANEncoder(size=64, colours=3, width=16),
    ],
)
def test_first_weights(make):
    torch.manual_seed(0)
    for module in make().modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and module.weight.numel() > 500:
            error = 4 / module.weight.numel() ** 0.5
            assert (
                abs(float(module.weight.detach().std()) / 0.02 - 1) < error
                and abs(float(module.weight.detach().mean())) < 0.02 * error
            )
        if isinstance(module, nn.BatchNorm2d):
            assert abs(float(module.weight.detach().mean()) - 1) < 0.02 and 0.005 < module.weight.std() < 0.04
        bias = getattr(module, "bias", None)
        assert bias is None or not bias.any()


def test_config_builds_them_again():
    g, e = dcgan(), encoder()
    for net, known in ((g, nets.GENERATORS), (e, nets.ENCODERS)):
        again = nets.build(known, type(net).__name__, net.config())
        again.load_state_dict(net.state_dict())
        assert same(again, net) and again.config() == net.config() and again.shape == net.shape
        with pytest.raises(InvalidInput, match="no network"):
            nets.build(known, "DCGAN", {})
        with pytest.raises(InvalidInput, match="wdith"):
            nets.build(known, type(net).__name__, {"wdith": 3})


def test_wrong_inputs_are_refused():
    g, e = dcgan(), encoder()
    for z in (torch.randn(5), torch.randn(2, 4), torch.randn(2, 5, 1, 1)):
        with pytest.raises(InvalidInput, match=r"expected \(b, 5\)"):
            g(z)
    for x in (torch.rand(2, 1, 28, 27), torch.rand(2, 3, 28, 28), torch.rand(2, 1, 64, 64)):
        with pytest.raises(InvalidInput, match=r"expected \(b, 1, 28, 28\)"):
            e(x)
    with pytest.raises(InvalidInput, match="four dimensions"):
        e(torch.rand(1, 28, 28))
    for make in (nets.DCGANGenerator, nets.DCGANEncoder):
        for size in (32, 28.0, True, "28"):
            with pytest.raises(InvalidInput, match="28 or 64"):
                make(size=size)
        for wrong in ({"width": 0}, {"colours": 0}, {"width": 2.0}):
            with pytest.raises(InvalidInput, match="whole number"):
                make(**wrong)
        with pytest.raises(UnknownKeyword, match="did you mean 'width'"):
            make(widht=3)
