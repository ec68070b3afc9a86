"""L1, L2, ElasticNet, NonNegative, Box and their sums: formulas, conjugates, an independent solver, bad bounds."""

from __future__ import annotations

import math

import cvxpy as cp
import numpy as np
import pytest
import torch
from torch import Tensor

from cases.priors import draw, prox
from fastip import operators, priors
from fastip.contracts import Pointwise
from fastip.errors import InvalidInput

STEP = 0.7


def test_pointwise_states_the_numbers() -> None:
    expected = {
        priors.L1(0.2): Pointwise(l1=0.2),
        priors.L2(0.3): Pointwise(l2=0.3),
        priors.ElasticNet(0.2, 0.3): Pointwise(0.2, 0.3),
        priors.NonNegative(): Pointwise(low=0.0),
        priors.Box(): Pointwise(low=0.0, high=1.0),
        priors.L1(torch.tensor(0.25)): Pointwise(l1=0.25),
        priors.L1(0.25) + priors.L1(0.5) + priors.L2(1) + priors.NonNegative() + priors.Box(-1, 2): Pointwise(
            0.75, 1.0, 0.0, 2.0
        ),
    }
    for prior, numbers in expected.items():
        assert prior.bind(torch.zeros(1, 1, 2, 2), operators.Identity()).pointwise() == numbers


def test_values() -> None:
    x = torch.tensor([[[[1.0, -2.0]]], [[[0.5, 0.0]]]], dtype=torch.float64)
    inf = float("inf")
    for prior, value in (
        (priors.L1(2), [6.0, 1.0]),
        (priors.L2(2), [10.0, 0.5]),
        (priors.ElasticNet(2, 1), [11.0, 1.25]),
        (priors.NonNegative(), [inf, 0.0]),
        (priors.Box(-3, 0.5), [inf, 0.0]),
        (priors.L1(1) + priors.Box(-2, 1), [3.0, 0.5]),
    ):
        torch.testing.assert_close(prior.value(x), torch.tensor(value, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_moreau_identity(dtype: torch.dtype) -> None:
    """v = prox_{tau R}(v) + tau prox_{R* / tau}(v / tau), with the conjugates written out."""
    v, weight, tau = draw(2, 3, 5, 6, seed=1, dtype=dtype), 0.3, STEP

    def shadow_of_box(u: Tensor) -> Tensor:  # R* = sum max(low u, high u): prox of it by its two slopes
        return torch.where(
            u > 0.8 / tau, u - 0.8 / tau, torch.where(u < -0.1 / tau, u + 0.1 / tau, torch.zeros_like(u))
        )

    conjugate_prox = (
        (priors.L1(weight), lambda u: u.clamp(-weight, weight)),  # R* = indicator of the cube
        (priors.L2(weight), lambda u: u / (1 + 1 / (2 * weight * tau))),  # R* = |u|^2 / 4 weight
        (priors.NonNegative(), lambda u: u.clamp(max=0)),  # R* = indicator of u <= 0
        (priors.Box(-0.1, 0.8), shadow_of_box),
    )
    for prior, conjugate in conjugate_prox:
        torch.testing.assert_close(prox(prior, v, tau) + tau * conjugate(v / tau), v)


@pytest.mark.parametrize(
    "prior",
    [
        priors.ElasticNet(0.3, 0.4),
        priors.L1(0.4) + priors.Box(-0.1, 0.6),
        priors.L1(0.2) + priors.L2(0.5) + priors.NonNegative(),
        priors.L1(0.3) + priors.Box(0.2, 0.9),
    ],
    ids=["elastic net", "L1+Box", "L1+L2+NonNegative", "L1+Box away from zero"],
)
def test_prox_against_cvxpy(prior: priors.Separable) -> None:
    v = draw(1, 2, 4, 5, seed=2)
    x, a = cp.Variable(v.numel()), v.numpy().ravel()
    penalty = prior.l1 * cp.norm1(x) + prior.l2 * cp.sum_squares(x)
    constraints = [x >= prior.low] * math.isfinite(prior.low) + [x <= prior.high] * math.isfinite(prior.high)
    cp.Problem(cp.Minimize(STEP * penalty + cp.sum_squares(x - a) / 2), constraints).solve(
        solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12
    )
    np.testing.assert_allclose(prox(prior, v, STEP).numpy().ravel(), x.value, atol=1e-6)


@pytest.mark.parametrize(
    "low, high", [(1, 0), (float("nan"), 1), (0, float("nan")), ("a", 1), (None, 1), (float("inf"), float("inf"))]
)
def test_bad_boxes_are_refused(low: object, high: object) -> None:
    with pytest.raises(InvalidInput, match="expected|lies between"):
        priors.Box(low, high)  # type: ignore[arg-type]


def test_boxes_that_do_not_meet_are_refused() -> None:
    with pytest.raises(InvalidInput, match="do not meet"):
        priors.Box(0, 1) + priors.Box(2, 3)
    meeting = priors.Box(0, 1) + priors.Box(1, 2)
    assert (prox(meeting, draw(1, 1, 3, 3), 1.0) == 1).all()


def test_the_weight_of_a_broadcast_image() -> None:
    """A weight for each pixel (1 1 h w), and images without channels for a number."""
    v = draw(2, 3, 4, 5, seed=3)
    weight = 0.1 * torch.arange(20, dtype=torch.float64).reshape(1, 1, 4, 5)
    torch.testing.assert_close(prox(priors.L1(weight), v, STEP), v.sign() * (v.abs() - STEP * weight).clamp(min=0))
    torch.testing.assert_close(prox(priors.L1(0.1), v.flatten(1), STEP), prox(priors.L1(0.1), v, STEP).flatten(1))
    with pytest.raises(InvalidInput, match="does not broadcast"):
        priors.L1(weight).bind(v.flatten(1), operators.Dense(torch.eye(60, dtype=torch.float64)))
