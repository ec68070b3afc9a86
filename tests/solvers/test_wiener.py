"""wiener: the regularised least-squares image, whatever inverse it is computed with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import fastip
from cases.checks import data_for, operator_matrix, real_vector, relative
from cases.operators import operator_cases
from cases.problems import gaussian, observe, spikes
from fastip import inverses, operators, priors, psf
from fastip.contracts import Status
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.inverses.exact import assembles
from fastip.solvers.wiener import wiener

SMALL = [
    case
    for case in operator_cases()
    if torch.Size(case.input_shape).numel() <= 400 and not case.make(torch.float64).complex_input
]


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.id)
def test_equals_the_dense_solution(case) -> None:  # type: ignore[no-untyped-def]
    """(A^T A + constant I)^-1 A^T y for every operator of the registry."""
    op, constant = case.make(torch.float64), 0.05
    y = data_for(op, case.input_shape)
    a = operator_matrix(op, case.input_shape)
    expected = torch.linalg.solve(
        a.T @ a + constant * torch.eye(a.shape[1], dtype=torch.float64), a.T @ real_vector(y)
    ).reshape(case.input_shape)
    known = inverses.Exact().structure(op, y) is not None or assembles(op, y)
    inverse = "auto" if known else inverses.ConjugateGradient(1e-12)  # "auto" takes these to 1e-5
    solution = wiener(y, op, constant, inverse=inverse, tolerance=1e-11)
    assert solution.status is Status.CONVERGED, case.id
    assert relative(solution.x, expected) < 1e-8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_exact_inverses_take_one_step_and_a_look(dtype: torch.dtype) -> None:
    op = gaussian(4, "circular")
    y = observe(op, spikes(2, 3, 32, 24)).to(dtype)
    solution = wiener(y, op, 1e-2)
    assert solution.status is Status.CONVERGED and solution.iterations == 2 and solution.x.dtype == dtype
    assert solution.residuals.shape == (2, 2, 2) and (solution.residuals[-1] < 1e-5).all()
    once = inverses.Exact().bind(op, y, 1e-2).guess()
    torch.testing.assert_close(solution.x, once)


@pytest.mark.parametrize("boundary", ["circular", "valid", "reflect", "zero"])
def test_any_certified_inverse_gives_the_same_image(boundary: str) -> None:
    op = gaussian(4, boundary)
    y = observe(op, spikes(1, 1, *(33, 41) if boundary == "valid" else (32, 40)))
    expected = wiener(y, op, 1e-2, inverse=inverses.ConjugateGradient(1e-12), tolerance=1e-11).x
    for inverse in (inverses.Stencil(1), inverses.Stencil(3), inverses.GradientDescent(20)):
        solution = wiener(y, op, 1e-2, inverse=inverse, tolerance=1e-11)
        assert solution.status is Status.CONVERGED and solution.iterations > 2
        assert relative(solution.x, expected) < 1e-8


def test_is_what_admm_finds_and_resumes() -> None:
    op = operators.Blur(psf.motion(9, 45).double())
    y, constant = observe(op, spikes(1, 1, 24, 20)), 0.02
    solution = wiener(y, op, constant)
    torch.testing.assert_close(
        solution.x,
        fastip.admm(y, op, priors.L2(constant), beta=0.05, iterations=3000, tolerance=0).x,
        rtol=0,
        atol=1e-6,
    )
    resumed = fastip.admm(y, op, priors.L2(constant), beta=0.05, inverse=inverses.Exact(), init=solution, iterations=20)
    assert resumed.status is Status.CONVERGED


def test_iterations_used_up() -> None:
    op = gaussian(4, "reflect")
    y = observe(op, spikes(1, 1, 32, 32))
    solution = wiener(y, op, 1e-2, inverse=inverses.GradientDescent(1), iterations=3, tolerance=1e-9)
    assert solution.status is Status.ITERATIONS and solution.iterations == 3 and solution.residuals.shape[0] == 3
    assert wiener(y, op, 1e-2, iterations=3, tolerance=0).residuals.shape[0] == 0


def test_numpy_in_numpy_out_and_gradient() -> None:
    op = gaussian(2, "circular")
    y = observe(op, spikes(1, 1, 12, 12))
    x = wiener(y.numpy(), op, 0.1).x
    assert isinstance(x, np.ndarray)
    np.testing.assert_allclose(x, wiener(y, op, 0.1).x.numpy())
    assert torch.autograd.gradcheck(lambda v: wiener(v, op, 0.1, tolerance=0, iterations=2).x, y.requires_grad_())


@pytest.mark.parametrize("constant", [0, -1, float("nan"), float("inf"), "much", None])
def test_bad_constants_are_refused(constant: object) -> None:
    with pytest.raises(InvalidInput, match="constant"):
        wiener(torch.ones(1, 1, 4, 4), gaussian(4, "circular"), constant)  # type: ignore[arg-type]


def test_other_bad_inputs_are_refused() -> None:
    y, op = torch.ones(1, 1, 4, 4), gaussian(4, "circular")
    for bad in ({"inverse": "exact"}, {"inverse": inverses.Exact}, {"iterations": 0}, {"tolerance": -1}):
        with pytest.raises(InvalidInput):
            wiener(y, op, 0.1, **bad)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        wiener(torch.full((1, 1, 4, 4), float("nan")), op, 0.1)
    with pytest.raises(UnknownKeyword, match="did you mean 'constant'"):
        wiener(y, op, constent=0.1)  # type: ignore[call-arg]
