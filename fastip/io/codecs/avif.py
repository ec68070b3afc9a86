"""AVIF: 8, 10 or 12 bits, grey or colour with or without alpha, written with 8 or 12 bits and a small loss."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...errors import InvalidInput
from ..decoded import Decoded, oriented
from ..source import LOOSE_RATIO, check_frames, check_size
from ..transfer import CODED, as_said
from . import boxes

# Of 100, which is without loss. A result must not lose again what was restored: as for JPEG.
_QUALITY = 95
# 0.4 s a megapixel on one core; 6 takes 1.1 s for files 1.5 % smaller, the library's own choice 40 s.
_SPEED = 8
_COLR = (b"meta", b"iprp", b"ipco", b"colr")
# Primaries and curves whose numbers are those of sRGB, as near as makes no difference to be seen, or are not told.
_PRIMARIES, _CURVES = (1, 2, 5, 6), (1, 2, 6, 13, 14, 15)


def read(path: Path, max_pixels: int) -> Decoded:
    """The one image in a file.

    Args:
        path: The file.
        max_pixels: Of height times width.

    Returns:
        What it holds.

    Raises:
        InvalidInput: For more pixels, for several frames, and for colours that are neither sRGB nor have a profile.
        ValueError: For two sizes, and where the depth is not told.
    """
    from PIL.AvifImagePlugin import AvifImageFile

    data = path.read_bytes()
    with AvifImageFile(path) as image:
        size, profile, orientation = image.size, image.info.get("icc_profile"), image.getexif().get(274, 1)
        check_size(path, size[1], size[0], len(image.getbands()), 8, max_pixels, LOOSE_RATIO)
        check_frames(path, getattr(image, "n_frames", 1))
    colours = [found for found in boxes.found(data, *_COLR) if found[:4] == b"nclx"]
    curves = [struct.unpack_from(">HH", found, 4) for found in colours[: profile is None]]
    for primaries, curve in curves:
        if primaries not in _PRIMARIES or curve not in _CURVES:
            raise InvalidInput(
                f"{path} has colours of kind {primaries} and a curve of kind {curve} without a profile; "
                "expected sRGB or an ICC profile: convert the file"
            )
    import imagecodecs

    array = imagecodecs.avif_decode(data, 0, numthreads=1)
    if array.shape[1::-1] not in (size, size[::-1]) or array.dtype.kind != "u":
        raise ValueError(f"an array of {array.dtype} and shape {array.shape}, where {size} was told")
    coding = next(iter(boxes.found(data, b"meta", b"iprp", b"ipco", b"av1C")), bytes(4))
    top = 255 if array.dtype == np.uint8 else (1023, 4095)[coding[2] >> 5 & 1]
    if int(array.max()) > top or array.dtype == np.uint16 and not coding[2] >> 6 & 1:
        raise ValueError("no depth of its samples")
    alpha = array.ndim == 3 and array.shape[2] in (2, 4)
    told = next((as_said(CODED[curve], "the file") for _, curve in curves if curve in CODED), None)
    return Decoded(oriented(array, orientation), top, profile, alpha, told=told)


def write(file: BinaryIO, array: np.ndarray, profile: bytes | None, premultiplied: bool) -> None:
    """8 bits, or 12 of uint16, whose white is 4095."""
    import imagecodecs

    bits = 8 if array.dtype == np.uint8 else 12
    data = bytes(
        imagecodecs.avif_encode(array, _QUALITY, speed=_SPEED, bitspersample=bits, pixelformat="444", numthreads=1)
    )
    file.write(_embedded(data, profile) if profile else data)


def _embedded(data: bytes, profile: bytes) -> bytes:
    """The file with a profile instead of the words on its colours; what lies behind them moves, and so do its places.

    These words say no more than the coded image does.
    """
    longer = boxes.replaced(data, _COLR, boxes.box(b"colr", b"prof" + profile))
    moved, (places,) = len(longer) - len(data), boxes.found(data, b"meta", b"iloc")
    head, items = places[:8], places[8:]
    if head[:6] != b"\0\0\0\0\x44\0":
        raise ValueError(
            "this build of imagecodecs writes AVIF files of another kind, to which no profile can be added"
        )
    at, new = 0, b""
    while at < len(items):  # an item: number, file, how many parts, and of each place and length
        parts = int.from_bytes(items[at + 4 : at + 6], "big")
        new += items[at : at + 6]
        for begin, length in struct.iter_unpack(">II", items[at + 6 : at + 6 + 8 * parts]):
            new += struct.pack(">II", begin + moved, length)
        at += 6 + 8 * parts
    return boxes.replaced(longer, (b"meta", b"iloc"), boxes.box(b"iloc", head + new))
