"""Total variation that wraps, that of all channels, and Huber's against CVXPY, written from the definitions."""

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
from cases.pretended import pretended
from cases.priors import draw, prox
from cases.problems import matrix
from fastip import operators, priors, psf
from fastip.contracts import Status
from fastip.errors import InvalidInput
from fastip.kernels import variation

KINDS = {
    "circular": lambda w: priors.TV(w, boundary="circular"),
    "anisotropic-circular": lambda w: priors.AnisotropicTV(w, boundary="circular"),
    "vector": priors.VectorTV,
    "vector-circular": lambda w: priors.VectorTV(w, boundary="circular"),
    "huber": lambda w: priors.Huber(w, 0.2),
    "huber-circular": lambda w: priors.Huber(w, 0.2, boundary="circular"),
}


def modelled(prior: priors.TV, x: cp.Variable, c: int, h: int, w: int) -> tuple[cp.Expression, list[cp.Constraint]]:
    """R(x) of one image, x being its pixels c h w in a row, and its constraints."""
    parts = []
    for k in range(c):
        plane = cp.reshape(x[k * h * w : (k + 1) * h * w], (h, w), order="C")
        down, across = cp.diff(plane, axis=0), cp.diff(plane, axis=1)
        if prior.boundary == "circular":
            rows, columns = plane[:1] - plane[-1:], plane[:, :1] - plane[:, -1:]
        else:
            rows, columns = np.zeros((1, w)), np.zeros((h, 1))
        parts += [cp.vec(cp.vstack([down, rows]), order="C"), cp.vec(cp.hstack([across, columns]), order="C")]
    groups = [parts] if isinstance(prior, priors.VectorTV) else [parts[k : k + 2] for k in range(0, 2 * c, 2)]
    if isinstance(prior, priors.AnisotropicTV):
        groups = [[part] for part in parts]
    lengths = cp.hstack([cp.norm(cp.vstack(group), 2, axis=0) for group in groups])
    if isinstance(prior, priors.Huber):  # huber(t, M) = t^2 up to M, 2 M t - M^2 beyond
        total = cp.sum(cp.huber(lengths, prior.threshold)) / (2 * prior.threshold)
    else:
        total = cp.sum(lengths)
    f = prior.separable
    value = prior.weight * total + f.l1 * cp.sum(cp.abs(x)) + f.l2 * cp.sum_squares(x)
    return value, [x >= f.low] * math.isfinite(f.low) + [x <= f.high] * math.isfinite(f.high)


def solved(a: Any, y: Tensor, prior: priors.TV, shape: tuple[int, ...], half: float) -> tuple[Tensor, float]:
    """The minimiser of half ||y - A x||^2 + R(x) by an interior-point method, and the least value."""
    x = cp.Variable(math.prod(shape))
    value, constraints = modelled(prior, x, *shape[1:])
    problem = cp.Problem(cp.Minimize(half * cp.sum_squares(y.numpy().ravel() - a @ x) + value), constraints)
    best = problem.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    return torch.from_numpy(x.value).reshape(shape), float(best)


@pytest.mark.parametrize("shape", [(1, 1, 7, 9), (1, 3, 5, 6)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("constraint", [None, priors.Box(0.1, 0.6) + priors.L1(0.05)], ids=["free", "box"])
def test_prox_and_value(kind: str, constraint: priors.Prior | None, shape: tuple[int, ...]) -> None:
    prior, v = KINDS[kind](0.2), draw(*shape, seed=1)
    prior = prior if constraint is None else prior + constraint
    expected, best = solved(np.eye(v.numel()), v, prior, shape, 0.5)
    x = prox(prior, v, 1.0, 800)
    np.testing.assert_allclose(x.numpy(), expected.numpy(), atol=1e-6)
    assert float((x - v).square().sum() / 2 + prior.value(x)) == pytest.approx(best, abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_admm_ends_at_the_minimiser(kind: str) -> None:
    """Colours under a blur, by the default beta; the stop rule sees that it has come to rest."""
    op, shape = operators.Blur(psf.gaussian(3, sigma=0.8).double()), (1, 2, 8, 7)
    y, prior = op(draw(*shape)), KINDS[kind](0.02)
    solution = fastip.admm(y, op, prior, iterations=3000, tolerance=1e-6)
    _, best = solved(matrix(op, shape).numpy(), y, prior, shape, 1.0)
    value = float((y - op(solution.x)).square().sum() + prior.value(solution.x))
    assert solution.status is Status.CONVERGED and -1e-9 < (value - best) / best < 1e-5
    bound = prior.bind(y, op)
    for _ in range(400):
        x = bound(y, 0.7)
    gap, whole = bound.slack(x)
    assert abs(float(gap)) < 1e-8 * float(whole)


def test_a_loose_tolerance_is_kept() -> None:
    """The slack counts what the dual loses: without that the gap would seem negative, and any end a good one."""
    op = operators.Blur(psf.gaussian(3, sigma=0.8).double())
    y, prior = op(draw(1, 1, 8, 7)), priors.Huber(0.05, 0.3)
    bound = prior.bind(y, op)
    first = bound.slack(bound(y, 0.7))[0]
    for _ in range(300):
        x = bound(y, 0.7)
    assert float(first) > 1e-5 and -1e-12 < float(bound.slack(x)[0]) < 1e-9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 2, 1, 7), (2, 3, 5, 8)], ids=str)
def test_differences_and_their_transpose(kind: str, shape: tuple[int, ...]) -> None:
    boundary = KINDS[kind](0.1).boundary
    x, u = draw(*shape, seed=2), torch.stack([draw(*shape, seed=3), draw(*shape, seed=4)])
    if boundary == "reflect":
        u[0][..., -1, :], u[1][..., -1] = 0, 0
    found = (variation.differences(x, boundary) * u).sum() - (x * variation.differences_adjoint(u, boundary)).sum()
    assert abs(found) < 1e-12


def test_one_channel_and_a_threshold_of_nothing_are_total_variation() -> None:
    v = draw(2, 1, 6, 9)
    plain = prox(priors.TV(0.2), v, 0.8, 5)
    torch.testing.assert_close(prox(priors.VectorTV(0.2), v, 0.8, 5), plain, rtol=0, atol=1e-14)
    torch.testing.assert_close(prox(priors.Huber(0.2, 1e-13), v, 0.8, 5), plain, rtol=0, atol=1e-11)


def test_circular_images_may_be_shifted() -> None:
    for kind in ("circular", "vector-circular", "huber-circular", "anisotropic-circular"):
        prior, v = KINDS[kind](0.2), draw(1, 2, 6, 9)
        moved = prox(prior, v.roll((2, 3), (2, 3)), 0.8, 4)
        torch.testing.assert_close(moved, prox(prior, v, 0.8, 4).roll((2, 3), (2, 3)), rtol=0, atol=1e-14)


def test_colours_keep_their_edges_together() -> None:
    """A pair of channels with one edge costs less than two edges apart; alone they cost the same."""
    together, apart = torch.zeros(1, 2, 4, 6), torch.zeros(1, 2, 4, 6)
    together[..., 3:], apart[:, 0, :, 3:], apart[:, 1, :, 2:] = 1, 1, 1
    assert float(priors.VectorTV(1.0).value(together)) == pytest.approx(4 * 2**0.5)
    assert float(priors.VectorTV(1.0).value(apart)) == pytest.approx(8)
    assert priors.TV(1.0).value(together) == priors.TV(1.0).value(apart)


def test_values_of_hubers_function() -> None:
    x = torch.tensor([[0.0, 0.1, 0.1, 1.1]], dtype=torch.float64)[None, None]
    expected = 0.5 * (0.1**2 / (2 * 0.2) + 1.0 - 0.2 / 2)
    torch.testing.assert_close(priors.Huber(0.5, 0.2).value(x), torch.tensor([expected], dtype=torch.float64))


@pytest.mark.parametrize("kind", KINDS)
def test_goes_on_where_it_was(kind: str) -> None:
    """A solve in two parts is one; fields of a kind that wraps leave nothing across a border that does not."""
    op, prior = operators.Blur(psf.gaussian(3, sigma=0.8).double()), KINDS[kind](0.02)
    y = op(draw(2, 3, 9, 8))
    whole = fastip.admm(y, op, prior, beta=0.1, iterations=30, tolerance=0)
    part = fastip.admm(y, op, prior, beta=0.1, iterations=12, tolerance=0)
    on = fastip.admm(y, op, prior, beta=0.1, init=part, iterations=18, tolerance=0)
    torch.testing.assert_close(on.x, whole.x, rtol=0, atol=1e-13)
    plain = fastip.admm(y, op, priors.TV(0.02), beta=0.1, init=whole, iterations=4000, tolerance=0).x
    fresh = fastip.admm(y, op, priors.TV(0.02), beta=0.1, iterations=4000, tolerance=0).x
    torch.testing.assert_close(plain, fresh, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_graphs_and_pickles(kind: str) -> None:
    op, prior, v = operators.Identity(), KINDS[kind](0.1), draw(1, 3, 7, 6, dtype=torch.float32)
    expected = prox(prior, v.double(), 0.5, 3)
    with pretended() as gpu:
        for dtype, tolerance in ((torch.float16, 2e-3), (torch.bfloat16, 2e-2)):
            x = gpu.get(prox(prior, gpu.put(v.to(dtype)), 0.5, 3))
            assert x.dtype == dtype and (x.double() - expected).abs().max() < tolerance

    def run(y: Tensor) -> Tensor:
        return fastip.admm(y, op, prior, iterations=3, tolerance=0).x

    torch.testing.assert_close(torch.compile(run, backend="eager", fullgraph=True)(v), run(v))
    again = pickle.loads(pickle.dumps(prior + priors.Box(0, 1)))
    assert torch.equal(prox(again, v, 0.5, 2), prox(prior + priors.Box(0, 1), v, 0.5, 2))


def test_refused() -> None:
    for bad in ("wrap", "valid", "circulr"):
        with pytest.raises(InvalidInput, match="there is no boundary of total variation"):
            priors.TV(0.1, boundary=bad)
    for threshold in (0, -1, math.nan, math.inf, "much", None):
        with pytest.raises(InvalidInput, match="threshold"):
            priors.Huber(0.1, threshold)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="b 1 1 1"):
        priors.VectorTV(torch.ones(1, 3, 1, 1))
    each = priors.VectorTV(torch.tensor([0.1, 0.3], dtype=torch.float64).reshape(2, 1, 1, 1))
    v = draw(2, 3, 5, 6)
    for k, weight in enumerate((0.1, 0.3)):
        alone = prox(priors.VectorTV(weight), v[k : k + 1], 0.5, 4)
        torch.testing.assert_close(prox(each, v, 0.5, 4)[k : k + 1], alone, rtol=0, atol=1e-14)


def test_sums_keep_what_they_are() -> None:
    total = priors.Box(0, 1) + priors.Huber(0.1, 0.2, steps=7, boundary="circular")
    assert isinstance(total, priors.Huber) and (total.threshold, total.steps, total.boundary) == (0.2, 7, "circular")
