"""Psfs by formula, and the texts that name them.

Each needs memory in proportion to the psf that it makes.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...arrays import check_count, check_number
from ...errors import FastipError, InvalidInput, brief, strict_keywords

LARGEST = 4095  # a side; a slip of the finger must not fill the memory
FINE = 16  # samples a side of a pixel of a disk: more weigh its rim more exactly, in time that grows with them


def _check_size(size: int) -> int:
    if check_count(size, "size", low=1) > LARGEST:
        raise InvalidInput(f"size is {size}; expected at most {LARGEST} pixels a side")
    return int(size)


@strict_keywords
def gaussian(size: int | Sequence[int], sigma: float | Sequence[float]) -> Tensor:
    """A Gaussian, ``exp(-r^2 / 2 sigma^2)`` sampled at the pixel centres around (size - 1) / 2.

    Args:
        size: Pixels a side, 1 to 4095; or a sequence with one number for each axis, two for a psf of images, (rows,
            columns), three for one of volumes, (slices, rows, columns).
        sigma: The standard deviation in pixels, > 0; or a sequence likewise.

    Returns:
        size x size, or of the sizes in the sequences; float64, sum 1.

    Raises:
        InvalidInput: For another size or sigma, and for sequences of other lengths.
    """
    given = [len(value) for value in (size, sigma) if isinstance(value, Sequence)]
    if given and (given[0] not in (2, 3) or given[0] != given[-1]):
        raise InvalidInput(
            f"size is {brief(size)} and sigma {brief(sigma)}; expected one number each, or as many of one as of the "
            "other, one for each axis: two for images or three for volumes"
        )
    axes = given[0] if given else 2
    sizes = size if isinstance(size, Sequence) else (size,) * axes
    sigmas = sigma if isinstance(sigma, Sequence) else (sigma,) * axes
    psf = torch.ones((), dtype=torch.float64)
    for length, width in zip(sizes, sigmas, strict=True):
        psf = psf[..., None] * _gaussian(length, width)
    return psf


def _gaussian(size: int, sigma: float) -> Tensor:
    size = _check_size(size)
    sigma = check_number(sigma, "sigma", low=0.0, strict=True)
    r = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    # Relative to the peak, and divided twice, so that no sigma underflows to all zeros.
    line = torch.exp(-0.5 * (r.square() - r.square().min()) / sigma / sigma)
    return line / line.sum()


@strict_keywords
def motion(size: int, angle: float, length: float | None = None) -> Tensor:
    """Straight motion: bilinear samples along a centred segment.

    Args:
        size: Pixels a side, 1 to 4095.
        angle: Degrees from +column towards +row (0: horizontal, 45: top left to bottom right).
        length: Of the segment in pixels, 0 to size - 1; None: size - 1.

    Returns:
        size x size, float64, sum 1.

    Raises:
        InvalidInput: For another size or length, or an angle that is no finite number.
    """
    size = _check_size(size)
    angle = math.radians(check_number(angle, "angle"))
    length = size - 1 if length is None else check_number(length, "length", low=0.0)
    if length > size - 1:
        raise InvalidInput(f"length is {length:g}; expected at most {size - 1}, which {size} x {size} pixels hold")
    steps = 64 * size  # dense enough that the quadrature error is far below the pixel grid's
    t = ((torch.arange(steps, dtype=torch.float64) + 0.5) / steps - 0.5) * length
    (row, down), (column, right) = (
        _bilinear((t * direction + (size - 1) / 2).clamp(0, size - 1))
        for direction in (math.sin(angle), math.cos(angle))
    )
    psf = torch.zeros(size * size, dtype=torch.float64)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):  # each sample meets four pixels; on the last line it has one
        weight = (down if i else 1 - down) * (right if j else 1 - right)
        at = (row + i).clamp_max(size - 1) * size + (column + j).clamp_max(size - 1)
        psf += torch.bincount(at, weights=weight, minlength=size * size)
    return (psf / psf.sum()).reshape(size, size)


def _bilinear(position: Tensor) -> tuple[Tensor, Tensor]:
    """The pixel before each position, and how much of it belongs to the next one."""
    before = position.floor()
    return before.long(), position - before


@strict_keywords
def disk(size: int, radius: float | None = None) -> Tensor:
    """Defocus: a disk, each pixel weighted by the part of it inside (16 x 16 samples).

    Args:
        size: Pixels a side, 1 to 4095.
        radius: In pixels, > 0; None: size / 2.

    Returns:
        size x size, float64, sum 1.

    Raises:
        InvalidInput: For another size or radius, and for a disk so small that it covers no sample.
    """
    size = _check_size(size)
    radius = size / 2 if radius is None else check_number(radius, "radius", low=0.0, strict=True)
    # In units of half a sample the samples lie at odd integers, so that these counts are exact.
    limit = int(4 * FINE**2 * min(radius, size) ** 2)
    odd = 2 * torch.arange(FINE * size // 2) + 1  # the samples on one side of the middle
    start = FINE * (torch.arange(size) - size / 2)  # where a pixel begins, in samples from the middle
    upper = (size + 1) // 2
    psf = torch.empty(size, size, dtype=torch.float64)
    for i in range(upper):  # a row of pixels at a time: all samples of the largest disk are 4 GB
        rows = 2 * (start[i] + torch.arange(FINE)) + 1
        half = torch.searchsorted(odd.square(), limit - rows.square().long(), right=True)[:, None]
        covered = torch.minimum(start + FINE, half) - torch.maximum(start, -half)
        psf[i] = covered.clamp_min(0).sum(dim=0) / FINE**2
    psf[upper:] = psf[: size - upper].flip(0)
    if not bool(psf.any()):
        raise InvalidInput(
            f"a disk of radius {radius} covers no pixel of {size} x {size}; use a larger radius or psf.delta({size})"
        )
    return psf / psf.sum()


@strict_keywords
def box(size: int) -> Tensor:
    """The mean over size x size pixels.

    Args:
        size: Pixels a side, 1 to 4095.

    Returns:
        size x size, float64, sum 1.

    Raises:
        InvalidInput: For another size.
    """
    size = _check_size(size)
    return torch.full((size, size), size**-2.0, dtype=torch.float64)


@strict_keywords
def delta(size: int = 1) -> Tensor:
    """No blur: 1 at the centre size // 2.

    Args:
        size: Pixels a side, 1 to 4095.

    Returns:
        size x size, float64, sum 1.

    Raises:
        InvalidInput: For another size.
    """
    size = _check_size(size)
    psf = torch.zeros(size, size, dtype=torch.float64)
    psf[size // 2, size // 2] = 1.0
    return psf


FORMS: dict[str, tuple[Callable[..., Tensor], str, int, int]] = {
    "gaussian": (gaussian, "gaussian:SIZE:SIGMA", 2, 2),
    "motion": (motion, "motion:SIZE:ANGLE:LENGTH", 2, 3),
    "disk": (disk, "disk:SIZE:RADIUS", 1, 2),
    "box": (box, "box:SIZE", 1, 1),
    "delta": (delta, "delta:SIZE", 0, 1),
}


@strict_keywords
def parse(text: str) -> Tensor:
    """The psf that a text names.

    Args:
        text: A name and its numbers: gaussian:9:1.6, motion:9:45, disk:7:3, box:3, delta:5.

    Returns:
        size x size, float64, sum 1.

    Raises:
        InvalidInput: For any other text.
    """
    name, *numbers = str(text).strip().split(":")
    if name not in FORMS:
        close = difflib.get_close_matches(name.lower(), FORMS, 1)
        advice = (
            f"did you mean {FORMS[close[0]][1]}?"
            if close
            else f"expected one of {', '.join(form for _, form, _, _ in FORMS.values())}"
        )
        raise InvalidInput(f"{text!r} names no psf: {advice}")
    function, form, fewest, most = FORMS[name]
    if not fewest <= len(numbers) <= most:
        raise InvalidInput(f"{text!r} has {len(numbers)} numbers; expected {form}")
    try:
        return function(*[int(numbers[0])] if numbers else [], *map(float, numbers[1:]))
    except FastipError as error:
        raise InvalidInput(f"{text!r}: {error}") from None
    except ValueError:
        raise InvalidInput(
            f"{text!r} holds something that is not a number; expected {form} with a whole SIZE"
        ) from None
