"""A pixel-shuffling auto-encoder that is made to see data, or larger.

It computes what it did before, and learns with what is new.
"""

from __future__ import annotations

import pytest
import torch

from fastip import nets
from fastip.errors import InvalidInput


def network(**changed):
    """One whose every layer does something."""
    torch.manual_seed(torch.initial_seed() % 1000 + 1)
    net = nets.PixelShuffleAutoencoder(**{"colours": 2, "widths": (6, 8, 10), "blocks": (1, 0, 2)} | changed)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net.double()


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_a_conditioned_network_ignores_the_data_at_first_and_not_for_ever(stride):
    net = network()
    made = net.conditioned(data_colours=3, stride=stride)
    v, y = (
        torch.rand(2, 2, 21, 26, dtype=torch.float64),
        torch.rand(2, 3, -(-21 // stride), -(-26 // stride), dtype=torch.float64),
    )
    assert torch.equal(made(v, y, 0.1), net(v, level=0.1)) and made.config() == net.config() | {
        "data_colours": 3,
        "stride": stride,
    }
    made(v, y, 0.1).square().sum().backward()
    assert made.data.weight.grad.abs().max() > 0
    with torch.no_grad():
        made.data.weight.add_(0.1)
        assert not torch.allclose(made(v, y, 0.1), net(v, level=0.1))


@pytest.mark.parametrize(
    ("widths", "blocks"),
    [
        ((6, 8, 10), (1, 0, 2)),
        ((7, 8, 10), (1, 0, 2)),
        ((6, 12, 10), (1, 0, 2)),
        ((6, 8, 10), (2, 1, 5)),
        ((9, 11, 30), (1, 2, 3)),
    ],
)
@pytest.mark.parametrize("data_colours", [0, 2])
def test_a_grown_network_computes_the_same(widths, blocks, data_colours):
    net = network(data_colours=data_colours, stride=2 if data_colours else 1)
    made = net.grown(widths=widths, blocks=blocks)
    v, y = torch.rand(3, 2, 19, 30, dtype=torch.float64), torch.rand(3, 2, 10, 15, dtype=torch.float64)
    assert (made(v, y, 0.2) - net(v, y, 0.2)).abs().max() < 1e-12
    assert made.widths == widths and made.blocks == blocks and next(made.parameters()).dtype == torch.float64


def test_a_copy_keeps_what_convolutions_see_beyond_the_border():
    net = network(padding_mode="zeros")
    v = torch.rand(2, 2, 9, 14, dtype=torch.float64)
    for made in (net.grown(widths=(7, 8, 11), blocks=(1, 1, 2)), net.conditioned(data_colours=1)):
        assert made.padding_mode == "zeros" and "padding_mode" not in network().config()
        assert (made(v, v[:, :1], 0.2) - net(v, level=0.2)).abs().max() < 1e-12


def test_what_is_new_learns():
    """What is new learns.

    After one step of gradient descent what leads from new channels to old ones is no longer zero, after two
    everything that is new has moved.
    """
    net = network()
    made = net.grown(widths=(8, 10, 14), blocks=(2, 1, 3))
    first = {name: p.detach().clone() for name, p in made.named_parameters()}
    v = torch.rand(4, 2, 24, 24, dtype=torch.float64)
    descent = torch.optim.SGD(made.parameters(), lr=1e-4)
    for _ in range(3):
        descent.zero_grad()
        (made(v, level=0.1) - v).square().mean().backward()
        descent.step()
    still = [
        name
        for name, p in made.named_parameters()
        if (p.detach() == first[name]).flatten(1 if p.ndim > 1 else 0).all(dim=-1).all()
    ]
    assert still == []


def test_the_network_itself_is_left_alone():
    net = network()
    before = {name: t.clone() for name, t in net.state_dict().items()}
    made = net.grown(widths=(8, 8, 12), blocks=(1, 1, 2)).conditioned(data_colours=1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize(
    ("widths", "blocks"),
    [((6, 8), (1, 0)), ((5, 8, 10), (1, 0, 2)), ((6, 8, 10), (0, 0, 2)), ((6, 8, 10, 12), (1, 0, 2, 1))],
)
def test_it_cannot_shrink(widths, blocks):
    with pytest.raises(InvalidInput, match="at least"):
        network().grown(widths=widths, blocks=blocks)


def test_data_once_and_some():
    with pytest.raises(InvalidInput, match="takes data of 2 channels already"):
        network(data_colours=2).conditioned(data_colours=1)
    with pytest.raises(InvalidInput, match="at least 1"):
        network().conditioned(data_colours=0)
