"""The theorem of projected descent at a small size: the constants, the descent and the bounds, each by another way."""

from __future__ import annotations

import copy

import pytest
import torch

from fastip.errors import InvalidInput
from fastip.experiments import Outcome
from fastip.experiments.generative import npgd_theorem

CASE = npgd_theorem.case(400, 5, 3, 1)
DELTAS = (1e-2, 1e-6)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return npgd_theorem.run(measurements=400, fewer=(30,), latent=5, deltas=DELTAS, iterations=25, count=3, seed=1)


def test_alpha_and_beta_are_the_extremes_on_the_range() -> None:
    """Of many random directions none is beyond them, and the eigenvectors of the Gram matrix of the range meet them."""
    gram = (CASE.op.matrix @ CASE.basis).T @ (CASE.op.matrix @ CASE.basis)
    _, vectors = torch.linalg.eigh(gram)
    directions = torch.cat(
        [vectors.T, torch.randn(500, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)]
    )
    s = (directions @ CASE.basis.T).reshape(-1, 1, 28, 28)
    stretch = CASE.op(s).square().sum(dim=1) / s.flatten(1).square().sum(dim=1)
    assert float(stretch.min()) == pytest.approx(CASE.alpha) and float(stretch.max()) == pytest.approx(CASE.beta)


@pytest.mark.parametrize("strays", [0.0, 0.1])
def test_the_projector_has_exactly_its_delta(strays: float) -> None:
    w = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    p = npgd_theorem.Subspace(CASE.basis, CASE.truth, strays)(w)
    least = w.flatten(1).square().sum(dim=1) - (w.flatten(1) @ CASE.basis).square().sum(dim=1)  # by Pythagoras
    torch.testing.assert_close((w - p).flatten(1).square().sum(dim=1), least + strays**2)
    torch.testing.assert_close(p.flatten(1) @ CASE.basis @ CASE.basis.T, p.flatten(1))


def test_the_curve_is_that_of_the_descent_written_out() -> None:
    a, x, y = CASE.op.matrix, CASE.start.flatten(1), CASE.truth.flatten(1) @ CASE.op.matrix.T
    expected = []
    for _ in range(6):
        expected.append(float((x @ a.T - y).square().sum(dim=1).max()))
        x = (x + (y - x @ a.T) @ a / CASE.beta) @ CASE.basis @ CASE.basis.T
    f, off = npgd_theorem.follow(CASE, 1 / CASE.beta, 5)
    assert f == pytest.approx(expected, rel=1e-9)
    assert off[0] == pytest.approx(float((CASE.start - CASE.truth).square().flatten(1).sum(dim=1).max()))


def test_what_the_theorem_promises_is_there(outcome: Outcome) -> None:
    found = outcome.numbers["found"]
    exact = found[npgd_theorem.EXACT]
    assert 1 < exact["ratio"] < 2 and exact["held"] and exact["end"] < 1e-20 * exact["f"][0]
    rate = (1 - exact["alpha"] / exact["beta"]) ** 2
    assert exact["bound"][3] == pytest.approx((exact["ratio"] - 1) ** 3 * exact["f"][0], rel=1e-3)
    assert 0.8 * rate < exact["rate"] <= rate * (1 + 1e-9)
    for delta in DELTAS:
        one = found[f"δ = {delta:g}, step 1 / β"]
        assert one["held"] and delta <= one["off"] <= one["off_bound"] and one["end"] <= one["floor"] < one["bound"][-1]
    assert found[npgd_theorem.BEYOND]["end"] > found[npgd_theorem.BEYOND]["f"][0]
    assert (
        found[npgd_theorem.TWICE]["rate"] == pytest.approx(1, abs=1e-3)
        and found[npgd_theorem.TWICE]["end"] > 1e-3 * exact["f"][0]
    )
    silent = found["m = 30, exact P, step 1 / β"]
    assert silent["ratio"] > 2 and "bound" not in silent


def test_a_curve_above_its_bound_is_noticed() -> None:
    fine = npgd_theorem.described(CASE, [8.0, 8.0 * (CASE.beta / CASE.alpha - 1)], [1.0, 1.0], 0.0)
    broken = npgd_theorem.described(CASE, [8.0, 8.1 * (CASE.beta / CASE.alpha - 1)], [1.0, 1.0], 0.0)
    assert fine["held"] and not broken["held"]


def test_too_few_measurements_are_refused() -> None:
    with pytest.raises(InvalidInput, match="less than 2: take more"):
        npgd_theorem.run(measurements=30, latent=5, count=2)


def test_the_page_follows_the_numbers(outcome: Outcome) -> None:
    numbers = copy.deepcopy(dict(outcome.numbers))
    page = npgd_theorem.page(numbers)
    assert (
        "Every bound held" in page and f"{CASE.beta:.3g}" in page and "m = 30" in page and "falls all the same" in page
    )
    numbers["found"][npgd_theorem.EXACT]["held"] = False
    assert "A bound was broken" in npgd_theorem.page(numbers)
