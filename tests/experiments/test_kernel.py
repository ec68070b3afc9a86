"""The experiment about learning A, on small photographs."""

from __future__ import annotations

import pytest

from fastip.experiments.inner_loop import kernel
from fastip.experiments.record import plain

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def outcome():
    return kernel.run(size=112, draws=12, noises=(1e-3, 1e-1), seed=3)


def test_without_noise_it_is_exact_and_with_noise_as_predicted(outcome):
    assert list(outcome.numbers["kernels"]) == ["motion:4:30", "gaussian:9:1.6"]
    for case in outcome.numbers["kernels"].values():
        assert case["largest difference, float64"] < 1e-11 and 1e-12 < case["largest difference, float32"] < 1e-6
        assert [level["noise"] for level in case["levels"]] == [1e-3, 1e-1]
        for level in case["levels"]:
            assert level["ratio"] == pytest.approx(1, abs=0.2) and level["ratio"] == pytest.approx(
                level["error"] / level["predicted"]
            )
            assert level["noise found"] == pytest.approx(level["noise"], rel=0.05)


def test_the_page_says_what_was_measured(outcome):
    numbers = plain(outcome.numbers)
    text = kernel.page(numbers)
    assert "112 × 112" in text and "12 draws" in text and text.count("`motion:4:30`") == 3
    level = numbers["kernels"]["gaussian:9:1.6"]["levels"][1]
    assert f"| {level['error']:.3g} | {level['predicted']:.3g} |" in text
    numbers["kernels"]["gaussian:9:1.6"]["levels"][1]["ratio"] = 1.5
    assert "differ by at most 50 %" in kernel.page(numbers)


def test_the_figure_shows_both_kernels(outcome):
    titles = [axes.get_title(loc="left") for axes in outcome.figure.axes]
    assert (
        titles.count("true") == titles.count("learned") == 2
        and titles.count("difference") == 4
        and "error of a tap" in titles
    )
