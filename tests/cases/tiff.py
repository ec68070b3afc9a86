"""TIFF files written by hand, for what no library writes: packed bits, missing tags, lists of pages without an end."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SHORT, LONG = 3, 4
BITS, COMPRESSION, PHOTOMETRIC, OFFSETS, SAMPLES, ROWS, COUNTS, PLANAR, EXTRA = (
    *(258, 259, 262, 273, 277, 278, 279, 284, 338),
)


def packed(array: np.ndarray, bits: int) -> bytes:
    """Rows of samples of so many bits, the highest first, each row begun in a byte of its own."""
    rows = array.reshape(array.shape[0], -1).astype(np.uint16)
    ones = (rows[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(ones.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()


def write(path: Path, array: np.ndarray, bits: int, *, change: dict[int, int | None] | None = None) -> None:
    """One strip, uncompressed, little-endian.

    Args:
        path: The file.
        array: h w or h w c (3 and more: RGB).
        bits: Of a sample; of 16 the bytes are little-endian.
        change: Other values of tags; None leaves one out.
    """
    h, w = array.shape[:2]
    samples = array.shape[2] if array.ndim == 3 else 1
    data = array.astype("<u2").tobytes() if bits == 16 else packed(array, bits)
    tags: dict[int, int | None] = {256: w, 257: h, BITS: bits, COMPRESSION: 1, PHOTOMETRIC: 2 if samples >= 3 else 1}
    tags |= {OFFSETS: 0, SAMPLES: samples, ROWS: h, COUNTS: len(data), PLANAR: 1}
    tags = {tag: value for tag, value in sorted((tags | (change or {})).items()) if value is not None}
    depths = 8 + 2 + 12 * len(tags) + 4
    begin = depths + 2 * samples
    entries = b""
    for tag, value in tags.items():
        if tag == BITS and samples > 2:
            entries += struct.pack("<HHII", tag, SHORT, samples, depths)
        elif tag == BITS:
            entries += struct.pack("<HHI", tag, SHORT, samples) + struct.pack("<HH", *([value] * 2))
        else:
            entries += struct.pack("<HHII", tag, LONG, 1, begin if tag == OFFSETS and not value else value)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)
    path.write_bytes(head + struct.pack("<" + "H" * samples, *[bits] * samples) + data)


def chain(path: Path, next_pages: Sequence[int], reduced: bool = False) -> None:
    """Pages of 1 x 1 pixel, which come in a list: page i is followed by page ``next_pages[i]``, -1 for none."""
    tags = {254: int(reduced), 256: 1, 257: 1, BITS: 8, COMPRESSION: 1, PHOTOMETRIC: 1, OFFSETS: 8, ROWS: 1, COUNTS: 1}
    size = 2 + 12 * len(tags) + 4
    body = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", t, LONG, 1, v) for t, v in tags.items())
    ends = (struct.pack("<I", 0 if n < 0 else 12 + n * size) for n in next_pages)
    path.write_bytes(b"II*\0" + struct.pack("<I", 12) + b"\x80\0\0\0" + b"".join(body + end for end in ends))
