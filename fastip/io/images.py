"""Image files in and out: PNG, JPEG, TIFF (8 and 16 bit, float) and NPY, as 1 c h w float32 tensors.

Integer files are divided by 255 or 65535, to [0, 1]; float TIFF and NPY (h w or h w c) keep their values unclipped.
EXIF orientation is applied on reading. An alpha channel is not restored: it is kept aside in :class:`Kind` and laid
over the result again, resampled where the size changed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..arrays import check_finite, check_image
from ..errors import FastipError, InvalidInput, strict_keywords
from .readers import READERS as _READERS
from .replace import replace_file
from .writers import WRITERS as _WRITERS

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


@dataclass(frozen=True)
class Kind:
    """What a file held besides its colours, so that a result can be written in kind.

    Args:
        depth: "uint8", "uint16" or "float32".
        alpha: h w in that depth, or None.
        profile: The embedded ICC colour profile, or None.
    """

    depth: str = "uint8"
    alpha: np.ndarray | None = None
    profile: bytes | None = None


def format_of(path: str | Path) -> str:
    """The format that a file name stands for.

    Args:
        path: A file, which need not exist.

    Returns:
        "PNG", "JPEG", "TIFF" or "NPY".

    Raises:
        InvalidInput: For a suffix that fastip does not read or write.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidInput(
            f"{path} has the suffix {suffix!r}; expected one of {', '.join(SUFFIXES)}: convert or rename the file"
        )
    return SUFFIXES[suffix]


@strict_keywords
def read_image(path: str | Path) -> tuple[Tensor, Kind]:
    """The image in a file, and what is needed to write a result in kind.

    Args:
        path: A file with one of ``SUFFIXES``.

    Returns:
        A float32 tensor 1 c h w (c = 1 for grey, 3 for colour, any c for NPY), integers scaled to [0, 1], and its
        :class:`Kind`.

    Raises:
        InvalidInput: When the file is missing, unreadable, not an image, truncated, of another kind, or holds NaN.
    """
    path = Path(path)
    format_of(path)
    found = _signature(path)
    try:
        array, profile, has_alpha = _READERS[found](path)
    except FastipError:
        raise
    # Decoders raise what they like: OSError, SyntaxError, struct.error, their own.
    except (Exception, SystemError) as error:
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


@strict_keywords
def write_image(path: str | Path, x: Tensor, *, like: Kind | None = None) -> None:
    """Write an image in the format of the suffix; the file appears whole or not at all.

    PNG holds 8 or 16 bits (16 for float sources), JPEG 8 (quality 95, no alpha), TIFF 8, 16 or float32, NPY float32
    h w c (h w for grey). Integers are clip(x, 0, 1) times 255 or 65535, rounded; floats are kept unclipped.

    Args:
        path: The file to write, with one of ``SUFFIXES``.
        x: The image, 1 c h w.
        like: The depth, alpha and colour profile to write, as far as the format can; by default 8 bits and neither.

    Raises:
        InvalidInput: For an unknown suffix, a shape the format cannot hold, NaN, or a folder that is missing or cannot
            be written.
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
    """Refuse, before any work is done, a path that an image could not be written to in the end.

    Args:
        path: The file to write.
        channels: Of the image: 1 or 3, or any number for NPY.

    Raises:
        InvalidInput: For an unknown suffix, channels that the format cannot hold, a folder in place of a file, and a
            file in a folder that is missing or cannot be written.
    """
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
    """1 c h w -> h w c (h w for one sample) of the given depth, in bands so that no second float image is held."""
    planes = x.detach().cpu()[0]
    c, h, w = planes.shape
    array = np.empty((h, w, c + (alpha is not None)), depth)
    for top in range(0, h, 256):  # more rows a band hold more memory, fewer make more calls
        band = planes[:, top : top + 256].permute(1, 2, 0).float()
        if depth in _SCALE:
            band = band.clamp(0, 1).mul_(_SCALE[depth]).round_()
        array[top : top + 256, :, :c] = band.numpy()
    if alpha is not None:
        array[..., c] = _resample(alpha, h, w, depth)
    return array[..., 0] if array.shape[2] == 1 else array


def _resample(alpha: np.ndarray, h: int, w: int, depth: str) -> np.ndarray:
    """The alpha channel on the grid h w, in the given depth: linear between its samples, the i-th at i h / h_alpha."""
    a = alpha / _SCALE.get(alpha.dtype.name, 1)
    for axis, size in ((0, h), (1, w)):
        if a.shape[axis] != size:
            at = np.minimum(np.arange(size) * a.shape[axis] / size, a.shape[axis] - 1)
            low = at.astype(int)
            weight = np.expand_dims(at - low, 1 - axis)
            a = a.take(low, axis) * (1 - weight) + a.take(np.minimum(low + 1, a.shape[axis] - 1), axis) * weight
    return np.round(np.clip(a, 0, 1) * _SCALE[depth]) if depth in _SCALE else a
