"""The options that stand beside ``--psf``, and the psf that they choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

import fastip

from ..errors import InvalidInput, closest
from .console import warned

if TYPE_CHECKING:
    from torch import Tensor

Background = Annotated[
    str | None,
    typer.Option(
        "--psf-background", help="Of a psf file: auto, or a number in its units, to subtract.", show_default=False
    ),
]
AUTO = ("auto:disk", "auto:motion")
Centre = Annotated[bool, typer.Option("--psf-centre", help="Move the centroid of a psf file to its centre.")]


def read_psf(text: str, background: str | None, centre: bool) -> Tensor:
    """The psf, and each warning about it as one line."""
    level: float | str | None = background
    if background not in (None, "auto"):
        try:
            level = float(str(background))
        except ValueError:
            raise InvalidInput(
                f"--psf-background is {background!r}; expected auto, or a number in the units of the psf file"
            ) from None
    with warned():
        return fastip.tasks.read_psf(text, background=level, centre=centre)


def read_given(text: str | None, background: str | None, centre: bool) -> Tensor | None:
    """The same where ``--psf`` may be left out, and with it what stands beside it."""
    if text is None and (background is not None or centre):
        raise InvalidInput("--psf-background and --psf-centre are for a psf file, and --psf is missing: give one")
    return None if text is None else read_psf(text, background, centre)


def automatic(text: str | None, background: str | None, centre: bool, task: fastip.tasks.Task[Any]) -> str | None:
    """The kind of blur that ``--psf auto:KIND`` leaves to be estimated, or None for another text."""
    if text is None or text.partition(":")[0] != "auto":
        return None
    kind = closest(text, AUTO, "--psf").partition(":")[2]
    if background is not None or centre:
        raise InvalidInput(f"--psf-background and --psf-centre are for a psf file, and --psf is {text}: leave them out")
    if not isinstance(task, fastip.tasks.BlurTask) or task.stride > 1:
        raise InvalidInput(
            f"--psf is {text}, and task {task.name!r} cannot use a blur of the picture itself; expected the task deblur"
        )
    return kind
