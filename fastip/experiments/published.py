"""The record of measured quality that ``fastip tasks`` shows: experiments write their tasks into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import tasks
from ..errors import InvalidInput
from ..io.replace import replace_file
from .record import command, machine, place, plain


def check_file(quality: str) -> None:
    """Refuse, before anything is measured, a file in no folder or with something else in it; "" is none."""
    if quality and not Path(quality).parent.is_dir():
        raise InvalidInput(
            f"quality is {quality}, and {Path(quality).parent} is no folder; make it first, or choose another file"
        )
    if quality:
        tasks.quality(quality)


def publish(
    quality: str, experiment: str, changed: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write the ``entries`` of these tasks into the file, each with the machine and the command.

    The other tasks stay as they are. ``changed``: the parameters of the experiment that are not its defaults, but for
    ``quality`` itself.
    """
    path = Path(quality)
    old = json.loads(path.read_text(encoding="utf-8"))["tasks"] if path.exists() else {}
    source = {
        "machine": place(machine() | {"load": None}),
        "command": command(experiment, {**changed, "quality": path.name}),
    }
    record = {"tasks": old | {name: {**entry, **source} for name, entry in entries.items()}}
    text = json.dumps(plain(record), indent=1, ensure_ascii=False) + "\n"
    replace_file(path, lambda file: file.write(text.encode()))  # type: ignore[arg-type]


def summary(baseline: str, simple: float, psnr: float, ssim: float, pictures: str) -> dict[str, Any]:
    """Of one task: PSNR and SSIM, the PSNR of the named baseline, and which pictures."""
    return {
        "baseline": baseline,
        "baseline_psnr": short(simple),
        "psnr": short(psnr),
        "ssim": short(ssim),
        "pictures": pictures,
    }


def short(value: float) -> float:
    """Four digits."""
    return float(f"{value:.4g}")
