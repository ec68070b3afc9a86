"""Total generalised variation against CVXPY, written from the definition, on images of odd sizes."""

from __future__ import annotations

import math
import pickle
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
import torch
from torch import Tensor

import fastip
from cases.priors import draw, prox
from cases.problems import matrix
from fastip import operators, priors, psf
from fastip.contracts import Status
from fastip.errors import InvalidInput, Unsupported
from fastip.kernels import variation


def modelled(prior: priors.TGV, x: cp.Variable, h: int, w: int) -> tuple[cp.Expression, list[cp.Constraint]]:
    """R(x) of one plane with the slopes as variables, entry by entry, and the constraints."""
    plane = cp.reshape(x, (h, w), order="C")
    down, across = cp.Variable((h, w)), cp.Variable((h, w))  # slopes; 0 where the image has no differences
    constraints = [down[-1] == 0, across[:, -1] == 0]
    left = [np.zeros((h, w)), np.zeros((h, w))]
    if h > 1:
        left[0] = cp.vstack([plane[1:] - plane[:-1], np.zeros((1, w))]) - down
    if w > 1:
        left[1] = cp.hstack([plane[:, 1:] - plane[:, :-1], np.zeros((h, 1))]) - across
    second = []
    for i in range(h):
        for j in range(w):
            rows = down[i, j] - down[i - 1, j] if 0 < i < h - 1 else 0
            columns = across[i, j] - across[i, j - 1] if 0 < j < w - 1 else 0
            mixed = (down[i, j] - down[i, j - 1] if j > 0 else 0) + (across[i, j] - across[i - 1, j] if i > 0 else 0)
            second.append(cp.norm(cp.hstack([rows, columns, mixed / math.sqrt(2)])))
    lengths = cp.sum(cp.norm(cp.vstack([cp.vec(part, order="C") for part in left]), 2, axis=0))
    f = prior.separable
    value = prior.weight * (lengths + prior.ratio * cp.sum(cp.hstack(second)))
    value = value + f.l1 * cp.sum(cp.abs(x)) + f.l2 * cp.sum_squares(x)
    return value, constraints + [x >= f.low] * math.isfinite(f.low) + [x <= f.high] * math.isfinite(f.high)


def solved(a: Any, y: Tensor, prior: priors.TGV, h: int, w: int, half: float) -> tuple[Tensor, float]:
    """The minimiser of half ||y - A x||^2 + R(x) by an interior-point method, and the least value."""
    x = cp.Variable(h * w)
    value, constraints = modelled(prior, x, h, w)
    problem = cp.Problem(cp.Minimize(half * cp.sum_squares(y.numpy().ravel() - a @ x) + value), constraints)
    best = problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return torch.from_numpy(x.value).reshape(1, 1, h, w), float(best)


def held(prior: priors.TGV, v: Tensor, h: int, w: int) -> float:
    """R(v) of one plane."""
    x = cp.Variable(h * w)
    value, _ = modelled(prior, x, h, w)
    problem = cp.Problem(cp.Minimize(value), [x == v.numpy().ravel()])
    return float(problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11))


@pytest.mark.parametrize("constraint", [None, priors.Box(0.1, 0.6) + priors.L1(0.05)], ids=["free", "box"])
@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_prox(ratio: float, constraint: priors.Prior | None) -> None:
    prior, v = priors.TGV(0.2, ratio=ratio), draw(1, 1, 7, 9, seed=1)
    whole = prior if constraint is None else prior + constraint
    expected, _ = solved(np.eye(63), v, whole, 7, 9, 0.5)
    np.testing.assert_allclose(prox(whole, v, 1.0, 800).numpy(), expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("shape", [(5, 6), (1, 8), (6, 1), (1, 1)], ids=str)
def test_value(shape: tuple[int, int]) -> None:
    """Of images and channels apart, never too small."""
    v, prior = draw(2, 2, *shape, seed=2), priors.TGV(0.3, ratio=1.5)
    found = prior.value(v)
    for k in range(2):
        least = sum(held(prior, v[k, c], *shape) for c in range(2))
        assert least - 1e-6 <= float(found[k]) <= least * (1 + 1e-3) + 1e-6
    torch.testing.assert_close(prior.value(v[1:]), found[1:], rtol=0, atol=1e-12)


def test_ramps_cost_nothing() -> None:
    """Those of one slope; and of a ramp beside a flat part only the bend, where TV counts every pixel."""
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(11.0), indexing="ij")
    ramp = (0.03 * rows + 0.05 * columns)[None, None].double()
    assert float(priors.TGV(1.0).value(ramp)) < 1e-3 < 3 < float(priors.TV(1.0).value(ramp))
    bent = ramp.clamp(min=0.3)
    assert float(priors.TGV(1.0).value(bent)) < 0.5 * float(priors.TV(1.0).value(bent))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 2, 1, 7), (1, 1, 6, 1), (2, 3, 5, 8)], ids=str)
def test_the_symmetrised_gradient_and_its_transpose(shape: tuple[int, ...]) -> None:
    w = torch.stack([draw(*shape, seed=3), draw(*shape, seed=4)])
    w[0][..., -1, :], w[1][..., -1] = 0, 0
    q = torch.stack([draw(*shape, seed=seed) for seed in (5, 6, 7)])
    assert abs(float((variation.slopes(w) * q).sum() - (w * variation.slopes_adjoint(q)).sum())) < 1e-12


@pytest.mark.parametrize("constraint", [None, priors.Box(0, 0.9)], ids=["free", "box"])
def test_admm_ends_at_the_minimiser(constraint: priors.Prior | None) -> None:
    """By the default beta; what it says of having converged is true."""
    op = operators.Blur(psf.gaussian(3, sigma=0.8).double())
    y, prior = op(draw(1, 1, 8, 7)), priors.TGV(0.02)
    whole = prior if constraint is None else prior + constraint
    _, best = solved(matrix(op, (1, 1, 8, 7)).numpy(), y, whole, 8, 7, 1.0)

    def gap(solution: fastip.Solution) -> float:
        x = torch.as_tensor(solution.x)
        return (float((y - op(x)).square().sum()) + held(prior, x, 8, 7) - best) / best

    for tolerance in (1e-2, 1e-4):
        solution = fastip.admm(y, op, whole, iterations=6000, tolerance=tolerance)
        assert solution.status is Status.CONVERGED and -1e-7 < gap(solution) < tolerance


def test_slack_is_what_the_prox_is_short_of() -> None:
    """Large after the first call, nothing at rest: a slack that is always nothing would call any end a good one."""
    v, prior = draw(2, 1, 8, 7), priors.TGV(0.1)
    bound = prior.bind(v, operators.Identity())
    first, value = bound.slack(bound(v, 0.7))
    assert (first > 1e-2 * value).all()
    for _ in range(3000):
        x = bound(v, 0.7)
    assert (bound.slack(x)[0].abs() < 1e-5 * value).all()


def test_goes_on_where_it_was() -> None:
    """A solve in two parts is one, a path of weights ends where each solve does, and other states are refused."""
    op, prior = operators.Blur(psf.gaussian(3, sigma=0.8).double()), priors.TGV(0.02)
    y = op(draw(2, 2, 9, 8))
    whole = fastip.admm(y, op, prior, beta=0.1, iterations=30, tolerance=0)
    part = fastip.admm(y, op, prior, beta=0.1, iterations=12, tolerance=0)
    on = fastip.admm(y, op, prior, beta=0.1, init=part, iterations=18, tolerance=0)
    torch.testing.assert_close(on.x, whole.x, rtol=0, atol=1e-13)
    other = fastip.admm(y, op, priors.TGV(0.03), beta=0.1, init=whole, iterations=500, tolerance=0).x
    fresh = fastip.admm(y, op, priors.TGV(0.03), beta=0.1, iterations=500, tolerance=0).x
    torch.testing.assert_close(other, fresh, rtol=0, atol=1e-2)
    with pytest.raises(InvalidInput, match="TGV keeps"):
        fastip.admm(y, op, prior, beta=0.1, init=fastip.admm(y, op, priors.TV(0.02), beta=0.1, iterations=2))


def test_graphs_pickles_and_sums() -> None:
    prior, v = priors.Box(0, 1) + priors.TGV(0.1, ratio=1.2, steps=7), draw(1, 2, 7, 6, dtype=torch.float32)
    assert isinstance(prior, priors.TGV) and (prior.ratio, prior.steps) == (1.2, 7)
    assert torch.equal(prox(pickle.loads(pickle.dumps(prior)), v, 0.5, 2), prox(prior, v, 0.5, 2))

    def run(y: Tensor) -> Tensor:
        return fastip.admm(y, operators.Identity(), prior, iterations=3, tolerance=0).x

    torch.testing.assert_close(torch.compile(run, backend="eager", fullgraph=True)(v), run(v))
    with pytest.raises(Unsupported, match="Huber or TGV"):
        priors.TGV(0.1) + priors.TV(0.1)


def test_the_gradient_of_a_fixed_point() -> None:
    y, found = draw(1, 1, 6, 5), []
    for way, n, tolerance in (("unrolled", 200, 0.0), ("implicit", 2000, 1e-4)):
        weight = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
        x = fastip.admm(
            y, operators.Identity(), priors.TGV(weight), beta=4.0, iterations=n, tolerance=tolerance, gradient=way
        ).x
        found.append(torch.autograd.grad(x.square().sum(), weight)[0])
    torch.testing.assert_close(found[1], found[0], rtol=1e-2, atol=0)


def test_refused() -> None:
    for ratio in (0, -1, math.nan, math.inf, "much", None):
        with pytest.raises(InvalidInput, match="ratio"):
            priors.TGV(0.1, ratio=ratio)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="b c h w"):
        fastip.admm(torch.rand(4), operators.Dense(torch.rand(4, 6)), priors.TGV(0.1))
