"""The comparison of shapes at a tiny size: what is trained, what is scored, what the page says."""

from __future__ import annotations

import pytest
import torch

from fastip import data
from fastip.experiments import ffdnet
from fastip.experiments.inner_loop import denoiser_shapes
from fastip.experiments.record import plain
from fastip.train.engine import loop
from fastip.train.recipes import photo_denoiser

CHOSEN = ("16/48/128", "depthwise 16/48/128/192")


class Noise(data.Pictures):
    endless = True

    def __init__(self, size=16):
        self.size = size

    def __len__(self):
        return 10

    def sized(self, size):
        return Noise(16)

    def batch(self, indices):
        return torch.stack(
            [torch.rand(3, self.size, self.size, generator=torch.Generator().manual_seed(int(i))) for i in indices]
        )


@pytest.fixture(scope="module")
def outcome():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photo_denoiser, "training_pictures", Noise)
        patch.setattr(photo_denoiser, "test_photographs", lambda: [torch.rand(1, 3, 24, 24)])
        patch.setattr(data, "validation_photographs", lambda: [torch.rand(1, 3, 16, 24), torch.rand(1, 3, 24, 16)])
        return denoiser_shapes.run(seconds=0.4, shapes=CHOSEN, side=32, probe=2)


def test_every_shape_is_trained_scored_and_timed(outcome):
    rows = outcome.numbers["rows"]
    assert list(rows) == [*CHOSEN, denoiser_shapes.FFDNET, denoiser_shapes.DRUNET]
    for name in CHOSEN:
        assert rows[name]["steps"] >= 1 and len(rows[name]["test"]) == len(rows[name]["validation"]) == 3
        assert rows[name]["float32"] > 0 and rows[name]["bfloat16"] > 0
    assert "test" not in rows[denoiser_shapes.DRUNET] and ("test" in rows[denoiser_shapes.FFDNET]) == (
        ffdnet.weights() is not None
    )
    assert outcome.numbers["settings"]["counts"] == {"test": 1, "validation": 2}


def test_the_page(outcome):
    text = denoiser_shapes.page(plain(outcome.numbers))
    assert "1 test photographs" in text and "| DRUNet's shape |" in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and " ms" not in line][1:]
    assert len(rows) == 4
    better = max(CHOSEN, key=lambda name: sum(outcome.numbers["rows"][name]["validation"]))
    assert f"{better} is best on validation" in text


@pytest.mark.parametrize("name", denoiser_shapes.SHAPES)
def test_every_candidate_is_within_the_bound_and_counts_its_products(name):
    """At most 150 thousand products a pixel, counted again from what its convolutions do."""
    net = denoiser_shapes.SHAPES[name]()
    total = 0

    def count(module, given, result):
        nonlocal total
        total += module.weight.numel() * result.shape[2] * result.shape[3]

    hooks = [module.register_forward_hook(count) for module in net.modules() if isinstance(module, torch.nn.Conv2d)]
    n = 64
    with torch.no_grad():
        net(torch.zeros(1, 3, n, n), level=0.1)
    assert hooks and net.products == pytest.approx(total / n**2, rel=1e-6) and net.products <= 150_000


def test_ffdnets_products():
    net, total = ffdnet.FFDNet(), 0
    for layer in net.layers:
        total += layer.weight.numel() / 4
    assert denoiser_shapes.PRODUCTS[denoiser_shapes.FFDNET] == total


@pytest.mark.parametrize("block", [denoiser_shapes.GatedBlock, denoiser_shapes.MixBlock])
def test_blocks_start_near_the_identity_and_learn(block):
    torch.manual_seed(0)
    made, f = block(8), torch.randn(2, 8, 9, 7)
    result = made(f)
    assert result.shape == f.shape and 0 < (result - f).norm() < 0.5 * f.norm()
    result.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in made.parameters())


def test_shapes_that_diverge_are_told_and_do_not_end_the_rest(monkeypatch):
    """The first diverges at the recipe's learning rate, the second at a lower one too; the third is as any."""
    monkeypatch.setattr(photo_denoiser, "training_pictures", Noise)
    monkeypatch.setattr(photo_denoiser, "test_photographs", lambda: [torch.rand(1, 3, 24, 24)])
    monkeypatch.setattr(data, "validation_photographs", lambda: [torch.rand(1, 3, 16, 24)])
    first, second, third = list(denoiser_shapes.SHAPES)[:3]

    def trained(build, feed, seconds, probe, rate):
        if build is denoiser_shapes.SHAPES[second] or (
            build is denoiser_shapes.SHAPES[first] and rate == photo_denoiser.RATE
        ):
            raise loop.Diverged("the loss is nan")
        return denoiser_shapes._Trained(build(), 7)

    monkeypatch.setattr(denoiser_shapes, "_trained", trained)
    outcome = denoiser_shapes.run(shapes=(first, second, third), side=16)
    rows = outcome.numbers["rows"]
    assert (
        rows[first]["rate"] == 0.3e-3
        and rows[third]["rate"] == 1e-3
        and rows[second]["rate"] is None
        and "validation" not in rows[second]
    )
    text = denoiser_shapes.page(plain(outcome.numbers))
    assert f"With it {first} diverged, and had 0.3 of it." in text and text.count("| diverged |") == 1
