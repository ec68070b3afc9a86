"""Options that several commands have, and the numbers that their texts stand for."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InvalidInput
from .choices import METHOD, PROGRAM

MAX_PIXELS = 178_956_970  # that of fastip.io, told without loading it; a test compares the two

Range = Annotated[
    str | None,
    typer.Option(
        "--range",
        metavar="LOW,HIGH",
        help="Of float TIFF and NPY: the values of black and white, e.g. 0,255; 0,1 takes them as they are.",
        show_default=False,
    ),
]
Linear = Annotated[
    bool,
    typer.Option(
        "--linear",
        help="Work on light, as lenses do: values are decoded by the curve of the file (ICC profile, PNG chunk, EXIF; "
        "else sRGB; floats are light), and the result is encoded again. Noise is that of the light.",
    ),
]
MaxPixels = Annotated[int, typer.Option("--max-pixels", help="Larger images are refused before they are decoded.")]

Factor = Annotated[
    float | None,
    typer.Option(help="Of upscale: how many times larger, from 1 to 16, e.g. 1.5, 2, 3, 4, 8.", show_default=False),
]
Method = Annotated[
    str | None,
    typer.Option(help=f"Of upscale: how a program made it small: {METHOD}.", show_default=False),
]
Like = Annotated[
    str | None,
    typer.Option(help=f"Of upscale: the program: {PROGRAM}.", show_default=False),
]
Mask = Annotated[
    Path | None,
    typer.Option(
        metavar="IMAGE",
        help="Of inpaint: white where the picture is known, black where it is to be filled; "
        "left out, transparent pixels are filled.",
        show_default=False,
    ),
]
Clipped = Annotated[
    str | None,
    typer.Option(
        metavar="auto|off|VALUE",
        help='Pixels cut off at a limit, which say only "at least this": auto (usual for deblur): white ones in groups '
        "of four and more; those from a VALUE on, e.g. 0.98 or 250/255; off. upscale takes all pixels as they are.",
        show_default=False,
    ),
]


def _fraction(text: str) -> float:
    """The number in a text such as 0.01 or 2.55/255; NaN for another."""
    parts = text.split("/")
    try:
        values = [float(part) for part in parts]
        value = values[0] if len(parts) == 1 else values[0] / values[1]
    except (ValueError, ZeroDivisionError):
        return math.nan
    return value if len(parts) <= 2 else math.nan


def clipped_pixels(text: str) -> str | float:
    """What the text of --clipped stands for: auto, off, or a number."""
    if text in ("auto", "off"):
        return text
    value = _fraction(text)
    if not 0 < value <= 1:
        raise InvalidInput(
            f"--clipped is {text!r}; expected auto, off, or a value above 0 and at most 1, such as 0.98 or 250/255"
        )
    return value


def noise_level(text: str | None) -> float | None:
    """The number in the text of --noise: 0.01, or 2.55/255."""
    if text is None:
        return None
    level = _fraction(text)
    if not math.isfinite(level) or level < 0:
        raise InvalidInput(f"--noise is {text!r}; expected a standard deviation such as 0.01 or 2.55/255")
    if level >= 1:
        raise InvalidInput(
            f"--noise is {text!r}; expected a standard deviation in units of [0, 1], below 1: "
            f"for that of grey levels from 0 to 255 write {text}/255"
        )
    return level


def reading(value_range: str | None, max_pixels: int) -> dict[str, Any]:
    """The keywords of ``fastip.io.read_image`` that the options stand for."""
    given = None if value_range is None else numbers(value_range, "--range", ",")
    if given is not None and (len(given) != 2 or not given[0] < given[1]):
        raise InvalidInput(f"--range is {value_range!r}; expected black below white, such as 0,255")
    if max_pixels < 1:
        raise InvalidInput(f"--max-pixels is {max_pixels}; expected at least 1")
    return {"value_range": given, "max_pixels": max_pixels}


def same_place(one: Path, other: Path) -> bool:
    """Whether two paths lead to one place, by links too; a link that leads back to itself leads nowhere."""
    return os.path.realpath(one) == os.path.realpath(other)


def numbers(text: str, option: str, mark: str) -> tuple[float, ...]:
    """The numbers in the text of an option, between marks."""
    try:
        return tuple(float(word) for word in text.split(mark))
    except ValueError:
        raise InvalidInput(
            f"{option} is {text!r}; expected numbers with {mark!r} between them, such as 0.01{mark}0.1"
        ) from None
