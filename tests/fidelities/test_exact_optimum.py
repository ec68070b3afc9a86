"""The second split ends at the exact minimum behind a large psf: valid borders, strides, bad and clipped pixels.

With a quadratic prior the minimum solves a linear equation, of clipped data one for each set of those that pull, so
that a few Newton steps with a dense matrix give it.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from cases.checks import noise, relative
from cases.problems import matrix
from fastip import fidelities, inverses, operators, priors, psf

WEIGHT = 0.02
BLURS = {  # and the image
    "circular": (operators.Blur(psf.shake(25, 1)), (27, 26)),
    "valid": (operators.Blur(psf.shake(25, 1), boundary="valid"), (31, 30)),
    "x2": (operators.Blur(psf.shake(25, 2), 2, "valid"), (33, 31)),
    "x3": (operators.Blur(psf.gaussian(25, sigma=3.0), 3, "valid"), (34, 37)),
    "x4": (operators.Blur(psf.gaussian(25, sigma=2.0), 4, "valid"), (37, 33)),
}
KINDS = ("alone", "bad pixels", "weights", "behind a mask", "clipped")


@functools.cache
def dense(blur: str) -> Tensor:
    op, size = BLURS[blur]
    return matrix(op, (1, 1, *size))


def newton(a: Tensor, y: Tensor, weights: Tensor, clipped: Tensor) -> Tensor:
    """The x that minimises ``sum w (y - A x)^2 + WEIGHT ||x||^2``, where ``clipped`` of what is above 0 alone."""
    x, pulls = torch.zeros(a.shape[1], dtype=torch.float64), torch.ones_like(clipped)
    for _ in range(50):
        w = weights * pulls
        x = torch.linalg.solve(a.T @ (w[:, None] * a) + WEIGHT * torch.eye(len(x), dtype=a.dtype), a.T @ (w * y))
        before, pulls = pulls, ~clipped | (y > a @ x)
        if torch.equal(before, pulls):
            return x
    raise AssertionError("the set of those that pull does not settle")


@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_exact_minimum(blur: str, kind: str) -> None:
    op: Any
    op, size = BLURS[blur]
    x = torch.rand(1, 1, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    y = op(x) + 0.02 * noise(op.output_shape(tuple(x.shape)), seed=5)
    good = noise(tuple(y.shape[2:]), seed=6) > -0.52  # 70 %
    weights, clipped = torch.ones_like(y), torch.zeros_like(y, dtype=torch.bool)
    fidelity: Any = fidelities.Squares(1.0)
    if kind == "bad pixels":
        weights = good.to(y)[None, None]
        fidelity, y = fidelities.Squares(weights), torch.where(good, y, float("nan"))
    elif kind == "weights":
        weights = noise(tuple(y.shape), seed=7).abs()
        fidelity = fidelities.Squares(weights)
    elif kind == "behind a mask":
        op = operators.Mask(good.double()) @ op
        y = y * good
    elif kind == "clipped":
        y = y.clamp(max=float(y.quantile(0.85)))
        clipped, fidelity = y == y.max(), fidelities.Clipped(high=float(y.max()))
        assert 0.14 < clipped.double().mean() < 0.2
    kept = good.to(y).flatten()[:, None] if kind == "behind a mask" else 1.0
    known = torch.where(weights > 0, y, 0.0)
    exact = newton(kept * dense(blur), *(t.flatten() for t in (known, weights, clipped)))
    given: dict[str, Any] = {"tolerance": 0, "iterations": 400, "beta": 0.05}
    found = fastip.admm(y, op, priors.L2(WEIGHT), fidelity=fidelity, inverse=inverses.Split(0.2), **given).x
    assert relative(found.flatten(), exact) < 1e-6
