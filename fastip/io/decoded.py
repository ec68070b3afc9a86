"""What a decoder found, and what is done with any of them: orientation, and the kinds of image that Pillow has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .transfer import Transfer, of_pillow

if TYPE_CHECKING:
    from PIL import Image

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
class Decoded:
    """What a decoder found.

    Args:
        array: h w or h w c, unsigned integers or floats.
        top: Which value of an integer is white; 1 for floats.
        profile: The embedded ICC colour profile, or None.
        alpha: Whether the last channel is alpha.
        premultiplied: Whether the colours are multiplied by it.
        inverted: Whether 0 is white.
        told: The tone curve that the file tells besides its profile, or None.
        coding: The numbers of the chunk cICP of a PNG, or None.
    """

    array: np.ndarray
    top: int = 1
    profile: bytes | None = None
    alpha: bool = False
    premultiplied: bool = False
    inverted: bool = False
    told: Transfer | None = None
    coding: tuple[int, int, int, int] | None = None


def oriented(array: np.ndarray, orientation: int) -> np.ndarray:
    """A view of h w or h w c as EXIF says that it is to be seen."""
    rows, columns, transpose = _ORIENTATIONS.get(orientation, (1, 1, False))
    array = array[::rows, ::columns]
    return np.swapaxes(array, 0, 1) if transpose else array


def from_pillow(image: Image.Image) -> Decoded:
    """Anything of 8 bits a sample: palettes become colour, CMYK and YCbCr become RGB, grey stays grey."""
    image.load()  # turns a TIFF itself
    profile, orientation, told = image.info.get("icc_profile"), image.getexif().get(274, 1), of_pillow(image)
    if "transparency" in image.info:
        image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "LA", "RGB", "RGBA"):
        if image.mode not in ("P", "PA", "La", "RGBa"):
            profile = told = None  # they described the colours before the conversion
        image = image.convert("RGBA" if image.mode in ("PA", "RGBa") else "LA" if image.mode == "La" else "RGB")
    alpha = image.mode in ("LA", "RGBA")
    return Decoded(oriented(np.asarray(image), orientation), 255, profile, alpha, told=told)
