"""A training that is killed or stopped goes on to the same bits; with anything changed it is refused."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time

import pytest
import torch

from cases.programs import PYTHON
from fastip import checkpoint, nets, operators, psf
from fastip.errors import InvalidInput
from fastip.train import inverse
from fastip.train.engine import state as training_state

BETA = 0.05
STEPS = 40


def blur(sigma=1.0, stride=2, boundary="valid"):
    return operators.Blur(psf.gaussian(5, sigma=sigma), stride=stride, boundary=boundary)


def small(seed=3, **changed):
    torch.manual_seed(seed)
    return nets.InverseNet(**{"channels": (4,), "sizes": (3,), "boundary": "zero"} | changed)


def train(output, *, op=None, beta=BETA, **options):
    chosen = {"net": small(), "size": 10, "batch": 2, "steps": STEPS, "save_every": 3} | options
    return inverse(op or blur(), beta, output=output, **chosen)


def weights(learned):
    return {name: tensor.clone() for name, tensor in learned.net.state_dict().items()}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def stop_at(step, number=signal.SIGINT):
    """A report that sends this process a signal after so many steps, as Ctrl-C does."""

    def report(done, loss):
        if done == step:
            os.kill(os.getpid(), number)

    return report


# ---- killed ----------------------------------------------------------------------------------------------------------

# A process that forks one training for each line that it reads, so that torch is imported once.
# A state is written after each step: many of the killings fall within the writing of one.
SERVER = """
import os, sys, torch
torch.set_num_threads(1)
from fastip import nets, operators, psf
from fastip.train import inverse
import lightning_fabric, tensorboardX
torch.manual_seed(3)
net = nets.InverseNet(channels=(4,), sizes=(3,), boundary="zero", beta_range=(0.01, 0.1))
op = operators.Blur(psf.gaussian(5, sigma=1.0), stride=2, boundary="valid")
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        done = False
        try:
            inverse(op, (0.01, 0.1), net=net, size=10, batch=2, steps=150, power=4, save_every=1, output=line.strip())
            done = True
        finally:
            os._exit(0 if done else 1)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


class Server:
    """Starts one training after another; each can be killed."""

    def __init__(self):
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen([*PYTHON, "-c", SERVER], **pipes, env=environment, text=True)

    def start(self, output):
        self.process.stdin.write(f"{output}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def wait(self):
        return int(self.process.stdout.readline())


@pytest.fixture
def server():
    started = Server()
    yield started
    started.process.stdin.close()
    started.process.wait()


def _step(path):
    return checkpoint.read_record(path, "training")["progress"]["step"] if path.exists() else 0


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path, server):
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    unfinished = tmp_path / "parts.unfinished.safetensors"
    server.start(whole)
    assert server.wait() == 0
    reached = [0]
    for _ in range(4):
        pid, deadline = server.start(parts), time.monotonic() + 60
        while not _step(unfinished) > reached[-1] and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(random.uniform(0, 0.15))
        os.kill(pid, signal.SIGKILL)
        assert server.wait() == signal.SIGKILL
        assert not parts.exists()
        reached.append(_step(unfinished))  # whatever the moment, the state can be read
    assert sorted(set(reached)) == reached and reached[-1] < 150
    server.start(parts)
    assert server.wait() == 0
    one, two = checkpoint.load_inverse(whole), checkpoint.load_inverse(parts)
    assert same(weights(one), weights(two)) and one.trained == two.trained
    first, second = (checkpoint.read_record(path)["training"] for path in (whole, parts))
    assert first["losses"] == second["losses"] and first["starts"] == 1 and second["starts"] == len(reached)
    names = ("json", "safetensors", "tensorboard")
    assert sorted(os.listdir(tmp_path)) == [f"{stem}.{name}" for stem in ("parts", "whole") for name in names]


# ---- stopped ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_keeps_the_very_step(tmp_path, number):
    whole = weights(train(tmp_path / "whole.safetensors"))
    output, unfinished = tmp_path / "c.safetensors", tmp_path / "c.unfinished.safetensors"
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with pytest.raises(
            KeyboardInterrupt
        ):  # also past a handler that returns: what is half trained is not called finished
            train(output, save_every=1000, report=stop_at(17, number))
        assert seen == ([number] if number == signal.SIGTERM else [])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert _step(unfinished) == 18 and not output.exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    told = []
    again = train(output, save_every=1000, report=lambda done, loss: told.append(done))
    assert told[0] == 19 and same(weights(again), whole) and same(weights(checkpoint.load_inverse(output)), whole)
    assert not unfinished.exists() and checkpoint.read_record(output)["training"]["starts"] == 2


OTHERS = {
    "operator": dict(op=blur(sigma=1.1)),
    "beta": dict(beta=0.06),
    "net.config.channels": dict(net=small(channels=(5,))),
    "net.name": dict(net=nets.PaperInverseNet(channels=(4, 4), boundary="zero")),
    "net.start": dict(net=small(seed=99)),
    "size": dict(size=11),
    "batch": dict(batch=3),
    "steps": dict(steps=STEPS + 1),
    "power": dict(power=2),
    "learning_rate": dict(learning_rate=4e-3),
    "seed": dict(seed=1),
    "devices": dict(devices=2),
    "precision": dict(precision="64-true"),
}


@pytest.mark.parametrize("stage", ["unfinished", "finished"])
def test_other_settings_are_refused_with_what_differs(tmp_path, stage):
    output = tmp_path / "c.safetensors"
    if stage == "unfinished":
        with pytest.raises(KeyboardInterrupt):
            train(output, report=stop_at(5))
    else:
        train(output)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for name, changed in OTHERS.items():
        with pytest.raises(InvalidInput, match=f"{name} .* there, .* asked for.*another output") as caught:
            train(output, **changed)
        assert (f"{stage}.safetensors" in str(caught.value)) == (stage == "unfinished")
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    train(output, save_every=7, progress=False)  # what does not change the weights may change


def test_a_finished_training_is_returned_as_it_is(tmp_path, monkeypatch):
    output = tmp_path / "c.safetensors"
    learned = train(output)
    log = (tmp_path / "c.json").read_text()
    (tmp_path / "c.json").unlink()  # as if killed between the two files
    (tmp_path / "c.unfinished.safetensors").write_bytes(output.read_bytes()[:100])
    (tmp_path / ".c.unfinished.0123abcd.safetensors").touch()
    monkeypatch.setattr("fastip.train.engine.loop.fit", lambda *arguments: pytest.fail("trained again"))
    back = train(output)
    assert same(weights(back), weights(learned)) and back.trained == learned.trained
    assert (tmp_path / "c.json").read_text() == log and sorted(os.listdir(tmp_path)) == [
        "c.json",
        "c.safetensors",
        "c.tensorboard",
    ]


def test_a_damaged_state_is_refused_and_kept(tmp_path):
    output, unfinished = tmp_path / "c.safetensors", tmp_path / "c.unfinished.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(output, report=stop_at(5))
    data = unfinished.read_bytes()
    for damaged in (b"", data[:-1], data[: len(data) // 2], b"x" + data[1:]):
        unfinished.write_bytes(damaged)
        with pytest.raises(InvalidInput, match="damaged"):
            train(output)
        assert unfinished.read_bytes() == damaged
    unfinished.write_bytes(data)
    with pytest.raises(InvalidInput, match="not finished"):
        checkpoint.load_inverse(unfinished)
    train(output)


def test_files_of_others_are_not_overwritten(tmp_path):
    for name, message in (
        ("c.json", "no training log"),
        ("c.safetensors", "damaged"),
        ("c.unfinished.safetensors", "damaged"),
    ):
        (tmp_path / name).write_text('{"mine": 1}')
        with pytest.raises(InvalidInput, match=message):
            train(tmp_path / "c.safetensors")
        assert (tmp_path / name).read_text() == '{"mine": 1}' and os.listdir(tmp_path) == [name]
        (tmp_path / name).unlink()


# ---- what is told ----------------------------------------------------------------------------------------------------


def test_the_log_says_what_was_done(tmp_path):
    learned = train(tmp_path / "c.safetensors")
    log = json.loads((tmp_path / "c.json").read_text())
    assert log == checkpoint.read_record(tmp_path / "c.safetensors")
    training, trained = log["training"], log["trained"]
    assert (
        training["settings"]["steps"] == STEPS
        and training["settings"]["operator"] == blur().fingerprint()
        and training["seconds"] > 0
    )
    assert (
        training["losses"]["step"] == list(range(STEPS))
        and training["losses"]["loss"][-1] < training["losses"]["loss"][0]
    )
    assert {"processor", "device", "threads", "python", "torch", "fastip"} <= training["machine"].keys()
    assert (
        trained["accuracy"] == learned.trained.accuracy
        and trained["certificates"][0]["kappa"] == learned.trained.certificates[0].certificate.kappa
    )


def test_tensorboard_can_read_the_scalars(tmp_path):
    """What a continued run repeats is superseded: the event file says from which step."""
    from tensorboardX.proto.event_pb2 import Event

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "c.safetensors", report=stop_at(11))
    train(tmp_path / "c.safetensors")
    losses, restarts = {}, []
    files = sorted((tmp_path / "c.tensorboard").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    for path in files:
        data, at = path.read_bytes(), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            if event.HasField("session_log"):
                restarts.append(event.step)
            for value in event.summary.value:
                if value.tag == "loss":
                    losses[event.step] = value.simple_value
    assert len(files) == 2 and restarts[-1] == 12 and sorted(losses) == list(range(STEPS))
    told = json.loads((tmp_path / "c.json").read_text())["training"]["losses"]["loss"]
    assert [losses[k] for k in range(STEPS)] == pytest.approx(told)


def test_a_state_that_cannot_be_kept_is_an_error_in_one_line(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InvalidInput, match="No space left"):
        train(tmp_path / "c.safetensors")
    assert os.listdir(tmp_path) == ["c.tensorboard"]


def test_adam_is_kept_whole(tmp_path):
    """Every tensor of module and optimiser comes back with its bits; one moment more or less is refused."""
    module = torch.nn.Linear(3, 2)
    adam = torch.optim.Adam(module.parameters())
    for _ in range(3):
        adam.zero_grad()
        module(torch.randn(4, 3)).square().sum().backward()
        adam.step()
    path, history = tmp_path / "s.safetensors", training_state.History(3, 1.5, 2, [(0, 0.25)])
    training_state.save(path, {"a": {"b": (1, 2)}}, {"": (module, adam)}, history)
    again = torch.nn.Linear(3, 2)
    other = torch.optim.Adam(again.parameters())
    assert training_state.load(path, {"a": {"b": [1, 2]}}, {"": (again, other)}) == history
    assert same(module.state_dict(), again.state_dict())
    for before, after in zip(adam.state_dict()["state"].values(), other.state_dict()["state"].values(), strict=True):
        assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    with pytest.raises(InvalidInput, match="delete it"):
        training_state.load(path, {"a": {"b": [1, 2]}}, {"": (torch.nn.Linear(4, 2), other)})


def test_the_state_of_one_training_is_not_the_checkpoint_of_another(tmp_path):
    with pytest.raises(InvalidInput, match="unfinished training's state"):
        train(tmp_path / "a.unfinished.safetensors")
    (tmp_path / "c.tensorboard").write_text("mine")
    with pytest.raises(InvalidInput, match="no folder"):
        train(tmp_path / "c.safetensors")
    assert (tmp_path / "c.tensorboard").read_text() == "mine"
