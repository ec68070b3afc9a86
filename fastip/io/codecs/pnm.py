"""PBM, PGM and PPM: a few numbers as text, then the samples as text or as bytes, 16 bits with the higher byte first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...errors import InvalidInput
from ..decoded import Decoded
from ..source import check_size

_LONGEST = 1 << 16  # bytes of a header: its comments may be long
_GAP = rb"(?:\s|#[^\n\r]*[\n\r])"


def read(path: Path, max_pixels: int) -> Decoded:
    """The one image in a file; a bilevel one as 8 bits.

    Args:
        path: The file.
        max_pixels: Of height times width.

    Returns:
        What it holds.

    Raises:
        InvalidInput: For more pixels, for several images, and for samples that are whiter than white.
        ValueError: For a header that is none, and samples that are not there.
    """
    with open(path, "rb") as file:
        head = file.read(_LONGEST)
    kind = head[1] - ord("0")
    bilevel, plain, samples = kind in (1, 4), kind <= 3, 3 if kind in (3, 6) else 1
    numbers = 2 if bilevel else 3
    header = re.match(rb"P\d" + (_GAP + rb"+(\d{1,10})") * numbers + _GAP, head)
    if not header:
        raise ValueError("width, height and white are no numbers")
    w, h, top = map(int, (*header.groups(), 1)[:3])
    if not 1 <= top <= 65535:
        raise ValueError(f"{top} for white, where 1 to 65535 is allowed")
    check_size(path, h, w, samples, 1 if bilevel else 8 if plain or top < 256 else 16, max_pixels)
    data = memoryview(path.read_bytes())[header.end() :]
    array = _from_text(bytes(data), bilevel) if plain else _from_bytes(path, data, h, w * samples, top, bilevel)
    if len(array) != h * w * samples:
        raise ValueError(f"{h * w * samples} samples are announced, and {len(array)} are there")
    if bilevel:
        return Decoded(((1 - array) * np.uint8(255)).reshape(h, w), 255)  # 1 is black
    if array.size and int(array.max()) > top:
        raise InvalidInput(f"{path} has samples of {array.max()}, and {top} is white; open and save it anew")
    array = array.astype("uint8" if top < 256 else "uint16", copy=False)
    return Decoded(array.reshape(h, w, samples) if samples > 1 else array.reshape(h, w), top)


def _from_text(data: bytes, bilevel: bool) -> np.ndarray:
    text = re.sub(rb"#[^\n\r]*", b"", data)
    if re.search(rb"[^01\s]" if bilevel else rb"[^\d\s]", text):
        raise ValueError("samples that are no whole numbers")
    if bilevel:  # of which the digits may stand without gaps
        return np.frombuffer(re.sub(rb"\s", b"", text), "uint8") - np.uint8(ord("0"))
    return np.fromstring(text, "int64", sep=" ")


def _from_bytes(path: Path, data: memoryview, h: int, row: int, top: int, bilevel: bool) -> np.ndarray:
    form = np.dtype("uint8" if top < 256 else ">u2")
    length = h * (-(-row // 8) if bilevel else row * form.itemsize)
    if bytes(data[length : length + 16]).lstrip().startswith(b"P"):
        raise InvalidInput(f"{path} holds more than one image; expected one: split the file first")
    array = np.frombuffer(data[:length], form, min(length, len(data)) // form.itemsize)
    if bilevel and len(array) == length:
        return np.unpackbits(array.reshape(h, -1), axis=1)[:, :row].reshape(-1)
    return array


def write(file: BinaryIO, array: np.ndarray, profile: bytes | None, premultiplied: bool) -> None:
    """PGM for h w, PPM for h w 3; the format has neither a profile nor alpha."""
    h, w = array.shape[:2]
    top = np.iinfo(array.dtype).max
    file.write(b"P%d\n%d %d\n%d\n" % (5 if array.ndim == 2 else 6, w, h, top))
    file.write(array.astype(">u2" if top > 255 else "uint8", copy=False).tobytes())
