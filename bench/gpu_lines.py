"""Results of the benchmark as they come, a JSON line each, so that none is lost however a run ends."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable
from typing import Any

import gpu_predictions
import gpu_report

RESULT = "RESULT"  # the word that a session's lines of results begin with
STATISTICS = ("median", "min", "iqr", "rounds")


class Lines:
    """The file of a run; the first line says on what machine."""

    def __init__(self, path: pathlib.Path, machine: dict[str, Any]) -> None:
        self.path, self._seen = path, list[dict[str, Any]]()
        self._write({"machine_info": machine})

    def add(self, group: str, name: str, stats: Any, extra: dict[str, Any]) -> str:
        """Writes a result; returns it for people. Nothing where the test was interrupted before it said what it is."""
        if "kind" not in extra:
            return ""
        numbers = {key: getattr(stats, key) for key in STATISTICS}
        self._write({"group": group, "name": name, "stats": numbers, "extra_info": extra})
        self._seen.append({"group": group, "median_ms": 1e3 * stats.median, **extra})
        found = gpu_report.entries([dict(entry) for entry in self._seen])
        return shown(found[-1]) if found else ""

    def _write(self, value: dict[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(value) + "\n")


def shown(entry: dict[str, Any]) -> str:
    """RESULT, where, what, microseconds, share of the copy, what was predicted."""
    group, program, micro = entry["group"], entry["program"], 1e3 * entry["median_ms"]
    parts = [group.removeprefix("GPU, "), program, f"{micro:.4g} us"]
    parts += [f"share {entry['share']:.2f}"] if entry.get("share") else []
    solves = "images_per_s" in entry and not program.startswith("copy")
    parts += [f"{entry['images_per_s']:.0f} images/s"] if solves else []
    parts += [f"error {entry['difference']:.0e}"] if "difference" in entry else []
    told = gpu_predictions.beside(group, program, micro)
    return f"{RESULT} " + "; ".join([*parts, *([told] if told else [])])


def read(paths: Iterable[pathlib.Path]) -> dict[str, Any]:
    """These runs together, as pytest-benchmark writes one; each result says of which. A cut-off line is left out."""
    run: dict[str, Any] = {"machine_info": {}, "benchmarks": []}
    for number, path in enumerate(paths):
        for line in path.read_text().splitlines():
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if "machine_info" in value:
                run["machine_info"]["fastip"] = value["machine_info"]
            else:
                run["benchmarks"].append(value | {"extra_info": value["extra_info"] | {"run": number}})
    return run
