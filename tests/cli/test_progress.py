"""What long commands say of their progress: bars on a terminal, lines in a log."""

import io
import unittest.mock

import pytest
from rich.console import Console

from fastip.cli import progress


@pytest.fixture
def told(monkeypatch):
    """Standard error as a log, with a line for each step."""
    stream = io.StringIO()
    monkeypatch.setattr(progress, "err", Console(file=stream, markup=False))
    monkeypatch.setattr(progress, "LINE", 0.0)
    return stream


def test_a_line_for_each_step_where_there_is_no_terminal(told):
    with progress.Bars("iterations") as bars:
        bars("[a].png", 1, 6)
        bars("[a].png", 2, 6)
    first, second = told.getvalue().splitlines()
    assert first.endswith("0:00:00 elapsed, [a].png: 1 of 6 iterations") and second.endswith("2 of 6 iterations")


def test_a_share_where_nothing_is_counted(told):
    with progress.Bars() as bars:
        bars("photos", 30, 120)
        bars("empty", 0, 0)
    assert [line.rpartition(": ")[2] for line in told.getvalue().splitlines()] == ["25%", "0%"]


def test_lines_keep_their_distance(told, monkeypatch):
    monkeypatch.setattr(progress, "LINE", 30.0)
    clock = iter([0.0, 10.0, 29.0, 31.0, 40.0, 70.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    bars = progress.Bars("", one=True)
    monkeypatch.setattr(bars, "_progress", unittest.mock.Mock())  # Rich asks for the time itself
    for done in range(1, 6):
        bars(f"case {done}", done, 5)
    assert [line.rpartition(", ")[2] for line in told.getvalue().splitlines()] == ["case 3: 3 of 5", "case 5: 5 of 5"]


@pytest.mark.parametrize("one, count", [(True, 1), (False, 2)])
def test_bars_on_a_terminal(monkeypatch, one, count):
    stream = io.StringIO()
    monkeypatch.setattr(progress, "err", Console(file=stream, markup=False, force_terminal=True, width=100))
    with progress.Bars("", one=one) as bars:
        bars("first", 1, 4)
        bars("second", 3, 4)
        assert len(bars._progress.tasks) == count and bars._progress.tasks[-1].completed == 3
    assert "second" in stream.getvalue() and "elapsed" not in stream.getvalue()
