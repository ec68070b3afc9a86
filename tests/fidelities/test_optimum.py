"""Counts, absolute differences and Huber's end at the minimum that cvxpy finds, by the split and by line one."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
import torch

import fastip
from cases import optima
from cases.checks import noise
from cases.problems import matrix
from fastip import fidelities, inverses, operators, priors, psf
from fastip.contracts import Status

SIZE = (8, 7)
CIRCULAR = operators.Mask(noise(SIZE, seed=5).abs() + 0.2) @ operators.Blur(psf.gaussian(3, sigma=0.7))
REFLECT = operators.Blur(psf.gaussian(3, sigma=0.7), boundary="reflect")
WEIGHTS = noise(SIZE, seed=4).abs().where(noise(SIZE, seed=6) > -0.5, 0)
FIDELITIES = {
    "counts": fidelities.Poisson(),
    "counts, background": fidelities.Poisson(1.5),
    "counts, weights": fidelities.Poisson(1.5, WEIGHTS),
    "absolute": fidelities.Absolute(),
    "huber, weights": fidelities.Huber(0.5, WEIGHTS),
    "squares": fidelities.Squares(WEIGHTS),
}
PRIORS = {"l2": priors.L2(0.1) + priors.NonNegative(), "tv": priors.TV(0.2) + priors.NonNegative()}


def term(name: str, v: cp.Expression, y: np.ndarray, a: np.ndarray, b: float) -> cp.Expression:
    if name.startswith("counts"):
        t, seen = v + b, y > 0
        return a @ t - (a * y)[seen] @ cp.log(t[seen])
    return a @ {"absolute": cp.abs, "squares": cp.square}.get(name, lambda r: cp.huber(r, 0.5))(v - y)


@pytest.mark.parametrize("form", ["split", "number", "diagonal"])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("name", FIDELITIES)
def test_the_minimum_of_cvxpy(name: str, prior: str, form: str) -> None:
    op: operators.Operator = REFLECT if form == "number" else CIRCULAR
    inverse = {"split": inverses.Split(), "number": inverses.Scalar(), "diagonal": inverses.Diagonal()}[form]
    x = 8 * torch.rand(1, 1, *SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = torch.poisson(op(x) + 1.5, generator=torch.Generator().manual_seed(2))
    fidelity, r = FIDELITIES[name], PRIORS[prior]
    weights = (WEIGHTS if fidelity.weights is not None else torch.ones(SIZE, dtype=torch.float64)).flatten().numpy()
    b = 0.0 if name in ("counts", "absolute") else 1.5
    z = cp.Variable(x.numel())
    beside, box = optima._objective(r, z, SIZE)
    total = term(name, matrix(op, tuple(x.shape)).numpy() @ z, y.flatten().numpy(), weights, b) + beside
    cp.Problem(cp.Minimize(total), box).solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    optimum, best = torch.from_numpy(z.value).reshape(x.shape), float(total.value)
    given = torch.where(torch.from_numpy(weights).reshape(SIZE) > 0, y, float("nan"))
    found = fastip.admm(given, op, r, fidelity=fidelity, inverse=inverse, tolerance=1e-6, iterations=6000)
    z.value = found.x.flatten().numpy()
    assert found.status is Status.CONVERGED or name == "absolute"
    assert abs(float(total.value) - best) < 1e-5 * abs(best)
    if prior == "l2" and name != "absolute":
        assert (found.x - optimum).abs().max() < 1e-2 * optimum.abs().max()
