"""Training priors: the losses against their formulas, what comes out, and what is refused before any work."""

from __future__ import annotations

import copy
import json
import math
import os
import signal
import subprocess

import numpy as np
import pytest
import torch
from safetensors import safe_open

import fastip
from cases.programs import PYTHON
from fastip import checkpoint, data, metrics, nets, operators, priors, psf
from fastip.data import Batches, degrade
from fastip.errors import FastipError, InvalidInput, UnknownKeyword
from fastip.train import prior, unrolled
from fastip.train.engine import loop, schedule
from fastip.train.losses.restoration import Denoising, Draw, Score, Unrolled


def pictures(count=40, size=16, colours=1, seed=0):
    """Random shapes: smooth shades with an edge."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, colours, 4, 4, generator=generator)
    shades = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    edges = torch.where(
        torch.arange(size) < torch.randint(4, size - 4, (count, 1, 1, 1), generator=generator), 0.4, 0.0
    )
    x = (0.5 * shades + edges).clamp(0, 1)
    return data.Stored((255 * x).numpy().astype(np.uint8), np.zeros(count))


def blur(sigma=1.0, stride=2, boundary="circular"):
    return operators.Blur(psf.gaussian(5, sigma=sigma), stride=stride, boundary=boundary)


def small(seed=3, **changed):
    torch.manual_seed(seed)
    return nets.PixelShuffleAutoencoder(**{"colours": 1, "factor": 2, "widths": (8,), "blocks": (1,)} | changed)


def conditional(seed=3, **changed):
    return small(seed, data_colours=1, stride=2, **changed)


def lively(net, seed=5):
    """The network with a tail that does something."""
    torch.manual_seed(seed)
    torch.nn.init.normal_(net.tail.weight, std=0.05)
    return net


def draw(batch=4, levels=(0.02, 0.3), op=None, seed=1, ranks=1):
    return Draw(Batches(pictures(), batch, seed, ranks), levels, op, seed)


# ---- what is minimised -----------------------------------------------------------------------------------------------


def test_what_is_drawn_depends_on_the_step_alone():
    one, op = draw(op=blur()), blur()
    first, again = one(3, 0), draw(op=op)(3, 0)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = draw(op=op, ranks=2)
    assert not torch.equal(other(3, 0)[0], other(3, 1)[0]) and not torch.equal(other(3, 0)[1], other(3, 1)[1])
    levels = torch.cat([one(step, 0)[2] for step in range(100)]).log()
    low, high = math.log(0.02), math.log(0.3)
    assert levels.min() >= low and levels.max() <= high
    uniform = (levels - low) / (high - low)
    assert abs(uniform.mean() - 0.5) < 0.06 and abs(uniform.std() - 12**-0.5) < 0.04
    assert first[3].shape == (4, 1, 8, 8) and draw()(0, 0)[3].numel() == 0


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("with_data", [False, True])
def test_the_loss_of_a_denoiser(norm, with_data):
    op = blur() if with_data else None
    net = lively(conditional() if with_data else small())
    x, e, levels, n = draw(op=op)(0, 0)
    y = op(x) + 0.05 * n if with_data else None
    error = net(x + levels.view(-1, 1, 1, 1) * e, y, levels) - x
    loss = Denoising(net, op, 0.05, norm, 0.9)(x, e, levels, n)
    torch.testing.assert_close(loss, error.abs().pow(norm).mean())


@pytest.mark.parametrize("make", [small, conditional])
def test_the_loss_of_a_solve(make):
    op, net, schedule_ = blur(), lively(make()), ((0.02, 0.2), (0.05, 0.1), (0.05, 0.05))
    x, e, levels, n = draw(op=op)(0, 0)
    prior_ = priors.PixelShuffleAutoencoder(net, sigma=[0.2, 0.1, 0.05])
    expected = fastip.admm(op(x) + 0.03 * n, op, prior_, beta=[0.02, 0.05, 0.05], iterations=3, tolerance=0).x
    objective = Unrolled(net, op, 0.03, 1, 0.9, schedule_, "auto")
    loss = objective(x, e, levels, n)
    torch.testing.assert_close(loss, (expected - x).abs().mean())
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


@pytest.mark.parametrize("make", [Denoising, Unrolled])
def test_mixed_precision_does_not_round_the_images(make):
    """A network that starts as the identity has the same loss with and without autocast.

    Equal to the last bit but those of a mean.
    """
    op, extra = blur(), (((0.1, 0.2),), "auto") if make is Unrolled else ()
    objective = make(conditional(), op, 0.05, 1, 0.9, *extra)
    drawn = draw(op=op)(0, 0)
    plain = objective(*drawn)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = objective(*drawn)
    torch.testing.assert_close(mixed, plain, rtol=1e-6, atol=0)
    lively(objective.net)
    plain = objective(*drawn)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = objective(*drawn)
    assert mixed != plain, "the network itself runs in bfloat16"
    torch.testing.assert_close(mixed, plain, rtol=1e-2, atol=0)


def test_mixed_precision_does_not_round_the_data():
    """Of an operator that is a matrix product, which autocast would take for a layer."""
    op = operators.Dense(torch.randn(5, 256, generator=torch.Generator().manual_seed(0)), image_shape=(1, 16, 16))
    objective, (x, _, _, n) = Denoising(small(), op, 0.05, 1, 0.9), draw(op=op)(0, 0)
    plain = objective.data(x, n)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(objective.data(x, n), plain, rtol=1e-5, atol=1e-5)


def test_mixed_precision_reaches_the_training_that_way():
    """The first loss, of a network that is still the identity, is the same; the trained weights are not."""
    seen = {}
    for precision in ("32-true", "bf16-mixed"):
        made = prior(
            small(),
            pictures(),
            noise=0.1,
            steps=3,
            precision=precision,
            report=lambda step, loss, name=precision: seen.setdefault(name, loss),
        )
        seen[f"{precision} weights"] = made.net.tail.weight
    assert seen["bf16-mixed"] == pytest.approx(seen["32-true"], rel=1e-6)
    assert not torch.equal(seen["bf16-mixed weights"], seen["32-true weights"])


def test_the_average_follows_the_weights_and_the_statistics():
    torch.manual_seed(0)
    net = nets.PaperPixelShuffleAutoencoder(colours=1, factor=2, channels=(3,), data_colours=0)
    objective = Denoising(net, None, 0.0, 1, 0.6)
    expected = {name: p.detach().clone() for name, p in net.named_parameters()}
    for step in range(12):
        objective(*draw()(step, 0))
        for p in net.parameters():
            p.data.add_(torch.randn_like(p))
        objective.follow(step)
        d = min(0.6, (1 + step) / (10 + step))
        for name, p in net.named_parameters():
            expected[name] = d * expected[name] + (1 - d) * p.detach()
    for name, p in objective.average.named_parameters():
        torch.testing.assert_close(p, expected[name], rtol=1e-5, atol=1e-5)
    for kept, buffer in zip(objective.average.buffers(), net.buffers(), strict=True):
        assert torch.equal(kept, buffer)
    assert not objective.average.training and not any(p.requires_grad for p in objective.average.parameters())


def test_the_steps_are_those_of_adam_with_clipped_gradients(monkeypatch):
    """Replayed by hand: learning rate, clipping, averaging."""
    steps, clip, norms = 6, 0.05, []
    made = prior(small(), pictures(), noise=(0.02, 0.3), batch=4, steps=steps, seed=1, clip=clip, average=0.5)
    net = small()
    average, adam, one = copy.deepcopy(net), torch.optim.Adam(net.parameters()), draw()
    for step in range(steps):
        adam.param_groups[0]["lr"] = schedule.learning_rate(step, steps, 1e-3)
        adam.zero_grad()
        x, e, levels, _ = one(step, 0)
        (net(x + levels.view(-1, 1, 1, 1) * e, None, levels) - x).abs().mean().backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(net.parameters(), clip)))
        adam.step()
        d = min(0.5, (1 + step) / (10 + step))
        for a, p in zip(average.parameters(), net.parameters(), strict=True):
            a.data.mul_(d).add_((1 - d) * p.data)
    assert max(norms) > clip
    for (name, p), q in zip(made.net.named_parameters(), average.parameters(), strict=True):
        torch.testing.assert_close(p, q.data, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


# ---- what comes out --------------------------------------------------------------------------------------------------


def gain(made, x, level, y=None):
    """dB that denoising brings."""
    v = x + level * torch.randn(x.shape, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        return float((metrics.psnr(made.net(v, y, level), x) - metrics.psnr(v, x)).mean())


def test_a_trained_denoiser_beats_the_identity_at_every_level():
    net = small(widths=(16,))
    before = copy.deepcopy(net.state_dict())
    made = prior(
        net, pictures(), noise=(0.03, 0.3), steps=250, batch=8, learning_rate=3e-3, validation=pictures(8, seed=1)
    )
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items()), (
        "the given net is left alone"
    )
    assert not made.net.training and not any(p.requires_grad for p in made.net.parameters())
    x = pictures(seed=2).batch(range(20))
    assert [gain(made, x, level) > least for level, least in ((0.03, 0.1), (0.1, 2.0), (0.3, 5.0))] == [True] * 3
    assert made.trained == priors.Trained((0.03, 0.3)) and made.sigma is None
    with pytest.raises(InvalidInput, match="sigma"):
        made.bind(x, operators.Identity())


def test_training_through_the_solver_makes_its_result_better():
    op, noise = blur(sigma=1.5), 0.02
    made = prior(
        conditional(widths=(16,)), pictures(), op, noise=(0.03, 0.3), data_noise=noise, steps=120, learning_rate=3e-3
    )
    told = {"beta": [0.005, 0.02, 0.05], "levels": [0.2, 0.1], "iterations": 3}
    tuned = unrolled(
        made.net, pictures(), op, **told, data_noise=noise, steps=80, learning_rate=2e-3, validation=pictures(8, seed=1)
    )
    assert (
        tuned.trained.beta == (0.005, 0.02, 0.05)
        and tuned.sigma == tuned.trained.sigma == (0.2, 0.1, 0.1)
        and tuned.trained.levels == (0.1, 0.2)
    )
    x = pictures(seed=2).batch(range(20))
    y = degrade(x, op, noise, generator=7)

    def score(net):
        with torch.no_grad():
            solved = fastip.admm(
                y,
                op,
                priors.PixelShuffleAutoencoder(net, sigma=tuned.sigma),
                beta=tuned.trained.beta,
                iterations=3,
                tolerance=0,
            )
        return float(metrics.psnr(solved.x, x).mean())

    assert score(tuned.net) > score(made.net) + 1.0
    for other in (blur(sigma=1.4), blur(stride=1)):
        with pytest.raises(InvalidInput, match="another operator"):
            tuned.bind(other(x), other)


@pytest.mark.parametrize(
    "net",
    [nets.DigitAutoencoder, lambda: nets.PaperPixelShuffleAutoencoder(colours=1, channels=(4, 3), data_colours=0)],
    ids=["digits", "paper"],
)
def test_the_networks_of_the_paper_train(net):
    torch.manual_seed(0)
    seen = []
    made = prior(
        net(),
        pictures(size=28),
        noise=0.1,
        steps=60,
        batch=4,
        norm=2,
        learning_rate=3e-3,
        report=lambda step, loss: seen.append(loss),
    )
    assert np.mean(seen[-5:]) < 0.8 * np.mean(seen[:5]) and made.trained.levels == (0.1, 0.1)
    assert made.bind(torch.zeros(1, 1, 28, 28), operators.Identity())(torch.rand(1, 1, 28, 28), 1.0).shape == (
        1,
        1,
        28,
        28,
    )


def test_the_score_is_the_mean_psnr():
    op, net, held = blur(), lively(conditional()), pictures(5, seed=4)
    one = draw(op=op)
    objective = Denoising(net, op, 0.02, 1, 0.9)
    score, shown = Score(objective, held, one, 5)()
    x = held.batch(range(5)).repeat_interleave(3, dim=0)
    _, e, _, n = one.noise(x, schedule.stream(one.seed, -1, 0))
    levels = torch.tensor([0.02, (0.02 * 0.3) ** 0.5, 0.3]).repeat(5)
    with torch.no_grad():
        x_hat = net(x + levels.view(-1, 1, 1, 1) * e, op(x) + 0.02 * n, levels)
    assert score == pytest.approx(float(metrics.psnr(x_hat.clamp(0, 1), x).mean()), abs=1e-4)
    (image,) = shown.values()
    assert image.shape == (1, 3 * 16, 3 * 16)
    torch.testing.assert_close(image[:, :16, 32:], x[0])


# ---- files -----------------------------------------------------------------------------------------------------------


def test_the_file_in_half_precision(tmp_path):
    """The file is in float16, what is returned is not; another kind of number is refused before any work."""
    output = tmp_path / "p.safetensors"
    made = prior(conditional(), pictures(), blur(), steps=2, batch=1, output=output, dtype=torch.float16)
    with safe_open(output, framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}
    back = checkpoint.load_prior(output)
    for a, b in zip(back.net.state_dict().values(), made.net.state_dict().values(), strict=True):
        assert a.dtype == b.dtype == torch.float32 and torch.equal(a, b.half().float())
    for wrong in (torch.int8, "float16"):
        with pytest.raises(InvalidInput, match="dtype is"):
            prior(conditional(), pictures(), blur(), steps=10**9, output=tmp_path / "q.safetensors", dtype=wrong)


def test_the_checkpoint_and_the_log(tmp_path):
    op, output = blur(), tmp_path / "p.safetensors"
    options = {
        "noise": (0.05, 0.2),
        "data_noise": 0.01,
        "steps": 12,
        "batch": 2,
        "validation": pictures(3, seed=1),
        "output": output,
    }
    made = prior(conditional(), pictures(), op, **options)
    back = checkpoint.load_prior(output)
    assert (
        back.trained == made.trained
        and back.net.config() == made.net.config()
        and not any(p.requires_grad for p in back.net.parameters())
    )
    assert all(
        torch.equal(a, b) for a, b in zip(back.net.state_dict().values(), made.net.state_dict().values(), strict=True)
    )
    log = json.loads((tmp_path / "p.json").read_text())
    assert log == checkpoint.read_record(output, "prior") and log["operator"]["convolution"]["stride"] == 2
    training = log["training"]
    assert training["settings"]["images"]["set"] == "Stored" and training["settings"]["kind"] == "denoising"
    assert len(training["scores"]["score"]) == 12 and training["losses"]["step"] == list(range(12))
    assert b"given_restored_true" in b"".join(path.read_bytes() for path in (tmp_path / "p.tensorboard").iterdir())
    assert sorted(os.listdir(tmp_path)) == ["p.json", "p.safetensors", "p.tensorboard"]
    y = op(pictures(2, seed=5).batch([0, 1]))
    solve = [fastip.admm(y, op, p.at(noise=0.02), beta=0.05, iterations=3).x for p in (made, back)]
    assert torch.equal(*solve)


def test_a_finished_training_is_returned_and_other_settings_are_refused(tmp_path, monkeypatch):
    output = tmp_path / "p.safetensors"
    options = {"noise": (0.05, 0.2), "steps": 6, "batch": 2, "output": output}
    made = prior(small(), pictures(), **options)
    monkeypatch.setattr(loop, "fit", lambda *arguments: pytest.fail("trained again"))
    back = prior(small(), pictures(), **options, progress=False, save_every=3)
    assert all(
        torch.equal(a, b) for a, b in zip(back.net.state_dict().values(), made.net.state_dict().values(), strict=True)
    )
    others = {
        "levels": {"noise": (0.05, 0.3)},
        "batch": {"batch": 3},
        "norm": {"norm": 2},
        "average": {"average": 0.9},
        "clip": {"clip": 2.0},
        "data_noise": {"data_noise": 0.1},
        "precision": {"precision": "bf16-mixed"},
        "net.config.widths": {"net": small(widths=(9,))},
        "images.first": {"images": pictures(seed=8)},
        "images.count": {"images": pictures(41)},
    }
    for name, changed in others.items():
        given = {"net": small(), "images": pictures()} | options | changed
        with pytest.raises(InvalidInput, match=f"a prior that was trained.* {name} .* there"):
            prior(given.pop("net"), given.pop("images"), **given)
    with pytest.raises(InvalidInput, match="kind denoising there, unrolled asked"):
        unrolled(small(), pictures(), blur(), beta=0.1, levels=0.1, iterations=2, steps=6, output=output)
    with pytest.raises(InvalidInput, match="holds a trained prior; expected a trained inverse"):
        checkpoint.load_inverse(output)


# One process that forks the trainings, each with the step after which it is to die, so that torch is imported once.
RESUMED = """
import os, signal, sys
import numpy as np, torch
torch.set_num_threads(1)
from fastip import data, nets, operators, psf
from fastip.train import prior
import lightning_fabric, tensorboardX
pictures = data.Stored(np.random.default_rng(0).integers(0, 256, (13, 1, 16, 16), dtype=np.uint8), np.zeros(13))
torch.manual_seed(3)
net = nets.PaperPixelShuffleAutoencoder(colours=1, factor=2, channels=(6, 4), data_colours=1, stride=2)
op = operators.Blur(psf.gaussian(5, sigma=1.0), stride=2)
for name, last in (("whole", 0), ("parts", 11), ("parts", 23), ("parts", 0)):
    pid = os.fork()
    if pid == 0:
        def report(step, loss):
            if step == last:
                os.kill(os.getpid(), signal.SIGKILL)
        options = {"noise": (0.05, 0.2), "steps": 30, "batch": 4, "save_every": 4}
        options |= {"validation": pictures, "report": report}
        prior(net, pictures, op, output=f"{sys.argv[1]}/{name}.safetensors", **options)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path):
    """Weights, their average, Adam, the statistics of BatchNorm, and the ten epochs of the set."""
    command = [*PYTHON, "-c", RESUMED, str(tmp_path)]
    ended = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, capture_output=True, text=True
    ).stdout.split()
    assert [int(code) for code in ended] == [0, -signal.SIGKILL, -signal.SIGKILL, 0]
    whole, parts = (checkpoint.read(tmp_path / f"{name}.safetensors", "prior") for name in ("whole", "parts"))
    assert (
        all(torch.equal(whole[1][name], tensor) for name, tensor in parts[1].items())
        and int(whole[1]["first.2.num_batches_tracked"]) == 30
    )
    first, second = whole[0]["training"], parts[0]["training"]
    assert (
        first["losses"] == second["losses"]
        and first["scores"] == second["scores"]
        and (first["starts"], second["starts"]) == (1, 3)
    )


def test_checkpoints_of_priors_that_do_not_belong_are_refused(tmp_path):
    op, path = blur(), tmp_path / "p.safetensors"
    trained = priors.Trained((0.1, 0.2), priors.trained.likeness(op))
    with pytest.raises(InvalidInput, match="does not know"):
        checkpoint.save_prior(path, priors.PixelShuffleAutoencoder(conditional()))
    with pytest.raises(InvalidInput, match="another operator"):
        checkpoint.save_prior(path, priors.PixelShuffleAutoencoder(conditional(), trained=trained), op=blur(stride=1))
    with pytest.raises(InvalidInput, match="NaN"):
        wrong = conditional()
        wrong.head.weight.data[0, 0, 0, 0] = math.nan
        checkpoint.save_prior(path, priors.PixelShuffleAutoencoder(wrong, trained=trained))
    assert os.listdir(tmp_path) == []
    net = nets.PaperPixelShuffleAutoencoder(channels=(4,), factor=2, stride=2).double()
    checkpoint.save_prior(path, priors.PixelShuffleAutoencoder(net, trained=trained), op=op)
    back = checkpoint.load_prior(path)
    assert (
        back.net.config() == net.config()
        and next(back.net.parameters()).dtype == torch.float64
        and not back.net.training
    )
    record, tensors = checkpoint.read(path, "prior")
    for change, message in (
        (lambda r, t: r["trained"].update(levels=[0.2, 0.1]), "damaged|levels"),
        (lambda r, t: r.pop("trained"), "does not say what"),
        (lambda r, t: r["net"]["config"].update(channels=[5]), "expected"),
        (lambda r, t: t.update({"first.2.num_batches_tracked": torch.zeros(())}), "num_batches_tracked"),
        (lambda r, t: r["net"].update(name="InverseNet"), "cannot be built"),
    ):
        changed, weights = copy.deepcopy(record), dict(tensors)
        change(changed, weights)
        checkpoint.write(path, "prior", weights, {key: value for key, value in changed.items() if key != "digest"})
        with pytest.raises(InvalidInput, match=message):
            checkpoint.load_prior(path)


# ---- several processes -----------------------------------------------------------------------------------------------


def test_two_processes_see_different_pictures(tmp_path):
    """In mixed precision, so that its plugin reaches them too."""
    options = {"noise": (0.05, 0.2), "steps": 3, "batch": 2, "precision": "bf16-mixed"}
    two = prior(small(), pictures(), **options, devices=2, accelerator="cpu", output=tmp_path / "p.safetensors")
    one = prior(small(), pictures(), **options)
    assert any(not torch.equal(a, b) for a, b in zip(one.net.parameters(), two.net.parameters(), strict=True))
    settings = json.loads((tmp_path / "p.json").read_text())["training"]["settings"]
    assert settings["devices"] == 2 and sorted(os.listdir(tmp_path)) == ["p.json", "p.safetensors", "p.tensorboard"]


# ---- what is refused -------------------------------------------------------------------------------------------------

BAD = {
    "no net": ({"net": torch.nn.Conv2d(1, 1, 3)}, "Conv2d"),
    "an inverse net": ({"net": nets.InverseNet()}, "InverseNet"),
    "no pictures": ({"images": [torch.zeros(1, 8, 8)]}, "images is list"),
    "validation of another kind": ({"validation": torch.zeros(1)}, "validation is Tensor"),
    "operator missing": ({"net": conditional()}, "give the operator"),
    "operator in vain": ({"op": blur()}, "takes no data"),
    "noise zero": ({"noise": (0.0, 0.1)}, "positive"),
    "noise reversed": ({"noise": (0.2, 0.1)}, "low, high"),
    "noise a text": ({"noise": "much"}, "noise"),
    "negative noise in the data": ({"data_noise": -0.1}, "data_noise"),
    "norm of another kind": ({"norm": 3}, "norm is 3"),
    "average 1": ({"average": 1.0}, "average"),
    "clip zero": ({"clip": 0.0}, "clip"),
    "no steps": ({"steps": 0}, "steps"),
    "batch zero": ({"batch": 0}, "batch"),
    "never saved": ({"save_every": 0}, "save_every"),
    "half precision": ({"precision": "16-true"}, "32-true"),
    "suffix": ({"output": "p.pt"}, "suffix"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_refused_before_any_work(tmp_path, monkeypatch, case):
    given, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "fit", lambda *arguments: pytest.fail("trained in vain"))
    options = {"net": small(), "images": pictures(), "output": "p.safetensors", "steps": 5} | given
    with pytest.raises(FastipError, match=message):
        prior(options.pop("net"), options.pop("images"), **options)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "given",
    [
        {"iterations": 0},
        {"levels": [0.1, 0.1, 0.1]},
        {"beta": []},
        {"beta": -1.0},
        {"levels": "ab"},
        {"levels": 0.0},
        {"net": nets.InverseNet()},
    ],
    ids=str,
)
def test_bad_schedules_are_refused(monkeypatch, given):
    monkeypatch.setattr(loop, "fit", lambda *arguments: pytest.fail("trained in vain"))
    options = {"net": small(), "beta": 0.1, "levels": 0.1, "iterations": 2} | given
    with pytest.raises(InvalidInput, match="iterations|levels|beta|net is"):
        unrolled(options.pop("net"), pictures(), blur(), **options)


def test_misspelt_keywords():
    for function in (prior, unrolled):
        with pytest.raises(UnknownKeyword, match="'steps'"):
            function(small(), pictures(), blur(), step=3)
