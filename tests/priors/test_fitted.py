"""The copies of a network that solves ask for: where, in which precision, how often they are made, and when again."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch

from cases.pretended import CUDA, pretended
from cases.tasks import network
from fastip import nets
from fastip.errors import InvalidInput
from fastip.priors import memory
from fastip.priors.fitted import Fitted, native

CPU = torch.device("cpu")


def sized(fitted: Fitted, *shape: int, dtype: torch.dtype = torch.float32, **bytes_: Any) -> nets.PriorNet:
    return fitted.for_images(shape, CPU, dtype, **({"held": 0, "bound": 10**9} | bytes_))


def test_a_copy_is_made_once() -> None:
    net = network()
    fitted = Fitted(net)
    half = fitted.on(CPU, torch.bfloat16)
    assert half is fitted.on(CPU, torch.bfloat16) is not net
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    assert fitted.on(CPU, torch.float32) is net and {p.dtype for p in net.parameters()} == {torch.float32}
    assert sized(fitted, 1, 3, 9, 9) is sized(fitted, 5, 6, 9, 9)
    assert sized(fitted, 1, 1, 9, 9) is sized(fitted, 2, 4, 9, 9)


def test_weights_that_changed_are_copied_again() -> None:
    net: Any = network()
    fitted = Fitted(net)
    before, tiled = fitted.on(CPU, torch.float64), sized(fitted, 1, 3, 9, 9)
    with torch.no_grad():
        net.tail.bias.add_(0.5)
    after: Any = fitted.on(CPU, torch.float64)
    assert after is not before and torch.equal(after.tail.bias, net.tail.bias.double())
    assert sized(fitted, 1, 3, 9, 9) is not tiled


def test_inference_mode() -> None:
    with torch.inference_mode():
        fitted, v = Fitted(network()), torch.rand(1, 3, 8, 8)
        half = fitted.on(CPU, torch.bfloat16)
        assert half is fitted.on(CPU, torch.bfloat16) and half(v, level=0.1).shape == v.shape


def test_copies_are_not_written() -> None:
    fitted = Fitted(network())
    bare = len(pickle.dumps(fitted))
    sized(fitted, 1, 1, 200, 200, dtype=torch.float64)
    assert len(pickle.dumps(fitted)) == bare
    v = torch.rand(1, 3, 8, 8)
    again = pickle.loads(pickle.dumps(fitted))
    assert torch.equal(again.on(CPU, torch.float32)(v, level=0.1), fitted.net(v, level=0.1))


@pytest.mark.parametrize(("channels", "grey"), [(1, True), (2, True), (3, False), (4, True), (6, False)])
def test_grey_where_the_channels_are_no_colours(channels: int, grey: bool) -> None:
    tiled = sized(Fitted(network()), 1, channels, 20, 20)
    assert isinstance(tiled, nets.Tiled) and isinstance(tiled.net, nets.Grey) == grey


def test_tiles_follow_the_bound() -> None:
    net = network(widths=(16, 32))
    each, fitted = memory.features(net, torch.float32), Fitted(net)
    for side in (200, 300):
        tiled = sized(fitted, 1, 3, 900, 900, held=5e6, bound=int(5e6 + each * (side + 0.5) ** 2))
        assert isinstance(tiled, nets.Tiled) and tiled.tile == side // net.multiple * net.multiple
    with pytest.raises(InvalidInput, match="at least"):
        sized(Fitted(net), 1, 3, 900, 900, held=5e6, bound=6_000_000)
    whole = nets.PaperPixelShuffleAutoencoder(colours=3)  # does not state its reach
    assert sized(Fitted(whole), 1, 3, 900, 900, bound=1) is whole
    assert isinstance(sized(Fitted(whole), 1, 1, 9, 9), nets.Grey)


def test_the_device_of_the_images() -> None:
    assert native(CPU) in (torch.float32, torch.bfloat16) and native(torch.device("meta")) is torch.float32
    with pretended() as gpu:
        fitted = Fitted(network())
        first = fitted.for_images((1, 3, 20, 20), CUDA, torch.float32, held=0, bound=10**9)
        assert {p.device for p in first.parameters()} == {CUDA}
        gpu.waits.clear()
        assert fitted.for_images((1, 3, 20, 20), CUDA, torch.float32, held=0, bound=10**9) is first and not gpu.waits
