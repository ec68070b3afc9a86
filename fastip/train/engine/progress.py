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

LINE = 30.0  # seconds between two lines of a log at most: less makes the log of a training of hours long


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f} steps/s" if task.speed else "")


class Bar:
    """A progress bar on standard error where that is a terminal, else a line now and then; nothing unless ``shown``."""

    def __init__(self, steps: int, done: int, shown: bool) -> None:
        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._console = console if shown else None
        self._lines = shown and not console.is_terminal
        self._steps, self._done, self._line = steps, done, done  # all, the last, and that of the last line
        self._began = self._told = self._stepped = time.monotonic()
        self._loss: tuple[float, int] | None = None
        columns = (
            SpinnerColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}", markup=False),
            _Speed(table_column=Column(no_wrap=True)),
        )
        times = TimeElapsedColumn(), TimeRemainingColumn()
        self._progress = Progress(
            *columns, *times, console=console, transient=True, disable=not (shown and console.is_terminal)
        )
        self._job = self._progress.add_task("training", total=steps, completed=done, loss="")

    def __enter__(self) -> Bar:
        self._progress.start()
        if self._lines:
            self.say(f"the training {'goes on' if self._done else 'begins'} at step {self._done} of {self._steps}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def line_due(self) -> bool:
        """Whether this step brings a line: give it the loss first.

        It does where LINE would have passed by the end of the next step, if that takes as long as this one.
        """
        now = time.monotonic()
        return self._lines and now - self._told + (now - self._stepped) > LINE

    def step(self, done: int) -> None:
        self._progress.update(self._job, completed=done)
        due, now = self.line_due() or (self._lines and done == self._steps), time.monotonic()
        self._done, self._stepped = done, now
        if due:
            elapsed = datetime.timedelta(seconds=round(now - self._began))
            speed = (done - self._line) / max(now - self._told, 1e-9)
            self.say(f"{elapsed} elapsed, step {done} of {self._steps}{self._told_loss()}, {speed:.2f} steps/s")
            self._told, self._line = now, done

    def loss(self, value: float, step: int) -> None:
        """The loss at ``step``, for the bar and the lines from now on."""
        self._loss = value, step
        self._progress.update(self._job, loss=f"loss {value:.2e}")

    def _told_loss(self) -> str:
        """With its step where it is not the last one's: several processes know a loss at some steps only."""
        if self._loss is None:
            return ""
        value, step = self._loss
        return f", loss {value:.2e}" + (f" at step {step}" if step != self._done else "")

    def say(self, text: str) -> None:
        """A line that stays, with the time where there is no terminal."""
        if self._console is not None:
            stamp = f"{datetime.datetime.now():%H:%M:%S} " if self._lines else ""
            self._console.print(f"{stamp}{text}", soft_wrap=True)
