"""Checkpoints mutated and forged: bytes, headers, and records and tensors with a digest that fits."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import torch
from safetensors.torch import load, save

from fastip import checkpoint

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 256, 2**31, 2**62, 2**63, 10**9, 10**400, -(10**9)),
    *(0.0, -0.0, 0.5, -1.5, 1e308, 1e-320, float("nan"), float("inf"), -float("inf")),
    *("", "0", "InverseNet", "__class__", "os.system('touch x')", "../../x", "é\u0000", "x" * 5000, "torch.nn.Linear"),
    *([], {}, [[]], [1, 2, 3], [0] * 300, [1e9] * 3, {"name": "InverseNet", "config": {}}, {"__reduce__": "os.system"}),
)


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
