"""Files that look small and are not, and what is said of each: many pixels in few bytes, and many pictures in one."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image


def large(path: Path) -> Path:
    """A PNG of 60000 x 60000 pixels in some bytes."""
    header = np.array([60_000, 60_000], ">u4").tobytes() + bytes([8, 2, 0, 0, 0])
    chunks = (b"IHDR" + header, b"IDAT" + zlib.compress(bytes(1000)), b"IEND")
    parts = (np.array(len(c) - 4, ">u4").tobytes() + c + np.array(zlib.crc32(c), ">u4").tobytes() for c in chunks)
    path.with_suffix(".png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path.with_suffix(".png")


def packed(path: Path) -> Path:
    """A TIFF that claims 40000 x 40000 pixels in one strip."""
    tifffile.imwrite(path.with_suffix(".tif"), np.zeros((16, 16), "uint8"), compression="zlib")
    with tifffile.TiffFile(path.with_suffix(".tif"), mode="r+") as file:
        for tag in (256, 257, 278):
            file.pages[0].tags[tag].overwrite(40_000)
    return path.with_suffix(".tif")


def pages(path: Path) -> Path:
    with tifffile.TiffWriter(path.with_suffix(".tif")) as file:
        for _ in range(500):
            file.write(np.zeros((8, 8), "uint8"))
    return path.with_suffix(".tif")


def animated(path: Path) -> Path:
    frames = [Image.new("L", (8, 8), k) for k in range(100)]
    frames[0].save(path.with_suffix(".png"), save_all=True, append_images=frames[1:])
    return path.with_suffix(".png")


BOMBS = {large: "60000 x 60000", packed: "40000 x 40000", pages: "has 500 pages", animated: "animation of 100 frames"}
