"""The recipe of the photograph denoiser.

Its loss, its settings, its score, and what makes a training of many hours sound.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from types import SimpleNamespace

import pytest
import torch

from cases.photographs import Shades, shade, small
from fastip import checkpoint, nets, priors
from fastip.errors import InvalidInput
from fastip.train.denoising_score import denoising_psnr
from fastip.train.engine import loop, schedule, state
from fastip.train.engine.summary import summarise, told
from fastip.train.recipes import photo_denoiser
from fastip.train.recipes.photo_denoiser import BalancedDenoising, Stage, train_photo_denoiser

VALIDATION = [shade(-1, 20)[None], shade(-2, 14)[None]]
ABOUT = {
    "net": small(),
    "pictures": Shades(8),
    "validation": VALIDATION,
    "steps": 12,
    "stages": (Stage(0.0, 2, 8),),
    "progress": False,
    "precision": "32-true",
    "look_every": 4,
}


def stop_at(step):
    """Ctrl-C after so many steps; it is heard at the next."""

    def report(done, loss):
        if done == step - 1:
            os.kill(os.getpid(), signal.SIGINT)

    return report


def unfinished(path):
    return path.with_suffix(".unfinished.safetensors")


# ---- what is minimised -----------------------------------------------------------------------------------------------


def test_the_loss_by_hand():
    """0.3 mean |x_hat - x| / sqrt(level) and its gradient, written out for each picture.

    Every layer of the network does something.
    """
    torch.manual_seed(0)
    net = small().double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x, e = torch.rand(3, 3, 9, 7, dtype=torch.float64), torch.randn(3, 3, 9, 7, dtype=torch.float64)
    levels = torch.tensor([0.003, 0.05, 0.3], dtype=torch.float64)
    loss = BalancedDenoising(net, None, 0.0, 1, 0.999)(x, e, levels, torch.empty(0))
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    parts = [
        (net(x[k : k + 1] + levels[k] * e[k], level=float(levels[k])) - x[k]).abs().mean() / levels[k].sqrt()
        for k in range(3)
    ]
    expected = 0.3 * sum(parts) / 3
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    for found, due in zip(gradients, torch.autograd.grad(expected, list(net.parameters())), strict=True):
        torch.testing.assert_close(found, due)


def test_the_first_step_and_the_mean_of_the_weights(tmp_path):
    """Adam with the rate of a warm-up, on a clipped gradient, then the running mean; the file is in float16."""
    path = tmp_path / "x.safetensors"
    prior = train_photo_denoiser(path, **ABOUT | {"steps": 1})
    net, average = small(), small()
    x, e, levels, _ = photo_denoiser.Feed(Shades(8), ABOUT["stages"], 1, photo_denoiser.LEVELS, 0)(0, 0)
    BalancedDenoising(net, None, 0.0, 1, 0.9999)(x, e, levels, torch.empty(0)).backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    torch.optim.Adam(net.parameters(), 1e-3 / photo_denoiser.WARM_UP, betas=(0.9, 0.99)).step()
    for mean, weight, found in zip(average.parameters(), net.parameters(), prior.net.parameters(), strict=True):
        torch.testing.assert_close(found, mean + 0.9 * (weight - mean), atol=1e-7, rtol=1e-5)  # 1 - min(0.9999, 1 / 10)
    assert prior.trained == priors.Trained(photo_denoiser.LEVELS)
    kept = checkpoint.load_prior(path).net.state_dict()
    assert all(torch.equal(kept[name], value.half().float()) for name, value in prior.net.state_dict().items())


def test_rates_rise_then_fall_by_the_plan():
    assert [schedule.warm_up(k, 4) for k in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0] and schedule.warm_up(
        0, 0
    ) == 1.0


def test_the_score_is_that_of_each_clamped_picture():
    pictures = [torch.rand(1, 3, 9, 7), torch.rand(1, 3, 5, 8)]
    found = denoising_psnr(lambda v, level: v, pictures, sigmas=(0.1, 0.5))
    generator = torch.Generator().manual_seed(3)
    for sigma, value in zip((0.1, 0.5), found, strict=True):
        noisy = [(x + sigma * torch.randn(x.shape, generator=generator)).clamp(0, 1) for x in pictures]
        expected = sum(-10 * torch.log10((v - x).square().mean()) for v, x in zip(noisy, pictures, strict=True)) / 2
        assert abs(value - float(expected)) < 1e-4


def test_the_shape_is_within_its_bound():
    net = photo_denoiser.network()
    assert net.products <= 150_000 and nets.Tiled.smallest(net) <= 512
    assert all(
        torch.equal(a, b)
        for a, b in zip(net.state_dict().values(), photo_denoiser.network().state_dict().values(), strict=True)
    )


# ---- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["balance", "betas", "warm_up", "clip", "average", "levels", "stages", "learning_rate", "seed"]
)
def test_a_state_of_another_recipe_is_refused(tmp_path, monkeypatch, name):
    with pytest.raises(KeyboardInterrupt):
        train_photo_denoiser(tmp_path / "x.safetensors", **ABOUT, report=stop_at(3))
    settled = photo_denoiser.settled

    def other(**given):
        found = settled(**given)
        value = getattr(found, name)
        changed = (
            (Stage(0.0, 2, 8), Stage(0.5, 2, 8))
            if name == "stages"
            else (0.01, 0.2)
            if isinstance(value, tuple)
            else value / 2
            if value
            else 1
        )
        return dataclasses.replace(found, **{name: int(changed) if isinstance(value, int) else changed})

    monkeypatch.setattr(photo_denoiser, "settled", other)
    with pytest.raises(InvalidInput, match=f"other settings.*{name}"):
        train_photo_denoiser(tmp_path / "x.safetensors", **ABOUT)


@pytest.mark.parametrize(
    ("changed", "told_why"),
    [
        ({"stages": ()}, "stages begin"),
        ({"stages": (Stage(0.1, 2, 8),)}, "expected 0 first"),
        ({"stages": (Stage(0.0, 2, 8), Stage(0.5, 2, 8), Stage(0.2, 2, 8))}, "rising numbers"),
        ({"stages": (Stage(0.0, 0, 8),)}, "batch"),
        ({"stages": (Stage(0.0, 2, 0),)}, "size of a stage"),
        ({"steps": 0}, "steps"),
        ({"warm_up": -1}, "warm_up"),
        ({"look_every": 0}, "look_every"),
        ({"precision": "8-true"}, "precision"),
    ],
)
def test_refusals(tmp_path, changed, told_why):
    with pytest.raises(InvalidInput, match=told_why):
        train_photo_denoiser(tmp_path / "x.safetensors", **ABOUT | changed)
    assert not list(tmp_path.iterdir())


def test_weights_with_more_steps_than_are_planned_are_refused(tmp_path):
    begun = photo_denoiser.Start(small(), state.History(step=12, seconds=1.0, starts=1, since=12))
    with pytest.raises(InvalidInput, match="12 steps behind them and 12 are planned"):
        train_photo_denoiser(tmp_path / "x.safetensors", **ABOUT, begun=begun)
    assert not (tmp_path / "x.safetensors").exists()


# ---- many hours ------------------------------------------------------------------------------------------------------


def test_a_state_with_nan_never_replaces_a_good_one(tmp_path, monkeypatch):
    """The loss of a step says nothing of the weights after it: one gradient that is no number is enough."""
    path = tmp_path / "x.safetensors"
    monkeypatch.setattr(photo_denoiser, "SAVE", 0.0)

    def spoil(objective, step):
        if step == 6:
            with torch.no_grad():
                objective.net.tail.bias[0] = float("nan")

    monkeypatch.setattr(BalancedDenoising, "follow", spoil)
    with pytest.raises(loop.Diverged, match="hold NaN or Inf after 7 steps"):
        train_photo_denoiser(path, **ABOUT)
    record, tensors = checkpoint.read(unfinished(path), "training")
    assert record["progress"]["step"] == 6 and all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_pause_is_not_counted(tmp_path, monkeypatch):
    """Halted for long between two steps: the hours of the record are those of work."""
    clock = [0.0]

    def tick():
        clock[0] += 1000.0 if 49 < clock[0] < 1000 else 0.5
        return clock[0]

    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=tick))
    with pytest.raises(KeyboardInterrupt):
        train_photo_denoiser(
            tmp_path / "x.safetensors", **ABOUT | {"steps": 400, "look_every": 1000}, report=stop_at(200)
        )
    seconds = checkpoint.read_record(unfinished(tmp_path / "x.safetensors"), "training")["progress"]["seconds"]
    assert 90 < seconds < 110 and clock[0] > 1000


def test_steps_that_take_more_than_a_pause_do_not_end_it(tmp_path, monkeypatch):
    clock = [0.0]

    def tick():
        clock[0] += 100.0
        return clock[0]

    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=tick))
    train_photo_denoiser(tmp_path / "x.safetensors", **ABOUT | {"steps": 2})
    assert json.loads((tmp_path / "x.json").read_text())["training"]["seconds"] == 0


def test_a_history_is_read_from_what_was_told():
    history = state.History(
        7,
        3.5,
        2,
        [(0, 0.5), (6, 0.25)],
        [(3, 30.0)],
        0,
        [state.Machine(0, "a", "cpu", 1), state.Machine(4, "b", "cpu", 2)],
    )
    assert told(json.loads(json.dumps(summarise({"steps": 9}, history, torch.device("cpu"))))) == history
