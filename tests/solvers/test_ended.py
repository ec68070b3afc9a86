"""A solve that ends with NaN or Inf says so, also where no tolerance makes it look on its way."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fastip
from fastip import inverses, operators, priors, psf
from fastip.contracts import Solution, Status

OP = operators.Blur(psf.gaussian(5, sigma=1.0), stride=2)
CIRCULAR = operators.Blur(psf.gaussian(5, sigma=1.0))
LARGE = 3e38  # below the largest float32: sums of two such numbers are infinite


def data(value: float, side: int = 7) -> torch.Tensor:
    """Two images, the second of this value."""
    y = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(3))
    y[1] = value
    return y


def solved(name: str, value: float, iterations: int = 6) -> Solution:
    admm: dict[str, Any] = {"iterations": iterations, "tolerance": 0, "beta": 1e-4}
    y, far = data(value), -data(value, 14)
    match name:
        case "stencil":
            return fastip.admm(y, OP, priors.L2(1e-3), inverse=inverses.Stencil(1), **admm)
        case "boxed":  # x is finite whatever happens to q
            return fastip.admm(y, OP, priors.Box(0, 1), inverse=inverses.Stencil(1), **admm)
        case "spectral":
            return fastip.admm(y, CIRCULAR, priors.L2(1e-3), inverse=inverses.Exact(), **admm)
        case "visible":
            return fastip.admm(y, OP, priors.TV(1e-3), inverse=inverses.Exact(), **admm)
        case "pgd":
            return fastip.pgd(y, OP, priors.L2(1e-3), init=far, iterations=iterations, tolerance=0)
        case "npgd":
            step = 0.5 / OP.norm((2, 1, 14, 14)) ** 2
            return fastip.npgd(y, OP, priors.L2(1e-3), step=step, init=far, iterations=iterations, tolerance=0)
        case _:
            return fastip.wiener(y, OP, 1e-4, inverse=inverses.Exact(), iterations=iterations, tolerance=0)


@pytest.mark.parametrize("name", ["stencil", "boxed", "spectral", "visible", "pgd", "npgd", "wiener"])
def test_what_is_not_finite_at_the_end_is_unstable(name: str) -> None:
    lost, sound = solved(name, LARGE), solved(name, 0.5)
    assert lost.status is Status.UNSTABLE
    assert sound.status is Status.ITERATIONS and bool(torch.isfinite(sound.x).all())


def test_a_compiled_solve_is_not_looked_at() -> None:
    """There are no values yet while it is traced; one graph, and the numbers come back as they are."""

    def run(y: torch.Tensor) -> torch.Tensor:
        return fastip.admm(y, OP, priors.L2(1e-3), beta=1e-4, iterations=3, tolerance=0).x

    compiled = torch.compile(run, backend="eager", fullgraph=True)
    assert torch.equal(compiled(data(0.5)), run(data(0.5)))
    assert not bool(torch.isfinite(compiled(data(LARGE))).all())
