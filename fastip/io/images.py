"""Image files in and out, as 1 c h w float32 tensors; :mod:`fastip.io.formats` has the table of formats.

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
from .formats import FORMATS, check_codec, check_content, format_in, format_of
from .planes import SCALE, check_range, to_array, to_tensor
from .readers import READERS as _READERS
from .readers import read_tiff
from .replace import replace_file
from .source import MAX_PIXELS
from .transfer import Transfer, assumed, of_coding
from .writers import WRITERS as _WRITERS

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
        told: The tone curve that the file tells besides its profile, by EXIF or chunks of a PNG, or None.
        coding: The four numbers of the chunk cICP of a PNG (ITU-T H.273: primaries, curve, matrix, full range), or
            None.

    Raises:
        InvalidInput: For another depth, and for a range or numbers that are none.
    """

    depth: str = "uint8"
    alpha: np.ndarray | None = None
    profile: bytes | None = None
    premultiplied: bool = False
    value_range: tuple[float, float] | None = None
    opaque: float = 1.0
    told: Transfer | None = None
    coding: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.depth not in DEPTHS:
            raise InvalidInput(f"depth is {brief(self.depth)}; expected one of {', '.join(DEPTHS)}")
        check_range(self.value_range)
        check_number(self.opaque, "opaque", low=0, strict=True)
        if self.told is not None and not isinstance(self.told, Transfer):
            raise InvalidInput(f"told is {brief(self.told)}; expected an io.Transfer, such as io.Transfer.srgb()")
        if self.coding is not None and not (
            isinstance(self.coding, tuple)
            and len(self.coding) == 4
            and all(isinstance(number, int) and 0 <= number < 256 for number in self.coding)
        ):
            raise InvalidInput(f"coding is {brief(self.coding)}; expected four whole numbers in 0..255, or None")

    def transfer(self, to: str | Path | None = None) -> Transfer:
        """The curve between the values of the file and light, as the file tells it, or as it is assumed.

        The chunk cICP of a PNG comes first, then the profile, then what else the file tells (of a PNG the chunk sRGB,
        then gAMA, then EXIF). Where it says nothing, integers are assumed to be of sRGB, and floats to be light as they
        are.

        Args:
            to: A file that will be written like this, for the curve by which it will be read: NPY files hold light, as
                they say nothing of it; floats without a profile that become integers become those of sRGB; a profile
                counts, as it is written and no chunk is.

        Returns:
            The curve, with where it is from as ``said``.

        Raises:
            InvalidInput: For a profile that is none, or has no curve for each channel, as those of printers; for HDR
                and other curves that a chunk cICP may name; for a suffix that fastip does not write.
        """
        depth = self.depth
        if to is not None:
            name = format_of(to)
            depth = FORMATS[name].depths.get(depth, depth)
            if name == "NPY":
                return assumed(floats=True)
        coded = None
        if self.coding is not None and not (to is not None and self.profile):
            coded = of_coding(self.coding)
        if self.profile and coded is None:
            return Transfer.icc(self.profile)
        return coded or self.told or assumed(floats=depth not in SCALE)


@strict_keywords
def read_image(
    path: str | Path,
    *,
    value_range: tuple[float, float] | None = None,
    max_pixels: int = MAX_PIXELS,
    page: int | None = None,
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
        page: Which of the pages of a TIFF, from 0; None where there must be one alone.

    Returns:
        A float32 tensor 1 c h w (c = 1 for grey, 3 for colour, any c for NPY), integers scaled to [0, 1], floats not
        clipped, and its :class:`Kind`.

    Raises:
        InvalidInput: When the file is missing, no regular file, unreadable, not an image, truncated, too large, of
            another kind, animated, without that page, holds NaN, alpha of another scale, or floats of which more than
            1 % lie outside [-1, 2] while no range is given.
        Unsupported: Where what reads this format is not installed.
    """
    return read_file(path, value_range, max_pixels, page, filled=True)


def read_file(
    path: str | Path,
    value_range: tuple[float, float] | None,
    max_pixels: int,
    page: int | None = None,
    *,
    filled: bool,
) -> tuple[Tensor, Kind]:
    """What :func:`read_image` returns, or the colours as the file has them.

    Args:
        path: As for :func:`read_image`.
        value_range: Likewise.
        max_pixels: Likewise.
        page: Likewise.
        filled: Whether colours are straight, those of transparent pixels taken from around them. Else they are as they
            came, multiplied by alpha where the kind says so.

    Returns:
        The image and its :class:`Kind`.

    Raises:
        InvalidInput: As :func:`read_image` does.
        Unsupported: Likewise.
    """
    path = Path(path)
    given, most = check_range(value_range), check_count(max_pixels, "max_pixels", low=1)
    found = format_in(path)
    if page is not None and check_count(page, "page", low=0) > 0 and found != "TIFF":
        raise InvalidInput(f"{path} is a {found} file, which has one page, and page {page} is asked for; leave it out")
    try:
        decoded = _READERS[found](path, most) if page is None or found != "TIFF" else read_tiff(path, most, page)
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
        return x, Kind(depth, None, decoded.profile, False, given, told=decoded.told, coding=decoded.coding)
    colours, alpha = x[:, :-1], x[:, -1:]
    colours = opaque(colours, alpha, decoded.premultiplied) if filled else colours
    colours = colours.clamp_(0, 1) if depth in SCALE else colours
    kept = decoded.array[..., -1] if decoded.top == SCALE.get(depth) else alpha[0, 0].numpy()
    if decoded.top < SCALE.get(depth, 0):
        kept = np.round(kept * SCALE[depth]).astype(depth)
    kind = Kind(
        depth, np.array(kept), decoded.profile, decoded.premultiplied, given, white, decoded.told, decoded.coding
    )
    return colours.contiguous(), kind


@strict_keywords
def write_image(path: str | Path, x: Tensor, *, like: Kind | None = None) -> None:
    """Write an image in the format of the suffix; the file appears whole or not at all.

    PNG, PNM, JPEG 2000 and JPEG XL hold 8 or 16 bits (16 for float sources), AVIF 8 or 12, JPEG 8 (quality 95, no
    alpha), BMP and WebP 8 and nothing else, TIFF 8, 16 or float32, NPY float32 h w c (h w for grey). Integers are
    clip(x, 0, 1) times the largest of them, rounded; floats are kept unclipped, mapped from [0, 1] to
    ``like.value_range``. All but JPEG and AVIF are without loss.

    The file is written under a short name of its own in the same folder, then renamed. Where ``path`` is a symbolic
    link, or one of several hard links, the new file takes the place of the link: what it led to is not written.

    Args:
        path: The file to write, with one of ``SUFFIXES``.
        x: The image, 1 c h w, colours straight.
        like: The depth, alpha and colour profile to write, as far as the format can; by default 8 bits and neither.

    Raises:
        InvalidInput: For an unknown suffix, a shape, depth or alpha that the format cannot hold, NaN, or a folder that
            is missing or cannot be written.
        Unsupported: Where what writes this format is not installed.
    """
    path = Path(path)
    check_write(path)
    content = prepared(path, x, like)
    replace_file(path, lambda file: _WRITERS[format_of(path)](file, *content))


def prepared(path: Path, x: Tensor, like: Kind | None) -> tuple[np.ndarray, bytes | None, bool]:
    """What the writer of this file is given.

    Args:
        path: The file, for its format.
        x: The image.
        like: What it is to be like.

    Returns:
        An array, a profile, and whether its colours are multiplied by alpha.

    Raises:
        InvalidInput: For what the format cannot hold, NaN, and several images.
    """
    like = like or Kind()
    check_image(x, "the image to write")
    name = check_content(path, x.shape[1], like.depth, like.alpha is not None, (x.shape[2], x.shape[3]))
    check_finite(x, "the image to write")
    if x.shape[0] != 1:
        raise InvalidInput(f"the image to write has shape {tuple(x.shape)}; expected 1 c h w: write images one by one")
    held = FORMATS[name]
    alpha = like.alpha if held.alpha else None
    premultiplied = like.premultiplied and name == "TIFF" and alpha is not None
    array = to_array(x, held.depths[like.depth], alpha, premultiplied, like.value_range, held.white)
    if alpha is not None and array.dtype == np.float32:
        array[..., -1] *= like.opaque
    return array, like.profile, premultiplied


@strict_keywords
def check_write(
    path: str | Path, *, channels: int | None = None, like: Kind | None = None, size: tuple[int, int] | None = None
) -> None:
    """Refuse, before any work is done, a path that an image could not be written to in the end.

    Args:
        path: The file to write.
        channels: Of the image, without alpha; None where it is not known yet: then only the path is looked at.
        like: What it is to be like, as for :func:`write_image`.
        size: Height and width, where they are known.

    Raises:
        InvalidInput: For an unknown suffix, channels, a depth, alpha or a size that the format cannot hold, a folder in
            place of a file, and a file in a folder that is missing or cannot be written.
        Unsupported: Where what writes this format is not installed.
    """
    path, like = Path(path), like or Kind()
    check_codec(path, format_of(path))
    if channels is not None:
        check_content(path, channels, like.depth, like.alpha is not None, size)
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
