"""What a long training sees at a step, and that it is ready one step ahead."""

from __future__ import annotations

import threading

import pytest
import torch

from cases.photographs import Numbered
from fastip.train.engine.feed import Ahead, Feed, Stage

STAGES = (Stage(0.0, 4, 8), Stage(0.5, 6, 8), Stage(0.8, 2, 12))


def feed(**changed):
    return Feed(**{"pictures": Numbered(), "stages": STAGES, "steps": 20, "levels": (0.003, 0.3), "seed": 3} | changed)


def drawn(x):
    return [round(1e6 * float(value)) for value in x[:, 0, 0, 0]]


@pytest.mark.parametrize("ranks", [1, 3])
def test_every_picture_is_drawn_once_in_turn(ranks):
    given = feed(ranks=ranks)
    seen, sizes = [], []
    for step in range(23):  # past the last step the last stage goes on
        for rank in range(ranks):
            x = given(step, rank)[0]
            seen += drawn(x)
            sizes.append((len(x), x.shape[-1]))
    assert seen == list(range(len(seen)))
    assert sizes == [(4, 8)] * 10 * ranks + [(6, 8)] * 6 * ranks + [(2, 12)] * 7 * ranks


def test_a_step_is_a_function_of_seed_step_and_rank_alone():
    one, two = feed(), feed()
    two(19, 0), two(3, 0)
    for a, b in zip(one(7, 0), two(7, 0), strict=True):
        assert torch.equal(a, b)
    for other in (feed(seed=4)(7, 0), one(8, 0), feed(ranks=2)(7, 1)):
        assert not torch.equal(other[1], one(7, 0)[1]) and not torch.equal(other[2], one(7, 0)[2])


def test_levels_are_uniform_and_log_uniform_in_turn():
    given = feed(stages=(Stage(0.0, 200, 2),))
    levels = torch.cat([given(step, 0)[2] for step in range(20)])
    even, odd = levels[::2], levels[1::2]
    assert 0.003 <= levels.min() and levels.max() <= 0.3
    assert abs(float(even.median()) - 0.1515) < 0.015
    assert abs(float(odd.log().mean()) - 0.5 * (torch.tensor(0.003).log() + torch.tensor(0.3).log()).item()) < 0.12
    noise = given(0, 0)[1]
    assert abs(float(noise.mean())) < 0.05 and abs(float(noise.std()) - 1) < 0.05 and given(0, 0)[3].numel() == 0


def test_the_next_step_is_ready_and_the_same():
    calls, threads = [], []

    def draw(step, rank):
        calls.append((step, rank))
        threads.append(threading.current_thread())
        return step, rank

    ahead = Ahead(draw, 5)
    assert [ahead(step, 0) for step in range(5)] == [(step, 0) for step in range(5)]
    assert calls == [(step, 0) for step in range(5)]  # none twice, and none past the last
    assert threads[0] is threading.main_thread() and all(
        thread is not threading.main_thread() for thread in threads[1:]
    )
    assert Ahead(draw, 9)(7, 0) == (7, 0)  # a training that goes on begins anywhere
    jumps = Ahead(draw, 9)
    assert [jumps(step, 1) for step in (0, 4, 5)] == [(0, 1), (4, 1), (5, 1)]
    ahead.close()


def test_drawing_and_working_overlap():
    """The next step is drawn while nobody has asked for it."""
    drawn_ahead = threading.Event()

    def draw(step, rank):
        if step == 1:
            drawn_ahead.set()
        return step

    ahead = Ahead(draw, 10)
    ahead(0, 0)
    assert drawn_ahead.wait(60)
    ahead.close()


def test_an_error_while_drawing_ahead_is_raised_at_its_step():
    def draw(step, rank):
        if step == 1:
            raise ValueError("the photograph is gone")
        return step

    ahead = Ahead(draw, 9)
    assert ahead(0, 0) == 0
    with pytest.raises(ValueError, match="photograph is gone"):
        ahead(1, 0)
    ahead.close()
