"""How well the tasks restore, as it was measured: the record that comes with the weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import shipped
from ..errors import InvalidInput, strict_keywords


@dataclass(frozen=True)
class Quality:
    """Means over the test pictures: PSNR in dB of the task and of the named baseline, SSIM, and which pictures. None: not measured."""

    psnr: float | None
    ssim: float | None
    baseline: str | None
    baseline_psnr: float | None
    pictures: str | None


@dataclass(frozen=True)
class Record:
    """Quality by the name of the task, the machine it was measured on, and the command that measures it again."""

    tasks: dict[str, Quality]
    machine: str | None = None
    command: str | None = None


@strict_keywords
def quality(path: str | Path | None = None) -> Record:
    """The record in ``path``, or the one that comes with fastip; empty where there is none. Raises InvalidInput for a damaged file."""
    source = shipped.FOLDER / "tasks" / "quality.json" if path is None else Path(path)
    try:
        text = source.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Record({})
    try:
        found = json.loads(text)
        tasks = {str(name): _quality(entry) for name, entry in found["tasks"].items()}
        return Record(tasks, _text(found.get("machine")), _text(found.get("command")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{source} is no record of quality ({error!r}): install fastip again, or measure anew") from None


def _quality(entry: Any) -> Quality:
    psnr, ssim, simple = (None if entry.get(key) is None else float(entry[key]) for key in ("psnr", "ssim", "baseline_psnr"))
    return Quality(psnr, ssim, _text(entry.get("baseline")), simple, _text(entry.get("pictures")))


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return None if value is None else str(value)
