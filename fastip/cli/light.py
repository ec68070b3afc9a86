"""Linear light on the command line: what is done to a picture before and after, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import fastip

from ..errors import InvalidInput


@dataclass(frozen=True)
class Light:
    """The curves of the file that is read and of the one that is written.

    Args:
        read: Makes light of values.
        written: Makes values of light.
        words: What is said of them, behind a comma, or nothing.
    """

    read: fastip.io.Transfer
    written: fastip.io.Transfer
    words: str


def light_of(linear: bool, kind: fastip.io.Kind, write: Path) -> Light:
    """The curves for --linear; without it nothing changes, and nothing is said."""
    if not linear:
        none = fastip.io.Transfer.linear()
        return Light(none, none, "")
    read, written = kind.transfer(), kind.transfer(to=write)
    other = "" if read.curves == written.curves else f", written {written.said}"
    return Light(read, written, f", linear light {read.said}{other}")


def check_linear(linear: bool, task: fastip.tasks.Task) -> None:
    """Refuse --linear for measurements, which are no values of a file."""
    if linear and isinstance(task, fastip.tasks.MeasuredTask):
        raise InvalidInput(
            f"--linear is for pictures, and task {task.name!r} has measurements, which have no tone curve; leave it out"
        )
