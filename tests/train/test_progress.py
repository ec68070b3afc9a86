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


def shown(capsys):
    """What stands on standard error, without the time of the day."""
    lines = capsys.readouterr().err.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)
    return [line[9:] for line in lines]


def test_a_line_every_half_minute_without_a_terminal(capsys, clock):
    with Bar(1000, 10, True) as bar:
        for done in range(11, 76):
            clock[0] += 1.0
            if bar.line_due():
                bar.loss(0.25, done)
            bar.step(done)
        bar.say("score 30.0")
    assert shown(capsys) == [
        "the training goes on at step 10 of 1000",
        "0:00:30 elapsed, step 40 of 1000, loss 2.50e-01, 1.00 steps/s",
        "0:01:00 elapsed, step 70 of 1000, loss 2.50e-01, 1.00 steps/s",
        "score 30.0",
    ]


@pytest.mark.parametrize("seconds", [0.7, 4, 11, 20, 29, 45])
def test_no_gap_is_longer_than_half_a_minute_or_a_step(capsys, clock, seconds):
    told = []
    with Bar(200, 0, True) as bar:
        assert len(shown(capsys)) == 1
        for done in range(1, 200):
            clock[0] += seconds
            bar.step(done)
            told += [clock[0]] * len(shown(capsys))
    gaps = [later - sooner for sooner, later in zip([100.0, *told], told, strict=False)]
    assert max(gaps) <= max(30.0, seconds) + 1e-9 and (seconds > 15 or min(gaps) > 15)


def test_a_loss_that_is_older_says_of_which_step(capsys, clock):
    """Several processes know it at some steps only, where all of them meet."""
    with Bar(1000, 0, True) as bar:
        bar.loss(0.25, 5)
        clock[0] += 40
        bar.step(7)
    assert shown(capsys)[1] == "0:00:40 elapsed, step 7 of 1000, loss 2.50e-01 at step 5, 0.17 steps/s"


def test_the_last_step_brings_a_line(capsys, clock):
    with Bar(3, 0, True) as bar:
        for done in (1, 2, 3):
            clock[0] += 0.5
            bar.loss(0.5, done)
            bar.step(done)
    assert shown(capsys) == [
        "the training begins at step 0 of 3",
        "0:00:02 elapsed, step 3 of 3, loss 5.00e-01, 2.00 steps/s",
    ]


def test_nothing_where_it_is_not_wanted(capsys, clock):
    with Bar(1000, 0, False) as bar:
        clock[0] += 1000
        bar.loss(0.25, 5)
        bar.step(5)
        bar.say("score 30.0")
    assert capsys.readouterr() == ("", "")


def test_a_bar_in_a_terminal(capsys, monkeypatch, clock):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with Bar(1000, 0, True) as bar:
        bar.step(500)
        bar.loss(0.25, 500)
        clock[0] += 1000
        bar.step(501)
        bar.say("score 30.0")
    seen = capsys.readouterr().err
    assert (
        "501/1000" in seen
        and "loss 2.50e-01" in seen
        and "score 30.0" in seen
        and "steps/s\n" not in seen.replace("\x1b[0m", "")
    )
