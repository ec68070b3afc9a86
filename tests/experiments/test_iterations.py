"""Figure 4 at a small size."""

import pytest

from fastip import tasks
from fastip.experiments.inner_loop import iterations
from fastip.experiments.record import plain

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def outcome():
    return iterations.run(size=64, photos=("chelsea", "coffee"), moments=(1, 2), steps=5, variation=8)


def test_every_iteration_is_seen(outcome):
    curves = outcome.numbers["curves"]
    lengths = {title: len(curve) for title, curve in curves.items()}
    assert lengths == {
        iterations.LEARNED: tasks.load_task("photo-sr4-wide").iterations,
        iterations.PLUGGED: 5,
        iterations.VARIATION: 8,
    }


def test_priors_gain_over_interpolation(outcome):
    curves, start = outcome.numbers["curves"], outcome.numbers["start"]
    assert (
        curves[iterations.LEARNED][-1] > start + 0.5
        and curves[iterations.LEARNED][-1] > curves[iterations.LEARNED][0] + 1
    )
    assert curves[iterations.PLUGGED][-1] > start + 0.3


def test_the_figure_shows_the_iterations_that_were_asked_for(outcome):
    titles = [axes.get_title(loc="left") for axes in outcome.figure.axes]
    assert (
        titles.count("iteration 1") == titles.count("iteration 2") == 3
        and "iteration 5" in titles
        and "iteration 8" in titles
    )


def test_the_page_tells_the_numbers(outcome):
    numbers = plain(outcome.numbers)
    page = iterations.page(numbers)
    for title, curve in numbers["curves"].items():
        assert title in page and f"{curve[-1]:.2f}" in page
    learned, plugged = (numbers["curves"][title] for title in (iterations.LEARNED, iterations.PLUGGED))
    below = f"{len(plugged)} and ends {learned[-1] - plugged[-1]:.2f} dB below"
    assert (below in page) == (max(plugged) < learned[-1])
    higher = numbers | {"curves": numbers["curves"] | {iterations.PLUGGED: [0.0, 99.0]}}
    assert "comes up to it after 2" in iterations.page(higher)
