"""SAGAN's networks: shapes, attention against its formula, spectral norms, eval mode, bad inputs."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from cases.generators import same
from fastip import nets
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.nets.generative.sagan import SelfAttention


@pytest.fixture(scope="module")
def pair():
    torch.manual_seed(0)
    g, d = nets.SAGANGenerator(width=4, latent=7), nets.SAGANDiscriminator(width=4)
    for net in (g, d):
        for module in net.modules():
            if isinstance(module, SelfAttention):
                nn.init.constant_(module.gamma, 0.7)
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_var, 0.01, 0.1)
        net.eval().requires_grad_(False)
    return g, d


def test_attention_is_its_formula():
    torch.manual_seed(0)
    layer, x = SelfAttention(16).double(), torch.randn(2, 16, 3, 5, dtype=torch.float64)
    assert torch.equal(layer(x), x), "gamma is 0 at first"
    nn.init.constant_(layer.gamma, 0.6)
    f = x.flatten(2)

    def linear(conv):
        return conv.weight[:, :, 0, 0] @ f + conv.bias[:, None]

    # for each place, over all places
    attention = torch.softmax(linear(layer.query).transpose(1, 2) @ linear(layer.key), dim=-1)
    expected = x + 0.6 * (linear(layer.value) @ attention.transpose(1, 2)).reshape(x.shape)
    torch.testing.assert_close(layer(x), expected)
    assert layer.query.out_channels == 2 and attention.shape == (2, 15, 15)


def test_the_stages(pair):
    """512 @ 4, 256 @ 8, 128 @ 16 and 64 @ 32 in units of the width 64, attention on the last two, 64 pixels.

    The discriminator the other way round.
    """
    g, d = pair
    seen = []
    layers = [m for net in pair for m in net.layers if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | SelfAttention)]
    hooks = [
        m.register_forward_hook(lambda module, given, out: seen.append((type(module).__name__, *out.shape[1:3])))
        for m in layers
    ]
    odds = d(g(torch.randn(2, 7)))
    for hook in hooks:
        hook.remove()
    up = [
        ("ConvTranspose2d", 32, 4),
        ("ConvTranspose2d", 16, 8),
        ("ConvTranspose2d", 8, 16),
        ("ConvTranspose2d", 4, 32),
        ("ConvTranspose2d", 3, 64),
    ]
    down = [("Conv2d", 4, 32), ("Conv2d", 8, 16), ("Conv2d", 16, 8), ("Conv2d", 32, 4), ("Conv2d", 1, 1)]
    plain = [(name[12:] if name.startswith("Parametrized") else name, *rest) for name, *rest in seen]
    assert [s for s in plain if s[0] != "SelfAttention"] == up + down and odds.shape == (2,)
    assert [s[1:] for s in plain if s[0] == "SelfAttention"] == [(8, 16), (4, 32), (16, 8), (32, 4)]


def test_spectral_norms_are_one(pair):
    g, d = (copy.deepcopy(net).train() for net in pair)
    for _ in range(30):  # a power iteration a pass
        d(g(torch.randn(3, 7)))
    normal = [m for net in (g, d) for m in net.layers if is_parametrized(m)]
    assert len(normal) == 4 + 5 and not is_parametrized(g.layers[-2])
    for module in normal:
        axis = 1 if isinstance(module, nn.ConvTranspose2d) else 0
        assert float(torch.linalg.svdvals(module.weight.transpose(0, axis).flatten(1))[0]) == pytest.approx(1, abs=0.05)


def test_eval_mode_is_deterministic_and_each_image_is_on_its_own(pair):
    g, d = pair
    z = torch.randn(4, 7)
    x = g(z)
    odds, before = d(x), copy.deepcopy(d.state_dict())
    assert (
        torch.equal(g(z), x)
        and torch.equal(d(x), odds)
        and all(torch.equal(before[key], value) for key, value in d.state_dict().items())
    )
    assert x.shape == (4, 3, 64, 64) and x.min() >= 0 and x.max() <= 1 and x.std(dim=0).mean() > 1e-3
    for k in range(4):
        torch.testing.assert_close(g(z[k : k + 1]), x[k : k + 1], rtol=0, atol=1e-5)
        torch.testing.assert_close(d(x[k : k + 1]), odds[k : k + 1], rtol=0, atol=1e-4)


def test_config_and_copies(pair):
    g, d = pair
    again = nets.build(nets.GENERATORS, "SAGANGenerator", g.config())
    again.load_state_dict(g.state_dict())
    z = torch.randn(2, 7)
    assert torch.equal(again.eval()(z), g(z)) and torch.equal(copy.deepcopy(g)(z), g(z))
    for net in pair:
        back = pickle.loads(pickle.dumps(net))
        assert same(back, net) and not back.training and not any(p.requires_grad for p in back.parameters())
        part = copy.deepcopy(net).double().train().requires_grad_()
        net_again = pickle.loads(pickle.dumps(part))
        assert (
            same(net_again, part)
            and net_again.training
            and all(p.requires_grad for p in net_again.parameters())
            and not net.training
        )
    other = nets.SAGANDiscriminator(**d.config())
    other.load_state_dict(d.state_dict())
    assert torch.equal(other.eval()(g(z)), d(g(z)))


def test_wrong_inputs_are_refused(pair):
    g, d = pair
    with pytest.raises(InvalidInput, match=r"expected \(b, 7\)"):
        g(torch.randn(2, 8))
    for x in (torch.rand(1, 3, 32, 32), torch.rand(1, 1, 64, 64)):
        with pytest.raises(InvalidInput, match=r"expected \(b, 3, 64, 64\)"):
            d(x)
    for make in (nets.SAGANGenerator, nets.SAGANDiscriminator):
        with pytest.raises(InvalidInput, match="whole number"):
            make(width=0)
        with pytest.raises(UnknownKeyword):
            make(size=64)
