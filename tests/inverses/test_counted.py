"""What "auto" counts where an operator states no structure: prices, iterations, the choice, and beta."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scipy.sparse
import torch

import fastip
from cases.checks import operator_matrix
from fastip import inverses, operators, priors, psf
from fastip.inverses.general import counted, price
from fastip.inverses.general.counted import Wanted, candidates

TV = Wanted(pointwise=False, exact=False)


def sparse(rows: int, columns: tuple[int, int, int], seed: int = 0) -> operators.Sparse:
    n = columns[0] * columns[1] * columns[2]
    return operators.Sparse(scipy.sparse.random(rows, n, min(0.02, 5e4 / (rows * n)), random_state=seed), columns)


def data(op, shape) -> torch.Tensor:
    return op(torch.rand(shape, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize(
    "op, shape, products",
    [
        (operators.Blur(psf.motion(5, 30)), (2, 3, 11, 13), 2 * 3 * 11 * 13 * int((psf.motion(5, 30) != 0).sum())),
        (operators.Blur(torch.ones(3, 3), stride=2), (1, 1, 8, 8), 9 * 16),
        (operators.Dense(torch.randn(5, 9)), (2, 9), 90),
        (operators.Mask(torch.ones(4, 4)) @ operators.Blur(torch.ones(3, 3)), (1, 1, 4, 4), (8 + 9) * 16),
        (operators.Blur(torch.ones(3, 3)) + 2.0 * operators.Blur(torch.ones(2, 2)), (1, 1, 4, 4), (9 + 4 + 8) * 16),
        (operators.Stack([operators.Identity(), operators.Blur(torch.ones(3, 3))]), (1, 1, 4, 4), 17 * 16),
        (operators.Blur(torch.ones(3, 3), stride=2).T, (1, 1, 4, 4), 9 * 16),
    ],
)
def test_products_of_operators_of_fastip_are_counted(op, shape, products):
    assert op.products(shape) == products


def test_a_part_that_is_not_known_makes_the_whole_unknown():
    opaque = operators.Function(lambda v: v, lambda v: v, (1, 4, 4), (1, 4, 4))
    assert opaque.products((1, 1, 4, 4)) is None
    for op in (operators.Identity() @ opaque, opaque + operators.Identity(), operators.Stack([opaque]), 2 * opaque):
        assert op.products((1, 1, 4, 4)) is None


def test_an_opaque_operator_is_timed_once_and_rounded():
    calls = []

    def slow(v):
        calls.append(v.shape)
        time.sleep(0.01)
        return v.clone()

    op, y = operators.Function(slow, slow, (1, 4, 4), (1, 4, 4)), torch.rand(3, 1, 4, 4)
    first = price.price(op, y)
    count = len(calls)
    assert count and all(shape[0] == 1 for shape in calls), "one image is enough"
    assert first == price.price(op, y[:2]) and len(calls) == count, "timed again"
    assert np.log2(first) == round(np.log2(first)) and 1.5e8 < first < 4e9
    other = operators.Function(lambda v: v.clone(), lambda v: v.clone(), (1, 4, 4), (1, 4, 4))
    assert price.price(other, y) < first / 8


def test_the_trace_of_a_sketch_is_that_of_the_matrix():
    op = sparse(300, (1, 20, 20))
    y = data(op, (2, 1, 20, 20))
    matrix = operator_matrix(op, (1, 1, 20, 20))
    gram = matrix @ matrix.T
    assert counted._trace(op, y[:1].double()) == pytest.approx(float(gram.trace()), rel=0.1)
    for rank in (16, 64):
        largest = float(torch.linalg.eigvalsh(gram)[-1])
        sketch = inverses.Nystrom(rank).bind(op, y, 0.1)
        told = float(sketch.describe().split("sketch, ")[1].split()[0]) * largest
        told = min(told, largest)  # what is left is told with its residual
        assert 0.7 * told < counted._left(op, y, rank, largest) < 1.7 * told


def test_the_least_work_comes_first_and_depends_on_no_value():
    op = sparse(6000, (1, 64, 64))
    y = data(op, (1, 1, 64, 64))
    ranked = candidates(op, y, 0.1, 1.0, TV)
    totals = [candidate.total for candidate in ranked]
    assert totals == sorted(totals)
    kinds = {type(candidate.inverse) for candidate in ranked}
    assert {inverses.Scalar, inverses.Polynomial, inverses.Nystrom} <= kinds
    assert inverses.ConjugateGradient not in kinds and inverses.Exact not in kinds
    again = candidates(op, torch.randn(3, *y.shape[1:]), 0.1, 1.0, TV)
    assert [c.total for c in again] == totals, "a batch, and other values, choose alike"


def test_a_blur_anywhere_inside_lets_a_number_do():
    """What it makes small, images have little of: the number needs few more iterations than the exact inverse."""
    h, shape = torch.rand(9, 9, generator=torch.Generator().manual_seed(2)), (1, 2, 40, 40)
    weights = torch.rand(2, 40, 40, generator=torch.Generator().manual_seed(3))
    for op in (
        operators.Mask(weights) @ operators.Blur(h / h.sum()),
        2.0 * operators.Varying([h / h.sum(), h.flip(0) / h.sum()], weights),
        operators.Stack([operators.Identity(), operators.Blur(h / h.sum()) + operators.Mask(weights)]),
        operators.ToGray([0.4, 0.6]) @ operators.Mask(weights) @ operators.Blur(h / h.sum(), boundary="zero"),
    ):
        assert counted.blurs(op) and counted.blurs(op.T)
        y = op(torch.rand(shape))
        number = next(c for c in candidates(op, y, 0.02, 1.0, TV) if isinstance(c.inverse, inverses.Scalar))
        assert number.iterations < 2 * counted.ITERATIONS
    assert not counted.blurs(operators.Mask(weights)) and not counted.blurs(sparse(600, (1, 8, 8)))


def test_a_factor_is_assembled_only_where_it_pays():
    """64 x 64 data of eight bands: 4096 products with A A^T cost more than all iterations of another inverse."""
    code = torch.rand(1, 8, 64, 64, generator=torch.Generator().manual_seed(0))
    wide = (
        operators.ToGray([1.0] * 8) @ operators.Mask(code) @ operators.Blur(torch.ones(31, 31) / 961, boundary="valid")
    )
    y = torch.rand(1, 1, 64, 64)
    best = candidates(wide, y, 0.1, 1.0, TV)
    exact = next(c for c in best if isinstance(c.inverse, inverses.Exact))
    assert exact is best[-1] and exact.setup > 10 * best[0].total
    small = operators.Function(
        lambda v: v.flatten(1) @ M.to(v), lambda v: (v @ M.T.to(v)).reshape(-1, 1, 8, 8), (1, 8, 8), (24,)
    )
    assert any(isinstance(c.inverse, inverses.Exact) for c in candidates(small, torch.rand(1, 24), 0.1, 1.0, TV))
    complex_data = torch.rand(1, 24, dtype=torch.complex64)
    assert not list(counted._factor(small, complex_data, 1.0, 1.0))


M = torch.randn(64, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_beta_is_raised_for_what_wants_it_where_nobody_gave_one():
    op = sparse(6000, (1, 64, 64))
    y, tv = data(op, (1, 1, 64, 64)), priors.TV(1e-6)
    norm = op.norm()
    assert tv.suggested_beta(op, (1, 1, 64, 64)) < 0.01 * norm**2
    for inverse in ("auto", inverses.Scalar(), inverses.Nystrom(16)):
        found = fastip.admm(y, op, tv, inverse=inverse, iterations=2, tolerance=0)
        assert found.beta == pytest.approx(0.04 * norm**2, rel=1e-6)
    given = fastip.admm(y, op, tv, beta=1e-3 * norm**2, iterations=2, tolerance=0)
    assert given.beta == pytest.approx(1e-3 * norm**2)
    plain = fastip.admm(y, op, tv, inverse=inverses.ConjugateGradient(), iterations=2, tolerance=0)
    assert plain.beta < 0.01 * norm**2


def test_a_blur_alone_keeps_the_beta_that_suits_its_prior():
    shape, tv = (1, 1, 24, 24), priors.TV(1e-6)
    op = operators.Blur(torch.ones(5, 5) / 25, boundary="valid")
    y, suited = data(op, shape), tv.suggested_beta(op, shape)
    assert suited < 0.01 * op.norm(shape) ** 2
    assert fastip.admm(y, op, tv, inverse=inverses.Scalar(), iterations=2, tolerance=0).beta == pytest.approx(suited)
    behind = operators.Mask(torch.ones(20, 20).index_fill(0, torch.tensor([3]), 0.0)) @ op
    found = fastip.admm(data(behind, shape), behind, tv, inverse=inverses.Scalar(), iterations=2, tolerance=0)
    assert found.beta == pytest.approx(0.04 * behind.norm(shape) ** 2, rel=1e-3)


def test_a_denoiser_of_a_known_level_keeps_its_beta():
    op = sparse(6000, (1, 64, 64))
    y = data(op, (1, 1, 64, 64))
    prior = priors.Denoiser(lambda v: v, sigma=0.5, noise=0.01)
    assert fastip.admm(y, op, prior, iterations=2, tolerance=0).beta == pytest.approx(0.02**2)


def test_no_inner_loop_by_default():
    """A is called twice an iteration and a few times before, whatever the tolerance of conjugate gradients would be."""
    matrix = scipy.sparse.random(5000, 4096, 0.01, random_state=0).tocsr()
    calls = 0

    def forward(v):
        nonlocal calls
        calls += 1
        return torch.from_numpy((matrix @ v.flatten(1).double().numpy().T).T.copy()).to(v)

    def adjoint(v):
        return torch.from_numpy((matrix.T @ v.double().numpy().T).T.copy()).to(v).reshape(-1, 1, 64, 64)

    op = operators.Function(forward, adjoint, (1, 64, 64), (5000,))
    y = torch.rand(1, 5000)
    fastip.admm(y, op, priors.TV(0.1), iterations=3, tolerance=0)
    before = calls
    fastip.admm(y, op, priors.TV(0.1), iterations=20, tolerance=0)
    assert calls - before <= 20 * 9 + 5
    assert "conjugate" not in fastip.explain(op, priors.TV(0.1), y)


def test_explain_tells_what_was_considered():
    op = sparse(6000, (1, 64, 64))
    y = data(op, (1, 1, 64, 64))
    text = fastip.explain(op, priors.TV(0.1), y)
    line = text.splitlines()[3]
    assert line.startswith("considered: ") and "Nystrom(64)" in line and "of it once" in line
    assert len(fastip.explain(op, priors.TV(0.1), y, inverse=inverses.Scalar()).splitlines()) == 3
    assert (
        len(
            fastip.explain(
                operators.Blur(psf.gaussian(9, sigma=1.6)), priors.TV(0.1), torch.rand(1, 1, 16, 16)
            ).splitlines()
        )
        == 3
    )


def test_a_sketch_is_remembered_by_fingerprint():
    first, second = sparse(400, (1, 16, 16)), sparse(400, (1, 16, 16))
    y = data(first, (1, 1, 16, 16))
    one = inverses.general.nystrom.sketched(first, tuple(y.shape), 16, False)
    assert inverses.general.nystrom.sketched(second, tuple(y.shape), 16, False) is one
    assert inverses.general.nystrom.sketched(sparse(400, (1, 16, 16), 1), tuple(y.shape), 16, False) is not one


@pytest.mark.parametrize("name", ["Scalar", "Diagonal", "Polynomial", "Nystrom", "auto"])
def test_all_reach_the_optimum_of_the_factor(name):
    op = sparse(200, (1, 12, 13))
    y = data(op, (2, 1, 12, 13)).double()
    prior = priors.L1(0.02) + priors.NonNegative()
    due = fastip.admm(y, op, prior, inverse=inverses.Exact(), iterations=4000, tolerance=1e-9).x
    inverse = name if name == "auto" else getattr(inverses, name)()
    if name == "Nystrom":
        inverse = inverses.Nystrom(32)
    found = fastip.admm(y, op, prior, inverse=inverse, iterations=20000, tolerance=1e-9).x
    assert (found - due).norm() <= 2e-5 * due.norm()
