"""The long training in parts: killed, resumed, begun twice, its state lost; what is exported and when."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from functools import partial

import pytest
import torch

from cases.photographs import Shades, shade, small
from cases.programs import PYTHON
from fastip import checkpoint, data, priors
from fastip.checkpoint import shipped
from fastip.errors import InvalidInput
from fastip.train.engine import long_training, loop
from fastip.train.recipes import photo_denoiser, photo_restorer
from fastip.train.recipes.photo_denoiser import Stage, train_photo_denoiser

STEPS = 12
VALIDATION = [shade(-1, 20)[None], shade(-2, 14)[None]]
ABOUT = {
    "pictures": Shades(8),
    "validation": VALIDATION,
    "steps": STEPS,
    "stages": (Stage(0.0, 2, 8),),
    "precision": "32-true",
    "look_every": 4,
}


@pytest.fixture
def at(tmp_path, monkeypatch):
    """An empty cache, a small network in place of the large one, a loss for each step.

    The value is the folder of the long training.
    """
    monkeypatch.setenv("FASTIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(photo_denoiser, "network", small)
    monkeypatch.setattr(loop, "POINTS", 10**9)
    return long_training.folder("photo-denoiser")


def run(report=None, **changed):
    return long_training.go_on(
        "photo-denoiser", train=partial(train_photo_denoiser, **ABOUT | changed), progress=False, report=report
    )


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


def test_stopped_and_resumed_to_the_same_bits(at, tmp_path):
    whole = train_photo_denoiser(tmp_path / "whole.safetensors", **ABOUT, progress=False)
    left = at / ".photo-denoiser.unfinished.0123abcd.safetensors"  # by a call that was killed while it wrote
    at.mkdir(parents=True)
    left.write_bytes(b"half")
    for step in (5, 7, 11):
        with pytest.raises(KeyboardInterrupt):
            run(stop_at(step))
        assert not left.exists()
        record = checkpoint.read_record(long_training.files("photo-denoiser").state, "training")
        assert record["progress"]["step"] == step
    made = run()
    assert same(weights(made), weights(whole))
    training = json.loads((at / "photo-denoiser.json").read_text())["training"]
    assert training["starts"] == 4 and training["scores"]["step"] == [3, 7, 11]
    rounded = {name: value.half().float() for name, value in weights(whole).items()}
    assert same(weights(run()), rounded)  # finished: nothing is trained, and the file is in float16


# A process that trains until it is killed, and keeps a state after each step.
CHILD = """
import sys, torch
torch.set_num_threads(1)
sys.path[:0] = sys.argv[1:]
import test_long_training as t
t.photo_denoiser.network, t.photo_denoiser.SAVE, t.loop.POINTS = t.small, 0.0, 10**9
t.run(steps=10**6)
"""


@pytest.fixture
def child():
    here = os.path.dirname(__file__)
    process = subprocess.Popen(
        [*PYTHON, "-c", CHILD, here, os.path.dirname(here)], env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def one_thread():
    """As the process that is killed has: with another number of threads sums are rounded in another way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_killed_begun_twice_and_resumed(at, tmp_path, one_thread, child):
    kept = long_training.files("photo-denoiser").state
    deadline = time.monotonic() + 300
    while not kept.exists() and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.01)
    assert kept.exists()
    os.kill(child.pid, signal.SIGSTOP)  # halted, it keeps its lock
    with pytest.raises(long_training.Busy, match=f"process {child.pid} is at this training already"):
        run(steps=1)  # without a lock other settings would be refused
    os.kill(child.pid, signal.SIGCONT)
    time.sleep(0.2)
    child.kill()
    child.wait()
    reached = checkpoint.read_record(kept, "training")["progress"]["step"]  # whatever the moment, the state can be read
    assert reached > 0
    with pytest.raises(KeyboardInterrupt):
        run(stop_at(reached + 3), steps=10**6)
    with pytest.raises(KeyboardInterrupt):
        train_photo_denoiser(
            tmp_path / "w.safetensors", **ABOUT | {"steps": 10**6}, progress=False, report=stop_at(reached + 3)
        )
    one, two = (checkpoint.read(path, "training")[1] for path in (kept, tmp_path / "w.unfinished.safetensors"))
    assert same(one, two) and len(one) > 20
    assert (at / "lock").read_text() == ""  # nobody is at it


# ---- shipped ---------------------------------------------------------------------------------------------------------


def ship(monkeypatch, tmp_path, net, **training):
    """A package whose shipped weights are these."""
    folder = tmp_path / "package" / "priors"
    folder.mkdir(parents=True, exist_ok=True)
    prior = priors.PixelShuffleAutoencoder(net, trained=priors.Trained(photo_denoiser.LEVELS))
    checkpoint.save_prior(folder / "photo-denoiser.safetensors", prior, training=training)
    monkeypatch.setattr(shipped, "FOLDER", folder.parent)
    return folder


@pytest.fixture
def judged(monkeypatch):
    """Scores on small pictures."""
    monkeypatch.setattr(data, "validation_photographs", lambda size=192: VALIDATION)
    monkeypatch.setattr(photo_denoiser, "test_photographs", lambda size=256: VALIDATION[:1])


def worse():
    net = small()
    torch.nn.init.constant_(net.tail.bias, 0.3)
    return net


def test_where_the_state_is_gone_it_goes_on_from_the_shipped_weights(at, tmp_path, monkeypatch, judged):
    with pytest.raises(KeyboardInterrupt):
        run(stop_at(7))
    said = []
    package = ship(monkeypatch, tmp_path, worse(), settings={"kind": "another"})
    assert (
        long_training.shipped_start("photo-denoiser", said.append) is None
        and "of another kind: the training begins from nothing" in said[-1]
    )
    exported = long_training.export("photo-denoiser", package)
    assert exported.step == 7 and exported.written == package / "photo-denoiser.safetensors"
    shutil.rmtree(at)
    kept = checkpoint.load_prior(exported.written)
    begun = long_training.shipped_start("photo-denoiser", said.append)
    assert "goes on from the shipped weights, at step 7 of 12" in said[-1]
    assert same(weights(kept), begun.net.state_dict()) and begun.history.step == begun.history.since == 7
    with pytest.raises(KeyboardInterrupt):
        run(stop_at(9))
    record, tensors = checkpoint.read(long_training.files("photo-denoiser").state, "training")
    progress = record["progress"]
    assert progress["step"] == 9 and progress["since"] == 7 and progress["starts"] == 2
    # one curve over both parts
    assert [step for step, _ in progress["losses"]] == list(range(9)) and [step for step, _ in progress["scores"]] == [
        3,
        7,
    ]
    assert float(tensors["adam.0.step"]) == 2
    moved = max(float((tensors[f"module.net.{name}"] - value).abs().max()) for name, value in weights(kept).items())
    assert 0 < moved < 2 * 2 * 1e-3 * 2 / photo_denoiser.WARM_UP  # two steps of a rate that rises from nothing


def test_what_is_better_is_exported_and_nothing_else(at, tmp_path, monkeypatch, judged):
    with pytest.raises(InvalidInput, match="holds no state"):
        long_training.export("photo-denoiser", tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(stop_at(5))
    package = ship(monkeypatch, tmp_path, worse())
    target, said = tmp_path / "to", []
    target.mkdir()
    found = long_training.export("photo-denoiser", target, say=said.append)
    assert found.written == target / "photo-denoiser.safetensors" and sum(found.trained["validation"]) > sum(
        found.shipped["validation"]
    )
    assert said == ["scoring the shipped weights on 3 pictures", "scoring the trained weights on 3 pictures"]
    record = json.loads((target / "photo-denoiser.json").read_text())["training"]
    assert (
        record["step"] == 5
        and record["psnr"]["validation"] == found.trained["validation"]
        and record["psnr"]["test"] == found.trained["test"]
    )
    assert record["machines"][0]["step"] == 0 and record["machines"][0]["processor"]
    made = checkpoint.load_prior(target / "photo-denoiser.safetensors")
    # stored in float16
    assert all(
        value.dtype == torch.float32 and torch.equal(value, value.half().float()) for value in weights(made).values()
    )
    # what was scored is what was written
    assert photo_denoiser.psnr(made.net, VALIDATION) == found.trained["validation"]
    (package / "photo-denoiser.safetensors").write_bytes((target / "photo-denoiser.safetensors").read_bytes())
    before = os.stat(target / "photo-denoiser.safetensors").st_mtime_ns
    log = (target / "photo-denoiser.json").read_text()
    (target / "photo-denoiser.json").unlink()  # a call that was killed between the two files
    assert long_training.export("photo-denoiser", target).written is None  # as good as what is shipped, not better
    assert (
        os.stat(target / "photo-denoiser.safetensors").st_mtime_ns == before
        and (target / "photo-denoiser.json").read_text() == log
    )


def test_a_restorer_that_is_not_shipped_yet_is_exported(at, tmp_path, monkeypatch):
    """Begun with the denoiser; its first export needs no weights to beat."""
    pictures = [shade(-k, 48)[None] for k in range(1, 8)]
    monkeypatch.setattr(photo_restorer, "denoiser", small)
    monkeypatch.setattr(data, "validation_photographs", lambda size=192: pictures)
    monkeypatch.setattr(photo_denoiser, "test_photographs", lambda size=256: pictures[:6])
    (tmp_path / "package" / "restorers").mkdir(parents=True)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "package")
    about = {"pictures": Shades(48), "validation": pictures, "steps": 9, "batch": 1, "iterations": 2}
    own = partial(photo_restorer.train_photo_restorer, **about)
    with pytest.raises(KeyboardInterrupt):
        long_training.go_on("photo-restorer", train=own, progress=False, report=stop_at(2))
    found = long_training.export("photo-restorer", tmp_path / "package" / "restorers")
    assert found.shipped == {} and found.step == 2 and found.columns == photo_restorer.KINDS
    made = shipped.restorer("photo")
    assert made.iterations == 2 and made.trained == photo_restorer.known()
    scored = photo_restorer.psnr(made, photo_restorer.problems(pictures))
    assert scored == pytest.approx(found.trained["validation"], nan_ok=True)
    begun = long_training.shipped_start("photo-restorer", lambda text: None)
    assert begun.history.step == 2 and same(begun.net.state_dict(), weights(made))
    with pytest.raises(InvalidInput, match="did you mean"):
        long_training.export("photo-restorers", tmp_path)
