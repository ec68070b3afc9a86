"""Luma and differences of colour, as TIFF has them, as RGB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidInput

_COEFFICIENTS, _SUBSAMPLING, _REFERENCE = 529, 530, 532  # tags
_LUMA = (0.299, 0.587, 0.114)
_ROWS = 256  # at a time, so that no second image of floats is held


def subsampling(page: Any) -> tuple[int, int]:
    """How many columns and rows share a difference of colour; a page that does not say has two of each."""
    found = page.tags.valueof(_SUBSAMPLING)
    return (2, 2) if found is None else (int(found[0]), int(found[1]))


def rgb(path: Path, page: Any, array: np.ndarray) -> np.ndarray:
    """Whole levels of red, green and blue, cut to those that there are.

    Source: TIFF 6.0, section 21.

    Args:
        path: The file, for messages.
        page: With its coefficients and its reference black and white.
        array: h w c of its samples, unsigned integers; what is behind the third channel stays.

    Returns:
        The same of RGB.

    Raises:
        InvalidInput: For coefficients, black or white with which there is no RGB.
    """
    top, half = 2**page.bitspersample - 1, 2 ** (page.bitspersample - 1)
    red, green, blue = _numbers(path, page, _COEFFICIENTS, _LUMA)
    levels = _numbers(path, page, _REFERENCE, (0, top, half, top, half, top))
    black, white = np.array(levels[::2]), np.array(levels[1::2])
    if min(red, green, blue) <= 0 or not (white > black).all():
        raise InvalidInput(
            f"{path} is YCbCr of the coefficients {red:g}, {green:g}, {blue:g}, with black at {black.tolist()} and "
            f"white at {white.tolist()}; expected positive coefficients, and black below white: convert the file to RGB"
        )
    of_red, of_blue = 2 - 2 * red, 2 - 2 * blue
    mixed = np.array(
        [
            [1, 0, of_red],
            [(1 - red - blue) / green, -blue * of_blue / green, -red * of_red / green],
            [1, of_blue, 0],
        ]
    )
    mixed *= np.array([top, half - 1, half - 1]) / (white - black)
    shift, out = -(mixed @ black), array.copy()
    for top_row in range(0, len(array), _ROWS):
        band = array[top_row : top_row + _ROWS, :, :3] @ mixed.T + shift
        out[top_row : top_row + _ROWS, :, :3] = np.rint(np.clip(band, 0, top))
    return out


def _numbers(path: Path, page: Any, tag: int, usual: Sequence[float]) -> Sequence[float]:
    """Of a tag: fractions, as TIFF has them, or plain numbers."""
    found = page.tags.valueof(tag, default=usual)
    values = np.array(found, np.float64).ravel() if isinstance(found, tuple) else np.empty(0)
    if len(values) == 2 * len(usual):
        with np.errstate(divide="ignore", invalid="ignore"):
            values = values[::2] / values[1::2]
    if len(values) != len(usual) or not np.isfinite(values).all():
        raise InvalidInput(
            f"{path} is YCbCr whose tag {tag} is {str(found)[:80]}; expected {len(usual)} fractions: convert it to RGB"
        )
    return [float(value) for value in values]
