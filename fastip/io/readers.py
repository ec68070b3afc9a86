"""Image files as arrays of their own depth, with what is needed to make an image of them.

Nothing is decoded before the size that the header tells has passed :func:`check_size`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidInput
from . import ycbcr
from .codecs import avif, jpeg2000, jpegxl, pnm, webp
from .decoded import Decoded, from_pillow, oriented
from .directories import page_at
from .npy import read_array
from .source import check_frames, check_size
from .transfer import Transfer, of_exif, of_pillow

_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the type of colour
_MINISWHITE, _MINISBLACK, _RGB, _YCBCR = 0, 1, 2, 6  # PhotometricInterpretation
# Compressions of TIFF whose decoders are told how much may come out: none, LZW, deflate (2), LZMA, PackBits, zstd.
# Those that hold whole files of their own, such as JPEG, are Pillow's, which compares their sizes with the page's.
_BOUNDED = (1, 5, 8, 32946, 34925, 32773, 50000)
# Pixels in all tiles of a small image: four of the common side 1024. Fewer refuse what is right, more cost memory.
_LARGE_TILES = 1 << 22
# A progressive JPEG has ten or so, each of which costs a pass over the image.
_MOST_SCANS = 100


# The classes of Pillow are called by name: Image.open has a limit of its own, for the whole process.


def _read_png(path: Path, max_pixels: int) -> Decoded:
    from PIL.PngImagePlugin import PngImageFile

    with open(path, "rb") as file:
        header = file.read(26)[24:]  # depth and type of colour, of the IHDR chunk, which comes first
    with PngImageFile(path) as image:
        check_size(path, image.height, image.width, _PNG_SAMPLES[header[1]], header[0], max_pixels)
        check_frames(path, getattr(image, "n_frames", 1))
        if header[0] != 16:
            return replace(from_pillow(image), coding=_coding(path))
        profile, orientation, told = image.info.get("icc_profile"), image.getexif().get(274, 1), of_pillow(image)
    import imagecodecs  # Pillow would cut 16-bit colour down to 8 bits

    array = imagecodecs.png_decode(path.read_bytes())
    alpha = array.ndim == 3 and array.shape[2] in (2, 4)
    return Decoded(oriented(array, orientation), 65535, profile, alpha, told=told, coding=_coding(path))


def _coding(path: Path) -> tuple[int, int, int, int] | None:
    """The chunk cICP of a PNG, which Pillow leaves out; that all is whole has been seen by then."""
    with open(path, "rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            length = int.from_bytes(head[:4], "big")
            if head[4:] == b"cICP" and length == 4:
                primaries, curve, matrix, full = file.read(4)
                return primaries, curve, matrix, full
            file.seek(length + 4, 1)
    return None


def _read_bmp(path: Path, max_pixels: int) -> Decoded:
    from PIL.BmpImagePlugin import BmpImageFile

    with BmpImageFile(path) as image:
        check_size(path, image.height, image.width, len(image.getbands()), 1 if image.mode == "1" else 8, max_pixels)
        return from_pillow(image)


def _read_jpeg(path: Path, max_pixels: int) -> Decoded:
    from PIL.JpegImagePlugin import JpegImageFile

    with JpegImageFile(path) as image:
        check_size(path, image.height, image.width, len(image.getbands()), 8, max_pixels)
        scans = path.read_bytes().count(b"\xff\xda")
        if scans > _MOST_SCANS:
            raise InvalidInput(f"{path} has {scans} scans; expected at most {_MOST_SCANS}: open and save it anew")
        return from_pillow(image)


def read_tiff(path: Path, max_pixels: int, page_number: int | None = None) -> Decoded:
    """One page of a TIFF.

    Args:
        path: The file.
        max_pixels: Of height times width.
        page_number: Which, from 0; None where there must be one alone.

    Returns:
        What it holds.

    Raises:
        InvalidInput: For more pixels, other samples, and a page that is not there.
    """
    import tifffile

    index = page_at(path, page_number)
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[index]
        _check_tiff_size(path, page, max_pixels)
        small = page.dtype is not None and page.dtype.itemsize == 1
        kind = int(page.photometric)
        plain = kind in (_MINISWHITE, _MINISBLACK, _RGB) and page.dtype != bool and int(page.compression) in _BOUNDED
        if small and kind == _YCBCR and page.compression in _BOUNDED and page.dtype.kind == "u":
            plain = _whole_colour(path, page)
        if small and not plain:
            from PIL.TiffImagePlugin import TiffImageFile

            with TiffImageFile(path) as image:
                image.seek(index)
                return from_pillow(image)
        _check_samples(path, page, plain)
        array = page.asarray()
        if page.axes == "SYX":
            array = np.moveaxis(array, 0, -1)
        samples, colours = array.shape[2] if array.ndim == 3 else 1, 3 if kind in (_RGB, _YCBCR) else 1
        if not colours <= samples <= colours + len(page.extrasamples[:1]):
            raise InvalidInput(
                f"{path} holds {samples} samples a pixel; expected grey or RGB, with or without alpha: "
                "save other channels as .npy"
            )
        profile = page.tags.valueof(34675)  # 274 is the orientation
        if kind == _YCBCR:
            array = ycbcr.rgb(path, page, array)
            profile = profile if profile is not None and profile[16:20] == b"RGB " else None
        return Decoded(
            oriented(array, page.tags.valueof(274, default=1)),
            1 if array.dtype.kind == "f" else 2**page.bitspersample - 1,
            profile,
            samples > colours,
            samples > colours and int(page.extrasamples[0]) == 1,
            kind == _MINISWHITE,
            _told(page),
        )


def _whole_colour(path: Path, page: Any) -> bool:
    """Whether each pixel has differences of colour of its own. Pillow undoes that of compressed ones."""
    across, down = ycbcr.subsampling(page)
    if (across, down) == (1, 1):
        return True
    if page.compression == 1:
        raise InvalidInput(
            f"{path} is an uncompressed YCbCr TIFF of which {across} x {down} pixels share their colour; "
            "expected a colour for each pixel: convert it to RGB"
        )
    return False


def _told(page: Any) -> Transfer | None:
    try:
        return of_exif(page.tags.valueof(34665, default={}).get("ColorSpace"))
    except Exception:  # damaged EXIF says nothing
        return None


def _check_tiff_size(path: Path, page: Any, max_pixels: int) -> None:
    """The size of the page, that of all its tiles, each of which is decoded whole, and that each of them is there."""
    deepest = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    h, w, samples = page.imagelength, page.imagewidth, max(page.samplesperpixel, 1) * max(page.imagedepth, 1)
    check_size(path, h, w, samples, deepest, max_pixels)
    damaged = f"{path} is damaged: it is {w} x {h} pixels large, "
    if page.is_tiled:
        th, tw = page.tilelength, page.tilewidth
        tiled = math.ceil(h / max(th, 1)) * th * math.ceil(w / max(tw, 1)) * tw * max(page.tiledepth, 1)
        if tiled > max(_LARGE_TILES, 4 * h * w):
            raise InvalidInput(f"{damaged}and its tiles {tw} x {th}; open and save it anew")
    # A strip that is not there would be filled with whatever the memory holds, an empty one with black.
    if not page.is_contiguous and (
        len(page.dataoffsets) < math.prod(page.chunked)
        or not all(page.dataoffsets)
        or len(page.databytecounts) < math.prod(page.chunked)
        or not all(page.databytecounts)
    ):
        raise InvalidInput(f"{damaged}and some of its strips or tiles are missing; open and save it anew")


def _check_samples(path: Path, page: Any, plain: bool) -> None:
    unsigned = page.dtype is not None and page.dtype.kind == "u" and page.dtype.itemsize <= 2
    floating = page.dtype is not None and page.dtype.kind == "f"
    if not (unsigned or floating) or not isinstance(page.bitspersample, int):
        raise InvalidInput(
            f"{path} holds samples of type {page.dtype} and {page.bitspersample} bits; "
            "expected unsigned integers of up to 16 bits or floats: convert the file"
        )
    if not plain:
        raise InvalidInput(
            f"{path} is a {page.dtype.name} TIFF of kind {_name(page.photometric)}, compressed by "
            f"{_name(page.compression)}; expected grey or RGB, uncompressed or by LZW or deflate: convert the file"
        )
    if page.axes not in ("YX", "YXS", "SYX"):
        raise InvalidInput(f"{path} holds an image of axes {page.axes}; expected rows, columns and samples alone")


def _name(value: Any) -> str:
    return str(getattr(value, "name", value))


def _read_npy(path: Path, max_pixels: int) -> Decoded:
    def check(shape: tuple[int, ...], dtype: np.dtype) -> None:
        if dtype.name not in ("float16", "float32", "float64"):
            scale = f" / {np.iinfo(dtype).max}" if dtype.kind == "u" else ""
            raise InvalidInput(
                f"{path} holds dtype {dtype}; expected float32 with images in [0, 1]: "
                f"save array.astype('float32'){scale}"
            )
        if len(shape) not in (2, 3):
            raise InvalidInput(f"{path} holds an array of shape {shape}; expected h w or h w c")
        # One or three rows of more than four channels are refused as well: they are rarer than c h w by mistake.
        if len(shape) == 3 and shape[0] in (1, 3) and shape[2] > 4:
            raise InvalidInput(
                f"{path} holds an array of shape {shape}, which looks like c h w; "
                "expected h w c: save np.moveaxis(array, 0, -1)"
            )
        check_size(path, shape[0], shape[1], 1, 0, max_pixels)

    return Decoded(read_array(path, check))


READERS: dict[str, Callable[[Path, int], Decoded]] = {
    "PNG": _read_png,
    "JPEG": _read_jpeg,
    "TIFF": read_tiff,
    "NPY": _read_npy,
    "BMP": _read_bmp,
    "PNM": pnm.read,
    "WebP": webp.read,
    "JPEG 2000": jpeg2000.read,
    "JPEG XL": jpegxl.read,
    "AVIF": avif.read,
}
