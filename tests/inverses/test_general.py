"""The certified inverses of operators without structure, against matrices and closed forms."""

from __future__ import annotations

import math

import pytest
import torch

import fastip
from cases.checks import data_for, operator_matrix, real_vector
from cases.operators import operator_cases
from fastip import inverses, operators, priors
from fastip.errors import InvalidInput, Unsupported
from fastip.inverses.general.nystrom import sketched

CASES = [case for case in operator_cases() if math.prod(case.input_shape) <= 64 or case.id == "mask-batch"]
every = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
INVERSES = [inverses.Scalar(), inverses.Diagonal(), inverses.Nystrom(3), inverses.Polynomial(0), inverses.Polynomial(4)]


def single(case):
    """The operator, images of one entry of the batch where it takes them, and A A^T of all their data."""
    op = case.make(torch.float64)
    shape = case.input_shape
    try:
        op.output_shape((1, *shape[1:]))
        shape = (1, *shape[1:])
    except InvalidInput:  # a mask for each image
        pass
    matrix = operator_matrix(op, shape)
    return op, op.output_shape(shape), matrix @ matrix.T


def applied(step, y):
    """C as a matrix on the real numbers of the data."""
    columns = []
    for k in range(real_vector(y).numel()):
        unit = torch.zeros(real_vector(y).numel(), dtype=torch.float64)
        unit[k] = 1
        data = torch.view_as_complex(unit.view(*y.shape, 2)) if y.is_complex() else unit.view(y.shape)
        columns.append(real_vector(step.apply(data)))
    return torch.stack(columns, dim=1)


@every
@pytest.mark.parametrize("inverse", INVERSES, ids=["scalar", "diagonal", "nystrom", "polynomial-0", "polynomial-4"])
def test_certified_for_every_relaxation(case, inverse):
    op, shape, gram = single(case)
    y = data_for(op, op.input_shape(shape))
    beta = 0.03 * float(torch.linalg.eigvalsh(gram)[-1])
    for a in (0.5, 1.7):
        try:
            c = applied(inverse.bind(op, y, beta, a), y)
        except Unsupported:
            unknown = isinstance(inverse, inverses.Diagonal) and op.absolute() is None
            assert unknown or (
                isinstance(inverse, inverses.Nystrom) and case.id in ("mask-batch", "sense-images", "coils")
            )
            return
        assert (c - c.T).abs().max() <= 1e-10 * c.abs().max() and torch.linalg.eigvalsh(c)[0] > 0
        weighed = 0.5 * a * beta * torch.eye(len(gram)) + (a - 0.25 * a**2) * gram
        kappa = torch.linalg.eigvals(c @ weighed).real.max()
        limit = 1.0 if isinstance(inverse, inverses.Nystrom) else 0.98
        assert kappa <= limit + 1e-6
        if isinstance(inverse, inverses.Scalar) and not isinstance(op, operators.Sense):  # whose norm is a bound
            assert kappa >= 0.979


def test_the_polynomial_is_that_of_chebyshev():
    op = operators.Mask(torch.linspace(0.0, 2.0, 40, dtype=torch.float64).view(5, 8))
    y, beta, degree = torch.ones(1, 1, 5, 8, dtype=torch.float64), 0.1, 3
    c = inverses.Polynomial(degree).bind(op, y, beta).apply(y).flatten()
    t, largest = beta + op.mask.flatten() ** 2, 4.0
    inside = ((2 * t - 2 * beta - largest) / largest).clamp(-1, 1)
    top = math.cosh((degree + 1) * math.acosh(1 + 2 * beta / largest))
    ideal = (1 - (-1) ** (degree + 1) * torch.cos((degree + 1) * torch.acos(inside)) / top) / t
    assert torch.allclose(c, 0.98 / (0.75 * (1 + 1 / top)) * ideal, rtol=1e-9)


def test_a_sketch_of_full_rank_is_exact():
    op = operators.Dense(torch.randn(6, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    y, beta = torch.randn(3, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64), 0.5
    exact = inverses.Exact().bind(op, y, beta)
    step = inverses.Nystrom(6).bind(op, y, beta)
    x, q = torch.zeros(3, 10, dtype=torch.float64), torch.zeros_like(y)
    assert torch.allclose(step(x, q)[0], exact.apply(y), rtol=1e-9)
    assert sketched(op, (3, 6), 6, False) is sketched(op, (1, 6), 6, False)


@pytest.mark.parametrize("inverse", INVERSES, ids=lambda inverse: type(inverse).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_they_end_at_the_optimum_of_the_exact_inverse(inverse, dtype):
    generator = torch.Generator().manual_seed(2)
    op = operators.Sparse(
        (torch.randn(12, 20, generator=generator) * (torch.rand(12, 20, generator=generator) > 0.5)).to_sparse(),
        (1, 4, 5),
    )
    y = op(torch.randn(2, 1, 4, 5, generator=generator, dtype=dtype))
    prior = priors.L1(0.5) + priors.Box(-1, 1)
    given = {"iterations": 20000, "tolerance": 1e-6, "beta": 0.02 * op.norm() ** 2}
    exact = fastip.admm(y, op, prior, inverse=inverses.Exact(), **given)
    solution = fastip.admm(y, op, prior, inverse=inverse, **given)
    assert solution.status is fastip.Status.CONVERGED and torch.allclose(solution.x, exact.x, atol=2e-4)


def test_a_number_runs_fused_where_a_stencil_does():
    op, y = operators.Blur(torch.ones(3, 3)), torch.ones(1, 1, 8, 8)
    step = inverses.Scalar().bind(op, y, 0.1)
    assert step.fused() is not None and step.fused().taps.shape == (1, 1)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda y: inverses.Nystrom(0), InvalidInput, "rank is 0"),
        (lambda y: inverses.Polynomial(-1), InvalidInput, "degree is -1"),
        (lambda y: inverses.Nystrom(100).bind(operators.Identity(), y, 0.1), InvalidInput, "data are 64 numbers"),
        (
            lambda y: inverses.Diagonal().bind(operators.Function(*2 * [torch.clone], *2 * [(1, 8, 8)]), y, 0.1),
            Unsupported,
            "inverses.Scalar",
        ),
    ],
)
def test_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(torch.ones(1, 1, 8, 8))
