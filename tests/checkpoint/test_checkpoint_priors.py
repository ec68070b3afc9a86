"""Trained priors in float16: half the file, the same record, and a network in float32 again."""

from __future__ import annotations

import time

import pytest
import torch

from cases.tasks import network
from fastip import checkpoint, load_prior, nets, priors, save_prior
from fastip.errors import InvalidInput

TRAINED = priors.Trained((0.01, 0.3), schedule=((0.02, 0.2), (0.2, 0.03)))


def saved(path, net, **options):
    save_prior(path, priors.PixelShuffleAutoencoder(net, trained=TRAINED), training={"seconds": 7}, **options)
    return checkpoint.read(path, "prior")


def test_float16_is_half_the_file_and_comes_back_in_float32(tmp_path):
    net = network(widths=(16, 32))
    whole, _ = saved(tmp_path / "whole.safetensors", net)
    half, tensors = saved(tmp_path / "half.safetensors", net, dtype=torch.float16)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    assert half | {"digest": ""} == whole | {"digest": ""} and half["digest"] != whole["digest"]
    back = load_prior(tmp_path / "half.safetensors")
    assert back.trained == TRAINED and back.sigma == (0.2, 0.03)
    assert not any(p.requires_grad for p in back.net.parameters())
    for name, tensor in back.net.state_dict().items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, net.state_dict()[name].half().float())
    again, _ = saved(tmp_path / "again.safetensors", back.net, dtype=torch.float16)
    assert again == half  # nothing is lost a second time


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_other_precisions_stay_what_they_are(tmp_path, dtype):
    saved(tmp_path / "p.safetensors", network(), dtype=dtype)
    assert {p.dtype for p in load_prior(tmp_path / "p.safetensors").net.parameters()} == {dtype}


def test_counts_are_not_weights(tmp_path):
    """The number of batches that BatchNorm has seen stays a whole number."""
    net = nets.PaperPixelShuffleAutoencoder(channels=(4,), factor=2, stride=2)
    _, tensors = saved(tmp_path / "p.safetensors", net, dtype=torch.float16)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16, torch.int64}
    assert {t.dtype for t in load_prior(tmp_path / "p.safetensors").net.state_dict().values()} == {
        torch.float32,
        torch.int64,
    }


def test_what_float16_cannot_hold_is_refused(tmp_path):
    net = network()
    with torch.no_grad():
        net.tail.bias[1] = -1e5
    with pytest.raises(InvalidInput, match="tail.bias go up to 100000, too large for torch.float16: write"):
        saved(tmp_path / "p.safetensors", net, dtype=torch.float16)
    for dtype in (torch.int8, "float16"):
        with pytest.raises(InvalidInput, match="dtype is"):
            saved(tmp_path / "p.safetensors", net, dtype=dtype)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("net", "key", "value"),
    [
        (network(), "blocks", [10**9, 1]),
        (network(), "blocks", [2**63, 1]),
        (nets.NonexpansiveDenoiser(width=4, depth=2), "depth", 10**9),
    ],
    ids=["blocks", "more blocks than fit an integer", "depth"],
)
def test_a_network_of_too_many_layers_is_refused_before_it_is_made(tmp_path, net, key, value):
    """It was made for ever, though of no numbers."""
    path = tmp_path / "p.safetensors"
    record = {
        "net": {"name": type(net).__name__, "config": net.config() | {key: value}},
        "trained": {"levels": [0.01, 0.3], "data": None, "schedule": []},
    }
    checkpoint.write(path, "prior", net.state_dict(), record)
    start = time.process_time()
    with pytest.raises(InvalidInput, match="more layers than the file has tensors for|describes no network"):
        load_prior(path)
    assert time.process_time() - start < 5
