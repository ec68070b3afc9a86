"""Solves with a fidelity end at the minimum of ``D(A x) + R(x)``, and CONVERGED means what it says there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
import torch
from torch import Tensor

import fastip
import slow
from cases import optima
from cases.problems import matrix
from fastip import fidelities, inverses, operators, priors, psf
from fastip.contracts import Status

KINDS = ("squares", "high", "both")
COUNT = slow.count(3, 100)  # random problems of each kind


@dataclass(frozen=True)
class Known:
    """A problem and the least value of its objective, which is written out here once more."""

    name: str
    op: operators.Operator
    prior: priors.Prior
    fidelity: Any
    y: Tensor
    weights: Tensor
    least: Tensor
    most: Tensor
    best: float

    def objective(self, x: Tensor) -> float:
        v, y = self.op(x), self.y
        ordinary = self.weights * (v - y).square()
        above, below = (y - v).clamp_min(0).square(), (v - y).clamp_min(0).square()
        terms = torch.where(self.least, above, torch.where(self.most, below, ordinary))
        return float(terms.sum() + self.prior.value(x).sum())

    def gap(self, x: Tensor) -> float:
        """Relative, and to 0.01 of what the data alone come to where the minimum is less: it may be zero."""
        counted = (self.weights * self.y.square()).sum().item()
        return (self.objective(x.double()) - self.best) / max(self.best, 0.01 * counted, 1e-6)


def _operator(random: np.random.Generator) -> tuple[str, operators.Operator, tuple[int, int]]:
    k, n = int(random.integers(2, 6)), int(random.integers(5, 9))
    stride = int(random.choice([1, 1, 2, 3]))
    h = psf.gaussian(k, sigma=k / 4) if random.random() < 0.5 else torch.from_numpy(random.random((k, k)) / k**2)
    boundary = str(random.choice(["valid", "valid", "circular"])) if k <= n * stride else "valid"
    size = (n - 1) * stride + k if boundary == "valid" else n * stride
    blur: operators.Operator = operators.Blur(h, stride, boundary)
    kind = str(random.choice(["blur", "holes", "weights", "mask"]))
    if kind == "blur":
        return f"{boundary} {k} stride {stride}", blur, (size, size)
    data = blur.output_shape((1, 1, size, size))[2:] if kind != "mask" else (n, n)
    values = random.random(data) < 0.7 if kind == "holes" else random.uniform(-1.5, 1.5, data)
    mask = operators.Mask(torch.from_numpy(values))
    return (kind, mask, (n, n)) if kind == "mask" else (f"{kind} after {boundary} {k}", mask @ blur, (size, size))


def _terms(known_y: np.ndarray, v: cp.Expression, a: np.ndarray, least: np.ndarray, most: np.ndarray) -> cp.Expression:
    ordinary = ~(least | most)
    r = known_y - v
    total = cp.sum(cp.multiply(a[ordinary], cp.square(r[ordinary]))) if ordinary.any() else cp.Constant(0.0)
    total = total + (cp.sum(cp.square(cp.pos(r[least]))) if least.any() else 0)
    return total + (cp.sum(cp.square(cp.pos(-r[most]))) if most.any() else 0)


def problem(seed: int, kind: str, total_variation: bool) -> Known:
    random = np.random.default_rng([seed, total_variation, KINDS.index(kind)])
    name, op, size = _operator(random)
    truth = 1.5 * optima._truth(random, size)
    y = op(truth)
    y = y + float(random.choice([0.0, 0.003, 0.02])) * torch.from_numpy(random.standard_normal(tuple(y.shape)))
    weights, no = torch.ones_like(y), torch.zeros_like(y, dtype=torch.bool)
    least = most = no
    fidelity: Any
    if kind == "squares":
        weights = torch.from_numpy(10 ** random.uniform(-2, 1, tuple(y.shape)) * (random.random(tuple(y.shape)) < 0.8))
        weights.flatten()[0] = 1.0
        fidelity = fidelities.Squares(weights)
    else:
        low, high = sorted(np.quantile(y, [random.uniform(0, 0.3), random.uniform(0.5, 0.99)]))
        high = high + 1e-9
        y = y.clamp(low, high)
        least, most = y >= high, (y <= low) if kind == "both" else no
        fidelity = fidelities.Clipped(least if random.random() < 0.3 else high, low if kind == "both" else None)
    prior = optima._prior(random, total_variation)
    a = matrix(op, tuple(truth.shape)).numpy()
    x = cp.Variable(a.shape[1])
    r, box = optima._objective(prior, x, size)
    terms = _terms(*(t.flatten().numpy() if isinstance(t, Tensor) else t for t in (y, a @ x, weights, least, most)))
    solved = cp.Problem(cp.Minimize(terms + r), box)
    tight = {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11}
    try:
        solved.solve(solver=cp.CLARABEL, **tight)
    except cp.SolverError:
        solved.solve(solver=cp.CLARABEL)
    text = f"{kind}, {name}, {size}, {type(prior).__name__} {vars(prior)}"
    return Known(text, op, prior, fidelity, y, weights, least, most, float(solved.value))


@pytest.mark.parametrize("total_variation", [False, True], ids=["pointwise", "total variation"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_ends_at_the_minimum_of_cvxpy(kind: str, total_variation: bool) -> None:
    false, converged = [], 0
    for seed in range(COUNT):
        known = problem(seed, kind, total_variation)
        random = np.random.default_rng([seed, 9])
        beta = None if random.random() < 0.5 else 10 ** random.uniform(-3, 2)
        split = inverses.Split() if random.random() < 0.5 else inverses.Split(10 ** random.uniform(-2, 1))
        relaxation = 1.6 if not total_variation and random.random() < 0.3 else 1.0
        given: dict[str, Any] = {"fidelity": known.fidelity, "iterations": 1500}
        tolerance = float(random.choice([1e-2, 1e-3, 1e-4]))
        found = fastip.admm(
            known.y,
            known.op,
            known.prior,
            beta=beta,
            inverse=split,
            tolerance=tolerance,
            relaxation=relaxation,
            **given,
        )
        assert found.status is not Status.UNSTABLE, known.name
        if found.status is Status.CONVERGED and known.gap(found.x) > 10 * tolerance:
            false.append(f"{known.name}: {known.gap(found.x):.2g} at {tolerance:g}, beta {beta}, {vars(split)}")
        usual = fastip.admm(known.y, known.op, known.prior, tolerance=1e-4, **given)
        converged += usual.status is Status.CONVERGED
        assert known.gap(usual.x) > -1e-6, known.name
        assert usual.status is not Status.CONVERGED or known.gap(usual.x) < 1e-3, known.name
    assert not false, "\n".join(false)
    assert converged >= 0.6 * COUNT
