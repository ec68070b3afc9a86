"""The noise of one photograph at two levels, and what the page says of it."""

import pytest
import torch

from fastip.errors import InvalidInput
from fastip.experiments import noise_level
from fastip.experiments.record import plain
from fastip.experiments.scores import mean

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def outcome():
    return noise_level.run(photos=("chelsea", "coffee"), size=128, noises=(0.0, 6.0))


def test_the_noise_is_found_and_the_plain_median_is_higher(outcome):
    rows = outcome.numbers["rows"]
    assert len(rows) == 2 * 2 * (2 * 4 + 1)
    for row in rows:
        assert len(row["found"]) == len(row["plain"]) == 2
        if row["noise"]:
            assert all(5.2 < value < 6.8 for value in row["found"]), row
        else:
            assert max(row["found"]) < 1.5, row
        if row["kind"] in (noise_level.SHARP, noise_level.REDUCED):
            assert mean(row["plain"]) > mean(row["found"]) + 0.3, row


def test_the_plain_median_of_white_noise_is_its_level():
    y = 0.5 + 0.1 * torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    assert noise_level.plain_median(y) == pytest.approx(0.1, rel=0.02)


def test_the_page_tells_means_and_extremes(outcome):
    numbers = plain(outcome.numbers)
    page = noise_level.page(numbers)
    row = next(row for row in numbers["rows"] if row["kind"] == noise_level.REDUCED and row["noise"] == 6)
    found = row["found"]
    assert f"| {mean(found):.2f} ({min(found):.2f} – {max(found):.2f}) |" in page
    assert "chelsea, coffee" in page and f"| {mean(row['plain']):.2f} |" in page


@pytest.mark.parametrize("noises", [(), (0.0,), (-1.0, 1.0), (float("nan"),)])
def test_levels_that_say_nothing_are_refused(noises):
    with pytest.raises(InvalidInput, match="^noises is .*one of them > 0"):
        noise_level.run(noises=noises)


def test_a_size_without_noise_to_see_is_refused():
    with pytest.raises(InvalidInput, match="^size is 15; expected a whole number >= 16"):
        noise_level.run(size=15)
