"""The border experiment at a small size: the facts that its page states."""

import pytest

from fastip.experiments.inner_loop import borders


@pytest.fixture(scope="module")
def numbers():
    return borders.run(size=48, most=600, weight=1e-2).numbers


def test_learned_inverses_need_at_most_60_percent_of_the_stencils_iterations(numbers):
    for case in numbers["valid"]:
        to = {label: entry["iterations"]["0.0001"] for label, entry in case["inverses"].items()}
        assert case["certified_gap"] < 1e-8
        assert to[borders.SMALL] <= 0.6 * (to[borders.CLOSED] or 600), to
        assert to[borders.SMALL] >= 0.8 * to[borders.EXACT], "C = B is the best that there is, nearly"


def test_the_dilated_network_is_three_times_better_for_at_most_six_times_the_work(numbers):
    (case,) = numbers["circular"]
    closed, wide = case["inverses"][borders.CLOSED], case["inverses"][borders.WIDE]
    assert closed["rms"] >= 3 * wide["rms"] and wide["products"] <= 6 * closed["products"]
    assert case["inverses"][borders.SMALL]["rms"] == pytest.approx(closed["rms"], rel=0.01), (
        "training finds the closed form"
    )


def test_the_page_tells_the_numbers(numbers):
    page = borders.page(numbers)
    for case in numbers["valid"]:
        assert str(case["inverses"][borders.SMALL]["iterations"]["0.0001"]) in page
