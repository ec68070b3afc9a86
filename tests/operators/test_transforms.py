"""torch.func and torch.vmap on every operator of the table, and on solves."""

from __future__ import annotations

import pytest
import torch

import fastip
from cases.checks import data_for, image_for
from cases.operators import draw, operator_cases
from fastip import inverses, operators, priors
from fastip.errors import Unsupported
from fastip.operators.base import autograd

every = pytest.mark.parametrize("case", operator_cases(), ids=lambda case: case.id)


def close(a, b):
    return torch.allclose(a, b, rtol=1e-10, atol=1e-12)


def mapped(draw_one, op, shape, n=3):
    return torch.stack([draw_one(op, shape, seed=seed) for seed in range(n)])


@every
def test_vmap_is_a_loop(case):
    op = case.make(torch.float64)
    for function, given in (
        (op, mapped(image_for, op, case.input_shape)),
        (op.adjoint, mapped(data_for, op, case.input_shape)),
    ):
        loop = torch.stack([function(one) for one in given])
        assert close(torch.vmap(function)(given), loop)
        assert close(torch.vmap(function, in_dims=1, out_dims=1)(given.movedim(0, 1)).movedim(1, 0), loop)
        twice = torch.stack([given, 2 * given])
        assert close(torch.vmap(torch.vmap(function))(twice), torch.stack([loop, 2 * loop]))


@every
def test_the_vjp_is_the_adjoint_and_the_jvp_the_operator(case):
    op = case.make(torch.float64)
    x, v = image_for(op, case.input_shape, seed=1), image_for(op, case.input_shape, seed=2)
    y = data_for(op, case.input_shape, seed=3)
    value, pull = torch.func.vjp(op, x)
    assert close(value, op(x)) and close(pull(y)[0], op.adjoint(y))
    value, pull = torch.func.vjp(op.adjoint, y)
    assert close(value, op.adjoint(y)) and close(pull(x)[0], op(x))
    assert all(map(close, torch.func.jvp(op, (x,), (v,)), (op(x), op(v))))


@every
def test_gradients_of_each_image_and_of_gradients(case):
    op = case.make(torch.float64)
    x = mapped(image_for, op, case.input_shape)
    gradient = torch.func.grad(lambda one: op(one).abs().square().sum() / 2)
    normal = torch.stack([op.adjoint(op(one)) for one in x])
    assert close(torch.vmap(gradient)(x), normal)
    assert close(torch.func.jvp(gradient, (x[0],), (x[1],))[1], normal[1])  # forward over reverse


@pytest.mark.parametrize("name", ["blur-valid-3x3-s1", "mask-batch", "dense-tall", "stack-with-grey", "function"])
def test_jacobians_are_the_matrix(name):
    case = next(case for case in operator_cases() if case.id == name)
    op = case.make(torch.float64)
    x = image_for(op, case.input_shape)
    rows = torch.func.jacrev(op)(x)
    assert close(rows, torch.func.jacfwd(op)(x))
    assert close(torch.tensordot(rows, x, x.ndim), op(x))


def test_what_a_transform_leaves_serves_afterwards():
    op, x = operators.Blur(draw(3, 3)), torch.rand(1, 1, 8, 9)
    prior = priors.L1(1e-2)
    gradient = torch.func.grad(lambda y: fastip.admm(y, op, prior, iterations=3, tolerance=0).x.sum())(x)
    fresh = operators.Blur(draw(3, 3))
    assert torch.equal(op(x), fresh(x)) and op.fingerprint() == fresh.fingerprint()
    y = x.clone().requires_grad_()
    fastip.admm(y, op, prior, iterations=3, tolerance=0).x.sum().backward()
    assert torch.allclose(y.grad, gradient, atol=1e-6)
    assert torch.equal(fastip.admm(x, op, prior).x, fastip.admm(x, fresh, prior).x)


def test_outside_of_transforms_the_quick_rule_serves():
    x = torch.rand(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    y = operators.Blur(draw(3, 3))(x)
    assert type(y.grad_fn).__name__ == f"{autograd.AdjointBackward.__name__}Backward"


def test_an_operator_is_made_inside_of_a_transform():
    x = torch.rand(2, 1, 1, 8, 8, dtype=torch.float64)

    def size(one):
        return operators.Blur(torch.ones(3, 3))(one).square().sum()

    op = operators.Blur(torch.ones(3, 3))
    assert close(torch.vmap(torch.func.grad(size))(x)[1], 2 * op.adjoint(op(x[1])))


# ---- solves ----------------------------------------------------------------------------------------------------------


def _doubled(y):
    x = y.new_zeros(*y.shape[:-1], 8)
    x[..., ::2] = y
    return x


OPERATORS = {
    "circular": lambda: operators.Blur(draw(3, 3) / 9),
    "x2": lambda: operators.Blur(draw(4, 4) / 16, stride=2),
    "valid": lambda: operators.Blur(draw(3, 3) / 9, boundary="valid"),
    "masks": lambda: operators.Mask(draw(2, 1, 8, 8) > 0),
    "fourier": lambda: operators.MaskedFourier(draw(8, 8) > 0),
    "dense": lambda: operators.Dense(draw(20, 64) / 8, (1, 8, 8)),
    "own": lambda: operators.Function(lambda x: x[..., ::2].clone(), _doubled, (1, 8, 8), (1, 8, 4)),
}
PRIORS = {"TV": priors.TV(1e-2), "L1": priors.L1(1e-2), "Wavelet": priors.Wavelet(1e-2), "Box": priors.Box(0, 1)}


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
@pytest.mark.parametrize("make", OPERATORS.values(), ids=OPERATORS)
def test_solves(make, prior):
    op = make()
    y = torch.stack([op(draw(2, 1, 8, 8, seed=seed)) for seed in (1, 2)])

    def solve(y):
        return fastip.admm(y, op, prior, iterations=4, tolerance=0).x

    def loss(y):
        return solve(y).square().sum()

    assert close(torch.vmap(solve)(y), torch.stack([solve(one) for one in y]))
    leaves = y.clone().requires_grad_()
    (expected,) = torch.autograd.grad(sum(loss(one) for one in leaves), leaves)
    assert close(torch.func.grad(loss)(y[1]), expected[1])
    assert close(torch.vmap(torch.func.grad(loss))(y), expected)
    slope = torch.func.jvp(loss, (y[0],), (y[1],))[1]
    assert close(slope, torch.vdot(expected[0].flatten(), y[1].flatten()).real)


@pytest.mark.parametrize(
    "inverse",
    [
        inverses.ConjugateGradient(1e-12),
        inverses.Split(),
        inverses.GradientDescent(2),
        inverses.Polynomial(),
        inverses.Nystrom(5),
    ],
    ids=lambda inverse: type(inverse).__name__,
)
@pytest.mark.parametrize("solve", [fastip.admm, fastip.pgd, fastip.wiener], ids=lambda solve: solve.__name__)
def test_solves_by_other_inverses(inverse, solve):
    op = operators.Blur(draw(3, 3) / 9, boundary="valid")
    y = torch.stack([op(draw(2, 1, 8, 8, seed=seed)) for seed in (1, 2)])
    if solve is not fastip.admm and isinstance(inverse, inverses.Split):
        return  # a step of ADMM alone

    def solved(y):
        if solve is fastip.wiener:
            return solve(y, op, 0.1, inverse=inverse, tolerance=0, iterations=4).x
        chosen = {"inverse": inverse} if solve is fastip.admm else {"step": fastip.solvers.BackProjection(inverse)}
        return solve(y, op, priors.L1(1e-2), tolerance=0, iterations=4, **chosen).x

    assert close(torch.vmap(solved)(y), torch.stack([solved(one) for one in y]))
    leaf = y[0].clone().requires_grad_()
    (expected,) = torch.autograd.grad(solved(leaf).square().sum(), leaf)
    assert close(torch.func.grad(lambda y: solved(y).square().sum())(y[0]), expected)


def test_data_are_checked_inside_too():
    op = operators.Blur(draw(3, 3))
    y = torch.zeros(3, 1, 1, 8, 8)
    y[1, 0, 0, 2, 2] = torch.nan
    with pytest.raises(fastip.FastipError, match="y holds 1 values that are NaN"):
        torch.vmap(lambda y: fastip.admm(y, op, priors.L1(1e-2), tolerance=0).x)(y)


def test_what_vmap_cannot_map_is_refused():
    op, y = operators.Blur(draw(3, 3)), torch.rand(3, 1, 1, 8, 8)
    with pytest.raises(Unsupported, match="torch.vmap cannot map a solve with tolerance=0.001"):
        torch.vmap(lambda y: fastip.admm(y, op, priors.L1(1e-2)).x)(y)
    with pytest.raises(Unsupported, match="torch.vmap cannot map the psf of an operator"):
        torch.vmap(lambda psf: operators.Blur(psf)(y[0]))(torch.rand(2, 3, 3))
    with pytest.raises(Unsupported, match="psf requires a gradient"):
        torch.func.grad(lambda psf: operators.Blur(psf)(y[0]).sum())(torch.rand(3, 3))
