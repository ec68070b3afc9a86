"""Random problems whose minimum cvxpy knows: pointwise priors and total variation, any operator, any beta."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cvxpy as cp
import numpy as np
import torch
from torch import Tensor

from cases.problems import matrix
from fastip import operators, priors, psf


@dataclass(frozen=True)
class Known:
    """A problem and the least value of ``||y - A x||^2 + R(x)``.

    Attributes:
        name: What it is, for a message.
        op: A.
        prior: R.
        y: The data, float64, one image.
        best: F*.
    """

    name: str
    op: operators.Operator
    prior: priors.Prior
    y: Tensor
    best: float

    def gap(self, x: Tensor) -> float:
        """(F(x) - F*) / max(F*, 0.01 ||y||^2), F in float64."""
        x = x.double()
        value = ((self.y - self.op(x)).square().sum() + self.prior.value(x).sum()).item()
        return (value - self.best) / max(self.best, 0.01 * self.y.square().sum().item())

    @functools.cached_property
    def norm(self) -> float:
        return self.op.norm(self.op.input_shape(tuple(self.y.shape)))


def _operator(random: np.random.Generator) -> tuple[str, operators.Operator, tuple[int, int]]:
    """A, and a size of image that it takes."""
    kind = random.choice(["blur", "blur", "blur", "decimated", "decimated", "mask", "dense", "identity"])
    side = int(random.integers(7, 13))
    if kind in ("blur", "decimated"):
        boundary = str(random.choice(["circular", "valid", "zero", "reflect"]))
        stride = 1 if kind == "blur" else int(random.integers(2, 4))
        k = int(random.integers(2, 6))
        h = psf.gaussian(k, sigma=k / 4) if random.random() < 0.5 else torch.from_numpy(random.random((k, k)) / k**2)
        n = int(random.integers(3, 5)) if stride > 1 else side
        size = (n - 1) * stride + k if boundary == "valid" else n * stride
        size = max(size, k if stride == 1 else size)
        return f"{kind} {boundary} {k} stride {stride}", operators.Blur(h, stride, boundary), (size, size)
    if kind == "mask":
        return kind, operators.Mask(torch.from_numpy(random.random((side, side)) < 0.6)), (side, side)
    if kind == "dense":
        a = random.standard_normal((side * side // 3, side * side)) / side
        return kind, operators.Dense(torch.from_numpy(a), image_shape=(1, side, side)), (side, side)
    return kind, operators.Identity(), (side, side)


def _truth(random: np.random.Generator, size: tuple[int, int]) -> Tensor:
    """Spikes or blocks, in [0, 1]."""
    if random.random() < 0.5:
        values = random.random(size) * (random.random(size) < 0.15)
    else:
        values = np.full(size, random.random())
        for _ in range(3):
            i, j = random.integers(0, size[0]), random.integers(0, size[1])
            values[i : i + size[0] // 2, j : j + size[1] // 2] = random.random()
    return torch.from_numpy(values)[None, None]


def _prior(random: np.random.Generator, total_variation: bool) -> priors.Prior:
    def weight() -> float:
        return float(10 ** random.uniform(-3.5, -0.5))

    box = priors.Box(0.0, float(random.choice([0.5, 1.0]))) if random.random() < 0.4 else None
    if total_variation:
        base: priors.Prior = (priors.TV if random.random() < 0.5 else priors.AnisotropicTV)(weight())
    else:
        base = [priors.L1(weight()), priors.L2(weight()), priors.ElasticNet(weight(), weight())][random.integers(0, 3)]
        if random.random() < 0.2:
            base = base + priors.NonNegative()
    return base if box is None else base + box


def _objective(prior: priors.Prior, x: cp.Variable, size: tuple[int, int]) -> tuple[cp.Expression, list[cp.Constraint]]:
    """R(x) and the box, for cvxpy."""
    total: cp.Expression = cp.Constant(0.0)
    separable = prior
    if isinstance(prior, priors.TV):
        image, separable = cp.reshape(x, size, order="C"), prior.separable
        down, across = cp.diff(image, axis=0), cp.diff(image, axis=1)
        if prior.isotropic:
            down = cp.vstack([down, np.zeros((1, size[1]))])
            across = cp.hstack([across, np.zeros((size[0], 1))])
            pairs = cp.vstack([cp.vec(down, order="C"), cp.vec(across, order="C")])
            total = total + prior.weight * cp.sum(cp.norm(pairs, 2, axis=0))
        else:
            total = total + prior.weight * (cp.sum(cp.abs(down)) + cp.sum(cp.abs(across)))
    assert isinstance(separable, priors.Separable)
    if separable.l1:
        total = total + separable.l1 * cp.norm1(x)
    if separable.l2:
        total = total + separable.l2 * cp.sum_squares(x)
    box = [x >= separable.low] if separable.low > -np.inf else []
    return total, box + ([x <= separable.high] if separable.high < np.inf else [])


def problem(seed: int, total_variation: bool) -> Known:
    """The problem of this number."""
    random = np.random.default_rng([seed, total_variation])
    name, op, size = _operator(random)
    truth = _truth(random, size)
    clean = op(truth)
    noise = float(random.choice([0.0, 0.003, 0.02, 0.1]))
    y = clean + noise * torch.from_numpy(random.standard_normal(tuple(clean.shape)))
    prior = _prior(random, total_variation)
    a = matrix(op, tuple(truth.shape)).numpy()
    x = cp.Variable(a.shape[1])
    r, box = _objective(prior, x, size)
    solved = cp.Problem(cp.Minimize(cp.sum_squares(y.flatten().numpy() - a @ x) + r), box)
    solved.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    text = f"{name}, {size}, noise {noise}, {type(prior).__name__} {vars(prior)}"
    return Known(text, op, prior, y, float(solved.value))
