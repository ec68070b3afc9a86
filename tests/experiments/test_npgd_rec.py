"""The experiment on restricted eigenvalues with a linear generator.

Its extremes are known, and as many designed rows as latent numbers hold its range.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from cases.generators import Linear, dcgan, restricted
from fastip import operators
from fastip.checkpoint import shipped
from fastip.experiments import Outcome
from fastip.experiments.generative import npgd_rec

GENERATOR = Linear(latent=4)
MEASUREMENTS = (3, 4, 60)


@pytest.fixture(scope="module")
def outcome() -> Iterator[Outcome]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "generator", lambda name: GENERATOR)
        yield npgd_rec.run(measurements=MEASUREMENTS, pairs=400, restarts=6, iterations=60, designed_from=300)


def test_the_extremes_are_near_the_true_ones_and_inside(outcome: Outcome) -> None:
    one = outcome.numbers["found"][npgd_rec.RANDOM][2]
    alpha, beta = restricted(operators.GaussianMeasurements(60, GENERATOR.shape, seed=0), GENERATOR)
    assert alpha * (1 - 1e-9) <= one["alpha"] < 1.02 * alpha and 0.98 * beta < one["beta"] <= beta * (1 + 1e-9)
    assert one["ratio"] == pytest.approx(one["beta"] / one["alpha"])
    assert one["alpha"] <= one["low"] < one["median"] < one["high"] <= one["beta"] and one[
        "sampled_ratio"
    ] == pytest.approx(one["high"] / one["low"])


def test_designed_rows_hold_the_range_once_there_are_enough(outcome: Outcome) -> None:
    three, four, _ = outcome.numbers["found"][npgd_rec.DESIGNED]
    assert four["ratio"] == pytest.approx(1, abs=1e-6) and four["beta"] == pytest.approx(1, abs=1e-6)
    assert three["ratio"] > 100, "one direction of the range is not seen"


def test_a_sample_beyond_the_search_counts() -> None:
    one = npgd_rec.measured(torch.tensor([0.1, 0.5, 3.0]), torch.tensor([0.2, 2.0], dtype=torch.float64))
    assert (one["alpha"], one["beta"]) == (pytest.approx(0.1), 3.0) and one["median"] == 0.5
    other = npgd_rec.measured(torch.tensor([0.3, 0.5, 1.0]), torch.tensor([0.2, 2.0], dtype=torch.float64))
    assert (other["alpha"], other["beta"], other["ratio"]) == (0.2, 2.0, 10.0)


def test_nested_rows_have_nested_extremes(monkeypatch: pytest.MonkeyPatch) -> None:
    """More orthonormal rows see no less of any difference, so neither end may fall, however short each search was."""
    monkeypatch.setattr(shipped, "generator", lambda name: dcgan())
    short = npgd_rec.run(measurements=tuple(range(2, 9)), pairs=20, restarts=2, iterations=12, designed_from=100)
    designed = short.numbers["found"][npgd_rec.DESIGNED]
    for end in ("alpha", "beta"):
        values = [one[end] for one in designed]
        assert all(small <= large * (1 + 1e-5) for small, large in zip(values, values[1:], strict=False)), end


def test_the_page_says_where_the_condition_is_refuted(outcome: Outcome) -> None:
    page = npgd_rec.page(outcome.numbers)
    assert (
        "for designed measurements the condition is not refuted at m = 4, 60" in page
        and "estimates from inside" in page
    )
    lines = [line for line in page.splitlines() if line.startswith("| 3 | designed")]
    assert len(lines) == 1 and lines[0].endswith("| refuted |")
    blind = {kind: [{"sampled_ratio": 1.5, "ratio": None}] for kind in (npgd_rec.RANDOM, npgd_rec.DESIGNED)}
    assert npgd_rec._reached([3], blind).startswith(
        "For Gaussian measurements the condition is refuted at every m here"
    )
