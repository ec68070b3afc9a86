"""Image files in and out: PNG, JPEG, TIFF (8 and 16 bit, float) and NPY, as 1 c h w float32 tensors with integers scaled to [0, 1].

Integer files are divided by 255 or 65535; float TIFF and NPY (h w or h w c) keep their values unclipped. EXIF orientation is applied on reading.
An alpha channel is not restored: it is kept aside in :class:`Kind` and laid over the result again, resampled where the size changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from ..arrays import check_finite, check_image
from ..errors import FastipError, InvalidInput, strict_keywords
from .replace import replace_file

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".npy": "NPY"}
_SCALE = {"uint8": 255, "uint16": 65535}
_SIGNATURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\x93NUMPY": "NPY",
}
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


@dataclass(frozen=True)
class Kind:
    """What a file held besides its colours, so that a result can be written in kind.

    ``depth`` is uint8, uint16 or float32; ``alpha`` is h w in that depth, or None; ``profile`` is the embedded ICC colour profile, or None.
    """

    depth: str = "uint8"
    alpha: np.ndarray | None = None
    profile: bytes | None = None


def format_of(path: str | Path) -> str:
    """The format that a file name stands for. Raises InvalidInput for a suffix that fastip does not read or write."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidInput(
            f"{path} has the suffix {suffix!r}; expected one of {', '.join(SUFFIXES)}: convert or rename the file"
        )
    return SUFFIXES[suffix]


@strict_keywords
def read_image(path: str | Path) -> tuple[Tensor, Kind]:
    """The image in ``path`` and what is needed to write a result in kind.

    Returns a float32 tensor 1 c h w (c = 1 for grey, 3 for colour, any c for NPY), integers scaled to [0, 1], and its :class:`Kind`.
    Raises InvalidInput when the file is missing, unreadable, not an image, truncated, of another kind, or holds NaN.
    """
    path = Path(path)
    format_of(path)
    found = _signature(path)
    try:
        array, profile, has_alpha = _READERS[found](path)
    except FastipError:
        raise
    except (
        Exception,
        SystemError,
    ) as error:  # decoders raise what they like: OSError, SyntaxError, struct.error, their own
        raise InvalidInput(
            f"{path} cannot be read as {found}: {error}; the file may be truncated or damaged: open and save it anew"
        ) from error
    array = array[..., None] if array.ndim == 2 else array
    if array.size == 0:
        raise InvalidInput(f"{path} holds an array of shape {array.shape}; expected at least one pixel")
    alpha = np.ascontiguousarray(array[..., -1]) if has_alpha else None
    x = _to_tensor(array[..., :-1] if has_alpha else array)
    check_finite(x, str(path))
    return x, Kind(array.dtype.name if array.dtype.name in _SCALE else "float32", alpha, profile)


def _signature(path: Path) -> str:
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; expected an image file")
    try:
        with open(path, "rb") as file:
            head = file.read(8)
    except FileNotFoundError:
        raise InvalidInput(f"{path} does not exist; check the spelling of the path") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be opened: {error.strerror}") from error
    if not head:
        raise InvalidInput(f"{path} is empty; expected an image file")
    for signature, found in _SIGNATURES.items():
        if head.startswith(signature):
            return found
    raise InvalidInput(
        f"{path} begins with {head!r}, which is not a {format_of(path)} image; expected PNG, JPEG, TIFF or NPY content"
    )


def _to_tensor(array: np.ndarray) -> Tensor:
    """h w c of any depth -> 1 c h w float32, plane by plane so that only one float copy is ever held."""
    h, w, c = array.shape
    x = torch.empty(1, c, h, w)
    planes = x.numpy()
    for i in range(c):
        if array.dtype.name in _SCALE:
            np.divide(array[..., i], np.float32(_SCALE[array.dtype.name]), out=planes[0, i], dtype=np.float32)
        else:
            planes[0, i] = array[..., i]
    return x


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
        depth = file.read(25)[24:25]
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
                f"{path} holds samples of type {page.dtype}; expected 8 or 16 bit unsigned integers or floats: convert the file"
            )
        plain = page.photometric.name in ("RGB", "MINISBLACK") and page.dtype.name != "bool"
        if not plain and page.dtype.itemsize == 1:
            return _read_pillow(path)
        if not plain and page.photometric.name != "MINISWHITE":
            raise InvalidInput(
                f"{path} is a {page.dtype.name} TIFF of kind {page.photometric.name}; expected grey or RGB: convert the file"
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
                f"{path} holds {samples} samples a pixel; expected grey or RGB, with or without alpha: save other channels as .npy"
            )
        profile = page.tags.valueof(34675)
        return _orient(array, page.tags.valueof(274, default=1)), profile, samples == colours + 1


def _orient(array: np.ndarray, orientation: int) -> np.ndarray:
    rows, columns, transpose = _ORIENTATIONS.get(orientation, (1, 1, False))
    array = array[::rows, ::columns]
    return np.swapaxes(array, 0, 1) if transpose else array


def _read_npy(path: Path) -> tuple[np.ndarray, bytes | None, bool]:
    array = np.load(path, allow_pickle=False)
    if array.dtype.name not in ("float16", "float32", "float64"):
        raise InvalidInput(
            f"{path} holds dtype {array.dtype}; expected float32 with images in [0, 1]: save array.astype('float32') / 255"
        )
    if array.ndim not in (2, 3):
        raise InvalidInput(f"{path} holds an array of shape {array.shape}; expected h w or h w c")
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] > 4:
        raise InvalidInput(
            f"{path} holds an array of shape {array.shape}, which looks like c h w; expected h w c: save np.moveaxis(array, 0, -1)"
        )
    return array, None, False


_READERS: dict[str, Callable[[Path], tuple[np.ndarray, bytes | None, bool]]] = {
    "PNG": _read_png,
    "JPEG": _read_pillow,
    "TIFF": _read_tiff,
    "NPY": _read_npy,
}


@strict_keywords
def write_image(path: str | Path, x: Tensor, *, like: Kind | None = None) -> None:
    """Write a 1 c h w image in the format of the suffix and, as far as the format can, with the depth, alpha and colour profile of ``like``.

    PNG holds 8 or 16 bits (16 for float sources), JPEG 8 (quality 95, no alpha), TIFF 8, 16 or float32, NPY float32 h w c (h w for grey).
    Integers are clip(x, 0, 1) times 255 or 65535, rounded; floats are kept unclipped. The file appears whole or not at all.
    Raises InvalidInput for an unknown suffix, a shape the format cannot hold, NaN, or a folder that is missing or cannot be written.
    """
    path, like = Path(path), like or Kind()
    check_image(x, "the image to write")
    check_write(path, channels=x.shape[1])
    check_finite(x, "the image to write")
    kind = format_of(path)
    if x.shape[0] != 1:
        raise InvalidInput(f"the image to write has shape {tuple(x.shape)}; expected 1 c h w: write images one by one")
    depth = {"NPY": "float32", "JPEG": "uint8"}.get(
        kind, "uint16" if kind == "PNG" and like.depth == "float32" else like.depth
    )
    alpha = like.alpha if kind in ("PNG", "TIFF") else None
    array = _to_array(x, depth, alpha)
    replace_file(path, lambda file: _WRITERS[kind](file, array, like.profile))


@strict_keywords
def check_write(path: str | Path, *, channels: int = 3) -> None:
    """Refuse, before any work is done, a path that an image of so many channels could not be written to in the end."""
    path = Path(path)
    if format_of(path) != "NPY" and channels not in (1, 3):
        raise InvalidInput(f"the image has {channels} channels and {path.name} can hold 1 or 3; write it as .npy")
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; expected the name of an image file to write")
    if not path.parent.is_dir():
        raise InvalidInput(
            f"the folder {path.parent} does not exist, so {path.name} cannot be written in it; create it first"
        )
    if not os.access(path.parent, os.W_OK):
        raise InvalidInput(
            f"the folder {path.parent} cannot be written to; choose another one or change its permissions"
        )


def _to_array(x: Tensor, depth: str, alpha: np.ndarray | None) -> np.ndarray:
    """1 c h w -> h w c (h w for one sample) of the given depth, in bands of rows so that no second float image is held."""
    planes = x.detach().cpu()[0]
    c, h, w = planes.shape
    array = np.empty((h, w, c + (alpha is not None)), depth)
    for top in range(0, h, 256):
        band = planes[:, top : top + 256].permute(1, 2, 0).float()
        if depth in _SCALE:
            band = band.clamp(0, 1).mul_(_SCALE[depth]).round_()
        array[top : top + 256, :, :c] = band.numpy()
    if alpha is not None:
        array[..., c] = _resample(alpha, h, w, depth)
    return array[..., 0] if array.shape[2] == 1 else array


def _resample(alpha: np.ndarray, h: int, w: int, depth: str) -> np.ndarray:
    """The alpha channel on the grid h w, linear between its samples (sample i sits at i h / h_alpha), in the given depth."""
    a = alpha / _SCALE.get(alpha.dtype.name, 1)
    for axis, size in ((0, h), (1, w)):
        if a.shape[axis] != size:
            at = np.minimum(np.arange(size) * a.shape[axis] / size, a.shape[axis] - 1)
            low = at.astype(int)
            weight = np.expand_dims(at - low, 1 - axis)
            a = a.take(low, axis) * (1 - weight) + a.take(np.minimum(low + 1, a.shape[axis] - 1), axis) * weight
    return np.round(np.clip(a, 0, 1) * _SCALE[depth]) if depth in _SCALE else a


def _write_png(file: BinaryIO, array: np.ndarray, profile: bytes | None) -> None:
    if array.dtype == np.uint16:  # Pillow has no 16-bit colour
        import imagecodecs

        file.write(_embed_profile(bytes(imagecodecs.png_encode(array)), profile))
    else:
        from PIL import Image

        Image.fromarray(array).save(file, "PNG", icc_profile=profile)


def _embed_profile(png: bytes, profile: bytes | None) -> bytes:
    """Put an iCCP chunk behind the 33 bytes of signature and header."""
    if not profile:
        return png
    import zlib

    body = b"iCCPICC profile\0\0" + zlib.compress(profile)
    return png[:33] + (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big") + png[33:]


def _write_jpeg(file: BinaryIO, array: np.ndarray, profile: bytes | None) -> None:
    from PIL import Image

    Image.fromarray(array).save(file, "JPEG", quality=95, subsampling=0, icc_profile=profile)


def _write_tiff(file: BinaryIO, array: np.ndarray, profile: bytes | None) -> None:
    import tifffile

    samples = array.shape[2] if array.ndim == 3 else 1
    photometric, planes = "rgb" if samples >= 3 else "minisblack", "contig" if samples > 1 else None
    extra, compression = ["unassalpha"] if samples in (2, 4) else None, "zlib" if array.dtype.kind == "u" else None
    tifffile.imwrite(
        file,
        array,
        photometric=photometric,
        planarconfig=planes,
        extrasamples=extra,
        compression=compression,
        iccprofile=profile,
        metadata=None,
    )


def _write_npy(file: BinaryIO, array: np.ndarray, profile: bytes | None) -> None:
    np.save(file, array)


_WRITERS: dict[str, Callable[[BinaryIO, np.ndarray, bytes | None], None]] = {
    "PNG": _write_png,
    "JPEG": _write_jpeg,
    "TIFF": _write_tiff,
    "NPY": _write_npy,
}
