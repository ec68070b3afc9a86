"""TV against the minimiser that an independent solver finds, with and without a box.

The fixed point of ADMM with a few dual steps an iteration is that minimiser.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import cvxpy as cp
import numpy as np
import pytest
import scipy.sparse
import torch
from torch import Tensor

import fastip
from cases.priors import draw, prox
from cases.problems import observe
from fastip import operators, priors, psf
from fastip.errors import InvalidInput
from fastip.kernels import reference
from fastip.priors import tv
from fastip.priors.prior import BoundWithout

BOX = (0.15, 0.75)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Images this small only lose time to a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def phantom(n: int) -> Tensor:
    """Flat regions and a ramp, in [0, 1]."""
    x = torch.full((1, 1, n, n), 0.2, dtype=torch.float64)
    x[..., n // 5 : n // 2, n // 6 : n // 2] = 0.9
    x[..., n // 3 : 2 * n // 3, n // 2 - 5 : 3 * n // 4] = 0.5
    x[..., -n // 5 :, :] += torch.linspace(0, 0.4, n, dtype=torch.float64)
    return x


def modelled(prior: priors.TV, x: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint]]:
    """R(x) of a square image and its constraints in CVXPY, written from the definition."""
    n, f = x.shape[0], prior.separable
    rows = cp.vstack([cp.diff(x, axis=0), np.zeros((1, n))])
    columns = cp.hstack([cp.diff(x, axis=1), np.zeros((n, 1))])
    pairs = cp.vstack([cp.vec(rows, order="C"), cp.vec(columns, order="C")])
    length = cp.sum(cp.abs(pairs)) if isinstance(prior, priors.AnisotropicTV) else cp.sum(cp.norm(pairs, 2, axis=0))
    value = prior.weight * length + f.l1 * cp.sum(cp.abs(x)) + f.l2 * cp.sum_squares(x)
    return value, [x >= f.low] * math.isfinite(f.low) + [x <= f.high] * math.isfinite(f.high)


def minimum(op: operators.Operator, y: Tensor, prior: priors.TV, n: int) -> float:
    """min ||y - A x||^2 + R(x) by an interior-point method."""
    x = cp.Variable((n, n))
    value, constraints = modelled(prior, x)
    a = scipy.sparse.csr_matrix(op(torch.eye(n * n, dtype=torch.float64).reshape(-1, 1, n, n)).flatten(1).T.numpy())
    problem = cp.Problem(cp.Minimize(cp.sum_squares(y.numpy().ravel() - a @ cp.vec(x, order="C")) + value), constraints)
    return problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11)


def gap(op: operators.Operator, y: Tensor, prior: priors.TV, x: Tensor, best: float) -> float:
    """How far the objective at x is above the best, relatively."""
    return (((y - op(x)).square().sum() + prior.value(x).sum()).item() - best) / best


PROBLEMS = {
    "x4 super-resolution": (operators.Blur(psf.gaussian(9, sigma=1.6).double(), stride=4), 64, 1e-2),
    "x2 super-resolution": (operators.Blur(psf.gaussian(9, sigma=1.6).double(), stride=2), 24, 3e-2),
    "motion deblurring": (operators.Blur(psf.motion(9, 45).double()), 24, 5e-2),
    "valid boundary": (operators.Blur(psf.gaussian(5, sigma=1.2).double(), boundary="valid"), 24, 5e-2),
}


@pytest.mark.parametrize("kind", [priors.TV, priors.AnisotropicTV])
@pytest.mark.parametrize("constraint", [None, priors.Box(*BOX)], ids=["free", "box"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_admm_reaches_the_true_minimiser(name: str, constraint: priors.Prior | None, kind: type[priors.TV]) -> None:
    op, n, beta = PROBLEMS[name]
    y = observe(op, phantom(n))
    prior = kind(2e-3) if constraint is None else kind(2e-3) + constraint
    x = fastip.admm(y, op, prior, beta=beta, iterations=1000, tolerance=0).x
    if constraint is not None:
        # the box is active
        assert x.min() >= BOX[0] and x.max() <= BOX[1] and ((x == BOX[0]) | (x == BOX[1])).sum() > 20
    assert -1e-7 < gap(op, y, prior, x, minimum(op, y, prior, n)) < 1e-5


def test_the_dual_field_must_be_kept() -> None:
    """Starting the dual field afresh in each iteration stalls far from the minimiser.

    That is what a truncated inner loop does.
    """
    op, n, beta = PROBLEMS["motion deblurring"]
    y, prior = observe(op, phantom(n)), priors.TV(2e-2, steps=2)

    class Forgetful(priors.TV):
        def bind(self, y: Tensor, op: fastip.operators.Operator) -> object:  # type: ignore[override]
            fresh = super().bind

            class Bound(BoundWithout):
                def __call__(self, v: Tensor, step: float) -> Tensor:
                    return fresh(y, op)(v, step)

            return Bound()

    best = minimum(op, y, prior, n)
    kept = gap(op, y, prior, fastip.admm(y, op, prior, beta=beta, iterations=1500, tolerance=0).x, best)
    lost = gap(
        op, y, prior, fastip.admm(y, op, Forgetful(2e-2, steps=2), beta=beta, iterations=1500, tolerance=0).x, best
    )
    assert kept < 1e-3 < 1e-2 < lost


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_every_number_of_steps_comes_to_rest_at_the_minimiser(steps: int) -> None:
    op, n, beta = PROBLEMS["motion deblurring"]
    y, prior = observe(op, phantom(n)), priors.TV(5e-3, steps=steps)
    x = fastip.admm(y, op, prior, beta=beta, iterations=6000 // (steps + 3), tolerance=0).x
    assert -1e-7 < gap(op, y, prior, x, minimum(op, y, prior, n)) < (1e-3 if steps == 1 else 1e-5)


def test_more_momentum_would_never_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image moves between the calls.

    With many steps, momentum 1 - 1 / steps stalls where the cap of 0.8 converges.
    """
    op, prior = PROBLEMS["x4 super-resolution"][0], priors.TV(5e-2, steps=20)
    y = observe(op, phantom(32))
    best = minimum(op, y, prior, 32)
    gaps = []
    for cap in (tv.MOMENTUM, 1.0):
        monkeypatch.setattr(tv, "MOMENTUM", cap)
        gaps.append(gap(op, y, prior, fastip.admm(y, op, prior, beta=0.1, iterations=600, tolerance=0).x, best))
    assert gaps[0] < 1e-4 < 1e-3 < gaps[1]


@pytest.mark.parametrize(
    "prior",
    [
        priors.TV(0.2) + priors.Box(0.1, 0.6),
        priors.AnisotropicTV(0.2) + priors.Box(0.1, 0.6),
        priors.TV(0.1) + priors.L1(0.2),
        priors.AnisotropicTV(0.1) + priors.ElasticNet(0.1, 0.3) + priors.NonNegative(),
    ],
    ids=["TV+Box", "AnisotropicTV+Box", "TV+L1", "AnisotropicTV+all"],
)
def test_prox_of_sums_against_cvxpy(prior: priors.TV) -> None:
    v, step = draw(1, 1, 12, 12, seed=1), 0.8
    x = cp.Variable((12, 12))
    value, constraints = modelled(prior, x)
    cp.Problem(cp.Minimize(step * value + cp.sum_squares(x - v[0, 0].numpy()) / 2), constraints).solve(
        solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12
    )
    np.testing.assert_allclose(prox(prior, v, step, 1200)[0, 0].numpy(), x.value, atol=2e-6)


def test_clipping_after_isotropic_tv_is_not_the_prox() -> None:
    """Why the box is inside the dual step.

    For the isotropic kind clipping afterwards gives another image, for the anisotropic kind the same.
    """
    v, box = draw(1, 1, 12, 12, seed=1), priors.Box(0.1, 0.6)
    distance = {
        k: (prox(k(0.2) + box, v, 1.0, 600) - prox(k(0.2), v, 1.0, 600).clamp(0.1, 0.6)).abs().max().item()
        for k in (priors.TV, priors.AnisotropicTV)
    }
    assert distance[priors.TV] > 1e-3 and distance[priors.AnisotropicTV] < 1e-6


def test_values() -> None:
    x = torch.tensor([[0.0, 3.0], [4.0, 4.0]], dtype=torch.float64).expand(2, 3, 2, 2)
    torch.testing.assert_close(priors.TV(0.5).value(x), torch.full((2,), 0.5 * 3 * (5 + 1 + 0), dtype=torch.float64))
    torch.testing.assert_close(
        priors.AnisotropicTV(0.5).value(x), torch.full((2,), 0.5 * 3 * (4 + 3 + 1), dtype=torch.float64)
    )


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 2, 1, 7), (2, 1, 6, 1), (2, 3, 5, 8)], ids=str)
def test_differences_and_their_transpose(shape: tuple[int, ...]) -> None:
    x, u = draw(*shape, seed=2), torch.stack([draw(*shape, seed=3), draw(*shape, seed=4)])
    u[0][..., -1, :] = 0
    u[1][..., -1] = 0
    assert abs((reference.differences(x) * u).sum() - (x * reference.differences_adjoint(u)).sum()) < 1e-12


@pytest.mark.parametrize("kind", [priors.TV, priors.AnisotropicTV])
def test_a_recorded_gradient_changes_nothing(kind: type[priors.TV]) -> None:
    """Compiled and in place, or recorded by autograd: the same images over several calls, as v and the step change."""
    prior = kind(0.1, steps=3) + priors.L1(0.02) + priors.Box(0, 0.8)
    plain, recorded = (prior.bind(draw(2, 3, 7, 6), operators.Identity()) for _ in range(2))
    for k in range(5):
        v, step = draw(2, 3, 7, 6, seed=k), 0.3 + 0.2 * k
        torch.testing.assert_close(
            recorded(v.clone().requires_grad_(), step).detach(), plain(v, step), rtol=0, atol=1e-14
        )


def test_two_solves_do_not_share_the_dual_field() -> None:
    prior, v = priors.TV(0.2), draw(1, 1, 8, 8)
    first, second = prior.bind(v, operators.Identity()), prior.bind(v, operators.Identity())
    once = first(v, 1.0)
    first(v, 1.0)
    torch.testing.assert_close(second(v, 1.0), once, rtol=0, atol=0)


def test_the_returned_image_is_the_callers() -> None:
    """A later call does not overwrite an image that was returned before."""
    bound, v = priors.TV(0.2).bind(draw(1, 1, 8, 8), operators.Identity()), draw(1, 1, 8, 8)
    x = bound(v, 1.0)
    before = x.clone()
    bound(v + 1, 1.0)
    assert torch.equal(x, before)


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, "5", None])
def test_bad_steps_are_refused(steps: object) -> None:
    with pytest.raises(InvalidInput, match="whole number"):
        priors.TV(0.1, steps=steps)  # type: ignore[arg-type]


def test_images_without_rows_and_columns_are_refused() -> None:
    with pytest.raises(InvalidInput, match="b c h w"):
        priors.TV(0.1).bind(torch.zeros(1, 6), operators.Dense(torch.eye(6)))
    with pytest.raises(InvalidInput, match="1 c 1 1"):
        priors.TV(torch.ones(1, 1, 4, 4))
