"""How well the tasks restore, as it was measured: the record that comes with the weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkpoint import shipped
from ..errors import InvalidInput, strict_keywords


@dataclass(frozen=True)
class Quality:
    """Means over the test pictures; None: not measured.

    Attributes:
        psnr: PSNR in dB of the task.
        ssim: SSIM of the task.
        baseline: The method that it is compared with.
        baseline_psnr: PSNR in dB of that method.
        pictures: Which they are.
        machine: Where it was measured.
        command: What measures it again.
    """

    psnr: float | None
    ssim: float | None
    baseline: str | None
    baseline_psnr: float | None
    pictures: str | None
    machine: str | None = None
    command: str | None = None


@dataclass(frozen=True)
class Record:
    """Quality by the name of the task."""

    tasks: dict[str, Quality]

    @property
    def machines(self) -> list[str]:
        """Where they were measured."""
        return sorted({one.machine for one in self.tasks.values() if one.machine})

    @property
    def commands(self) -> list[str]:
        """What measures them again."""
        return sorted({one.command for one in self.tasks.values() if one.command})


@strict_keywords
def quality(path: str | Path | None = None) -> Record:
    """How well the tasks restore, as it was measured.

    Args:
        path: A JSON file; None is the one that comes with fastip.

    Returns:
        The record, empty where there is no such file.

    Raises:
        InvalidInput: For a damaged file.
    """
    source = shipped.FOLDER / "tasks" / "quality.json" if path is None else Path(path)
    try:
        text = source.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Record({})
    try:
        found = json.loads(text)
        return Record({str(name): _quality(entry) for name, entry in found["tasks"].items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"{source} is no record of quality ({error!r}): install fastip again, or measure anew"
        ) from None


def _quality(entry: Any) -> Quality:
    psnr, ssim, simple = (
        None if entry.get(key) is None else float(entry[key]) for key in ("psnr", "ssim", "baseline_psnr")
    )
    words = {key: _text(entry.get(key)) for key in ("pictures", "machine", "command")}
    return Quality(psnr, ssim, _text(entry.get("baseline")), simple, **words)


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return None if value is None else str(value)
