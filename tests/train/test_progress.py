"""What a person sees of a training.

A bar in a terminal, lines with the time where there is none, nothing where it is not wanted.
"""

from __future__ import annotations

import re

import pytest

from fastip.train.engine import progress
from fastip.train.engine.progress import Bar


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_now_and_then_without_a_terminal(capsys, clock):
    with Bar(1000, 10, True) as bar:
        bar.loss(0.25)
        for done in range(11, 131):
            clock[0] += 1.0
            bar.step(done)
        bar.say("score 30.0")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)
    assert lines[0].endswith("step 71 of 1000, loss 2.50e-01, 1.00 steps/s") and lines[1].endswith("score 30.0")


def test_nothing_where_it_is_not_wanted(capsys, clock):
    with Bar(1000, 0, False) as bar:
        clock[0] += 1000
        bar.loss(0.25)
        bar.step(5)
        bar.say("score 30.0")
    assert capsys.readouterr() == ("", "")


def test_a_bar_in_a_terminal(capsys, monkeypatch, clock):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with Bar(1000, 0, True) as bar:
        bar.step(500)
        bar.loss(0.25)
        clock[0] += 1000
        bar.step(501)
        bar.say("score 30.0")
    shown = capsys.readouterr().err
    assert (
        "501/1000" in shown
        and "loss 2.50e-01" in shown
        and "score 30.0" in shown
        and "steps/s\n" not in shown.replace("\x1b[0m", "")
    )
