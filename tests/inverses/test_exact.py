"""Exact inverses against (beta I + A A^T)^-1 of the dense matrix, for every operator of the table that has one."""

import pytest
import torch

from cases.operators import operator_cases
from cases.problems import matrix
from fastip import inverses, operators
from fastip.contracts import Scalar
from fastip.errors import InvalidInput, Unsupported
from fastip.inverses.exact import assembles
from fastip.inverses.steps import DataStep
from fastip.operators import psf

# Images are real: the adjoint of a Fourier operator, whose input is complex, is no image operator. Complex matrices
# have no exact inverse yet.
CASES = [
    pytest.param(make, shape, id=name)
    for name, make, shape in operator_cases()
    if not make(torch.float64).complex_input and name != "sparse-complex"
]


def refused(op, y):
    """Whether it is an operator without structure whose images differ, which nothing can assemble."""
    if inverses.Exact().structure(op, y) is not None or assembles(op, y):
        return False
    with pytest.raises(Unsupported, match="no exact inverse is known"):
        inverses.Exact().bind(op, y, 0.1)
    return True


@pytest.mark.parametrize("beta", [0.3, 2e-3])
@pytest.mark.parametrize("make, shape", CASES)
def test_the_data_step_solves_the_normal_equations(make, shape, beta):
    """After one step from (x, q), A^T q' = A^T B (y - A (x - A^T q)), on whichever side the inverse works."""
    op = make(torch.float64)
    torch.manual_seed(sum(shape))
    x, v = torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)
    y, q = op(torch.randn(shape, dtype=torch.float64)), op(v)
    if refused(op, y):
        return
    step = inverses.Exact().bind(op, y, beta)
    dual = (
        q
        if isinstance(step, DataStep)
        else (
            torch.fft.rfftn(op.adjoint(q), dim=tuple(range(2, len(shape))))
            if step.start().is_complex()
            else op.adjoint(q)
        )
    )
    new, r = step(x, dual)
    pulled = step.pull(new)
    # p' = K (A^T y - A^T A w) with K^-1 = beta I + A^T A: check by applying K^-1.
    w = x - op.adjoint(q)
    residual = beta * pulled + op.adjoint(op(pulled)) - op.adjoint(y - op(w))
    assert residual.abs().max() <= 1e-9 * op.adjoint(y - op(w)).abs().max().clamp(min=1)
    assert r.shape == dual.shape


@pytest.mark.parametrize("make, shape", CASES)
def test_the_guess_is_the_regularised_least_squares_solution(make, shape):
    op = make(torch.float64)
    y = op(torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3)))
    if refused(op, y):
        return
    x = inverses.Exact().bind(op, y, 0.05).guess()
    residual = 0.05 * x + op.adjoint(op(x) - y)
    assert residual.abs().max() <= 1e-9 * max(1.0, op.adjoint(y).abs().max().item())


@pytest.mark.parametrize("size", [(7, 9), (8, 6)])
def test_dct_and_dense_agree(size):
    op = operators.Blur(psf.gaussian(5, sigma=1.2), boundary="reflect")
    y = torch.randn(2, 1, *size, dtype=torch.float64)
    step = inverses.Exact().bind(op, y, 0.02)
    assert "DCT" in step.describe()
    a = matrix(op, (1, 1, *size))
    expected = torch.linalg.solve(
        0.02 * torch.eye(a.shape[0], dtype=torch.float64) + a @ a.T, y.reshape(2, -1).T
    ).T.reshape(y.shape)
    torch.testing.assert_close(step.apply(y), expected, rtol=1e-9, atol=1e-9)


def test_a_narrow_psf_gives_a_scalar():
    op = operators.Blur(psf.gaussian(3, sigma=1.0), stride=4)
    y = torch.randn(1, 3, 5, 6)
    assert isinstance(op.cogram(tuple(y.shape)), Scalar)
    step = inverses.Exact().bind(op, y, 0.1)
    assert step.fused().taps.shape == (1, 1)
    torch.testing.assert_close(step.apply(y), y / (0.1 + psf.gaussian(3, sigma=1.0).square().sum().item()))


def test_sides_and_refusals():
    y = torch.randn(1, 1, 8, 8)
    op = operators.Blur(psf.motion(5, 30))
    assert "image" in inverses.Exact().bind(op, y, 0.1).describe()
    assert "data" in inverses.Exact(side="data").bind(op, y, 0.1).describe()
    with pytest.raises(InvalidInput, match="side"):
        inverses.Exact(side="left")
    valid = operators.Blur(psf.motion(5, 30), boundary="valid")
    with pytest.raises(Unsupported, match="Stencil"):
        inverses.Exact().bind(valid, torch.randn(1, 1, 70, 70), 0.1)
