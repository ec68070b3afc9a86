"""Training a generator against a discriminator.

The losses against their formulas, replayed by hand, continued after a stop, and what is refused.
"""

from __future__ import annotations

import copy
import json
import math
import os

import numpy as np
import pytest
import torch

import fastip
from cases.generators import Linear, pictures, same, stop_at
from fastip import checkpoint, data, metrics, nets
from fastip.data import Batches
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.train import gan
from fastip.train.engine import loop, schedule
from fastip.train.losses.adversarial import GAMES, Discrimination, Draw, Generation, Samples, grid


def networks(seed=3, width=2):
    torch.manual_seed(seed)
    return nets.DCGANGenerator(width=width, latent=4), nets.DCGANEncoder(width=width, outputs=1)


def train(output=None, **changed):
    options = {"steps": 8, "batch": 4, "seed": 1, "progress": False, "accelerator": "cpu", "output": output} | changed
    g, d = options.pop("networks", None) or networks()
    return gan(g, d, options.pop("images", pictures()), **options)


# ---- what is minimised -----------------------------------------------------------------------------------------------


def test_the_games_by_their_formulas():
    real, made = torch.randn(2, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    d, g = torch.sigmoid(real), torch.sigmoid(made)
    expected = {
        "bce": (-(d.log() + (1 - g).log()).mean(), -g.log().mean()),
        "hinge": ((1 - real).clamp_min(0).mean() + (1 + made).clamp_min(0).mean(), -made.mean()),
        "wasserstein": (made.mean() - real.mean(), -made.mean()),
    }
    assert set(GAMES) == set(expected)
    for name, (one, two) in expected.items():
        torch.testing.assert_close(GAMES[name].discriminator(real, made), one)
        torch.testing.assert_close(GAMES[name].generator(made), two)
    assert GAMES["bce"].generator(torch.tensor([-1e4])).item() == 1e4, "nothing underflows"


def test_what_is_drawn_depends_on_the_step_alone():
    one, other = (Draw(Batches(pictures(), 4, 1, ranks), 5, 1) for ranks in (1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one(3, 0), one(3, 0), strict=True))
    assert not torch.equal(other(3, 0)[1], other(3, 1)[1]) and not torch.equal(other(3, 0)[0], other(3, 1)[0])
    x, z = one(3, 0)
    assert x.shape == (4, 1, 28, 28) and z.shape == (4, 5)
    many = torch.cat([one(step, 0)[1] for step in range(200)])
    assert abs(many.mean()) < 0.05 and abs(many.std() - 1) < 0.05


def test_the_generators_step_leaves_the_discriminator_alone():
    """Its weights get no gradient, and the images that it is shown afterwards have none.

    The generator's gradient is the right one.
    """
    g, d = networks()
    generation = Generation(g, d, GAMES["bce"], 0.9)
    x, z = Draw(Batches(pictures(), 4, 1, 1), 4, 1)(0, 0)
    twins = copy.deepcopy((g, d))
    loss = generation(x, z)
    loss.backward()
    assert all(p.grad is None and p.requires_grad for p in d.parameters())
    torch.testing.assert_close(loss, -torch.sigmoid(twins[1](twins[0](z))).log().mean())
    loss = -torch.sigmoid(twins[1](twins[0](z))).log().mean()
    for p, gradient in zip(g.parameters(), torch.autograd.grad(loss, list(twins[0].parameters())), strict=True):
        torch.testing.assert_close(p.grad, gradient, rtol=1e-3, atol=1e-7)
    seen = generation.seen
    assert seen[0] is x and not seen[1].requires_grad
    Discrimination(d, GAMES["bce"], 0.0)(*seen).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in d.parameters())
    assert not any(name.startswith("others") or "discriminator" in name for name in generation.state_dict())


def test_the_penalty_by_its_formula():
    """penalty / 2 times the mean of ||grad D(x)||^2.

    Each gradient by central differences, and what it asks of the weights by differences of the loss.
    """
    torch.manual_seed(0)
    d = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()
    x, made, h = torch.rand(3, 1, 2, 3).double(), torch.rand(3, 1, 2, 3).double(), 1e-5
    loss = Discrimination(d, GAMES["hinge"], 7.0)

    def slopes(x):
        moves = h * torch.eye(6, dtype=torch.float64).view(6, 1, 1, 2, 3)
        return torch.stack([(d(x + move) - d(x - move))[:, 0] / (2 * h) for move in moves], 1)

    expected = GAMES["hinge"].discriminator(d(x), d(made)) + 3.5 * slopes(x).square().sum(1).mean()
    torch.testing.assert_close(loss(x, made), expected, rtol=1e-8, atol=0)
    assert not x.requires_grad and not made.requires_grad
    loss(x, made).backward()
    for p in d.parameters():
        first, ends = p.data.view(-1)[:1], []
        for move in (h, -2 * h):
            first += move
            ends.append(loss(x, made).item())
        first += h
        assert p.grad.view(-1)[0].item() == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("loss, average, penalty", [("bce", 0.0, 0.0), ("hinge", 0.7, 0.0), ("hinge", 0.0, 3.0)])
def test_the_steps_are_taken_in_turn(loss, average, penalty):
    """Replayed by hand.

    Both Adams with betas 0.5 and 0.999, the generator first, the discriminator on the images that it was shown,
    then the average.
    """
    steps, seen = 5, []
    options = {
        "loss": loss,
        "average": average,
        "penalty": penalty,
        "steps": steps,
        "learning_rate": 2e-3,
        "discriminator_rate": 1e-3,
    }
    made = train(**options, report=lambda step, value: seen.append(value))
    g, d = networks()
    mean, draw, losses = copy.deepcopy(g), Draw(Batches(pictures(), 4, 1, 1), 4, 1), []
    adams = [torch.optim.Adam(net.parameters(), betas=(0.5, 0.999)) for net in (g, d)]
    for step in range(steps):
        x, z = draw(step, 0)
        image = g(z)
        value = GAMES[loss].generator(d(image))
        losses.append(value.item())
        for adam, rate, net in zip(adams, (2e-3, 1e-3), (g, d), strict=True):
            adam.param_groups[0]["lr"] = schedule.learning_rate(step, steps, rate)
            objective = value if net is g else _doubt(loss, d, x, image.detach(), penalty)
            for p, gradient in zip(
                net.parameters(), torch.autograd.grad(objective, list(net.parameters())), strict=True
            ):
                p.grad = gradient
            adam.step()
        share = 1 - min(average, (1 + step) / (10 + step))
        for a, p in zip(mean.parameters(), g.parameters(), strict=True):
            a.data.lerp_(p.data, share)
    assert seen == pytest.approx(losses, rel=1e-4)
    for (name, p), q in zip(made.named_parameters(), mean.parameters(), strict=True):
        torch.testing.assert_close(p, q.data, rtol=1e-3, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}")
    for (name, kept), buffer in zip(made.named_buffers(), g.buffers(), strict=True):
        torch.testing.assert_close(kept, buffer, rtol=1e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def _doubt(loss, d, x, made, penalty):
    """The discriminator's loss."""
    x = x.requires_grad_()
    real = d(x)
    (slope,) = torch.autograd.grad(real.sum(), x, create_graph=True)
    return GAMES[loss].discriminator(real, d(made)) + penalty / 2 * slope.flatten(1).square().sum(1).mean()


def test_a_generator_learns():
    """The Fréchet distance to held-out pictures falls well below that of the start.

    The better of two counts, because so short a game goes astray now and then.
    """
    held, ratios = pictures(200, seed=1).batch(range(200)), []
    for seed in (1, 2):
        start = networks(seed, width=8)
        made = train(
            networks=start, images=pictures(200), steps=200, batch=16, learning_rate=4e-3, average=0.9, seed=seed
        )
        before, after = (metrics.frechet_distance(g.eval().sample(200, seed=5), held) for g in (start[0], made))
        ratios.append(after / before)
    assert min(ratios) < 0.8


# ---- what comes out --------------------------------------------------------------------------------------------------


def test_copies_are_trained_and_what_comes_out_is_frozen():
    given = networks()
    before = copy.deepcopy(given)
    made = train(networks=given)
    assert (
        all(same(one, two) for one, two in zip(given, before, strict=True))
        and given[0].training
        and not same(made, given[0])
    )
    assert (
        not made.training and not any(p.requires_grad for p in made.parameters()) and type(made) is nets.DCGANGenerator
    )
    changed = [name for name, p in made.named_parameters() if not torch.equal(p, given[0].get_parameter(name))]
    assert changed == [name for name, _ in given[0].named_parameters()]


def test_precision():
    wide = train(precision="64-true", steps=2)
    assert {p.dtype for p in wide.parameters()} == {torch.float64} and wide.sample(2).dtype == torch.float64
    mixed = train(precision="bf16-mixed", steps=2)
    assert {p.dtype for p in mixed.parameters()} == {torch.float32}


@pytest.mark.parametrize("loss", ["hinge", "wasserstein"])
def test_sagan_is_trained_with_its_losses(loss, tmp_path):
    torch.manual_seed(0)
    g, d = nets.SAGANGenerator(width=1, latent=3), nets.SAGANDiscriminator(width=2)
    output = tmp_path / "s.safetensors"
    options = {
        "loss": loss,
        "steps": 3,
        "batch": 2,
        "betas": (0.0, 0.9),
        "progress": False,
        "accelerator": "cpu",
        "output": output,
    }
    made = gan(g, d, pictures(6, 64, 3), **options)
    assert not same(made, g) and same(checkpoint.load_generator(output), made)
    assert torch.isfinite(made.sample(2)).all()
    with pytest.raises(KeyboardInterrupt):
        gan(g, d, pictures(6, 64, 3), **options | {"output": tmp_path / "t.safetensors", "report": stop_at(1)})
    assert same(gan(g, d, pictures(6, 64, 3), **options | {"output": tmp_path / "t.safetensors"}), made), (
        "the vectors of the spectral norms are kept"
    )


def test_the_score_and_the_grid():
    g, d = networks()
    held = pictures(70, seed=2)
    score, shown = Samples(Generation(g, d, GAMES["bce"], 0.9), held, 1)()
    with torch.no_grad():
        z = torch.randn(70, 4, generator=torch.Generator().manual_seed(schedule.stream(1, -1, 0)))
        made = copy.deepcopy(g).eval()(z)
    assert score == pytest.approx(metrics.frechet_distance(made, held.batch(range(70))), rel=1e-4)
    image = shown["samples"]
    assert image.shape == (1, 8 * 28, 8 * 28)
    torch.testing.assert_close(image[:, 28:56, 56:84], made[10], rtol=0, atol=1e-5)
    assert torch.equal(grid(made[:3], (2, 2))[:, 28:, 28:], torch.ones(1, 28, 28)), "an empty place is white"


# ---- files -----------------------------------------------------------------------------------------------------------


def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path):
    """Weights of both, their Adams, the average, the statistics of BatchNorm, and the scores."""
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    options = {"steps": 12, "validation": pictures(30, seed=1), "save_every": 5}
    made = train(whole, **options)
    for stop in (4, 9):
        with pytest.raises(KeyboardInterrupt):
            train(parts, **options, report=stop_at(stop))
    state = tmp_path / "parts.unfinished.safetensors"
    names = checkpoint.read(state, "training")[1].keys()
    assert {name.split(".")[0] for name in names} == {"module", "adam", "opponent"} and checkpoint.read_record(
        state, "training"
    )["progress"]["step"] == 10
    again = train(parts, **options)
    assert same(again, made) and same(checkpoint.load_generator(parts), made)
    one, two = (json.loads(path.with_suffix(".json").read_text())["training"] for path in (whole, parts))
    assert (
        one["losses"] == two["losses"] and one["scores"] == two["scores"] and (one["starts"], two["starts"]) == (1, 3)
    )
    assert len(one["scores"]["score"]) == 12 and all(math.isfinite(score) for score in one["scores"]["score"])
    assert sorted(os.listdir(tmp_path)) == [
        f"{stem}.{name}" for stem in ("parts", "whole") for name in ("json", "safetensors", "tensorboard")
    ]
    assert b"samples" in b"".join(path.read_bytes() for path in (tmp_path / "whole.tensorboard").iterdir())


def test_a_finished_training_is_returned_and_other_settings_are_refused(tmp_path, monkeypatch):
    output = tmp_path / "g.safetensors"
    made = train(output)
    monkeypatch.setattr(loop, "fit", lambda *arguments: pytest.fail("trained again"))
    assert same(train(output, save_every=3), made)
    g, d = networks(seed=9)
    others = {
        "loss": {"loss": "hinge"},
        "batch": {"batch": 5},
        "steps": {"steps": 9},
        "learning_rate": {"learning_rate": 1e-4},
        "discriminator_rate": {"discriminator_rate": 1e-4},
        "penalty": {"penalty": 1.0},
        "betas": {"betas": (0.0, 0.9)},
        "average": {"average": 0.5},
        "seed": {"seed": 2},
        "precision": {"precision": "64-true"},
        "generator.start": {"networks": (g, networks()[1])},
        "discriminator.start": {"networks": (networks()[0], d)},
        "config.width": {"networks": (nets.DCGANGenerator(width=3, latent=4), networks()[1])},
        "images.first": {"images": pictures(seed=8)},
        "images.count": {"images": pictures(41)},
    }
    for name, changed in others.items():
        with pytest.raises(InvalidInput, match=f"a generator that was trained.*{name} .* there"):
            train(output, **changed)


def test_the_record_has_these_settings(tmp_path):
    """Files of earlier trainings are continued by it, so none may be renamed or dropped."""
    train(tmp_path / "g.safetensors", steps=1)
    settings = checkpoint.read_record(tmp_path / "g.safetensors", "generator")["training"]["settings"]
    numbers = {
        "loss",
        "batch",
        "steps",
        "learning_rate",
        "discriminator_rate",
        "penalty",
        "betas",
        "average",
        "seed",
        "devices",
        "precision",
    }
    assert set(settings) == {"generator", "discriminator", "config", "images"} | numbers
    assert settings["generator"]["name"] == "DCGANGenerator" and set(settings["images"]) == {
        "set",
        "count",
        "shape",
        "first",
    }


# ---- what is refused -------------------------------------------------------------------------------------------------


def test_bad_inputs():
    bad = {
        "expected one of bce": {"loss": "mse"},
        "batch is": {"batch": 1},
        "steps is": {"steps": 0},
        "seed is": {"seed": -1},
        "learning_rate is": {"learning_rate": 0.0},
        "discriminator_rate is": {"discriminator_rate": -1.0},
        "penalty is": {"penalty": -1.0},
        r"betas are|betas is": {"betas": (0.5, 1.0)},
        "expected two numbers": {"betas": (0.5,)},
        "average is": {"average": 1.0},
        "save_every is": {"save_every": 0},
        "precision is": {"precision": "16-true"},
        "suffix": {"output": "g.pt"},
        "images is": {"images": torch.rand(4, 1, 28, 28)},
        "validation is": {"validation": [1]},
        "images have the shape": {"images": pictures(colours=3)},
        "validation have the shape": {"validation": pictures(size=20)},
        "in validation is 1; expected at least 2": {"validation": pictures(1)},
        "in images is 0; expected at least 1": {"images": data.Stored(np.zeros((0, 1, 28, 28), np.uint8), np.zeros(0))},
        "expected one of DCGANGenerator": {"networks": (Linear((1, 28, 28)), networks()[1])},
        "one number for each": {"networks": (networks()[0], nets.DCGANEncoder(width=2, outputs=3))},
        "expected a network with weights": {"networks": (networks()[0], torch.relu)},
        r"expected \(b, 3, 28, 28\)": {"networks": (networks()[0], nets.DCGANEncoder(width=2, colours=3, outputs=1))},
    }
    for message, changed in bad.items():
        with pytest.raises(InvalidInput, match=message):
            train(**changed)
    train(validation=pictures(2))
    with pytest.raises(UnknownKeyword, match="did you mean 'average'"):
        train(avrage=0.9)


def test_a_loss_that_is_no_number_ends_it():
    g, d = networks()
    g.layers[0].weight.data.fill_(float("nan"))
    with pytest.raises(loop.Diverged, match="nan"):
        train(networks=(g, d))


def test_it_is_part_of_the_face():
    assert fastip.train.gan is gan and fastip.load_generator is checkpoint.load_generator
