"""Mutated and forged checkpoints: errors of fastip alone come out, nothing is executed, nothing takes long.

FASTIP_FUZZ=5000 runs so many cases in place of the 1000 of the quick tests. Case i is drawn from the seed i: what is
drawn stands in ``WAYS`` and ``VALUES``.
"""

from __future__ import annotations

import copy
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

import fastip
from cases.generators import dcgan, encoder, settled
from cases.tasks import network
from fastip import checkpoint, inverses, nets, operators, priors, psf
from fastip.errors import FastipError

COUNT = int(os.environ.get("FASTIP_FUZZ", "1000"))
PARTS = 10  # of the cases, each a test
LIMIT = 5.0  # seconds of processor time for one file; a sound one takes a hundredth

# What no file may bring about: code, other programs, unpickling, the network.
FORBIDDEN = ("compile", "exec", "os.", "subprocess.", "pickle.", "marshal.", "socket.", "ctypes.", "import")
HARMLESS = ("os.listdir", "os.scandir")
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 256, 2**31, 2**62, 2**63, 10**9, 10**400, -(10**9)),
    *(0.0, -0.0, 0.5, -1.5, 1e308, 1e-320, float("nan"), float("inf"), -float("inf")),
    *("", "0", "InverseNet", "__class__", "os.system('touch x')", "../../x", "é\u0000", "x" * 5000, "torch.nn.Linear"),
    *([], {}, [[]], [1, 2, 3], [0] * 300, [1e9] * 3, {"name": "InverseNet", "config": {}}, {"__reduce__": "os.system"}),
)


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


# ---- mutations: of bytes, of the header, of the record and the tensors with a digest that fits -----------------------


def _at(data: bytearray, draw: random.Random) -> int:
    """A place: half of them in the first 2000 bytes, where the header is."""
    return draw.randrange(min(len(data), 2000) if draw.random() < 0.5 else len(data))


def flipped(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        changed[_at(changed, draw)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def overwritten(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    start = _at(changed, draw)
    end = min(len(data), start + draw.randint(1, 40))
    changed[start:end] = draw.choice((draw.randbytes(end - start), bytes(end - start), b"\xff" * (end - start)))
    return bytes(changed)


def cut(data: bytes, draw: random.Random) -> bytes:
    start = _at(bytearray(data), draw)
    return data[:start] if draw.random() < 0.5 else data[:start] + data[start + draw.randint(1, 60) :]


def grown(data: bytes, draw: random.Random) -> bytes:
    start = draw.choice((len(data), _at(bytearray(data), draw)))
    return data[:start] + draw.randbytes(draw.randint(1, 300)) + data[start:]


def other_length(data: bytes, draw: random.Random) -> bytes:
    """Another length of the header than it has."""
    length = draw.choice((0, 1, 2**63, 2**64 - 1, 10**8, len(data), len(data) - 8, draw.randrange(2 * len(data))))
    return length.to_bytes(8, "little") + data[8:]


def _header(data: bytes) -> tuple[dict[str, Any], bytes]:
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def other_header(data: bytes, draw: random.Random) -> bytes:
    """Tensors of other places, types and shapes than their bytes have, and other metadata."""
    header, rest = _header(data)
    name = draw.choice(list(header))
    entry = header[name]
    kind = draw.randrange(7)
    if name == "__metadata__":
        entry["fastip"] = draw.choice((*map(str, VALUES), "[" * 3000, entry["fastip"][: draw.randrange(2000)], 5, None))
    elif kind == 0:
        entry["dtype"] = draw.choice(("F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "C64", "X", None))
    elif kind == 1:
        entry["shape"] = draw.choice(([], [0], [-1], [2**40, 2**40], [1.5], entry["shape"][::-1], None, [10**30]))
    elif kind == 2:
        low, high = entry["data_offsets"]
        entry["data_offsets"] = draw.choice(
            ([high, low], [low, high + 4], [0, 2**63], [-4, high], [low, low], [low - 4, high - 4], [low], None)
        )
    elif kind == 3:
        del header[name]
    elif kind == 4:
        header[draw.choice(("", "__metadata__", "x" * 3000, "net.weight"))] = header.pop(name)
    elif kind == 5:
        header[name] = draw.choice(VALUES)
    else:
        header["more"] = {
            "dtype": "F32",
            "shape": [1],
            "data_offsets": draw.choice(([0, 4], [len(rest), len(rest) + 4])),
        }
    text = json.dumps(header).encode()
    if draw.random() < 0.1:
        text = text[:-1] + b"," + text[1:]  # every name twice
    return len(text).to_bytes(8, "little") + text + rest


def _forged(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> bytes:
    record = {key: value for key, value in record.items() if key != "digest"}
    try:
        text = json.dumps(record | {"digest": checkpoint.digest(record, tensors)})
    except UnicodeEncodeError:
        text = "{}"
    return save(tensors, metadata={"fastip": text})


def _opened(data: bytes) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from safetensors.torch import load

    return json.loads(_header(data)[0]["__metadata__"]["fastip"]), load(data)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything in JSON values."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def other_record(data: bytes, draw: random.Random) -> bytes:
    """Another value, another key, none, or a nest, anywhere; half of them in what describes a network."""
    record, tensors = _opened(data)
    for _ in range(draw.choice((1, 1, 1, 3))):
        described = [part for part in ("net", "generator", "encoder", "trained") if part in record]
        part = record if draw.random() < 0.5 or not described else record[draw.choice(described)]
        _changed(*draw.choice(list(_places(part)) or [(record, "format")]), draw)
    return _forged(record, tensors)


def _changed(inside: Any, key: Any, draw: random.Random) -> None:
    """Something else in this place."""
    kind, value = draw.randrange(8), copy.deepcopy(draw.choice(VALUES))
    old = inside[key] if isinstance(inside, list) else inside.get(key)
    if kind == 0:
        inside.pop(key, None) if isinstance(inside, dict) else inside.pop(key)
    elif kind == 1 and isinstance(inside, dict):
        inside[draw.choice(("", "more", "__init__", "device", "dtype", "self"))] = value
    elif kind == 2:
        inside[key] = [old]
    elif kind == 3 and isinstance(old, int | float) and abs(old) < 2**60:
        inside[key] = draw.choice((old + 1, -old, old * 1000, float(old), old // 2))
    elif kind == 4 and isinstance(old, list):
        inside[key] = draw.choice((old * 2, old[1:], old[::-1], old * 200))
    else:
        inside[key] = value


def other_tensors(data: bytes, draw: random.Random) -> bytes:
    record, tensors = _opened(data)
    name = draw.choice(list(tensors))
    tensor = tensors[name]
    kind = draw.randrange(7)
    if kind == 0:
        del tensors[name]
    elif kind == 1:
        tensors[draw.choice(("", "more", name + ".x", "x" * 2000))] = tensor.clone()
    elif kind == 2:
        tensors[name] = tensor.reshape(
            draw.choice(((-1,), (1, *tensor.shape), tensor.shape[::-1], (tensor.numel(), 1)))
        )
    elif kind == 3:
        tensors[name] = tensor.to(draw.choice((torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool)))
    elif kind == 4 and tensor.is_floating_point() and tensor.numel():
        tensor.view(-1)[draw.randrange(tensor.numel())] = draw.choice((float("nan"), float("inf"), 3e38, 1e-45, 0.0))
    elif kind == 5:
        tensors[name] = torch.zeros(draw.choice(((0,), (0, 3), (), (1,), (7, 5))))
    else:
        tensors = {key: tensors[other] for key, other in zip(tensors, reversed(tensors), strict=True)}
        tensors = {key: value.clone() for key, value in tensors.items()}
    return _forged(record, tensors)


WAYS: tuple[tuple[Callable[[bytes, random.Random], bytes], int], ...] = (
    (flipped, 3),
    (overwritten, 2),
    (cut, 2),
    (grown, 1),
    (other_length, 1),
    (other_header, 4),
    (other_record, 8),
    (other_tensors, 4),
)
BYTES = (flipped, overwritten, cut, grown, other_length)  # without a digest that fits


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
