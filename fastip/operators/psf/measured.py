"""Psfs as they were measured: read from files, freed of a background, moved to the centre."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...arrays import check_number
from ...errors import InvalidInput, brief, strict_keywords
from ..base.door import check_axes_count

# A sum within so many roundings of zero, by the file's own precision, is zero: taps from which their mean was taken
# come to a few. More refuse float32 taps that cancel to 1e-5, fewer scale rounding up to a psf.
ROUNDINGS = 64
HALF = 1e-2  # no more of the absolute sum than this is called rounding, in half precision either
LOBES = 1e-2  # of the absolute sum: below it negative values are noise or rounding
SHARE = 0.2  # of the sum in a background; the least that is told
NEAR = 1.5  # pixels from the centre; the most that is not told


@strict_keywords
def read(path: str | Path, background: float | str | None = None, centre: bool = False, *, axes: int = 2) -> Tensor:
    """The psf in a file, scaled to sum 1.

    A *background* is what the whole frame holds beside the psf, b, the median of the border pixels. It is told from the
    tails of a wide psf where the border is even (at least nine tenths of it above b / 2), the ring of pixels an eighth
    of the way in is no brighter (its median at most 1.25 b) and the brightest pixel is (at least 2 b); with fewer than
    7 pixels a side it is not told. It acts as a haze as wide as the frame, so b times the number of pixels above 20 %
    of the sum gives a warning. So does a centroid (of absolute values, above such a background) more than 1.5
    pixels from the centre k // 2, which shifts the restored image.

    The centre of an even psf is k // 2 = k / 2. Data of ``scipy.signal.fftconvolve(x, psf, mode="same")`` take it at
    (k - 1) // 2, one pixel before: for them give ``Blur`` that as its centre.

    Args:
        path: An image (.png, .jpg, .tif, .bmp; colours are averaged, and multiplied by alpha, so that transparent
            pixels are zero), .npy, .npz or .mat with one array of numbers (.mat needs the extra ``fastip[mat]``), .txt
            or .csv with rows of numbers; of integers or floats.
        background: What is subtracted before negative values become 0: a number in the file's own units (8 bit: 0 to
            255), or "auto": the median of the border and two standard deviations (1.48 median absolute deviations) of
            its noise. None: nothing.
        centre: Move the centroid to k // 2 by whole pixels; the psf grows by zeros, so that it loses nothing.
        axes: 2; or 3 for the psf of volumes: the pages of a TIFF as its slices, or an array d h w in .npy, .npz or
            .mat (MATLAB's order of axes is kept).

    Returns:
        kh x kw, or kd x kh x kw, float64, sum 1.

    Raises:
        InvalidInput: For a file that is missing, damaged or holds something else, or other axes; a psf whose sum is
            zero to the precision of the file; a background for a psf with negative lobes (over 1 % of its absolute
            sum), or one that leaves nothing.
        Unsupported: For a .mat file without the package that reads it.
    """
    path = Path(path)
    from .files import load  # with every format of pictures, which no other psf needs

    taps, precision = load(path, check_axes_count(axes))
    if background is not None:
        taps = _without(path, taps, background)
    total, size = float(taps.sum()), float(np.abs(taps).sum())
    if not abs(total) > min(ROUNDINGS * precision, HALF) * size or math.isinf(size):
        raise InvalidInput(
            f"the psf in {path} sums to {total:g}, with an absolute sum of {size:g}: zero to the precision of its "
            "numbers, or too large; expected another sum, so that it can be scaled to 1"
        )
    level = _background(taps)
    if level > 0:
        warnings.warn(
            f"{_share(level, taps):.0%} of the sum of the psf in {path} is a background of {level:g}, which acts as a "
            "haze as wide as the psf; remove it: background='auto', or a number (--psf-background)",
            stacklevel=3,
        )
    off = _off_centre(taps, level)
    if not centre and math.hypot(*off) > NEAR:
        ways = ("slices on", "down", "to the right")[-len(off) :]
        told = ", ".join(f"{away:+.1f} {way}" for away, way in zip(off, ways, strict=True))
        warnings.warn(
            f"the centroid of the psf in {path} is {math.hypot(*off):.1f} pixels from its centre ({told}), by which "
            "the image is shifted; move it: centre=True (--psf-centre)",
            stacklevel=3,
        )
    return torch.from_numpy(_centred(taps / total, off) if centre else taps / total)


def _border(taps: np.ndarray) -> np.ndarray:
    inner = np.zeros(taps.shape, dtype=bool)
    inner[(slice(1, -1),) * taps.ndim] = True
    return taps[~inner]


def _without(path: Path, taps: np.ndarray, background: float | str) -> np.ndarray:
    if background == "auto":
        border = _border(taps)
        level = float(np.median(border))
        # Half the noise is above the median, and would stay as a haze; of what is two deviations up 2 % is.
        level += 2 * 1.4826 * float(np.median(np.abs(border - level)))
    elif isinstance(background, str):
        raise InvalidInput(f"background is {brief(background)}; expected 'auto' or a number in the units of the file")
    else:
        level = check_number(background, "background")
    raised = taps - min(level, 0.0)
    negative = -float(raised[raised < 0].sum())
    if negative > LOBES * float(np.abs(raised).sum()):
        raise InvalidInput(
            f"a background is to be taken from {path}, whose negative values are "
            f"{negative / np.abs(raised).sum():.0%} of its absolute sum and would be lost; expected a psf without "
            "negative lobes: leave background out, or set values that are noise to 0 first"
        )
    kept = np.maximum(taps - level, 0.0)
    if not kept.any():
        raise InvalidInput(
            f"background is {level:g} and the largest value in {path} is {taps.max():g}, so that nothing is left; "
            "expected less"
        )
    return kept


def _share(level: float, taps: np.ndarray) -> float:
    return level * taps.size / float(taps.sum())


def _background(taps: np.ndarray) -> float:
    """b where there is enough of it to be told, else 0; see :func:`read`."""
    if min(taps.shape) < 7:  # no room for a psf, a ring about it and a border
        return 0.0
    border = _border(taps)
    level, depth = float(np.median(border)), -(-min(taps.shape) // 8)
    even = float(np.quantile(border, 0.1)) >= level / 2
    # 11,000 Gaussians, disks, straight and shaken motions, Airy discs and Moffat tails, cut off at all widths, are told
    # apart from a background by these numbers: none of them is taken for one.
    flat = float(np.median(_border(taps[(slice(depth, -depth),) * taps.ndim]))) <= 1.25 * level
    told = level > 0 and even and flat and taps.max() >= 2 * level and _share(level, taps) > SHARE
    return level if told else 0.0


def _off_centre(taps: np.ndarray, level: float) -> tuple[float, ...]:
    """How far behind k // 2 the centroid is along each axis, of what is above a background."""
    weights = np.maximum(taps - level, 0.0) if level > 0 else np.abs(taps)
    return tuple(
        float((np.moveaxis(weights, axis, -1) * np.arange(k)).sum() / weights.sum()) - k // 2
        for axis, k in enumerate(weights.shape)
    )


def _centred(taps: np.ndarray, off: tuple[float, ...]) -> np.ndarray:
    """With the pixel nearest to the centroid at k // 2, grown by zeros as little as that needs."""
    pads = []
    for away, k in zip(off, taps.shape, strict=True):
        # Half a pixel off, as an even psf with equal halves is, no whole pixel is better.
        pixel = k // 2 + int(math.copysign(math.ceil(max(abs(away) - 0.5 - 1e-6, 0.0)), away))
        after = k - 1 - pixel
        grown = 2 * pixel if pixel > after else 2 * after + 1
        pads.append((grown // 2 - pixel, grown - k - (grown // 2 - pixel)))
    return np.pad(taps, pads)
