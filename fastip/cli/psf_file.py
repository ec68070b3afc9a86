"""The options that stand beside ``--psf``, and the psf that they choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import fastip

from ..errors import InvalidInput
from .console import warned

if TYPE_CHECKING:
    from torch import Tensor

Background = Annotated[
    str | None,
    typer.Option(
        "--psf-background", help="Of a psf file: auto, or a number in its units, to subtract.", show_default=False
    ),
]
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
