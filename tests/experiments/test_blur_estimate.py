"""The blurs of one small photograph, and what the page says of them."""

import pytest
import torch

from fastip.errors import InvalidInput
from fastip.experiments import blur_estimate
from fastip.experiments.record import plain
from fastip.operators import psf

pytest.importorskip("skimage")


def test_the_blurs_are_found_and_nothing_else_is(monkeypatch):
    monkeypatch.setattr(blur_estimate, "OTHERS", {"sharp": lambda seed: psf.delta(1)})
    numbers = plain(blur_estimate.run(photos=("chelsea",), size=180, draws=1).numbers)
    rows = numbers["rows"]
    assert [(row["made"], row["kind"]) for row in rows] == [
        *(("disk", "disk"), ("disk", "motion"), ("motion", "disk"), ("motion", "motion")),
        *(("sharp", "disk"), ("sharp", "motion")),
    ]
    for row in rows:
        assert row["clear"] == blur_estimate.right(row) == (row["made"] == row["kind"]), row
        assert row["seconds"] > 0
    page = blur_estimate.page(numbers)
    assert "| chelsea | 1 of 1 | 1 of 1 |" in page and "| sharp | 0 of 1 | 0 of 1 |" in page
    assert "Clear and wrong: 0 of 2." in page


@pytest.mark.parametrize("angle, expected", [(178.0, True), (4.9, True), (6.1, False), (172.0, False)])
def test_an_angle_has_no_sign(angle, expected):
    row = {"made": "motion", "kind": "motion", "truth": {"draw": 0, "length": 9.0, "angle": 0.5}}
    assert blur_estimate.right(row | {"found": {"length": 9.4, "angle": angle}}) is expected
    assert not blur_estimate.right(row | {"found": {"length": 9.6, "angle": 0.5}})


def test_the_data_are_a_window_in_8_bits():
    y = blur_estimate._seen(torch.rand(1, 3, 20, 21), psf.box(3), 2.0, 0)
    assert y.shape == (1, 3, 18, 19) and torch.equal((255 * y).round() / 255, y)


def test_no_draw_is_refused():
    with pytest.raises(InvalidInput, match="^draws is 0"):
        blur_estimate.run(draws=0)
