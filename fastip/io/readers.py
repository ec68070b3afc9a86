"""Image files as arrays h w or h w c of their own depth, each with its colour profile and whether it ends in alpha."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidInput

# Row and column flips, then a transposition: what undoes each EXIF orientation.
_ORIENTATIONS = {
    2: (1, -1, False),
    3: (-1, -1, False),
    4: (-1, 1, False),
    5: (1, 1, True),
    6: (-1, 1, True),
    7: (-1, -1, True),
    8: (1, -1, True),
}


def _read_pillow(path: Path) -> tuple[np.ndarray, bytes | None, bool]:
    """Anything of 8 bits a sample: palettes become colour, CMYK and YCbCr become RGB, grey stays grey."""
    from PIL import Image, ImageOps

    with Image.open(path) as file:
        profile = file.info.get("icc_profile")
        image: Image.Image = ImageOps.exif_transpose(file)
        if "transparency" in image.info:
            image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
        elif image.mode == "1":
            image = image.convert("L")
        elif image.mode not in ("L", "LA", "RGB", "RGBA"):
            profile = None  # the profile described the colours before the conversion
            image = image.convert("RGBA" if image.mode in ("PA", "RGBa") else "LA" if image.mode == "La" else "RGB")
        return np.asarray(image), profile, image.mode in ("LA", "RGBA")


def _read_png(path: Path) -> tuple[np.ndarray, bytes | None, bool]:
    with open(path, "rb") as file:
        depth = file.read(25)[24:25]  # of the IHDR chunk, which comes first
    if depth != b"\x10":
        return _read_pillow(path)
    import imagecodecs  # Pillow would cut 16-bit colour down to 8 bits
    from PIL import Image

    with Image.open(path) as image:
        profile, orientation = image.info.get("icc_profile"), image.getexif().get(274, 1)
    array = imagecodecs.png_decode(path.read_bytes())
    return _orient(array, orientation), profile, array.ndim == 3 and array.shape[2] in (2, 4)


def _read_tiff(path: Path) -> tuple[np.ndarray, bytes | None, bool]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        pages = [page for page in file.pages if not getattr(page, "is_reduced", False)]
        if len(pages) != 1:
            raise InvalidInput(f"{path} holds {len(pages)} pages; expected one image: split the file first")
        page: Any = pages[0]
        if page.dtype is None or page.dtype.name not in ("bool", "uint8", "uint16", "float16", "float32", "float64"):
            raise InvalidInput(
                f"{path} holds samples of type {page.dtype}; "
                "expected 8 or 16 bit unsigned integers or floats: convert the file"
            )
        plain = page.photometric.name in ("RGB", "MINISBLACK") and page.dtype.name != "bool"
        if not plain and page.dtype.itemsize == 1:
            return _read_pillow(path)
        if not plain and page.photometric.name != "MINISWHITE":
            raise InvalidInput(
                f"{path} is a {page.dtype.name} TIFF of kind {page.photometric.name}; "
                "expected grey or RGB: convert the file"
            )
        array = page.asarray()
        if array.ndim == 3 and page.planarconfig.name == "SEPARATE":
            array = np.moveaxis(array, 0, -1)
        if page.photometric.name == "MINISWHITE":
            array = np.iinfo(array.dtype).max - array if array.dtype.kind == "u" else 1 - array
        colours = 3 if page.photometric.name == "RGB" else 1
        samples = array.shape[2] if array.ndim == 3 else array.ndim // 2
        if not samples or samples > colours + 1 or (samples == colours + 1 and not page.extrasamples):
            raise InvalidInput(
                f"{path} holds {samples} samples a pixel; expected grey or RGB, with or without alpha: "
                "save other channels as .npy"
            )
        profile = page.tags.valueof(34675)  # the ICC profile; 274 is the orientation
        return _orient(array, page.tags.valueof(274, default=1)), profile, samples == colours + 1


def _orient(array: np.ndarray, orientation: int) -> np.ndarray:
    rows, columns, transpose = _ORIENTATIONS.get(orientation, (1, 1, False))
    array = array[::rows, ::columns]
    return np.swapaxes(array, 0, 1) if transpose else array


def _read_npy(path: Path) -> tuple[np.ndarray, bytes | None, bool]:
    array = np.load(path, allow_pickle=False)
    if array.dtype.name not in ("float16", "float32", "float64"):
        raise InvalidInput(
            f"{path} holds dtype {array.dtype}; expected float32 with images in [0, 1]: "
            "save array.astype('float32') / 255"
        )
    if array.ndim not in (2, 3):
        raise InvalidInput(f"{path} holds an array of shape {array.shape}; expected h w or h w c")
    # One or three rows of more than four channels are refused as well: they are rarer than c h w by mistake.
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] > 4:
        raise InvalidInput(
            f"{path} holds an array of shape {array.shape}, which looks like c h w; "
            "expected h w c: save np.moveaxis(array, 0, -1)"
        )
    return array, None, False


READERS: dict[str, Callable[[Path], tuple[np.ndarray, bytes | None, bool]]] = {
    "PNG": _read_png,
    "JPEG": _read_pillow,
    "TIFF": _read_tiff,
    "NPY": _read_npy,
}
