"""What the page asks in a photographer's words, as options of the command ``fastip restore``."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InvalidInput, closest

SMALL, FOCUS, MOVED, NOISY, HOLES = (
    "It was made small by a program",
    "It is out of focus",
    "The camera or the subject moved",
    "It is noisy",
    "It has holes",
)
DAMAGES = (SMALL, FOCUS, MOVED, NOISY, HOLES)
TASKS = dict(zip(DAMAGES, ("upscale", "deblur", "deblur", "denoise", "inpaint"), strict=True))
FACTORS = (1.5, 2.0, 3.0, 4.0, 8.0)
RADII, LENGTHS, ANGLES = (0.5, 16.0), (2, 40), (0, 180)  # pixels, pixels, degrees: those that the search looks at


@dataclass(frozen=True)
class Words:
    """What the fields of the page hold; those that do not belong to the damage play no role.

    Args:
        damage: One of ``DAMAGES``.
        factor: How many times larger the picture gets.
        method: By which the program made it small.
        program: The program.
        search: Whether the blur is to be found in the picture.
        radius: Of a blur by defocus, in pixels.
        length: Of a motion, in pixels.
        angle: Of a motion, in degrees.
        noise: Its standard deviation in grey levels of 0 to 255; None: estimated.
        mask: A picture that is white where the picture is known and black where it has holes; None: its transparency.
    """

    damage: str = SMALL
    factor: float = 4.0
    method: str = "bicubic"
    program: str = "pillow"
    search: bool = True
    radius: float = 3.0
    length: float = 14
    angle: float = 0
    noise: float | None = None
    mask: Path | None = None

    def options(self) -> dict[str, Any]:
        """The keywords of the command that they stand for.

        Raises:
            InvalidInput: For a damage, a method or a program that there is not, and numbers out of their range.
        """
        task = TASKS[closest(self.damage, DAMAGES, "damage")]
        found: dict[str, Any] = {"task": task}
        if self.damage == SMALL:
            found["factor"] = _within(self.factor, (1, 16), "the factor")
            found |= {"method": str(self.method), "like": str(self.program)}
        elif self.damage in (FOCUS, MOVED):
            found["psf"] = self._psf()
        elif self.damage == HOLES and self.mask is not None:
            found["mask"] = self.mask
        if self.noise is not None:
            found["noise"] = f"{_within(self.noise, (0, 254), 'the noise'):g}/255"
        return found

    def _psf(self) -> str:
        """A text for --psf: made of numbers alone, as one of a user could name a file."""
        kind = "disk" if self.damage == FOCUS else "motion"
        if self.search:
            return f"auto:{kind}"
        if kind == "disk":
            radius = _within(self.radius, RADII, "the radius")
            return f"disk:{2 * math.ceil(radius - 0.5) + 1}:{radius:g}"
        length = round(_within(self.length, LENGTHS, "the length") / 2) * 2  # odd sizes have a pixel in their middle
        return f"motion:{length + 1}:{_within(self.angle, ANGLES, 'the angle'):g}"


def _within(value: Any, bounds: tuple[float, float], what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not bounds[0] <= number <= bounds[1]:
        raise InvalidInput(f"{what} is {value!r}; expected a number from {bounds[0]:g} to {bounds[1]:g}")
    return number


def command(picture: str, options: dict[str, Any]) -> str:
    """The line that does the same in a terminal.

    Args:
        picture: The name of the file.
        options: As :meth:`Words.options` gives them.

    Returns:
        A line for a shell.
    """
    words = ["fastip", "restore", picture]
    for name, value in options.items():
        words += [
            f"--{name}",
            value.name if isinstance(value, Path) else f"{value:g}" if isinstance(value, float) else value,
        ]
    return shlex.join([*words, "-o", result_name(picture)])


def result_name(picture: str) -> str:
    """The name of the result: in the format of the picture, which keeps its depth.

    Args:
        picture: The name of the file.

    Returns:
        Another name with the same suffix.
    """
    path = Path(picture)
    return f"{path.stem[:100]}-restored{path.suffix}"


# What a worker is asked.


@dataclass(frozen=True)
class Warm:
    """Load what is needed; the answer is a :class:`Ready`."""

    workers: int


@dataclass(frozen=True)
class Ready:
    """What there is to choose from: the examples whose photographs are installed, and names of the command."""

    examples: tuple[str, ...]
    suffixes: tuple[str, ...]
    methods: tuple[str, ...]
    programs: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """Read a picture; the answer is a :class:`Seen`."""

    picture: Path
    folder: Path
    max_pixels: int


@dataclass(frozen=True)
class Seen:
    """A picture as a browser shows it, and what is said of it."""

    preview: Path
    said: str


@dataclass(frozen=True)
class Restore:
    """Restore a picture; the answer is a :class:`Restored`."""

    picture: Path
    folder: Path
    max_pixels: int
    options: dict[str, Any]


@dataclass(frozen=True)
class Restored:
    """The file that was written, two previews of one size, and what the command said."""

    result: Path
    before: Path
    after: Path
    said: str
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Example:
    """Make the file of an example; the answer is its path."""

    name: str
    folder: Path


SEARCH = "search.png"  # the curve, in the folder of a request
EXAMPLES = {  # test photographs, and what is done to them
    "astronaut": ("Astronaut, made small", SMALL),
    "coffee": ("Coffee, out of focus", FOCUS),
    "chelsea": ("Cat, moved", MOVED),
    "rocket": ("Rocket, noisy", NOISY),
    "flower": ("Flower, with holes", HOLES),
}
