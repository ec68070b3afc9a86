"""JPEG 2000: up to 16 bits, grey or colour with or without alpha, written without loss."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...errors import InvalidInput
from ..decoded import Decoded
from ..source import LOOSE_RATIO, check_size
from ..transfer import as_said
from . import boxes

# Kinds of colours that are there as they are: RGB in sRGB, and grey.
_COLOURS = {16: 3, 17: 1}
# Of tiles and of layers of quality. The decoder takes memory for each before it looks whether it is there; files of
# cameras and scanners have some ten of either. More cost time and memory, fewer refuse the largest maps.
_MOST_TILES, _MOST_LAYERS = 1 << 14, 1 << 10
_MOST_PRECINCTS = 1 << 18  # likewise, those of one tile: its size over that of a precinct, at all resolutions


@dataclass(frozen=True)
class _Header:
    h: int
    w: int
    samples: int
    bits: int


def read(path: Path, max_pixels: int) -> Decoded:
    """The image in a file.

    Args:
        path: The file.
        max_pixels: Of height times width.

    Returns:
        What it holds.

    Raises:
        InvalidInput: For more pixels, and for colours or samples that are none of these.
        ValueError: For a header that is none.
    """
    data = path.read_bytes()
    raw = data.startswith(b"\xff\x4f")
    code = data if raw else next(iter(boxes.found(data, b"jp2c")), b"")
    head = _header(path, code)
    check_size(path, head.h, head.w, head.samples, head.bits, max_pixels, LOOSE_RATIO)
    colours, profile = (head.samples - (head.samples in (2, 4)), None) if raw else _colours(path, data, head.samples)
    alpha = 1 if raw else _alpha(path, data, colours, head.samples)
    if not colours <= head.samples <= colours + 1:
        raise InvalidInput(
            f"{path} holds {head.samples} samples a pixel; expected grey or RGB, with or without alpha: "
            "save other channels as .npy"
        )
    import imagecodecs

    array = imagecodecs.jpeg2k_decode(code, numthreads=1)  # of a whole file it would change colours by their profile
    if array.shape[:2] != (head.h, head.w) or array.dtype.kind != "u":
        raise ValueError(f"an array of {array.dtype} and shape {array.shape}")
    told = None if raw or profile else as_said("sRGB", "the file")
    transparent = head.samples > colours
    return Decoded(array, 2**head.bits - 1, profile, transparent, transparent and alpha == 2, told=told)


def _header(path: Path, code: bytes) -> _Header:
    """What the first markers of the code tell."""
    if code[:4] != b"\xff\x4f\xff\x51":
        raise ValueError("no image")
    right, bottom, left, top, tw, th, tleft, ttop, samples = struct.unpack_from(">8IH", code, 8)
    if not 1 <= samples <= 4:
        raise InvalidInput(f"{path} holds {samples} samples a pixel; expected 1 to 4: save other channels as .npy")
    depths = {code[42 + 3 * i : 45 + 3 * i] for i in range(samples)}
    depth = depths.pop()
    if depths or depth[1:] != b"\1\1" or depth[0] > 15:
        raise InvalidInput(
            f"{path} holds signed samples, of more than 16 bits, or of unlike bits or grids; "
            "expected unsigned ones of up to 16 bits, alike for all channels: convert the file"
        )
    h, w = bottom - top, right - left
    if h < 1 or w < 1 or not tw or not th or tleft > left or ttop > top:
        raise ValueError(f"a size of {w} x {h} in tiles of {tw} x {th}")
    tiles = -(-(right - tleft) // tw) * -(-(bottom - ttop) // th)
    if tiles > _MOST_TILES:
        raise InvalidInput(f"{path} has {tiles} tiles; expected at most {_MOST_TILES}: open and save it anew")
    _check_coding(path, code, min(th, h), min(tw, w))
    return _Header(h, w, samples, depth[0] + 1)


def _check_coding(path: Path, code: bytes, h: int, w: int) -> None:
    """How a tile of this size is coded, which markers before the first tile may say more than once."""
    at = 4 + int.from_bytes(code[4:6], "big")
    while code[at : at + 1] == b"\xff" and code[at : at + 2] != b"\xff\x90":
        length = int.from_bytes(code[at + 2 : at + 4], "big")
        if code[at + 1] in (0x52, 0x53):  # for all channels, for one of them
            body = code[at + 4 : at + 2 + length]
            layers = int.from_bytes(body[2:4], "big") if code[at + 1] == 0x52 else 1
            sizes = body[10:] if code[at + 1] == 0x52 else body[7:]
            some = bool(body[0] & 1) if code[at + 1] == 0x52 else bool(body[1] & 1)
            precincts = sum(_precincts(h, w, size, len(sizes) - 1 - i) for i, size in enumerate(sizes)) if some else 1
            if layers > _MOST_LAYERS or precincts > _MOST_PRECINCTS:
                raise InvalidInput(
                    f"{path} has {layers} layers of quality and {precincts} parts a tile; expected at most "
                    f"{_MOST_LAYERS} and {_MOST_PRECINCTS}: open and save it anew"
                )
        at += 2 + length


def _precincts(h: int, w: int, size: int, halvings: int) -> int:
    sides = (-(-n // 2**halvings) for n in (h, w))
    return int(np.prod([-(-n // 2**power) for n, power in zip(sides, (size >> 4, size & 15), strict=True)]))


def _colours(path: Path, data: bytes, samples: int) -> tuple[int, bytes | None]:
    """How many of the samples are colours, and their profile."""
    if boxes.found(data, b"jp2h", b"pclr"):
        raise InvalidInput(f"{path} has a palette; expected grey or RGB: convert the file")
    for colour in boxes.found(data, b"jp2h", b"colr"):
        if colour[:1] == b"\1":
            kind = int.from_bytes(colour[3:7], "big")
            if kind in _COLOURS:
                return _COLOURS[kind], None
        elif colour[:1] == b"\2":
            return (1 if samples < 3 else 3), colour[3:]
    raise InvalidInput(f"{path} has colours that are neither grey nor RGB; expected one of them: convert the file")


def _alpha(path: Path, data: bytes, colours: int, samples: int) -> int:
    """1 for straight alpha, 2 where colours are multiplied by it; the last channel, which is one if nothing is said."""
    kinds = {}
    for channels in boxes.found(data, b"jp2h", b"cdef"):
        kinds = {which: (kind, of) for which, kind, of in struct.iter_unpack(">HHH", channels[2 : 2 + 6 * samples])}
    usual = all(kinds.get(i, (0, i + 1)) == (0, i + 1) for i in range(colours))
    last = kinds.get(colours, (1, 0))[0]
    if not usual or (samples > colours and last not in (1, 2)):
        raise InvalidInput(f"{path} has its channels in another order; expected colours, then alpha: convert the file")
    return last


def write(file: BinaryIO, array: np.ndarray, profile: bytes | None, premultiplied: bool) -> None:
    """Without loss, with boxes for the profile and for alpha, which the library leaves out."""
    import imagecodecs

    data = bytes(imagecodecs.jpeg2k_encode(array, 0, codecformat="JP2", reversible=True, numthreads=1))
    samples = array.shape[2] if array.ndim == 3 else 1
    colour = boxes.box(b"colr", b"\2\0\0" + profile if profile else boxes.found(data, b"jp2h", b"colr")[0])
    if samples in (2, 4):  # channels one by one: which, colour or alpha, and of what
        kinds = [(i, 0, i + 1) for i in range(samples - 1)] + [(samples - 1, 1, 0)]
        colour += boxes.box(b"cdef", struct.pack(">H", samples) + b"".join(struct.pack(">HHH", *k) for k in kinds))
    file.write(boxes.replaced(data, (b"jp2h", b"colr"), colour))
