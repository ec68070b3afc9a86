"""Camera shake at a small size: the split against a dense solve, what is compared, what the page says."""

from __future__ import annotations

import pytest
import torch

from fastip import operators, priors
from fastip.experiments.inner_loop import camera_shake
from fastip.experiments.record import plain
from fastip.operators.base.fourier import fast_length

pytest.importorskip("skimage")


@pytest.mark.parametrize("betas", [(0.1,), (0.4, 0.2, 0.1)])
def test_the_split_comes_to_the_minimum(betas):
    """min ||H x on the window - y||^2 + weight ||x||^2 over all of the padded grid, against the normal equations."""
    torch.manual_seed(0)
    taps = torch.rand(3, 3, dtype=torch.float64)
    taps /= taps.sum()
    y, weight = torch.rand(1, 1, 6, 7, dtype=torch.float64), 0.02
    rows, columns = fast_length(8), fast_length(9)
    basis = torch.eye(rows * columns, dtype=torch.float64).view(-1, 1, rows, columns)
    # the window begins half a psf inside
    blurred = operators.Blur(taps, boundary="circular")(basis)[..., 1:7, 1:8].flatten(1).T
    expected = torch.linalg.solve(blurred.T @ blurred + weight * torch.eye(rows * columns), blurred.T @ y.flatten())
    x = camera_shake.split(y, taps, priors.L2(weight), betas, 3000, 0.3)
    assert (x.flatten() - expected.view(rows, columns)[1:7, 1:8].flatten()).abs().max() < 1e-6


@pytest.mark.parametrize(("n", "fast"), [(1, 1), (7, 8), (11, 12), (13, 15), (226 + 30, 256), (257, 270)])
def test_sizes_of_quick_transforms(n, fast):
    assert fast_length(n) == fast


@pytest.fixture(scope="module")
def outcome():
    return camera_shake.run(photos=("coffee",), sizes=(25,), side=48, noises=(7.65,), weights=(1e-3, 1e-2), steps=4)


def test_every_method_is_scored_on_every_border(outcome):
    rows = outcome.numbers["rows"]
    assert [(row["border"], row["noise"], row["count"]) for row in rows] == [
        ("circular", 7.65, 1),
        ("natural", 7.65, 1),
    ]
    for row in rows:
        assert {camera_shake.GIVEN, camera_shake.OURS, camera_shake.VARIATION} <= set(row["psnr"])
        assert (
            min(row["psnr"][camera_shake.OURS], row["psnr"][camera_shake.VARIATION]) > row["psnr"][camera_shake.GIVEN]
        )


def test_the_data_are_those_of_the_operator():
    (circular, natural) = camera_shake.cases(("coffee",), (25,), 48, (2.55,), ("circular", "natural"))
    assert circular.y.shape == circular.truth.shape == natural.y.shape == natural.truth.shape == (1, 3, 48, 48)
    assert torch.equal(circular.truth, natural.truth) and torch.equal((255 * natural.y).round(), 255 * natural.y)
    for case in (circular, natural):
        assert camera_shake.psnr(case.y, case.truth) > 10


def test_the_page(outcome):
    text = camera_shake.page(plain(outcome.numbers))
    row = outcome.numbers["rows"][0]["psnr"]
    gain = sum(r["psnr"][camera_shake.OURS] - r["psnr"][camera_shake.VARIATION] for r in outcome.numbers["rows"]) / 2
    assert (
        f"| circular, noise 7.65 of 255 | {row[camera_shake.GIVEN]:.2f} |" in text
        and f"{gain:+.2f} dB against {camera_shake.VARIATION}" in text
    )
