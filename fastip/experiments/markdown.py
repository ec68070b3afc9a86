"""Markdown for the pages of experiments: numbers in a readable length, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def shown(value: Any, digits: int = 3) -> str:
    """A number to so many significant digits, whole numbers in full; "not finite" for null; texts as they are."""
    if value is None:
        return "not finite"
    if isinstance(value, (str, bool)):
        return str(value)
    if isinstance(value, int):
        return str(value)
    return f"{value:.{digits}g}"


def rounded(values: Iterable[float], digits: int = 4) -> list[float]:
    """A curve to so many significant digits, as a record keeps it."""
    return [float(f"{value:.{digits}g}") for value in values]


def listed(values: Iterable[float]) -> str:
    """A few settings, each as it was given: "0.01, 1e-05"."""
    return ", ".join(f"{value:g}" for value in values)


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table: the first column to the left, the others to the right."""
    lines = [headings, [":---", *["---:"] * (len(headings) - 1)], *[[shown(entry) for entry in row] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
