"""ICC profiles made by hand: a header, tags, and curves of every kind."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np


def fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))


def para(form: int, *numbers: float) -> bytes:
    return struct.pack(">4sIHH", b"para", 0, form, 0) + fixed(*numbers)


def curv(*numbers: int) -> bytes:
    return struct.pack(">4sII", b"curv", 0, len(numbers)) + struct.pack(f">{len(numbers)}H", *numbers)


def gamma(exponent: float) -> bytes:
    return curv(round(exponent * 256))


def sampled(exponent: float, count: int) -> bytes:
    return curv(*np.round(np.linspace(0, 1, count) ** exponent * 65535).astype(int))


def profile(
    curves: Sequence[bytes], *, version: int = 4, space: bytes = b"RGB ", more: Sequence[tuple[bytes, bytes]] = ()
) -> bytes:
    """Three curves of RGB with the primaries of sRGB, or one of grey."""
    colorants = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))
    tags = [(b"wtpt", b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)), *more]
    if space == b"RGB ":
        tags += [
            (name + b"XYZ", b"XYZ \0\0\0\0" + fixed(*xyz))
            for name, xyz in zip((b"r", b"g", b"b"), colorants, strict=True)
        ]
    names = (b"kTRC",) if space == b"GRAY" else (b"rTRC", b"gTRC", b"bTRC")
    tags += list(zip(names, curves, strict=False))  # with fewer curves some are missing
    begin = 132 + 12 * len(tags)
    table, data = b"", b""
    for name, content in tags:
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, begin + len(data), len(content))
        data += content
    head = struct.pack(">I4sI4s4s4s", begin + len(data), bytes(4), version << 24, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


SRGB = para(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
PROFILES = {
    "linear": ([curv()] * 3, b"RGB "),
    "gamma": ([gamma(2.2)] * 3, b"RGB "),
    "table of 3": ([curv(0, 9000, 65535)] * 3, b"RGB "),
    "table of 256": ([sampled(2.2, 256)] * 3, b"RGB "),
    "table of 4096": ([sampled(1.8, 4096)] * 3, b"RGB "),
    "formula 0": ([para(0, 1.8)] * 3, b"RGB "),
    "formula 1": ([para(1, 2.2, 1.02, -0.02)] * 3, b"RGB "),
    "formula 2": ([para(2, 2.0, 1, -0.03, 0.05)] * 3, b"RGB "),
    "formula 3": ([SRGB] * 3, b"RGB "),
    "BT.709": ([para(3, 1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)] * 3, b"RGB "),
    "formula 4": ([para(4, 2.4, 0.9479, 0.0521, 0.0774, 0.04045, 0.002, 0.002)] * 3, b"RGB "),
    "each its own": ([gamma(1.8), sampled(2.2, 1024), SRGB], b"RGB "),
    "grey": ([gamma(2.2)], b"GRAY"),
    "grey table": ([sampled(2.2, 33)], b"GRAY"),
}
