"""Reads image files that were damaged at random, in a process of its own: python mutated.py COUNT FOLDER.

Each case is drawn from its number alone. What breaks a promise is printed as a line of JSON; the last line has the
counts. The file that is being read lies in the folder, so that it is still there when the process is killed.
"""

from __future__ import annotations

import faulthandler
import io as memory
import json
import logging
import re
import resource
import struct
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from fastip import io
from fastip.errors import FastipError
from fastip.io.writers import WRITERS

SUFFIX = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "NPY": ".npy", "BMP": ".bmp", "PNM": ".pnm", "WebP": ".webp"}
SUFFIX |= {"JPEG 2000": ".jp2", "JPEG XL": ".jxl", "AVIF": ".avif"}
STATUS = Path("/proc/self/status")
SECONDS, MEGABYTES = 5.0, 1000.0  # of one read, beyond what the process has taken before the first
INTERESTING = (0, 1, 2, 3, 7, 8, 15, 16, 255, 256, 4096, 32767, 32768, 65500, 65535, 10**6, 2**24, 2**31 - 1, 2**32 - 1)


# ---- whole files -----------------------------------------------------------------------------------------------------


def whole(kind: str) -> list[bytes]:
    makers = {"PNG": pngs, "JPEG": jpegs, "TIFF": tiffs, "NPY": npys, "BMP": bmps, "PNM": pnms, "WebP": webps}
    return {**makers, "JPEG 2000": jp2s, "JPEG XL": jxls, "AVIF": avifs}[kind]()


def photograph(h: int, w: int, c: int, dtype: str = "uint8") -> np.ndarray:
    rows, columns, channels = np.ogrid[:h, :w, :c]
    smooth = np.sin(rows / 5 + channels) * np.cos(columns / 7) * 0.4 + 0.5
    if dtype.startswith("f"):
        return smooth.astype(dtype)
    return (smooth * np.iinfo(dtype).max).astype(dtype)


def saved(array: np.ndarray, kind: str, mode: str | None = None, **options: object) -> bytes:
    image = Image.fromarray(array.squeeze())
    file = memory.BytesIO()
    (image if mode is None else image.convert(mode)).save(file, kind, **options)
    return file.getvalue()


def pngs() -> list[bytes]:
    exif = Image.Exif()
    exif[274] = 6
    exif.get_ifd(0x8769)[0xA001] = 1
    modes = [saved(photograph(23, 31, c), "PNG") for c in (1, 2, 3, 4)]
    modes += [saved(photograph(23, 31, 3), "PNG", mode) for mode in ("P", "1")]
    modes.append(saved(photograph(40, 33, 3), "PNG", exif=exif, icc_profile=bytes(200), optimize=True))
    return modes + [bytes(imagecodecs.png_encode(photograph(19, 22, c, "uint16"))) for c in (1, 3, 4)]


def jpegs() -> list[bytes]:
    exif = Image.Exif()
    exif[274] = 3
    exif.get_ifd(0x8769)[0xA001] = 2
    array = photograph(48, 41, 3)
    options: list[dict[str, object]] = [{}, {"progressive": True}, {"subsampling": 0, "optimize": True}]
    options += [{"exif": exif, "icc_profile": bytes(300)}, {"restart_marker_blocks": 2}]
    return [saved(array, "JPEG", mode, **option) for mode in ("RGB", "L", "CMYK") for option in options]


def tiffs() -> list[bytes]:
    kinds: list[dict[str, object]] = [{}, {"compression": "zlib", "predictor": True, "rowsperstrip": 5}]
    kinds += [{"compression": "lzw", "rowsperstrip": 7}, {"compression": "packbits"}, {"compression": "lzma"}]
    kinds += [{"tile": (16, 16), "compression": "zlib"}, {"tile": (32, 16)}, {"bigtiff": True}, {"byteorder": ">"}]
    found = [tiff(photograph(24, 29, 3), **kind) for kind in kinds]
    found += [tiff(photograph(21, 18, c, dtype)) for c in (1, 3) for dtype in ("uint16", "float32", "float16")]
    found += [tiff(photograph(21, 18, 4), extrasamples=["assocalpha"]), tiff(photograph(21, 18, 2), extrasamples=[2])]
    found.append(tiff(np.moveaxis(photograph(21, 18, 3), -1, 0), planarconfig="separate", compression="zlib"))
    found += [saved(photograph(24, 29, 3), "TIFF", mode) for mode in ("P", "1", "CMYK", "YCbCr")]
    return [*found, saved(photograph(40, 48, 3), "TIFF", compression="jpeg")]


def tiff(array: np.ndarray, **options: object) -> bytes:
    file = memory.BytesIO()
    colours = "rgb" if array.shape[-1] > 2 else "minisblack"
    tifffile.imwrite(file, array, **{"photometric": colours, **options})
    return file.getvalue()


def npys() -> list[bytes]:
    arrays = [photograph(17, 13, c, dtype) for c in (1, 3, 5) for dtype in ("float16", "float32", "float64")]
    arrays += [arrays[1][..., 0], np.asfortranarray(arrays[4]), photograph(9, 9, 3), arrays[1].astype(">f4")]
    files = []
    for array in arrays:
        file = memory.BytesIO()
        np.save(file, array)
        files.append(file.getvalue())
    return files


def bmps() -> list[bytes]:
    return [saved(photograph(23, 31, c), "BMP", mode) for c, mode in ((1, None), (3, None), (3, "P"), (3, "1"))]


def pnms() -> list[bytes]:
    files = [saved(photograph(23, 31, c), "PPM", mode) for c, mode in ((1, None), (3, None), (1, "1"))]
    files += [b"P5 22 19 65535\n" + photograph(19, 22, 1, "uint16").astype(">u2").tobytes()]
    text = b" ".join(b"%d" % level for level in photograph(9, 12, 3).ravel())
    return [*files, b"P3\n# text\n12 9\n255\n" + text, b"P2 12 27 255\n" + text, b"P1 3 2\n010\n111"]


def webps() -> list[bytes]:
    exif = Image.Exif()
    exif[274] = 6
    exif.get_ifd(0x8769)[0xA001] = 1
    options: list[dict[str, object]] = [{}, {"lossless": True}, {"exif": exif, "icc_profile": bytes(200)}]
    return [saved(photograph(40, 33, c), "WEBP", None, **option) for c in (3, 4) for option in options]


def jp2s() -> list[bytes]:
    kinds: list[dict[str, object]] = [{"tile_size": (32, 32), "quality_layers": [20, 5]}, {"no_jp2": True}]
    kinds += [{"precinct_size": (64, 64), "codeblock_size": (16, 16), "irreversible": True}, {"num_resolutions": 2}]
    files = [saved(photograph(47, 50, 3), "JPEG2000", **kind) for kind in kinds]
    arrays = [photograph(23, 31, c, dtype) for c in (1, 2, 3, 4) for dtype in ("uint8", "uint16")]
    return [*files, *(written(array, "a.jp2") for array in arrays)]


def written(array: np.ndarray, name: str) -> bytes:
    """By fastip itself, with alpha and a profile, where it makes what others do not."""
    file = memory.BytesIO()
    WRITERS[io.format_of(name)](file, array.squeeze(), bytes(200), False)
    return file.getvalue()


def jxls() -> list[bytes]:
    arrays = [photograph(33, 41, c, dtype) for c in (1, 3, 4) for dtype in ("uint8", "uint16")]
    lossy = [bytes(imagecodecs.jpegxl_encode(photograph(40, 33, c), 60)) for c in (1, 3, 4)]
    return [*(written(array, "a.jxl") for array in arrays), *lossy]


def avifs() -> list[bytes]:
    arrays = [photograph(33, 41, c, dtype) for c in (1, 3, 4) for dtype in ("uint8", "uint16")]
    return [written(array // (16 if array.itemsize > 1 else 1), "a.avif") for array in arrays]


# ---- damage ----------------------------------------------------------------------------------------------------------


def place(random: np.random.Generator, data: bytearray) -> int:
    """A byte of the file, mostly one of the first, where headers are."""
    return int(random.integers(min(len(data), int(random.choice([60, 300, 1 << 30])))))


def some_bytes(random: np.random.Generator, data: bytearray) -> None:
    for _ in range(random.integers(1, 9)):
        data[place(random, data)] = random.choice([0, 1, 127, 128, 255, random.integers(256)])


def bits(random: np.random.Generator, data: bytearray) -> None:
    for _ in range(random.integers(1, 5)):
        data[place(random, data)] ^= 1 << int(random.integers(8))


def number(random: np.random.Generator, data: bytearray) -> None:
    """A whole number of two, four or eight bytes, in either order; in the text of a header in digits."""
    value, at = int(random.choice(INTERESTING)), place(random, data)
    if data.startswith(b"\x93NUMPY") and random.random() < 0.7:
        digits = list(re.finditer(rb"\d+", data[:128]))
        if digits:
            found = digits[random.integers(len(digits))]
            data[found.start() : found.end()] = str(value * int(random.choice([1, 1, -1, 10**6]))).encode()
        return
    form = random.choice([">H", "<H", ">I", "<I", "<Q"])
    packed = struct.pack(form, value % 2 ** (8 * struct.calcsize(form)))
    data[at : at + len(packed)] = packed


def cut(random: np.random.Generator, data: bytearray) -> None:
    del data[place(random, data) :]


def take_out(random: np.random.Generator, data: bytearray) -> None:
    at = place(random, data)
    del data[at : at + int(random.integers(1, 40))]


def put_in(random: np.random.Generator, data: bytearray) -> None:
    at = place(random, data)
    data[at:at] = random.bytes(int(random.integers(1, 40)))


def repeat(random: np.random.Generator, data: bytearray) -> None:
    at, length = place(random, data), int(random.integers(1, 200))
    data[at:at] = data[at : at + length] * int(random.choice([1, 2, 50]))


def exchange(random: np.random.Generator, data: bytearray) -> None:
    one, other, length = place(random, data), place(random, data), int(random.integers(1, 64))
    data[one : one + length], data[other : other + length] = data[other : other + length], data[one : one + length]


WAYS: tuple[Callable[[np.random.Generator, bytearray], None], ...]
WAYS = (some_bytes, bits, number, number, cut, take_out, put_in, repeat, exchange)


def sealed(data: bytearray) -> None:
    """Put right the checksums of a PNG, without which no decoder looks further."""
    at = 8  # behind the signature
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            break
        data[at + 8 + length : at + 12 + length] = zlib.crc32(data[at + 4 : at + 8 + length]).to_bytes(4, "big")
        at += 12 + length


def damaged(kind: str, files: list[bytes], number: int) -> bytes:
    random = np.random.default_rng([number, list(SUFFIX).index(kind)])
    data = bytearray(files[number % len(files)])
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        if data:
            WAYS[random.integers(len(WAYS))](random, data)
    if kind == "PNG" and random.random() < 0.8:
        sealed(data)
    return bytes(data)


# ---- reading ---------------------------------------------------------------------------------------------------------


def most_memory() -> float:
    """In megabytes, so far: ru_maxrss would begin with that of the parent, which is all that macOS has."""
    if not STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def read(path: Path) -> str | None:
    """What it told about the file, None where it was read."""
    try:
        x, kind = io.read_image(path)
    except FastipError as error:
        assert path.name in str(error), f"a message without a name: {error}"
        return str(error)
    assert x.ndim == 4 and x.numel() and x.isfinite().all(), f"shape {tuple(x.shape)}"
    try:
        kind.transfer()
    except FastipError as error:
        assert "the ICC profile" in str(error)
    return None


def main(count: int, folder: Path) -> None:
    """``count`` cases, as many of each kind."""
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")
    counts: dict[str, dict[str, float]] = {}
    for kind, suffix in SUFFIX.items():
        files, path = whole(kind), folder / f"case{suffix}"
        for data in files:
            path.write_bytes(data)
            assert (said := read(path)) is None or "uint8" in said, (kind, said)
        usual, slowest, refused = most_memory(), 0.0, 0
        for number in range(count // len(SUFFIX)):
            path.write_bytes(damaged(kind, files, number))
            faulthandler.dump_traceback_later(12 * SECONDS, exit=True)
            begin, wrong = time.process_time(), None
            try:
                refused += read(path) is not None
            except BaseException as error:
                wrong = f"{type(error).__name__}: {error}"
            seconds = time.process_time() - begin
            slowest = max(slowest, seconds)
            if seconds > SECONDS:
                wrong = f"{seconds:.1f} s"
            if most_memory() - usual > MEGABYTES:
                wrong, usual = f"{most_memory() - usual:.0f} MB", most_memory()
            if wrong is not None:
                print(json.dumps({"kind": kind, "number": number, "wrong": wrong}), flush=True)
        faulthandler.cancel_dump_traceback_later()
        taken = most_memory() - usual
        counts[kind] = {"cases": count // len(SUFFIX), "refused": refused, "slowest": slowest, "megabytes": taken}
    print(json.dumps(counts))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
