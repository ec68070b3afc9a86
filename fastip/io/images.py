"""Image files in and out: PNG, JPEG, TIFF (up to 16 bit, float) and NPY, as 1 c h w float32 tensors.

Integers are scaled to [0, 1] by their own range; float TIFF and NPY (h w or h w c) keep their values unclipped, or are
mapped from the range that the caller gives. EXIF orientation is applied on reading. An alpha channel is not restored:
it is kept aside in :class:`Kind` and laid over the result again, resampled where the size changed.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from ..arrays import check_count, check_finite, check_image, check_number
from ..errors import FastipError, InvalidInput, brief, strict_keywords
from .alpha import opaque
from .planes import SCALE, check_range, to_array, to_tensor
from .readers import READERS as _READERS
from .replace import replace_file
from .source import MAX_PIXELS, check_source
from .writers import WRITERS as _WRITERS

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".npy": "NPY"}
_SIGNATURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\x93NUMPY": "NPY",
}


DEPTHS = (*SCALE, "float32")


@dataclass(frozen=True)
class Kind:
    """What a file held besides its colours, so that a result can be written in kind.

    Args:
        depth: "uint8", "uint16" or "float32".
        alpha: h w in that depth, floats in [0, 1], or None.
        profile: The embedded ICC colour profile, or None.
        premultiplied: Whether the colours of a TIFF are multiplied by alpha.
        value_range: What is black and white among floats; None is (0, 1).
        opaque: Which value of alpha is opaque in a file of floats, whatever the range: 1, or 255, say.

    Raises:
        InvalidInput: For another depth, and for a range that is none.
    """

    depth: str = "uint8"
    alpha: np.ndarray | None = None
    profile: bytes | None = None
    premultiplied: bool = False
    value_range: tuple[float, float] | None = None
    opaque: float = 1.0

    def __post_init__(self) -> None:
        if self.depth not in DEPTHS:
            raise InvalidInput(f"depth is {brief(self.depth)}; expected one of {', '.join(DEPTHS)}")
        check_range(self.value_range)
        check_number(self.opaque, "opaque", low=0, strict=True)


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
def read_image(
    path: str | Path, *, value_range: tuple[float, float] | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[Tensor, Kind]:
    """The image in a file, and what is needed to write a result in kind.

    Integers of b bits are divided by ``2^b - 1``. Colours are straight: premultiplied alpha is undone. Under pixels
    that are transparent (alpha below 8/255 counts in part) they are taken from around them, so that nothing unseen
    leaks into what is restored.

    Args:
        path: A file with one of ``SUFFIXES``.
        value_range: Of a file of floats: the values that are black and white, mapped to 0 and 1, and back where the
            result is written as floats with the :class:`Kind` that is returned. By default images are in [0, 1].
            (0, 1), which integers may have too, takes the values as they are, whatever they are. Alpha that is in
            [0, 1] stays there, other alpha is divided by white; both are written as they were read.
        max_pixels: Of height times width, as the header tells it: more is refused before anything is decoded.

    Returns:
        A float32 tensor 1 c h w (c = 1 for grey, 3 for colour, any c for NPY), integers scaled to [0, 1], floats not
        clipped, and its :class:`Kind`.

    Raises:
        InvalidInput: When the file is missing, no regular file, unreadable, not an image, truncated, too large, of
            another kind, holds NaN, alpha of another scale, or floats of which more than 1 % lie outside [-1, 2]
            while no range is given.
    """
    return read_file(path, value_range, max_pixels, filled=True)


def read_file(
    path: str | Path, value_range: tuple[float, float] | None, max_pixels: int, *, filled: bool
) -> tuple[Tensor, Kind]:
    """What :func:`read_image` returns, or the colours as the file has them.

    Args:
        path: As for :func:`read_image`.
        value_range: Likewise.
        max_pixels: Likewise.
        filled: Whether colours are straight, those of transparent pixels taken from around them. Else they are as they
            came, multiplied by alpha where the kind says so.

    Returns:
        The image and its :class:`Kind`.

    Raises:
        InvalidInput: As :func:`read_image` does.
    """
    path = Path(path)
    format_of(path)
    given, most = check_range(value_range), check_count(max_pixels, "max_pixels", low=1)
    found = _signature(path)
    try:
        decoded = _READERS[found](path, most)
    except FastipError:
        raise
    except MemoryError:
        raise InvalidInput(f"{path} takes more memory than there is; reduce the image or cut it into parts") from None
    # Decoders raise what they like: OSError, SyntaxError, struct.error, their own.
    except (Exception, SystemError) as error:
        raise InvalidInput(
            f"{path} cannot be read as {found}: {error}; the file may be truncated or damaged: open and save it anew"
        ) from error
    if decoded.array.size == 0:
        raise InvalidInput(f"{path} holds an array of shape {decoded.array.shape}; expected at least one pixel")
    x, white = to_tensor(path, decoded, given)
    name = decoded.array.dtype.name
    depth = name if name in SCALE else "float32"
    if not decoded.alpha:
        return x, Kind(depth, None, decoded.profile, False, given)
    colours, alpha = x[:, :-1], x[:, -1:]
    colours = opaque(colours, alpha, decoded.premultiplied) if filled else colours
    colours = colours.clamp_(0, 1) if depth in SCALE else colours
    kept = decoded.array[..., -1] if decoded.top == SCALE.get(depth) else alpha[0, 0].numpy()
    if decoded.top < SCALE.get(depth, 0):
        kept = np.round(kept * SCALE[depth]).astype(depth)
    kind = Kind(depth, np.array(kept), decoded.profile, decoded.premultiplied, given, white)
    return colours.contiguous(), kind


def _signature(path: Path) -> str:
    check_source(path)
    try:
        with open(path, "rb") as file:
            head = file.read(8)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be opened: {error.strerror}") from error
    for signature, found in _SIGNATURES.items():
        if head.startswith(signature):
            return found
    raise InvalidInput(
        f"{path} begins with {head!r}, which is not a {format_of(path)} image; expected PNG, JPEG, TIFF or NPY content"
    )


@strict_keywords
def write_image(path: str | Path, x: Tensor, *, like: Kind | None = None) -> None:
    """Write an image in the format of the suffix; the file appears whole or not at all.

    PNG holds 8 or 16 bits (16 for float sources), JPEG 8 (quality 95, no alpha), TIFF 8, 16 or float32, NPY float32
    h w c (h w for grey). Integers are clip(x, 0, 1) times 255 or 65535, rounded; floats are kept unclipped, mapped from
    [0, 1] to ``like.value_range``.

    The file is written under a short name of its own in the same folder, then renamed. Where ``path`` is a symbolic
    link, or one of several hard links, the new file takes the place of the link: what it led to is not written.

    Args:
        path: The file to write, with one of ``SUFFIXES``.
        x: The image, 1 c h w, colours straight.
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
    premultiplied = like.premultiplied and kind == "TIFF" and alpha is not None
    array = to_array(x, depth, alpha, premultiplied, like.value_range)
    if alpha is not None and depth == "float32":
        array[..., -1] *= like.opaque
    replace_file(path, lambda file: _WRITERS[kind](file, array, like.profile, premultiplied))


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
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError:
        is_folder = False
    except (OSError, ValueError) as error:  # the name is too long, or holds a zero byte
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"{path} cannot be written: {reason}; choose another name") from None
    if is_folder:
        raise InvalidInput(f"{path} is a folder; expected the name of an image file to write")
    if not path.parent.is_dir():
        raise InvalidInput(
            f"the folder {path.parent} does not exist, so {path.name} cannot be written in it; create it first"
        )
    if not os.access(path.parent, os.W_OK):
        raise InvalidInput(
            f"the folder {path.parent} cannot be written to; choose another one or change its permissions"
        )
