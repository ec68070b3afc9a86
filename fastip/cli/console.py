"""What the commands share: where they print, and errors as one line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from rich.console import Console

from ..errors import FastipError

# Paths, file names and errors are shown as they are: square brackets and colons in them are no markup and no emoji.
out, err = (Console(stderr=stderr, highlight=False, markup=False, emoji=False) for stderr in (False, True))

Command = TypeVar("Command", bound=Callable[..., Any])


def complain(error: FastipError | str) -> None:
    """One red line."""
    err.print(f"error: {error}", style="red", soft_wrap=True)


def plainly(command: Command) -> Command:
    """Errors of the family become one red line and exit code 2."""

    @functools.wraps(command)
    def checked(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except FastipError as error:
            complain(error)
            raise typer.Exit(2) from None

    return checked  # type: ignore[return-value]
