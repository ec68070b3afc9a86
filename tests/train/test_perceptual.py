"""Losses beside that of the pixels.

Against their formulas, replayed by hand, continued after a kill, and what is refused.
"""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cases.programs import PYTHON
from fastip import checkpoint, data, nets, operators, psf
from fastip.data import Batches
from fastip.errors import FastipError, InvalidInput, UnknownKeyword, Unsupported
from fastip.train import Perceptual, prior, unrolled
from fastip.train.engine import loop, schedule
from fastip.train.losses.perceptual import Doubt, Judges
from fastip.train.losses.restoration import Denoising, Draw, Unrolled

SIZE = 16


class Filters(nets.Comparator):
    """Two layers of random filters: a comparator that costs nothing."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(11)
            self.first, self.second = torch.nn.Conv2d(3, 5, 3), torch.nn.Conv2d(5, 6, 3, stride=2)

    def layers(self, x):
        first = torch.relu(self.first(4 * x))
        return [first, torch.relu(self.second(first))]


def pictures(count=40, size=SIZE, colours=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.rand(count, colours, 4, 4, generator=generator), size=(size, size), mode="bicubic")
    fine = 0.2 * torch.rand(count, colours, size, size, generator=generator)
    return data.Stored((255 * (0.7 * coarse + fine).clamp(0, 1)).numpy().astype(np.uint8), np.zeros(count))


def small(seed=3, **changed):
    torch.manual_seed(seed)
    net = nets.PixelShuffleAutoencoder(**{"colours": 1, "factor": 2, "widths": (8,), "blocks": (1,)} | changed)
    torch.nn.init.normal_(net.tail.weight, std=0.02)
    return net


def discriminator(seed=4, colours=1, size=SIZE):
    torch.manual_seed(seed)
    return nets.Discriminator(colours=colours, factor=1, size=size, width=4)


def both(**changed):
    return Perceptual(
        **{
            "comparator": 0.3,
            "adversarial": 0.05,
            "features": Filters(),
            "discriminator": discriminator(),
            "learning_rate": 1e-3,
        }
        | changed
    )


def draw(batch=4, levels=(0.05, 0.3), op=None, seed=1):
    return Draw(Batches(pictures(), batch, seed, 1), levels, op, seed)


def blur():
    return operators.Blur(psf.gaussian(5, sigma=1.0), stride=2)


def distance(x_hat, x):
    """The distance of features, written out."""
    total = 0.0
    for f, g in zip(*(Filters().layers(image.expand(-1, 3, -1, -1)) for image in (x_hat, x)), strict=True):
        f, g = (features / (features.square().sum(1, keepdim=True) + 1e-10).sqrt() for features in (f, g))
        total = total + (f - g).square().sum(1).flatten(1).mean(1)
    return total


def states(made):
    return made.net.state_dict()


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


# ---- what is minimised -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("make", [Denoising, Unrolled])
def test_the_loss_and_its_gradient(norm, make):
    """r + 0.3 (r0 / c0) c + 0.05 (r0 / a0) a, with the discriminator fixed."""
    op, extra = blur(), (((0.1, 0.2), (0.05, 0.1)), "auto") if make is Unrolled else ()
    objective, drawn = make(small(), op, 0.02, norm, 0.9, *extra), draw(op=op)(0, 0)
    judges = Judges(both(), drawn[0])
    objective.judged(judges, *drawn)
    _, d = judges.networks

    def parts(drawn):
        x_hat = objective.estimate(objective.net, *drawn)
        doubt = -torch.sigmoid(copy.deepcopy(d)(x_hat)).log().mean()
        return (x_hat - drawn[0]).abs().pow(norm).mean(), distance(x_hat, drawn[0]).mean(), doubt

    r0, c0, a0 = parts(drawn)
    torch.testing.assert_close(judges.scales, torch.stack([r0 / c0, r0 / a0]).detach().double(), rtol=1e-5, atol=0)
    torch.testing.assert_close(objective(*drawn), 1.35 * r0)
    later = draw(op=op)(5, 0)
    r, c, a = parts(later)
    expected = r + 0.3 * r0.detach() / c0.detach() * c + 0.05 * r0.detach() / a0.detach() * a
    loss = objective(*later)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.stack(list(judges.terms.values())), torch.stack([r, c, a]).detach())
    loss.backward()
    gradients = torch.autograd.grad(expected, list(objective.net.parameters()))
    for p, gradient in zip(objective.net.parameters(), gradients, strict=True):
        torch.testing.assert_close(p.grad, gradient, rtol=1e-3, atol=1e-6)
    assert all(p.grad is None for p in d.parameters()) and all(p.requires_grad for p in d.parameters())
    assert judges.seen[0] is later[0] and not judges.seen[1].requires_grad
    kept = objective.state_dict()
    assert not any("first" in name and "judges" in name for name in kept) and "judges.scales" in kept


def test_what_the_discriminator_minimises():
    d, drawn = discriminator(), draw()(0, 0)
    x, x_hat = drawn[0], drawn[0] + 0.1 * drawn[1]
    real, restored = (torch.sigmoid(copy.deepcopy(d)(image)) for image in (x, x_hat))
    torch.testing.assert_close(Doubt(d)(x, x_hat), -(real.log() + (1 - restored).log()).mean())


@pytest.mark.parametrize("which", ["comparator", "adversarial"])
def test_one_of_them_alone(which):
    asked = (
        both(comparator=0.3, adversarial=0.0, discriminator=None)
        if which == "comparator"
        else both(comparator=0.0, features=None)
    )
    objective, drawn = Denoising(small(), None, 0.0, 1, 0.9), draw()(0, 0)
    judges = Judges(asked, drawn[0])
    objective.judged(judges, *drawn)
    assert list(judges.terms) == ["pixels", which] and judges.scales.numel() == 1
    torch.testing.assert_close(
        objective(*drawn), (1.3 if which == "comparator" else 1.05) * objective.pixels(judges.seen[1], drawn[0])
    )
    assert (judges.opponent(1e-3) is None) == (which == "comparator")


def test_the_added_losses_are_in_full_precision():
    """Under autocast the distances of an estimate are those without it."""
    objective, drawn = Denoising(small(), None, 0.0, 1, 0.9), draw()(0, 0)
    judges = Judges(both(), drawn[0])
    objective.judged(judges, *drawn)
    x, x_hat = judges.seen
    plain = judges.measure(x_hat, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        judges(x_hat, x, objective.pixels(x_hat, x))
        mixed, doubt = dict(judges.terms), Doubt(judges.networks[1])(x, x_hat)
    for name, term in plain.items():
        torch.testing.assert_close(mixed[name], term.detach(), rtol=1e-6, atol=0)
    torch.testing.assert_close(doubt, Doubt(judges.networks[1])(x, x_hat), rtol=1e-6, atol=0)


def test_the_steps_are_taken_in_turn():
    """Six steps replayed by hand.

    Both Adams, both clipped, the discriminator after the network and on what that was shown.
    """
    steps, clip = 6, 0.05
    made = prior(
        small(), pictures(), noise=(0.05, 0.3), batch=4, steps=steps, seed=1, clip=clip, average=0.0, perceptual=both()
    )
    net, d, features = small(), discriminator(), Filters()
    adams = torch.optim.Adam(net.parameters(), lr=1.0), torch.optim.Adam(d.parameters(), lr=1.0, betas=(0.5, 0.999))
    scales = None
    for step in range(steps):
        x, e, levels, _ = draw()(step, 0)
        x_hat = net(x + levels.view(-1, 1, 1, 1) * e, None, levels)
        r, c, a = (x_hat - x).abs().mean(), features(x_hat, x).mean(), F.softplus(-d(x_hat)).mean()
        scales = scales or (float((r / c).detach()), float((r / a).detach()))
        one = r + 0.3 * scales[0] * c + 0.05 * scales[1] * a
        two = F.softplus(-d(x)).mean() + F.softplus(d(x_hat.detach())).mean()
        for adam, module, loss in zip(adams, (net, d), (one, two), strict=True):
            adam.param_groups[0]["lr"] = schedule.learning_rate(step, steps, 1e-3)
            gradients = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)
            for p, gradient in zip(module.parameters(), gradients, strict=True):
                p.grad = gradient
        for adam, module in zip(adams, (net, d), strict=True):
            torch.nn.utils.clip_grad_norm_(module.parameters(), clip)
            adam.step()
    for (name, p), q in zip(made.net.named_parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(p, q.data, rtol=1e-4, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}")


def test_the_comparator_draws_the_result_towards_it():
    """Trained with it, the distance of features is smaller than without, the mean square error not."""
    options = {"noise": 0.2, "steps": 150, "batch": 8, "learning_rate": 3e-3, "norm": 2}
    made = [
        prior(small(widths=(12,)), pictures(), **options, perceptual=asked)
        for asked in (None, both(comparator=3.0, adversarial=0.0, discriminator=None))
    ]
    x, e, _, _ = draw(batch=30, seed=9)(0, 0)
    with torch.no_grad():
        results = [net.net(x + 0.2 * e, None, 0.2) for net in made]
        far = [float(Filters()(x_hat, x).mean()) for x_hat in results]
    errors = [float((x_hat - x).square().mean()) for x_hat in results]
    assert far[1] < 0.95 * far[0] and errors[1] > errors[0]


# ---- files -----------------------------------------------------------------------------------------------------------


def test_what_the_records_and_the_log_say(tmp_path):
    output = tmp_path / "p.safetensors"
    options = {"noise": (0.05, 0.2), "steps": 5, "batch": 2, "output": output}
    net, features, first = small(), Filters(), discriminator()
    given = [copy.deepcopy(module.state_dict()) for module in (net, features, first)]
    made = prior(net, pictures(), **options, perceptual=both(features=features, discriminator=first))
    assert all(
        same(before, module.state_dict()) for before, module in zip(given, (net, features, first), strict=True)
    ), "what is given is left alone"
    asked = json.loads((tmp_path / "p.json").read_text())["training"]["settings"]["perceptual"]
    assert (
        asked["comparator"]["weight"] == 0.3
        and asked["comparator"]["net"] == "Filters"
        and asked["adversarial"]["config"] == discriminator().config()
    )
    assert {name.split(".")[0] for name in checkpoint.read(output, "prior")[1]} == {
        name.split(".")[0] for name in states(made)
    }
    text = b"".join(path.read_bytes() for path in (tmp_path / "p.tensorboard").iterdir())
    assert all(f"loss_{name}".encode() in text for name in ("pixels", "comparator", "adversarial", "opponent"))
    assert same(states(prior(small(), pictures(), **options, perceptual=both())), states(made))
    for name, other in {
        "comparator.weight": both(comparator=0.4),
        "adversarial.weight": both(adversarial=0.04),
        "adversarial.start": both(discriminator=discriminator(seed=5)),
        "adversarial.learning_rate": both(learning_rate=2e-3),
        "adversarial.config.width": both(discriminator=nets.Discriminator(colours=1, factor=1, size=SIZE, width=5)),
        "comparator.net": both(comparator=0.0, features=None),
    }.items():
        with pytest.raises(InvalidInput, match=f"perceptual.{name}"):
            prior(small(), pictures(), **options, perceptual=other)
    with pytest.raises(InvalidInput, match="perceptual"):
        prior(small(), pictures(), **options)


def test_a_training_without_them_says_nothing_of_them(tmp_path):
    prior(small(), pictures(), noise=0.1, steps=3, batch=2, output=tmp_path / "p.safetensors")
    assert "perceptual" not in (tmp_path / "p.json").read_text()
    assert b"loss_" not in b"".join(path.read_bytes() for path in (tmp_path / "p.tensorboard").iterdir())


@pytest.mark.parametrize("last", [0, 7, 18])
def test_an_interrupted_training_goes_on_to_the_same_bits(tmp_path, last):
    options = {
        "beta": [0.05, 0.1],
        "levels": 0.1,
        "iterations": 2,
        "data_noise": 0.01,
        "batch": 2,
        "steps": 20,
        "save_every": 6,
    }
    whole = unrolled(small(), pictures(), blur(), **options, perceptual=both())

    def report(step, loss):
        if step == last + 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        unrolled(
            small(), pictures(), blur(), **options, perceptual=both(), output=tmp_path / "p.safetensors", report=report
        )
    _, tensors = checkpoint.read(tmp_path / "p.unfinished.safetensors", "training")
    assert {
        "opponent.module.discriminator.layers.0.weight",
        "opponent.adam.0.exp_avg",
        "module.judges.scales",
    } <= tensors.keys()
    made = unrolled(small(), pictures(), blur(), **options, perceptual=both(), output=tmp_path / "p.safetensors")
    assert same(states(whole), states(made))


# One process that forks the trainings, each with the step after which it is to die, so that torch is imported once.
KILLED = """
import os, signal, sys
import numpy as np, torch
torch.set_num_threads(1)
from fastip import data, nets, operators, psf
from fastip.train import Perceptual, prior
import lightning_fabric, tensorboardX
pictures = data.Stored(np.random.default_rng(0).integers(0, 256, (13, 1, 32, 32), dtype=np.uint8), np.zeros(13))
torch.manual_seed(3)
net = nets.PaperPixelShuffleAutoencoder(colours=1, factor=2, channels=(6, 4), data_colours=1, stride=2)
op = operators.Blur(psf.gaussian(5, sigma=1.0), stride=2)
perceptual = Perceptual(comparator=0.2, adversarial=0.1)
for name, last in (("whole", 0), ("parts", 3), ("parts", 6), ("parts", 0)):
    pid = os.fork()
    if pid == 0:
        def report(step, loss):
            if step == last:
                os.kill(os.getpid(), signal.SIGKILL)
        options = {"noise": (0.05, 0.2), "steps": 8, "batch": 3, "save_every": 2}
        options |= {"perceptual": perceptual, "report": report}
        prior(net, pictures, op, output=f"{sys.argv[1]}/{name}.safetensors", **options)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path):
    """With the network's BatchNorm, the discriminator's and both Adams; the comparator is SqueezeNet."""
    command = [*PYTHON, "-c", KILLED, str(tmp_path)]
    ended = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, capture_output=True, text=True
    ).stdout.split()
    assert [int(code) for code in ended] == [0, -signal.SIGKILL, -signal.SIGKILL, 0]
    whole, parts = (checkpoint.read(tmp_path / f"{name}.safetensors", "prior") for name in ("whole", "parts"))
    assert same(whole[1], parts[1]) and int(whole[1]["first.2.num_batches_tracked"]) == 8
    first, second = whole[0]["training"], parts[0]["training"]
    assert first["losses"] == second["losses"] and (first["starts"], second["starts"]) == (1, 3)


def test_two_processes_train_both_networks(tmp_path):
    """In mixed precision; the weights of one are not those of two."""
    options = {"noise": (0.05, 0.2), "steps": 3, "batch": 2, "precision": "bf16-mixed", "accelerator": "cpu"}
    asked = {"comparator": 0.2, "adversarial": 0.1}
    two = prior(
        small(),
        pictures(size=32),
        **options,
        perceptual=Perceptual(**asked),
        devices=2,
        output=tmp_path / "p.safetensors",
    )
    one = prior(small(), pictures(size=32), **options, perceptual=Perceptual(**asked))
    assert not same(states(one), states(two))
    assert json.loads((tmp_path / "p.json").read_text())["training"]["settings"]["devices"] == 2


def test_double_precision():
    made = prior(small().double(), pictures(), noise=0.1, steps=2, batch=2, precision="64-true", perceptual=both())
    assert made.net.tail.weight.dtype == torch.float64


# ---- the default discriminator ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "factor", "side"), [(64, 4, 64), (96, 4, 64), (32, 4, 32), (28, 2, 16), (17, 1, 16), (8, 1, 8)]
)
def test_the_default_discriminator_suits_the_pictures(size, factor, side):
    picture = pictures(1, size=size, colours=2).batch([0])
    one, again, other = (Perceptual(adversarial=0.1).suited(picture, seed).discriminator for seed in (3, 3, 4))
    assert (one.factor, one.size, one.colours) == (factor, side, 2)
    assert same(one.state_dict(), again.state_dict()) and not same(one.state_dict(), other.state_dict())
    before = torch.get_rng_state()
    Perceptual(adversarial=0.1).suited(picture, 3)
    assert torch.equal(before, torch.get_rng_state())


# ---- what is refused -------------------------------------------------------------------------------------------------

BAD = {
    "nothing": ({}, "both 0"),
    "negative": ({"comparator": -0.1}, "comparator"),
    "no number": ({"adversarial": "much"}, "adversarial"),
    "infinite": ({"adversarial": float("inf")}, "adversarial"),
    "rate zero": ({"adversarial": 0.1, "learning_rate": 0}, "learning_rate"),
    "features of another kind": ({"comparator": 0.1, "features": torch.nn.Conv2d(3, 3, 3)}, "Comparator"),
    "discriminator of another kind": ({"adversarial": 0.1, "discriminator": torch.nn.Conv2d(3, 3, 3)}, "Discriminator"),
    "features in vain": (
        {"adversarial": 0.1, "features": Filters()},
        "features is given and the weight comparator is 0",
    ),
    "discriminator in vain": (
        {"comparator": 0.1, "features": Filters(), "discriminator": discriminator()},
        "weight adversarial is 0",
    ),
    "misspelt": ({"adverserial": 0.1}, "did you mean 'adversarial'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_refused(case):
    given, message = BAD[case]
    with pytest.raises((InvalidInput, UnknownKeyword), match=message):
        Perceptual(**given)


UNSUITED = {
    "another kind": (lambda: 0.1, {}, "perceptual is float"),
    "two channels": (lambda: both(adversarial=0.0, discriminator=None), {"colours": 2}, "1 or 3 channels"),
    "too small for SqueezeNet": (lambda: Perceptual(comparator=0.1), {}, "17 x 17"),
    "too small for the discriminator": (lambda: both(discriminator=discriminator(size=32)), {}, "32 x 32"),
    "other colours": (lambda: both(discriminator=discriminator(colours=3)), {}, "3 channels"),
    "too small for any": (lambda: Perceptual(adversarial=0.1), {"size": 6}, "8 x 8"),
}


@pytest.mark.parametrize("case", UNSUITED)
def test_networks_that_cannot_look_at_the_pictures_are_refused(tmp_path, monkeypatch, case):
    make, shape, message = UNSUITED[case]
    monkeypatch.setattr(loop, "fit", lambda *arguments: pytest.fail("trained in vain"))
    with pytest.raises(FastipError, match=message):
        prior(
            small(colours=shape.get("colours", 1)),
            pictures(**shape),
            perceptual=make(),
            output=tmp_path / "p.safetensors",
        )
    assert os.listdir(tmp_path) == []


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unsupported, match=r"pip install 'fastip\[perceptual\]'"):
        Perceptual(comparator=0.1)
    Perceptual(adversarial=0.1)


def test_a_perfect_start_has_no_scale():
    objective = Denoising(small(), None, 0.0, 1, 0.9)
    objective.estimate = lambda net, x, e, levels, n: x
    drawn = draw()(0, 0)
    with pytest.raises(InvalidInput, match="pixels 0, comparator"):
        objective.judged(Judges(both(), drawn[0]), *drawn)


def test_a_loss_of_the_opponent_that_is_no_number_stops_the_training():
    with pytest.raises(loop.Diverged):
        prior(small(), pictures(), noise=0.1, steps=3, batch=2, perceptual=both(adversarial=1e-9, learning_rate=1e38))


def test_the_losses_of_the_discriminator_fall():
    """Against a network that hardly changes it learns to tell the restored from the real."""
    seen = []
    original = Doubt.forward

    def watched(self, x, x_hat):
        loss = original(self, x, x_hat)
        seen.append(float(loss.detach()))
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Doubt, "forward", watched)
        asked = Perceptual(adversarial=0.01, discriminator=discriminator(), learning_rate=5e-3)
        prior(small(), pictures(), noise=0.3, steps=60, batch=8, learning_rate=1e-6, perceptual=asked)
    blocks = [sum(seen[k : k + 20]) for k in (0, 20, 40)]
    assert all(late < early for early, late in pairwise(blocks)) and seen[-1] < 0.5 * seen[0]
