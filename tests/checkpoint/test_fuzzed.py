"""Mutated and forged checkpoints: errors of fastip alone come out, nothing is executed, nothing takes long.

The long form runs 5000 cases in place of the 1000 of the quick tests. Case i is drawn from the seed i: what is
drawn stands in tests/cases/mutated_checkpoints.py.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import fastip
import slow
from cases.generators import dcgan, encoder, settled
from cases.mutated_checkpoints import BYTES, WAYS
from cases.tasks import network
from fastip import checkpoint, inverses, nets, operators, priors, psf
from fastip.errors import FastipError

COUNT = slow.count(1000, 5000)
PARTS = 10  # of the cases, each a test
LIMIT = 5.0  # seconds of processor time for one file; a sound one takes a hundredth

# What no file may bring about: code, other programs, unpickling, the network.
FORBIDDEN = ("compile", "exec", "os.", "subprocess.", "pickle.", "marshal.", "socket.", "ctypes.", "import")
HARMLESS = ("os.listdir", "os.scandir")


# ---- what is mutated -------------------------------------------------------------------------------------------------


def _inverse(path: Path) -> None:
    op, net = operators.Blur(psf.gaussian(5, sigma=1.0), stride=2), nets.InverseNet(channels=(3, 2), sizes=(3, 5))
    net.rescale(0.1)
    stored = (inverses.Stored(0.02, inverses.Certificate(0.5, 0.4, 0.9, 0.2, relaxation=1.0)),)
    known = inverses.Trained(op.fingerprint(), (0.02, 0.02), 0.1, stored, None)
    checkpoint.save_inverse(path, inverses.Learned(net, trained=known), op=op, training={"steps": 7})


def _prior(path: Path) -> None:
    known = priors.Trained((0.01, 0.3), schedule=((0.02, 0.2), (0.2, 0.03)))
    checkpoint.save_prior(path, priors.PixelShuffleAutoencoder(network(), trained=known), training={"steps": 7})


def _one_net(path: Path) -> None:
    checkpoint.save_projector(path, priors.Projector(settled(nets.OneNetProjector(colours=1, size=12, width=1))))


def _projector(path: Path) -> None:
    net = nets.Projector(dcgan(), encoder()).eval().requires_grad_(False)
    checkpoint.save_projector(path, priors.Projector(net), training={"steps": 7})


def _generator(path: Path) -> None:
    checkpoint.save_generator(path, nets.VAEDecoder(height=6, width=5, latent=3, hidden=7).eval().requires_grad_(False))


def _training(path: Path) -> None:
    tensors = {
        "model.0": torch.rand(3, 4),
        "adam.0.step": torch.tensor(7),
        "random": torch.arange(9, dtype=torch.uint8),
    }
    checkpoint.write(path, "training", tensors, {"settings": {"seed": 0}, "progress": {"step": 7, "loss": [0.5]}})


SOURCES: dict[str, tuple[Callable[[Path], None], str, Callable[[Path], Any]]] = {
    "inverse": (_inverse, "inverse", fastip.load_inverse),
    "prior": (_prior, "prior", fastip.load_prior),
    "one net": (_one_net, "projector", fastip.load_projector),
    "projector": (_projector, "projector", fastip.load_projector),
    "generator": (_generator, "generator", fastip.load_generator),
    "training": (_training, "training", lambda path: checkpoint.read(path, "training")),
}


# ---- the tests -------------------------------------------------------------------------------------------------------

watched: list[str] | None = None  # what happened while a file is loaded; None: nobody looks


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if watched is None:
        return
    written = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if written or (event.startswith(FORBIDDEN) and event not in HARMLESS):
        watched.append(f"{event} {str(arguments)[:200]}")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files before they are mutated; each is loaded once, so that all imports are behind."""
    folder, files = tmp_path_factory.mktemp("sound"), {}
    torch.manual_seed(1)
    for name, (write, _, load) in SOURCES.items():
        path = folder / f"{name}.safetensors"
        write(path)
        load(path)
        files[name] = path.read_bytes()
    sys.addaudithook(_audit)
    return files


def _late(*_: Any) -> None:
    raise TimeoutError("one file took longer than a minute")


def outcome(path: Path, load: Callable[[Path], Any]) -> tuple[str, Any]:
    """("loaded", what) or ("refused", the error); all else fails."""
    global watched
    watched, start = [], time.process_time()
    before = signal.signal(signal.SIGALRM, _late)
    signal.alarm(60)
    try:
        found: tuple[str, Any] = "loaded", load(path)
    except FastipError as error:
        found = "refused", error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        happened, watched = watched, None
    assert not happened, happened
    assert time.process_time() - start < LIMIT
    return found


def state(loaded: Any) -> dict[str, torch.Tensor]:
    return (
        loaded[1]
        if isinstance(loaded, tuple)
        else loaded.state_dict()
        if hasattr(loaded, "state_dict")
        else (loaded.net.state_dict())
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_only_errors_of_fastip_come_out(tmp_path: Path, sound: dict[str, bytes], part: int) -> None:
    seen: Counter[str] = Counter()
    path = tmp_path / "c.safetensors"
    for seed in range(part, COUNT, PARTS):
        draw = random.Random(seed)
        name = draw.choice(list(SOURCES))
        (way,) = draw.choices([way for way, _ in WAYS], [weight for _, weight in WAYS])
        path.write_bytes(way(sound[name], draw))
        _, kind, load = SOURCES[name if draw.random() < 0.9 else draw.choice(list(SOURCES))]
        try:
            ended, what = outcome(path, load)
            if draw.random() < 0.2:
                outcome(path, lambda path, kind=kind: checkpoint.read_record(path, kind))  # type: ignore[misc]
        except Exception as error:
            raise AssertionError(f"seed {seed}: {name}, {way.__name__}") from error
        seen[ended] += 1
        if ended == "refused":
            assert str(path) in str(what) and len(str(what)) < 30000, (seed, name, way.__name__, what)
            continue
        tensors = state(what)
        assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
        if way in BYTES:  # what carries nothing changed: white space, the order of names
            path.write_bytes(sound[name])
            assert all(torch.equal(tensor, state(load(path))[key]) for key, tensor in tensors.items())
    assert min(seen["refused"], seen["loaded"]) > 0.02 * COUNT / PARTS, seen


def test_the_watch_sees_what_is_executed(tmp_path: Path, sound: dict[str, bytes]) -> None:
    def load(path: Path) -> None:
        eval(path.read_text())

    (tmp_path / "x").write_text("__import__('os').system('true')")
    with pytest.raises(AssertionError, match="os.system"):
        outcome(tmp_path / "x", load)
    with pytest.raises(AssertionError, match="open .*written"):
        outcome(tmp_path / "x", lambda path: (path.parent / "written").write_text("."))
