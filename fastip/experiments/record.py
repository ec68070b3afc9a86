"""What an experiment is, how one is found by name, and how its record is written: NAME.json, NAME.png and NAME.md."""

from __future__ import annotations

import datetime
import difflib
import importlib
import inspect
import io as memory
import json
import math
import os
import pkgutil
import platform
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .. import __version__, kernels
from ..errors import InvalidInput, strict_keywords
from ..io.replace import replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Report = Callable[[str, int, int], None]  # what is being done, steps done, steps in all
Numbers = dict[str, Any]
PACKAGE = __name__.rpartition(".")[0]


def silent(what: str, done: int, total: int) -> None:
    """A report that nobody reads."""


@dataclass(frozen=True)
class Outcome:
    """What an experiment found.

    Args:
        numbers: What JSON can hold; tensors and arrays become lists.
        figure: The picture at the top of the page.
    """

    numbers: Mapping[str, Any]
    figure: Figure


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    Args:
        summary: What is measured, in one line: the title of the page.
        run: ``run(report, *, ...)`` measures; its keywords default to the full size.
        page: ``page(numbers)`` is the Markdown below the figure.
    """

    summary: str
    run: Callable[..., Outcome]
    page: Callable[[Numbers], str]

    def parameters(self) -> dict[str, Any]:
        """The keywords of ``run`` and their defaults."""
        return {p.name: p.default for p in inspect.signature(self.run).parameters.values() if p.kind is p.KEYWORD_ONLY}


# ---- finding ---------------------------------------------------------------------------------------------------------


def names() -> list[str]:
    """The experiments that there are: the modules of this package that hold an EXPERIMENT.

    Returns:
        Their names, sorted.
    """
    return [name for name in sorted(_modules()) if _load(name) is not None]


def find(name: str) -> Experiment:
    """The experiment of this name.

    Args:
        name: The name of its module, in which a dash stands for an underscore.

    Returns:
        What that module holds as EXPERIMENT.

    Raises:
        InvalidInput: Where there is none; the message has the closest name, or all of them.
    """
    own = underscored(name)
    experiment = _load(own) if own in _modules() else None
    if experiment is None:
        known = names()
        close = difflib.get_close_matches(own, known, 1)
        raise InvalidInput(
            f"there is no experiment {name!r}: "
            + (f"did you mean {close[0]!r}?" if close else f"they are {', '.join(known)}")
        )
    return experiment


def underscored(name: str) -> str:
    """The name as the listing, the files and the command on the page have it: "npgd_rec" for "npgd-rec"."""
    return name.replace("-", "_")


def _modules() -> dict[str, str]:
    """The modules of the package and of its folders, by their last names."""
    found = pkgutil.walk_packages(importlib.import_module(PACKAGE).__path__, f"{PACKAGE}.")
    return {module.name.rpartition(".")[2]: module.name for module in found if not module.ispkg}


def _load(name: str) -> Experiment | None:
    return getattr(importlib.import_module(_modules()[name]), "EXPERIMENT", None)


# ---- running and writing ---------------------------------------------------------------------------------------------


@strict_keywords
def perform(
    name: str, folder: str | Path, *, parameters: Mapping[str, Any] | None = None, report: Report = silent
) -> Path:
    """Run the experiment and write NAME.json, NAME.png and NAME.md.

    Each file appears whole or not at all, and none before all three are complete.

    Args:
        name: The experiment; a dash stands for an underscore, and NAME has underscores.
        folder: Where the files go; made if it is missing.
        parameters: Keywords of the experiment that differ from their defaults, numbers or their texts.
        report: Called with what is being done, the steps done and the steps in all.

    Returns:
        The path of the page.

    Raises:
        InvalidInput: For an unknown name or parameter and for a folder that cannot be written, before any work.
    """
    experiment, name = find(name), underscored(name)
    changed = _parse(name, experiment.parameters(), parameters or {})
    folder = _prepare(Path(folder))
    start = time.perf_counter()
    outcome = experiment.run(report, **changed)
    record = {
        "experiment": name,
        "summary": experiment.summary,
        "command": command(name, changed),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "seconds": round(time.perf_counter() - start, 1),
        "machine": machine(),
        "versions": versions(),
        "parameters": experiment.parameters() | changed,
        "numbers": outcome.numbers,
    }
    _write(folder, name, experiment, record, outcome.figure)
    return folder / f"{name}.md"


def command(name: str, changed: Mapping[str, Any]) -> str:
    """What a user types to run the experiment with these parameters changed."""
    return " ".join(["fastip", "experiment", name, *(f"--set {key}={_text(value)}" for key, value in changed.items())])


def _parse(name: str, defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given parameters in the types of the defaults."""
    parsed = {}
    for key, value in given.items():
        if key not in defaults:
            close = difflib.get_close_matches(key, defaults, 1)
            raise InvalidInput(
                f"experiment {name} has no parameter {key!r}: "
                + (f"did you mean {close[0]!r}?" if close else f"it has {', '.join(defaults)}")
            )
        try:
            parsed[key] = _like(defaults[key], value)
        except (TypeError, ValueError):
            raise InvalidInput(
                f"{key} is {value!r}; expected a value such as the default, {_text(defaults[key])}"
            ) from None
    return parsed


def _like(default: Any, value: Any) -> Any:
    """``value`` in the type of the default; for a tuple also from a text with commas."""
    if isinstance(default, tuple):
        return tuple(type(default[0])(entry) for entry in (value.split(",") if isinstance(value, str) else value))
    return type(default)(value)


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _prepare(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"the folder {folder} cannot be made: {error.strerror}; choose another one") from None
    if not os.access(folder, os.W_OK):
        raise InvalidInput(f"the folder {folder} cannot be written to; choose another one or change its permissions")
    return folder


def _write(folder: Path, name: str, experiment: Experiment, record: Mapping[str, Any], figure: Figure) -> None:
    text = json.dumps(plain(record), indent=1, ensure_ascii=False, allow_nan=False)
    # a list of numbers is one line
    text = re.sub(r"\[[^\[\]{}\"]*\]", lambda numbers: re.sub(r"\s+", " ", numbers.group()), text)
    picture = memory.BytesIO()
    # more dots are sharper, but the pictures are kept beside the pages and grow with them
    figure.savefig(picture, format="png", dpi=110, metadata={"Software": None})
    page = page_of(name, experiment, json.loads(text))
    for suffix, content in ((".json", text.encode() + b"\n"), (".png", picture.getvalue()), (".md", page.encode())):
        replace_file(folder / f"{name}{suffix}", lambda file, content=content: file.write(content))  # type: ignore[misc]


def page_of(name: str, experiment: Experiment, record: Mapping[str, Any]) -> str:
    """The page, from nothing but the record as it is read back from the JSON file."""
    again, seconds, all_numbers = record["command"], f"{record['seconds']:g} s", f"[{name}.json]({name}.json)"
    with_what = ", ".join(f"{key} {value}" for key, value in record["versions"].items())
    return "\n".join(
        [
            f"# {name}: {record['summary']}",
            "",
            f"![{name}]({name}.png)",
            "",
            experiment.page(record["numbers"]).strip(),
            "",
            "---",
            "",
            (
                f"Repeat it with `{again}`: {seconds} on {place(record['machine'])}. "
                f"{record['date']}; {with_what}. All numbers: {all_numbers}."
            ),
            "",
        ]
    )


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it.

    Tensors, arrays and tuples become lists, keys become texts, a number that is not finite becomes null.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return plain(
            (
                value
                if value.is_floating_point() and value.dtype is torch.float64
                else value.double()
                if value.is_floating_point()
                else value
            ).tolist()
        )
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    raise InvalidInput(
        f"{type(value).__name__} cannot be written as JSON; "
        "expected numbers, texts, lists, dictionaries, tensors or arrays"
    )


def machine() -> dict[str, Any]:
    """What the experiment ran on.

    Cpu, cores, the threads that were used, how many programs ran in the last minute (None where that is not known), the
    instruction set of the kernels, and the GPU or None.
    """
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "kernels": str(kernels.available().get("isa")),
        "gpu": gpu,
    }


def place(found: Mapping[str, Any]) -> str:
    """What :func:`machine` found, in words; with other programs beside it, as times are then too long."""
    words = [found["cpu"], f"{found['threads']} of {found['cores']} cores"]
    words += [found["gpu"]] if found["gpu"] else []
    load = found.get("load") or 0.0
    words += [f"beside other programs (load {load:g})"] if load > found["threads"] + 1 else []
    return ", ".join(words)


def versions() -> dict[str, str]:
    """The versions of what computed the numbers."""
    return {
        "fastip": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
