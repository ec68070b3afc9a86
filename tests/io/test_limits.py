"""What is refused before anything is decoded: images that are too large, damaged headers, what is no regular file."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from cases import tiff
from cases.programs import PYTHON
from fastip import io
from fastip.cli import options
from fastip.errors import InvalidInput
from fastip.io import images, vectors


def png(path: Path, w: int, h: int, depth: int = 8, colour: int = 2, rows: int = 0) -> None:
    """Of which so many rows are there, all black."""
    samples = {0: 1, 2: 3, 6: 4}[colour]
    packer = zlib.compressobj(9)
    row = bytes(1 + w * samples * depth // 8)
    data = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, 0), b"IDAT" + data, b"IEND")
    parts = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def jpeg(path: Path, w: int, h: int) -> None:
    """A small one whose header tells another size."""
    Image.fromarray(np.zeros((16, 16, 3), "uint8")).save(path)
    data = path.read_bytes()
    at = data.index(b"\xff\xc0") + 5
    path.write_bytes(data[:at] + struct.pack(">HH", h, w) + data[at + 4 :])


def scans(path: Path, count: int) -> None:
    """A progressive JPEG whose last scan comes again and again."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype="uint8")
    Image.fromarray(noise).save(path, progressive=True)
    data = path.read_bytes()
    at = data.rindex(b"\xff\xda")
    path.write_bytes(data[:at] + data[at:-2] * count + data[-2:])


def deflated(path: Path, side: int) -> None:
    """A TIFF in one strip, of which next to nothing is there."""
    tiff.write(path, np.zeros((4, 4), int), 8, change={256: side, 257: side, tiff.ROWS: side, tiff.COMPRESSION: 8})


def tiles(path: Path, side: int) -> None:
    tifffile.imwrite(path, np.zeros((32, 32), "uint8"), tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag in (322, 323):
            file.pages[0].tags[tag].overwrite(side)


def npy(path: Path, shape: tuple[int, ...], dtype: str = "<f4", there: int = 64) -> None:
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
        file.write(bytes(there))


def lists(path: Path, tag: int) -> None:
    """A number of a TIFF that is a list, which a library multiplies by a large one."""
    change = {256: 4, 257: 2**23, tiff.ROWS: 1, tiff.SAMPLES: 1, 32997: 1}
    tiff.write(path, np.zeros((4, 4), int), 8, change=change)
    data = path.read_bytes()
    at = data.index(struct.pack("<HHI", tag, tiff.LONG, 1))
    path.write_bytes(data[: at + 4] + struct.pack("<II", 16, len(data)) + data[at + 12 :] + struct.pack("<I", 1) * 16)


def webp(path: Path, w: int, h: int, kind: bytes) -> None:
    """A header alone, of a canvas or of an image without loss."""
    size = struct.pack("<I", w - 1)[:3] + struct.pack("<I", h - 1)[:3]
    if kind == b"VP8X":
        chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + size
    else:
        chunk = kind + struct.pack("<IBI", 5, 0x2F, (w - 1) | (h - 1) << 14)
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk)


def jp2(path: Path, w: int, h: int, tile: int | None = None, layers: int = 1, precinct: int | None = None) -> None:
    """The code of a small image without what comes behind its first markers."""
    tile = max(w, h) if tile is None else tile
    size = struct.pack(">HHIIIIIIIIH", 47, 0, w, h, 0, 0, tile, tile, 0, 0, 3) + bytes([7, 1, 1]) * 3
    powers = b"" if precinct is None else bytes([precinct]) * 6
    coding = struct.pack(">HBBHBBBBBB", 12 + len(powers), bool(powers), 0, layers, 1, 5, 4, 4, 0, 1) + powers
    path.write_bytes(b"\xff\x4f\xff\x51" + size + b"\xff\x52" + coding + b"\xff\x90" + bytes(50))


def jxl(path: Path, w: int, h: int) -> None:
    """Two sides of 30 bits each, all else as usual."""
    bits = 3 << 1 | (h - 1) << 3 | 0 << 33 | 3 << 36 | (w - 1) << 38 | 1 << 68
    path.write_bytes(b"\xff\x0a" + bits.to_bytes(9, "little") + bytes(50))


def avif(path: Path, w: int, h: int) -> None:
    """A small one whose boxes tell another size."""
    Image.fromarray(np.zeros((16, 16, 3), "uint8")).save(path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"ispe" + struct.pack(">III", 0, 16, 16), b"ispe" + struct.pack(">III", 0, w, h)))


def bmp(path: Path, w: int, h: int) -> None:
    """Runs of one colour, of which none is there."""
    head = struct.pack("<IiiHHIIiiII", 40, w, h, 1, 8, 1, 0, 0, 0, 256, 0) + bytes(1024)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 14 + len(head) + 2, 0, 0, 14 + len(head)) + head + b"\0\1")


BOMBS = {
    "many pixels.png": lambda path: png(path, 60_000, 60_000),
    "many pixels of 16 bits.png": lambda path: png(path, 60_000, 60_000, depth=16),
    "packed.png": lambda path: png(path, 20_000, 8_000, rows=100),
    "packed 16 bits.png": lambda path: png(path, 20_000, 8_000, depth=16, rows=100),
    "the largest side.png": lambda path: png(path, 2**31 - 1, 2**31 - 1),
    "many pixels.jpg": lambda path: jpeg(path, 65_500, 65_500),
    "stretched.jpg": lambda path: jpeg(path, 65_500, 2_000),
    "many scans.jpg": lambda path: scans(path, 5_000),
    "many pixels.tif": lambda path: deflated(path, 44_721),
    "packed.tif": lambda path: deflated(path, 13_000),
    "tiles.tif": lambda path: tiles(path, 65_520),
    "list of widths.tif": lambda path: lists(path, 256),
    "list of samples.tif": lambda path: lists(path, tiff.SAMPLES),
    "list of depths.tif": lambda path: lists(path, 32997),
    "large.npy": lambda path: npy(path, (20_000, 20_000, 3)),
    "cut.npy": lambda path: npy(path, (10_000, 10_000, 3)),
    "less than nothing.npy": lambda path: npy(path, (-1, 4)),
    "channels.npy": lambda path: npy(path, (2, 2, 10**12)),
    "canvas.webp": lambda path: webp(path, 2**24, 2**24, b"VP8X"),
    "many pixels.webp": lambda path: webp(path, 16_384, 16_384, b"VP8L"),
    "packed.webp": lambda path: webp(path, 13_000, 13_000, b"VP8L"),
    "many pixels.jp2": lambda path: jp2(path, 2**31 - 1, 2**31 - 1),
    "packed.jp2": lambda path: jp2(path, 13_000, 13_000),
    "tiles.jp2": lambda path: jp2(path, 1_000, 1_000, tile=1),
    "layers.jp2": lambda path: jp2(path, 1_000, 1_000, layers=65_535),
    "precincts.jp2": lambda path: jp2(path, 1_000, 1_000, precinct=0),
    "many pixels.jxl": lambda path: jxl(path, 2**30, 2**30),
    "packed.jxl": lambda path: jxl(path, 13_000, 13_000),
    "many pixels.avif": lambda path: avif(path, 16_000, 16_000),
    "packed.avif": lambda path: avif(path, 13_000, 13_000),
    "many pixels.bmp": lambda path: bmp(path, 60_000, 60_000),
    "packed.bmp": lambda path: bmp(path, 13_000, 13_000),
    "many pixels.ppm": lambda path: path.write_bytes(b"P6 60000 60000 255\n" + bytes(99)),
    "cut.ppm": lambda path: path.write_bytes(b"P6 13000 13000 255\n" + bytes(99)),
    "text.ppm": lambda path: path.write_bytes(b"P3 13000 13000 255\n" + b"1 " * 99),
}
CHILD = """
import json, sys, time
from pathlib import Path
from fastip import io
status = Path("/proc/self/status")  # ru_maxrss would begin with that of the parent
peak = lambda: next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
io.read_image(sys.argv[1])
for path in sys.argv[2:]:
    before, begin, said = peak(), time.process_time(), None
    try:
        io.read_image(path)
    except Exception as error:
        said = type(error).__name__ + ": " + str(error)
    more = peak() - before
    print(json.dumps([path, said, time.process_time() - begin, more / 1024]))
"""


def test_bombs_cost_neither_time_nor_memory(tmp_path):
    paths = [tmp_path / name for name in BOMBS]
    for path in paths:
        BOMBS[path.name](path)
        assert path.stat().st_size < 10_000_000
    png(tmp_path / "first.png", 8, 8, rows=8)
    done = subprocess.run(
        [*PYTHON, "-c", CHILD, *map(str, [tmp_path / "first.png", *paths])],
        capture_output=True,
        text=True,
        timeout=60,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(told) == len(paths), done.stderr
    for path, said, seconds, megabytes in told:
        assert said is not None and said.startswith("InvalidInput: ") and Path(path).name in said, (path, said)
        assert seconds < 1 and megabytes < 300, (path, seconds, megabytes)


@pytest.mark.parametrize("suffix", io.SUFFIXES)
def test_the_limit_is_that_of_the_caller(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    channels = 1 if suffix == ".pgm" else 3
    io.write_image(path, torch.zeros(1, channels, 10, 12))
    assert io.read_image(path, max_pixels=120)[0].shape == (1, channels, 10, 12)
    with pytest.raises(InvalidInput, match=r"12 x 10 = 120 pixels; expected at most 119: .*--max-pixels 120"):
        io.read_image(path, max_pixels=119)
    for bad in (0, 1.5, True, None):
        with pytest.raises(InvalidInput, match="max_pixels"):
            io.read_image(path, max_pixels=bad)


def test_the_command_line_knows_the_limit():
    assert options.MAX_PIXELS == io.MAX_PIXELS == 178_956_970


def test_blank_images_are_no_bombs(tmp_path):
    """Deflate at its best, on an image above the size at which the ratio is looked at."""
    png(tmp_path / "a.png", 5_000, 4_000, colour=0, rows=4_000)
    assert (tmp_path / "a.png").stat().st_size < 25_000
    x = io.read_image(tmp_path / "a.png")[0]
    assert x.shape == (1, 1, 4_000, 5_000) and not x.any()


def test_a_larger_limit_than_that_of_pillow(tmp_path, recwarn):
    png(tmp_path / "a.png", 12_000, 8_000, colour=0, rows=1)
    with pytest.raises(InvalidInput, match="claims"):  # and no warning of a bomb beside it
        io.read_image(tmp_path / "a.png", max_pixels=10**9)
    assert not recwarn.list


@pytest.mark.parametrize("read", [io.read_image, lambda path: vectors.read_vector(path, 5)], ids=["image", "vector"])
def test_pipes_and_devices_are_refused_at_once(tmp_path, read):
    os.mkfifo(tmp_path / "a.npy")
    with pytest.raises(InvalidInput, match="is a pipe; expected a regular file"):
        read(tmp_path / "a.npy")
    (tmp_path / "zero.npy").symlink_to("/dev/zero")
    with pytest.raises(InvalidInput, match="is a device"):
        read(tmp_path / "zero.npy")
    (tmp_path / "loop.npy").symlink_to(tmp_path / "loop.npy")
    with pytest.raises(InvalidInput, match="cannot be opened"):
        read(tmp_path / "loop.npy")
    with pytest.raises(InvalidInput, match="cannot be opened"):
        read("zero\0byte.npy")


def test_too_little_memory_is_said(tmp_path, monkeypatch):
    def exhausted(path, max_pixels):
        raise MemoryError

    png(tmp_path / "a.png", 8, 8, rows=8)
    monkeypatch.setitem(images._READERS, "PNG", exhausted)
    with pytest.raises(InvalidInput, match=r"a\.png takes more memory than there is"):
        io.read_image(tmp_path / "a.png")
