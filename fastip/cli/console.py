"""What the commands share: where they print, and errors as one line."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import typer
from rich.console import Console

from ..errors import FastipError


class Output(Console):
    """The standard output, or a :class:`FastipError` where it is full or its reader is gone."""

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError as error:
            raise lost(error) from None

    def on_broken_pipe(self) -> None:
        raise  # the error itself, where Rich would leave without a word


# Paths, file names and errors are shown as they are: square brackets and colons in them are no markup and no emoji.
out = Output(highlight=False, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, markup=False, emoji=False)

Command = TypeVar("Command", bound=Callable[..., Any])


def lost(error: OSError) -> FastipError:
    """What to say where the standard output cannot be written; what it still holds is dropped.

    Else Python would try again at its end, and complain in its own words.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return FastipError(
        f"the standard output cannot be written: {error.strerror or error}; free space, or print elsewhere"
    )


@contextlib.contextmanager
def warned() -> Iterator[None]:
    """Each warning inside as one yellow line, once."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    for text in dict.fromkeys(str(warning.message) for warning in told):
        err.print(f"warning: {text}", style="yellow", soft_wrap=True)


def complain(error: FastipError | str) -> None:
    """One red line."""
    err.print(f"error: {error}", style="red", soft_wrap=True)


def plainly(command: Command) -> Command:
    """Errors of the family, and those of files that nobody has put into words, become one red line and exit code 2."""

    @functools.wraps(command)
    def checked(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except FastipError as error:
            complain(error)
        except OSError as error:
            complain(str(error) if error.filename is None else f"{error.filename}: {error.strerror}")
        raise typer.Exit(2)

    return checked  # type: ignore[return-value]
