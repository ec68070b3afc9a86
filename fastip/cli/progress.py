"""What a person sees of a long command: bars on a terminal, else a line now and then."""

from __future__ import annotations

import datetime
import time
from types import TracebackType
from typing import TYPE_CHECKING

from .console import err

if TYPE_CHECKING:
    from rich.progress import TaskID

LINE = 30.0  # seconds between two lines of a log at least


class Bars:
    """``report(what, done, total)`` of a command, on standard error.

    Args:
        unit: What is counted, behind "3 of 7"; None: a percentage.
        one: One bar, whose words follow ``what``; else one for each ``what``.
    """

    def __init__(self, unit: str | None = None, *, one: bool = False) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        what = TextColumn("{task.description}", markup=False)
        counts: tuple[ProgressColumn, ...] = (MofNCompleteColumn(), TextColumn(unit or "", markup=False))
        if unit is None:
            counts = (TextColumn("{task.percentage:>3.0f}%", markup=False),)
        columns = SpinnerColumn(), what, BarColumn(), *counts, TimeElapsedColumn()
        self._progress = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
        self._unit, self._one = unit, one
        self._bars: dict[str, TaskID] = {}
        self._began = self._told = time.monotonic()

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        key = "" if self._one else what
        if key not in self._bars:
            self._bars[key] = self._progress.add_task(what, total=total)
        self._progress.update(self._bars[key], description=what, completed=done, total=total)
        if not err.is_terminal:
            self._line(what, done, total)

    def _line(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told < LINE:
            return
        self._told = now
        elapsed = datetime.timedelta(seconds=round(now - self._began))
        count = f"{done / max(total, 1):.0%}" if self._unit is None else f"{done} of {total} {self._unit}".rstrip()
        err.print(f"{datetime.datetime.now():%H:%M:%S} {elapsed} elapsed, {what}: {count}", soft_wrap=True)
