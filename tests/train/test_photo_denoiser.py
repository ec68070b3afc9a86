"""The long training: killed, resumed, begun twice, its state lost; what is exported and when."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from fastip import checkpoint, data, nets, priors, shipped
from fastip.errors import InvalidInput
from fastip.train import photo_denoiser, state
from fastip.train.denoising_score import denoising_psnr

from .test_feed import Numbered

STEPS = 12


class Shades(Numbered):
    """Smooth colours, another picture for each number."""

    def sized(self, size):
        return Shades(size)

    def batch(self, indices):
        return torch.stack([shade(int(index), self.size) for index in indices])


def shade(index, size):
    coarse = torch.rand(1, 3, 3, 3, generator=torch.Generator().manual_seed(index))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")[0]


def small():
    torch.manual_seed(4)
    return nets.PixelShuffleAutoencoder(widths=(4, 6), blocks=(1, 0), padding_mode="zeros")


VALIDATION = [shade(-1, 20)[None], shade(-2, 14)[None]]
ABOUT = {
    "pictures": Shades(8),
    "validation": VALIDATION,
    "steps": STEPS,
    "stages": (photo_denoiser.Stage(0.0, 2, 8),),
    "progress": False,
    "precision": "32-true",
    "look_every": 4,
}


@pytest.fixture
def at(tmp_path, monkeypatch):
    """An empty cache, and a small network in place of the large one; the value is the folder of the long training."""
    monkeypatch.setenv("FASTIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(photo_denoiser, "network", small)
    return photo_denoiser.folder()


def run(**changed):
    return photo_denoiser.go_on(**ABOUT | changed)


def stop_at(step):
    """Ctrl-C after so many steps; it is heard at the next."""

    def report(done, loss):
        if done == step - 1:
            os.kill(os.getpid(), signal.SIGINT)

    return report


def weights(prior):
    return prior.net.state_dict()


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_it_is_what_the_equations_say(at):
    """One step of Adam from the first weights, by hand: the loss, its weights by level, and the running mean."""
    at.mkdir(parents=True)
    prior = photo_denoiser.train_photo_denoiser(at / "x.safetensors", **ABOUT | {"steps": 1})
    net, average = small(), small()
    x, e, levels, _ = photo_denoiser.Feed(Shades(8), ABOUT["stages"], 1, photo_denoiser.LEVELS, 0)(0, 0)
    loss = 0.3 * sum((net(x[k : k + 1] + levels[k] * e[k], level=float(levels[k])) - x[k]).abs().mean() / levels[k].sqrt() for k in range(2)) / 2
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    adam = torch.optim.Adam(net.parameters(), 1e-3 / photo_denoiser.WARM_UP, betas=(0.9, 0.99))
    adam.step()
    for mean, weight, found in zip(average.parameters(), net.parameters(), prior.net.parameters(), strict=True):
        expected = mean + 0.9 * (weight - mean)  # 1 - min(0.9999, 1 / 10)
        assert torch.allclose(found, expected.half().float(), atol=1e-6) or (found - expected).abs().max() < 1e-3 * expected.abs().max() + 1e-7
    assert prior.trained == priors.Trained(photo_denoiser.LEVELS)


def test_stopped_and_resumed_to_the_same_bits(at, tmp_path):
    whole = photo_denoiser.train_photo_denoiser(tmp_path / "whole.safetensors", **ABOUT)
    for step in (5, 7, 11):
        with pytest.raises(KeyboardInterrupt):
            run(report=stop_at(step))
        record = checkpoint.read_record(at / "photo-denoiser.unfinished.safetensors", "training")
        assert record["progress"]["step"] == step
    made = run()
    assert same(weights(made), weights(whole))
    training = json.loads((at / "photo-denoiser.json").read_text())["training"]
    assert training["starts"] == 4 and [step for step in training["scores"]["step"]] == [3, 7, 11]
    rounded = {name: value.half().float() for name, value in weights(whole).items()}
    assert same(weights(run()), rounded)  # finished: nothing is trained, and the file is in float16


SERVER = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from train import test_photo_denoiser as t
t.photo_denoiser.network = t.small
t.photo_denoiser.SAVE = 0.0
try:
    t.run(steps=int(sys.argv[2]))
except t.photo_denoiser.Busy as busy:
    print(busy, flush=True)
    sys.exit(3)
"""


def start(steps):
    root = os.path.dirname(os.path.dirname(__file__))
    command = [sys.executable, "-P", "-c", SERVER.replace("from train import test_photo_denoiser as t", LOAD), root, str(steps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


# The tests are not importable as a package under pytest's importlib mode: the module is loaded by its path.
LOAD = """
import importlib.util, os, types
package = types.ModuleType("train")
package.__path__ = [os.path.join(sys.argv[1], "train")]
sys.modules["train"] = package
t = importlib.import_module("train.test_photo_denoiser")
"""


@pytest.fixture
def one_thread():
    """As the process that is killed has: with another number of threads sums are rounded in another way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_killed_begun_twice_and_resumed(at, tmp_path, monkeypatch, one_thread):
    monkeypatch.setattr(photo_denoiser, "SAVE", 0.0)
    steps = 400
    first = start(steps)
    unfinished = at / "photo-denoiser.unfinished.safetensors"
    deadline = time.monotonic() + 120
    while not unfinished.exists() and time.monotonic() < deadline and first.poll() is None:
        time.sleep(0.01)
    assert unfinished.exists(), first.communicate()
    os.kill(first.pid, signal.SIGSTOP)  # halted, it keeps its lock
    with pytest.raises(photo_denoiser.Busy, match=f"process {first.pid} is at this training already"):
        run(steps=steps)
    os.kill(first.pid, signal.SIGCONT)
    first.kill()
    first.wait()
    reached = checkpoint.read_record(unfinished, "training")["progress"]["step"]  # whatever the moment, the state can be read
    assert 0 < reached < steps
    with pytest.raises(KeyboardInterrupt):
        run(steps=steps, report=stop_at(reached - reached % 2 + 4))
    whole, _ = checkpoint.read(unfinished, "training")
    reached = whole["progress"]["step"]
    with pytest.raises(KeyboardInterrupt):
        photo_denoiser.train_photo_denoiser(tmp_path / "w.safetensors", **ABOUT | {"steps": steps, "report": stop_at(reached)})
    one, two = (checkpoint.read(path, "training")[1] for path in (unfinished, tmp_path / "w.unfinished.safetensors"))
    assert same(one, two) and len(one) > 20


def ship(monkeypatch, tmp_path, net, **training):
    """A package whose shipped weights are these."""
    folder = tmp_path / "package" / "priors"
    folder.mkdir(parents=True, exist_ok=True)
    prior = priors.PixelShuffleAutoencoder(net, trained=priors.Trained(photo_denoiser.LEVELS))
    checkpoint.save_prior(folder / "photo-denoiser.safetensors", prior, training=training)
    monkeypatch.setattr(shipped, "FOLDER", folder.parent)
    return folder


def test_where_the_state_is_gone_it_goes_on_from_the_shipped_weights(at, tmp_path, monkeypatch, capsys):
    with pytest.raises(KeyboardInterrupt):
        run(report=stop_at(7))
    monkeypatch.setattr(data, "validation_photographs", lambda size=192: VALIDATION)
    monkeypatch.setattr(photo_denoiser, "test_photographs", lambda size=256: VALIDATION)
    ship(monkeypatch, tmp_path, small(), settings={"kind": "another"})
    assert "of another kind: the training begins from nothing" in say_of(lambda: photo_denoiser.shipped_start(print), capsys)
    package = tmp_path / "exported"
    package.mkdir()
    exported = photo_denoiser.export(package)
    assert exported.step == 7 and exported.written == package / "photo-denoiser.safetensors"
    shutil.rmtree(at)
    (tmp_path / "package" / "priors" / "photo-denoiser.safetensors").write_bytes(exported.written.read_bytes())
    assert "goes on from the shipped weights, at step 7 of 12" in say_of(lambda: photo_denoiser.shipped_start(print), capsys)
    kept = checkpoint.load_prior(exported.written)
    begun = photo_denoiser.shipped_start(lambda text: None)
    assert same(weights(kept), begun.net.state_dict()) and begun.history.step == begun.history.since == 7
    with pytest.raises(KeyboardInterrupt):
        run(report=stop_at(9))
    record, tensors = checkpoint.read(at / "photo-denoiser.unfinished.safetensors", "training")
    progress = record["progress"]
    assert progress["step"] == 9 and progress["since"] == 7 and progress["starts"] == 2
    assert [step for step, _ in progress["losses"]] == list(range(9)) and [step for step, _ in progress["scores"]] == [3, 7]  # one curve over both parts
    assert float(tensors["adam.0.step"]) == 2
    moved = max(float((tensors[f"module.net.{name}"] - value).abs().max()) for name, value in weights(kept).items())
    assert 0 < moved < 2 * 2 * 1e-3 * 2 / photo_denoiser.WARM_UP  # two steps of a rate that rises from nothing


def say_of(work, capsys):
    work()
    return " ".join(capsys.readouterr().out.split())


def test_what_is_worse_is_not_exported(at, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "validation_photographs", lambda size=192: VALIDATION)
    monkeypatch.setattr(photo_denoiser, "test_photographs", lambda size=256: VALIDATION)
    with pytest.raises(InvalidInput, match="holds no state"):
        photo_denoiser.export(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(report=stop_at(5))
    package = ship(monkeypatch, tmp_path, small())
    worse = copy.deepcopy(small())
    torch.nn.init.constant_(worse.tail.bias, 0.3)
    ship(monkeypatch, tmp_path, worse)
    target = tmp_path / "to"
    target.mkdir()
    found = photo_denoiser.export(target)
    assert found.written == target / "photo-denoiser.safetensors" and sum(found.trained["validation"]) > sum(found.shipped["validation"])
    record = json.loads((target / "photo-denoiser.json").read_text())["training"]
    assert record["step"] == 5 and record["psnr"]["validation"] == found.trained["validation"] and record["psnr"]["test"] == found.trained["test"]
    assert record["machines"][0]["step"] == 0 and record["machines"][0]["processor"]
    made = checkpoint.load_prior(target / "photo-denoiser.safetensors")
    assert {value.dtype for value in weights(made).values()} == {torch.float32}
    assert all(torch.equal(value, value.half().float()) for value in weights(made).values())  # stored in float16
    (package / "photo-denoiser.safetensors").write_bytes((target / "photo-denoiser.safetensors").read_bytes())
    before = os.stat(target / "photo-denoiser.safetensors").st_mtime_ns
    assert photo_denoiser.export(target).written is None  # as good as what is shipped, not better
    assert os.stat(target / "photo-denoiser.safetensors").st_mtime_ns == before


def test_the_score_is_that_of_each_clamped_picture():
    pictures = [torch.rand(1, 3, 9, 7), torch.rand(1, 3, 5, 8)]
    found = denoising_psnr(lambda v, level: v, pictures, sigmas=(0.1, 0.5))
    generator = torch.Generator().manual_seed(3)
    for sigma, value in zip((0.1, 0.5), found, strict=True):
        noisy = [(x + sigma * torch.randn(x.shape, generator=generator)).clamp(0, 1) for x in pictures]
        expected = sum(-10 * torch.log10((v - x).square().mean()) for v, x in zip(noisy, pictures, strict=True)) / 2
        assert abs(value - float(expected)) < 1e-4


def test_a_pause_is_not_counted(at, monkeypatch):
    """Halted for long between two steps: the hours of the record are those of work."""
    clock = [0.0]

    def tick():
        clock[0] += 1000.0 if 49 < clock[0] < 1000 else 0.5
        return clock[0]

    monkeypatch.setattr("fastip.train.loop.time.perf_counter", tick)
    with pytest.raises(KeyboardInterrupt):
        run(steps=400, look_every=1000, report=stop_at(200))
    seconds = checkpoint.read_record(at / "photo-denoiser.unfinished.safetensors", "training")["progress"]["seconds"]
    assert 90 < seconds < 210 and clock[0] > 1000


def test_a_history_is_read_from_what_was_told():
    from fastip.train.summary import summarise, told

    history = state.History(7, 3.5, 2, [(0, 0.5), (6, 0.25)], [(3, 30.0)], 0, [state.Machine(0, "a", "cpu", 1), state.Machine(4, "b", "cpu", 2)])
    again = told(json.loads(json.dumps(summarise({"steps": 9}, history, torch.device("cpu")))))
    assert again == history


def test_rates_rise_then_fall_by_the_plan():
    from fastip.train import schedule

    assert [schedule.warm_up(k, 4) for k in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0] and schedule.warm_up(0, 0) == 1.0
