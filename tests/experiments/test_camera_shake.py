"""Camera shake at a small size: what the data are, that every way is scored, what the page says."""

from __future__ import annotations

import pytest
import torch

from fastip.errors import InvalidInput
from fastip.experiments.record import plain
from fastip.experiments.restoring import camera_shake
from fastip.operators import Blur, psf

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def outcome():
    return camera_shake.run(photos=("coffee",), sizes=(11,), side=48, noises=(7.65,), strides=(1, 2), weights=(4e-3,))


def test_every_way_is_scored_on_all_data(outcome):
    rows = outcome.numbers["rows"]
    assert [(row["stride"], row["noise"], row["count"]) for row in rows] == [(1, 7.65, 1), (2, 7.65, 1)]
    for row in rows:
        assert {camera_shake.OURS, camera_shake.DENOISER, camera_shake.VARIATION} <= set(row["psnr"])
        assert all(seconds > 0 for seconds in row["seconds"].values())
    first = rows[0]["psnr"]
    assert min(value for title, value in first.items() if title != camera_shake.GIVEN) > first[camera_shake.GIVEN]


def test_the_data_are_those_of_the_operator():
    every = camera_shake.cases(("coffee",), (11, 13), 48, (2.55,), (1, 3))
    assert [case.kind for case in every] == [(1, 2.55), (1, 2.55), (3, 2.55)]
    for number, (case, size, stride) in enumerate(zip(every, (11, 13, 11), (1, 1, 3), strict=True)):
        op = Blur(psf.shake(size, number + 1), stride=stride, boundary="valid")
        assert case.op.fingerprint() == op.fingerprint() and case.y.shape == (1, 3, 48 // stride, 48 // stride)
        assert torch.equal((255 * case.y).round(), 255 * case.y)
        off = case.y - op(case.truth)
        assert float(off.std()) == pytest.approx(2.55 / 255, rel=0.1)
        assert case.psnr(case.truth) == float("inf")


def test_the_page(outcome):
    text = camera_shake.page(plain(outcome.numbers))
    row = outcome.numbers["rows"][0]["psnr"]
    gains = [r["psnr"][camera_shake.OURS] - r["psnr"][camera_shake.VARIATION] for r in outcome.numbers["rows"]]
    assert f"| every pixel, noise 7.65 | {row[camera_shake.GIVEN]:.2f} |" in text
    assert f"{sum(gains) / 2:+.2f} dB against {camera_shake.VARIATION}" in text


def test_what_cannot_be_is_refused():
    with pytest.raises(InvalidInput):
        camera_shake.run(sizes=(0,))
