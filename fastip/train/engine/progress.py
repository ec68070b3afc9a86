"""What a person sees of a training: a progress bar with loss, speed and time left."""

from __future__ import annotations

import datetime
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

LINE = 60.0  # seconds between two lines of a log: less makes the log of a training of hours long


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f} steps/s" if task.speed else "")


class Bar:
    """A progress bar on standard error where that is a terminal, else a line now and then; nothing unless ``shown``."""

    def __init__(self, steps: int, done: int, shown: bool) -> None:
        console = Console(stderr=True, highlight=False)
        self._console = console if shown else None
        self._lines = shown and not console.is_terminal
        self._steps, self._first, self._told, self._value = steps, done, time.monotonic(), ""
        columns = (
            SpinnerColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            _Speed(table_column=Column(no_wrap=True)),
        )
        times = TimeElapsedColumn(), TimeRemainingColumn()
        self._progress = Progress(
            *columns, *times, console=console, transient=True, disable=not (shown and console.is_terminal)
        )
        self._job = self._progress.add_task("training", total=steps, completed=done, loss="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def line_due(self) -> bool:
        """Whether the next step brings a line: give it the loss first."""
        return self._lines and time.monotonic() - self._told > LINE

    def step(self, done: int) -> None:
        self._progress.update(self._job, completed=done)
        if self.line_due():
            now = time.monotonic()
            self.say(
                f"step {done} of {self._steps}{self._value}, {(done - self._first) / (now - self._told):.2f} steps/s"
            )
            self._told, self._first = now, done

    def loss(self, value: float) -> None:
        self._value = f", loss {value:.2e}"
        self._progress.update(self._job, loss=f"loss {value:.2e}")

    def say(self, text: str) -> None:
        """A line that stays, with the time where there is no terminal."""
        if self._console is not None:
            stamp = f"{datetime.datetime.now():%H:%M:%S} " if self._lines else ""
            self._console.print(f"{stamp}{text}", markup=False, soft_wrap=True)
