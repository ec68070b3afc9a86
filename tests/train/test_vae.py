"""Training a decoder.

The evidence lower bound against its formula, replayed by hand, continued after a stop, and what is refused.
"""

from __future__ import annotations

import copy
import json

import pytest
import torch

from cases.generators import dcgan, pictures, same, stop_at
from fastip import checkpoint, metrics, nets
from fastip.data import Batches
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.train import vae
from fastip.train.engine import loop, schedule
from fastip.train.losses.adversarial import Draw
from fastip.train.vae import Evidence

SIZE = 12


def networks(seed=3, **changed):
    torch.manual_seed(seed)
    sizes = {"height": SIZE, "width": SIZE, "latent": 3, "hidden": 20} | changed
    return nets.VAEDecoder(**sizes), nets.VAEEncoder(**sizes)


def train(output=None, **changed):
    options = {"steps": 8, "batch": 4, "seed": 1, "progress": False, "accelerator": "cpu", "output": output} | changed
    decoder, encoder = options.pop("networks", None) or networks()
    return vae(decoder, encoder, options.pop("images", pictures(size=SIZE)), **options)


# ---- what is minimised -----------------------------------------------------------------------------------------------


def test_the_loss_is_the_evidence_lower_bound():
    """Bernoulli likelihood summed over pixels and the divergence of PyTorch's distributions.

    In the mean over the batch.
    """
    decoder, encoder = (net.double() for net in networks())
    for net in (decoder, encoder):
        torch.nn.init.normal_(net.layers[-1].weight, std=0.3)
    x, e = torch.rand(5, 1, SIZE, SIZE, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    evidence = Evidence(decoder, encoder, 0.9)
    mean, log_variance = encoder(x)
    normal = torch.distributions.Normal(mean, log_variance.exp().sqrt())
    g = decoder(mean + normal.scale * e)
    pixels = -(x * g.log() + (1 - x) * (1 - g).log()).flatten(1).sum(1).mean()
    unit = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    divergence = torch.distributions.kl_divergence(normal, unit).sum(1).mean()
    assert divergence > 0.1
    loss = evidence(x, e)
    torch.testing.assert_close(loss, pixels + divergence)
    torch.testing.assert_close(torch.stack(list(evidence.terms.values())), torch.stack([pixels, divergence]).detach())
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for net in (decoder, encoder) for p in net.parameters())


def test_the_steps_are_those_of_adam():
    steps, seen = 6, []
    made = train(steps=steps, average=0.6, learning_rate=3e-3, report=lambda step, value: seen.append(value))
    decoder, encoder = networks()
    mean, draw, losses = copy.deepcopy(decoder), Draw(Batches(pictures(size=SIZE), 4, 1, 1), 3, 1), []
    evidence = Evidence(decoder, encoder, 0.6)
    adam = torch.optim.Adam([*decoder.parameters(), *encoder.parameters()])
    for step in range(steps):
        adam.param_groups[0]["lr"] = schedule.learning_rate(step, steps, 3e-3)
        adam.zero_grad()
        loss = evidence(*draw(step, 0))
        loss.backward()
        adam.step()
        losses.append(loss.item())
        share = 1 - min(0.6, (1 + step) / (10 + step))
        for a, p in zip(mean.parameters(), decoder.parameters(), strict=True):
            a.data.lerp_(p.data, share)
    assert seen == pytest.approx(losses, rel=1e-5)
    for (name, p), q in zip(made.named_parameters(), mean.parameters(), strict=True):
        torch.testing.assert_close(p, q.data, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


def test_a_decoder_learns():
    """It makes pictures that are nearer to held-out ones than at the start, and its bound on them is better."""
    held, given = pictures(200, size=SIZE, seed=1), networks(hidden=40)
    seen = []
    made = train(
        networks=given,
        images=pictures(400, size=SIZE),
        steps=300,
        batch=50,
        learning_rate=3e-3,
        report=lambda step, loss: seen.append(loss),
    )
    before, after = (metrics.frechet_distance(g.sample(200, seed=5), held.batch(range(200))) for g in (given[0], made))
    assert after < 0.4 * before and sum(seen[-5:]) < 0.95 * sum(seen[:5])


# ---- files and results -----------------------------------------------------------------------------------------------


def test_copies_are_trained_and_what_comes_out_is_frozen():
    given = networks()
    before = copy.deepcopy(given)
    made = train(networks=given)
    assert all(same(one, two) for one, two in zip(given, before, strict=True))
    assert not made.training and not any(p.requires_grad for p in made.parameters()) and type(made) is nets.VAEDecoder
    assert not any(torch.equal(p, q) for p, q in zip(made.parameters(), given[0].parameters(), strict=True))
    assert {p.dtype for p in train(precision="64-true", steps=2).parameters()} == {torch.float64}


def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path):
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    options = {"steps": 12, "validation": pictures(30, size=SIZE, seed=1)}
    made = train(whole, **options)
    with pytest.raises(KeyboardInterrupt):
        train(parts, **options, report=stop_at(5))
    assert same(train(parts, **options), made) and same(checkpoint.load_generator(parts), made)
    one, two = (json.loads(path.with_suffix(".json").read_text())["training"] for path in (whole, parts))
    assert (
        one["losses"] == two["losses"]
        and one["scores"] == two["scores"]
        and len(one["scores"]["score"]) == 12
        and two["starts"] == 2
    )


def test_a_finished_training_is_returned_and_other_settings_are_refused(tmp_path, monkeypatch):
    output = tmp_path / "g.safetensors"
    made = train(output)
    monkeypatch.setattr(loop, "fit", lambda *arguments: pytest.fail("trained again"))
    assert same(train(output), made)
    others = {
        "batch": {"batch": 5},
        "learning_rate": {"learning_rate": 1e-4},
        "generator.config.hidden": {"networks": networks(hidden=21)},
        "encoder.start": {"networks": (networks()[0], networks(seed=4)[1])},
        "images.first": {"images": pictures(size=SIZE, seed=8)},
    }
    for name, changed in others.items():
        with pytest.raises(InvalidInput, match=f"a generator that was trained.*{name} .* there"):
            train(output, **changed)


def test_bad_inputs():
    decoder, encoder = networks()
    bad = {
        "batch is": {"batch": 0},
        "steps is": {"steps": 0},
        "learning_rate is": {"learning_rate": -1.0},
        "average is": {"average": 1.5},
        "images is": {"images": torch.rand(4, 1, SIZE, SIZE)},
        "images have the shape": {"images": pictures(size=20)},
        "validation have the shape": {"validation": pictures(size=SIZE, colours=3)},
        "in validation is 1; expected at least 2": {"validation": pictures(1, size=SIZE)},
        "decoder is DCGANGenerator": {"networks": (dcgan(), encoder)},
        "encoder is VAEDecoder": {"networks": (decoder, decoder)},
        "same shape and latent": {"networks": (decoder, networks(latent=4)[1])},
    }
    for message, changed in bad.items():
        with pytest.raises(InvalidInput, match=message):
            train(**changed)
    with pytest.raises(UnknownKeyword, match="did you mean 'batch'"):
        train(bach=3)
