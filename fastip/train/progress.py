"""What a person sees of a training: a progress bar with loss, speed and time left."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f} steps/s" if task.speed else "")


class Bar:
    """A progress bar on standard error, where that is a terminal and ``shown``; nothing elsewhere."""

    def __init__(self, steps: int, done: int, shown: bool) -> None:
        console = Console(stderr=True, highlight=False)
        columns = SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}"), _Speed(table_column=Column(no_wrap=True))
        times = TimeElapsedColumn(), TimeRemainingColumn()
        self._progress = Progress(*columns, *times, console=console, transient=True, disable=not (shown and console.is_terminal))
        self._job = self._progress.add_task("training", total=steps, completed=done, loss="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def step(self, done: int) -> None:
        self._progress.update(self._job, completed=done)

    def loss(self, value: float) -> None:
        self._progress.update(self._job, loss=f"loss {value:.2e}")
