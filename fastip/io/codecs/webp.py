"""WebP: 8 bits, colour with or without alpha, written without loss."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..decoded import Decoded, from_pillow
from ..source import LOOSE_RATIO, check_frames, check_size


def read(path: Path, max_pixels: int) -> Decoded:
    """The one image in a file.

    Args:
        path: The file.
        max_pixels: Of height times width.

    Returns:
        What it holds, in colour: the format has no grey.

    Raises:
        InvalidInput: For more pixels, and for several frames.
        ValueError: For a file without an image.
    """
    with open(path, "rb") as file:
        head = file.read(30)
    w, h = _size(head)  # Pillow's decoder takes memory for two pictures before it tells their size
    check_size(path, h, w, 4, 8, max_pixels, LOOSE_RATIO)
    if head[12:16] == b"VP8X" and head[20] & 2:
        check_frames(path, _frames(path.read_bytes()))
    from PIL.WebPImagePlugin import WebPImageFile

    with WebPImageFile(path) as image:
        if image.size != (w, h):
            raise ValueError(f"two sizes, {w} x {h} and {image.width} x {image.height}")
        return from_pillow(image)


def _size(head: bytes) -> tuple[int, int]:
    """Width and height, of the first chunk: of a still image in one of two codings, or of all that follow."""
    kind, data = head[12:16], head[20:]
    if kind == b"VP8X" and len(data) >= 10:
        return int.from_bytes(data[4:7], "little") + 1, int.from_bytes(data[7:10], "little") + 1
    if kind == b"VP8L" and len(data) >= 5:
        bits = int.from_bytes(data[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(data) >= 10:
        return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF
    raise ValueError("no image in its first chunk")


def _frames(data: bytes) -> int:
    """How many there are, chunk by chunk."""
    at, count = 12, 0
    while at + 8 <= len(data):
        count += data[at : at + 4] == b"ANMF"
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return count


def write(file: BinaryIO, array: np.ndarray, profile: bytes | None, premultiplied: bool) -> None:
    """Without loss; grey as colour, which is all that the format has.

    ``exact`` keeps colours under transparent pixels. Method 4 of 0 to 6 takes 0.25 s a megapixel, 6 three times that.
    """
    from PIL import Image

    if array.ndim == 2 or array.shape[2] == 2:
        profile = profile if (profile or b"")[16:20] != b"GRAY" else None  # it would be one of other colours
    Image.fromarray(array).save(file, "WEBP", lossless=True, exact=True, method=4, icc_profile=profile or b"")
