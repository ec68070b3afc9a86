"""Training one projector from image to image.

What it is shown, its loss and its discriminators' by formula, replayed by hand, continued, refused.
"""

from __future__ import annotations

import copy
import json

import pytest
import torch

import fastip
from cases.generators import dcgan, pictures, same, stop_at
from fastip import checkpoint, metrics, nets, operators, priors
from fastip.data import Batches
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.train import one_net
from fastip.train.engine import loop, schedule
from fastip.train.losses.one_net_loss import Doubts, Draw, Projecting, Score, blocky

SIZE = 12


def network(seed=3, **changed):
    torch.manual_seed(seed)
    return nets.OneNetProjector(**{"colours": 1, "size": SIZE, "width": 1} | changed)


def judges(seed=4, width=1):
    torch.manual_seed(seed)
    return nets.OneNetDiscriminator(colours=1, width=2, blocks=(1, 1)), nets.OneNetLatentDiscriminator(
        width=width, blocks=1
    )


def draw(batch=5, noise=(0.05, 0.2)):
    return Draw(Batches(pictures(size=SIZE), batch, 1, 1), noise, 1)


def train(output=None, **changed):
    options = {
        "steps": 8,
        "batch": 5,
        "seed": 1,
        "noise": (0.05, 0.2),
        "progress": False,
        "accelerator": "cpu",
        "output": output,
    } | changed
    net, pair = options.pop("net", None) or network(), options.pop("judges", None) or judges()
    return one_net(net, options.pop("images", pictures(size=SIZE)), pair, **options)


# ---- what it is shown ------------------------------------------------------------------------------------------------


def test_what_is_drawn_depends_on_the_step_alone():
    one = draw()
    (x, v), (_, again), (_, other) = (
        one(3, 0),
        one(3, 0),
        Draw(Batches(pictures(size=SIZE), 5, 1, 2), (0.05, 0.2), 1)(3, 1),
    )
    assert torch.equal(v, again) and not torch.equal(v, other) and x.shape == v.shape == (5, 1, SIZE, SIZE)


def test_the_noise_varies_from_image_to_image_and_place_to_place():
    one, x = draw(noise=(0.1, 0.4)), torch.zeros(3000, 1, 32, 32)
    v = one.damaged(x, 5)
    levels = v.flatten(1).std(dim=1)
    assert 0.02 < levels.min() and levels.max() < 0.75 and levels.std() > 0.05
    assert abs(v.mean()) < 1e-3
    # E s^2 for uniform s; interpolation takes a part of the field's variance
    assert 0.7 < v.square().mean() / ((0.4**3 - 0.1**3) / 0.9) < 1.1
    corners, apart = v[..., :4, :4].square().mean(dim=(1, 2, 3)), v[..., -4:, -4:].square().mean(dim=(1, 2, 3))
    near = v[..., :4, 4:8].square().mean(dim=(1, 2, 3))
    assert (
        torch.corrcoef(torch.stack([corners, near]))[0, 1] > torch.corrcoef(torch.stack([corners, apart]))[0, 1] + 0.2
    )
    flat = Draw(one.batches, (0.0, 0.0), 1)
    assert torch.equal(flat.damaged(x[:3], 1), x[:3])


def test_three_in_ten_are_blocky():
    x = torch.rand(2000, 1, 20, 20)
    v = Draw(draw().batches, (0.0, 0.0), 1).damaged(x, 3)
    rough = (v != x).flatten(1).any(dim=1)
    assert 0.26 < rough.double().mean() < 0.34
    assert all(torch.isin(one, other).all() for one, other in zip(v[:50], x[:50], strict=True)), (
        "each pixel is one of the image's own"
    )
    kept = [len(one.unique()) / 400 for one in v[rough]]
    assert min(kept) < 0.08 and max(kept) > 0.8
    half = blocky(x[:1], 0.5)
    assert (
        torch.equal(half, x[:1, :, ::2, ::2].repeat_interleave(2, -1).repeat_interleave(2, -2))
        and blocky(x[:1], 0.01).unique().numel() == 1
    )


# ---- what is minimised -----------------------------------------------------------------------------------------------


def test_the_loss_and_its_gradient():
    net, pair = network().double(), tuple(d.double() for d in judges())
    projecting = Projecting(net, pair, 0.9)
    x, v = (part.double() for part in draw()(0, 0))
    twin, (image, latent) = copy.deepcopy(net), copy.deepcopy(pair)
    code = twin.encode(torch.cat([x, v]))
    kept, made = twin.decode(code).chunk(2)

    def square(a, b):
        return ((2 * a - 1) - (2 * b - 1)).square().mean()

    def doubt(d, a):
        return -torch.sigmoid(d(a)).log().mean()

    terms = {
        "image": square(made, x),
        "self": 0.01 * square(kept, x) + 0.99 * square(made, v),
        "judged": 0.01 * doubt(image, kept) + 0.99 * doubt(image, made),
        "latent": doubt(latent, code[5:]),
    }
    expected = terms["image"] + 5e-3 * terms["self"] + 1e-3 * terms["judged"] + 1e-4 * terms["latent"]
    loss = projecting(x, v)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(projecting.terms, {name: term.detach() for name, term in terms.items()})
    loss.backward()
    for p, gradient in zip(net.parameters(), torch.autograd.grad(expected, list(twin.parameters())), strict=True):
        torch.testing.assert_close(p.grad, gradient, rtol=1e-6, atol=1e-10)
    assert all(p.grad is None and p.requires_grad for d in pair for p in d.parameters()), (
        "the projector's step leaves the discriminators alone"
    )
    assert not any("others" in name for name in projecting.state_dict())
    seen = projecting.seen
    torch.testing.assert_close(seen, (x, kept.detach(), made.detach(), code[:5].detach(), code[5:].detach()))
    assert not any(part.requires_grad for part in seen)


def test_what_the_discriminators_minimise():
    pair = tuple(d.double() for d in judges())
    seen = [torch.rand(4, 1, SIZE, SIZE, dtype=torch.float64) for _ in range(3)] + [
        torch.randn(4, 16, 2, 2, dtype=torch.float64) for _ in range(2)
    ]
    x, kept, made, clean, damaged = seen
    image, latent = copy.deepcopy(pair)

    def real(odds):
        return -(0.85 * torch.sigmoid(odds).log() + 0.15 * torch.sigmoid(-odds).log()).mean()

    def false(odds):
        return -(1 - torch.sigmoid(odds)).log().mean()

    images = real(image(x)) + 0.01 * false(image(kept)) + 0.99 * false(image(made))
    doubts = Doubts(*pair)
    loss = doubts(*seen)
    torch.testing.assert_close(loss, images + real(latent(clean)) + false(latent(damaged)))
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in doubts.parameters())


def test_weights_stay_in_bounds():
    projecting = Projecting(network(), judges(), 0.5)
    bounded = (projecting.net.down, projecting.net.middle, projecting.net.after, *projecting.others)
    for module in (projecting.net, *projecting.others):
        for p in module.parameters():
            p.data.fill_(20.0)
    projecting.follow(0)
    assert all((p == 10).all() for part in bounded for p in part.parameters()) and all(
        (p == 20).all() for p in projecting.net.up.parameters()
    )


@pytest.mark.parametrize("average", [0.0, 0.6])
def test_the_steps_are_taken_in_turn(average):
    steps, seen = 5, []
    made = train(steps=steps, average=average, learning_rate=1e-3, report=lambda step, value: seen.append(value))
    net, (image, latent), one, losses = network(), judges(), draw(), []
    projecting, doubts, mean = Projecting(net, (image, latent), average), Doubts(image, latent), copy.deepcopy(net)
    adams = torch.optim.Adam(net.parameters()), torch.optim.Adam(doubts.parameters(), betas=(0.5, 0.999))
    for step in range(steps):
        for adam, module, given in (
            (adams[0], projecting, lambda step=step: one(step, 0)),
            (adams[1], doubts, lambda: projecting.seen),
        ):
            adam.param_groups[0]["lr"] = schedule.learning_rate(step, steps, 1e-3)
            adam.zero_grad()
            loss = module(*given())
            loss.backward()
            trained = net if module is projecting else doubts
            torch.nn.utils.clip_grad_norm_(trained.parameters(), 10.0)
            adam.step()
            if module is projecting:
                losses.append(loss.item())
        share = 1 - min(average, (1 + step) / (10 + step))
        for a, p in zip(mean.parameters(), net.parameters(), strict=True):
            a.data.lerp_(p.data, share)
    assert seen == pytest.approx(losses, rel=1e-4)
    for (name, p), q in zip(made.net.named_parameters(), mean.parameters(), strict=True):
        torch.testing.assert_close(p, q.data, rtol=1e-3, atol=5e-6, msg=lambda text, name=name: f"{name}: {text}")


def test_a_projector_learns_and_serves_admm():
    made = train(
        net=network(width=3),
        judges=judges(width=3),
        images=pictures(300, size=SIZE),
        steps=150,
        batch=12,
        learning_rate=4e-3,
        average=0.9,
    )
    x = pictures(40, size=SIZE, seed=7).batch(range(40))
    v = draw().damaged(x, 9)
    with torch.no_grad():
        gain = float((metrics.psnr(made.net(v), x) - metrics.psnr(v, x)).mean())
        op = operators.Mask((torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(1)) > 0.5).double())
        solution = fastip.admm(op(x), op, made, beta=0.3, iterations=30, tolerance=0)
        filled = float((metrics.psnr(solution.x, x) - metrics.psnr(op(x), x)).mean())
    assert gain > 0.5 and filled > 6


# ---- what comes out --------------------------------------------------------------------------------------------------


def test_copies_are_trained_and_what_comes_out_is_frozen():
    net, pair = network(), judges()
    before = copy.deepcopy((net, *pair))
    made = train(net=net, judges=pair)
    assert all(same(one, two) for one, two in zip((net, *pair), before, strict=True))
    assert (
        isinstance(made, priors.Projector)
        and not made.net.training
        and not any(p.requires_grad for p in made.net.parameters())
    )
    assert not any(torch.equal(p, q) for p, q in zip(made.net.parameters(), net.parameters(), strict=True))
    assert {p.dtype for p in train(precision="64-true", steps=1).net.parameters()} == {torch.float64}


def test_the_default_discriminators_come_from_the_seed():
    options = {"steps": 1, "batch": 2, "average": 0.0, "progress": False, "accelerator": "cpu"}
    one, two, other = (one_net(network(), pictures(size=SIZE), seed=seed, **options) for seed in (1, 1, 2))
    assert same(one.net, two.net) and not same(one.net, other.net)


def test_the_score_is_the_mean_psnr():
    net, held, one = network(), pictures(6, size=SIZE, seed=4), draw()
    score, shown = Score(Projecting(net, judges(), 0.9), held, one, 6)()
    x = held.batch(range(6))
    v = one.damaged(x, schedule.stream(1, -1, 0))
    with torch.no_grad():
        projected = copy.deepcopy(net).eval()(v)
    assert score == pytest.approx(float(metrics.psnr(projected, x).mean()), abs=1e-4)
    (image,) = shown.values()
    assert image.shape == (1, 3 * SIZE, 6 * SIZE)
    torch.testing.assert_close(image[:, SIZE : 2 * SIZE, -SIZE:], projected[5])
    torch.testing.assert_close(image[:, :SIZE, :SIZE], v[0])


# ---- files -----------------------------------------------------------------------------------------------------------


def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path):
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    options = {"steps": 10, "validation": pictures(5, size=SIZE, seed=1)}
    made = train(whole, **options)
    for stop in (3, 7):
        with pytest.raises(KeyboardInterrupt):
            train(parts, **options, report=stop_at(stop))
    assert same(train(parts, **options).net, made.net) and same(checkpoint.load_projector(parts).net, made.net)
    one, two = (json.loads(path.with_suffix(".json").read_text())["training"] for path in (whole, parts))
    assert (
        one["losses"] == two["losses"]
        and one["scores"] == two["scores"]
        and len(one["scores"]["score"]) == 10
        and two["starts"] == 3
    )
    text = b"".join(path.read_bytes() for path in (tmp_path / "whole.tensorboard").iterdir())
    assert all(
        name in text
        for name in (b"damaged_projected_true", b"loss_self", b"loss_judged", b"loss_latent", b"loss_opponent")
    )


def test_a_finished_training_is_returned_and_other_settings_are_refused(tmp_path, monkeypatch):
    output = tmp_path / "p.safetensors"
    made = train(output)
    monkeypatch.setattr(loop, "fit", lambda *arguments: pytest.fail("trained again"))
    assert same(train(output).net, made.net)
    others = {
        "noise": {"noise": (0.05, 0.3)},
        "batch": {"batch": 6},
        "net.start": {"net": network(seed=8)},
        "latent_discriminator.start": {"judges": (judges()[0], judges(seed=8)[1])},
        "images.first": {"images": pictures(size=SIZE, seed=8)},
    }
    for name, changed in others.items():
        with pytest.raises(InvalidInput, match=f"a projector that was trained.*{name} .* there"):
            train(output, **changed)


def test_bad_inputs():
    image, latent = judges()
    bad = {
        "noise is": {"noise": (0.3, 0.2)},
        "noise is 0.1": {"noise": 0.1},
        "batch is": {"batch": 1},
        "learning_rate is": {"learning_rate": 0.0},
        "average is": {"average": 1.0},
        "expected one of OneNetProjector": {"net": dcgan()},
        "images is": {"images": torch.rand(4, 1, SIZE, SIZE)},
        "images have the shape": {"images": pictures(size=16)},
        "validation have the shape": {"validation": pictures(size=SIZE, colours=3)},
        "no pair of networks": {"judges": (image, None)},
        "expected 3 channels": {"judges": (nets.OneNetDiscriminator(colours=3, width=2, blocks=(1,)), latent)},
        "of a projector of width 2": {"judges": (image, judges(width=2)[1])},
        "discriminator of images gives": {"judges": (torch.nn.Flatten(), latent)},
        "suffix": {"output": "p.pt"},
    }
    for message, changed in bad.items():
        with pytest.raises(InvalidInput, match=message):
            train(**changed)
    with pytest.raises(UnknownKeyword, match="did you mean 'noise'"):
        train(nosie=0.1)
