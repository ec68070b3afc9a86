"""What README says of bits: the same solve gives the same again, and other threads or batches only round otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import fastip
from cases.checks import relative
from fastip import inverses, operators, priors
from fastip.operators import psf

MATRIX = torch.randn(120, 400, generator=torch.Generator().manual_seed(7), dtype=torch.float64) / 20
SOLVES: dict[str, tuple[operators.Operator, Any, Any, tuple[int, ...]]] = {
    "whole solve": (operators.Blur(psf.gaussian(5, sigma=1.1), stride=2), "auto", priors.L1(1e-3), (3, 1, 128, 160)),
    "transforms": (operators.Blur(psf.motion(7, 30)), inverses.Exact(), priors.L1(1e-3), (3, 1, 128, 160)),
    "tv": (operators.Blur(psf.motion(7, 30)), inverses.Exact(), priors.TV(1e-3), (3, 1, 128, 160)),
    "cosines": (
        operators.Blur(psf.gaussian(5, sigma=1.1), boundary="reflect"),
        inverses.Exact(),
        priors.Wavelet(1e-3, "haar", levels=2),
        (3, 1, 128, 160),
    ),
    "matrix": (operators.Dense(MATRIX, image_shape=(1, 20, 20)), inverses.Exact(), priors.L1(1e-3), (3, 1, 20, 20)),
    "inner loop": (
        operators.Blur(psf.motion(5, 30), boundary="valid"),
        inverses.ConjugateGradient(maximum=5),
        priors.L1(1e-3),
        (1, 1, 256, 300),
    ),
}


@pytest.fixture
def threads() -> Iterator[Any]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype, allowed", [(torch.float32, 1e-6), (torch.float64, 1e-12)], ids=["float32", "float64"])
@pytest.mark.parametrize("name", SOLVES)
def test_the_same_again(name: str, dtype: torch.dtype, allowed: float, threads: Any) -> None:
    op, inverse, prior, shape = SOLVES[name]
    y = op(torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype))
    given: dict[str, Any] = {"inverse": inverse, "beta": 0.05, "iterations": 8, "tolerance": 0}
    found = []
    for count in (1, 2, 3):
        threads(count)
        one, again = (fastip.admm(y, op, prior, **given).x for _ in range(2))
        assert torch.equal(one, again)
        found.append(one)
    assert all(relative(other, found[0]) <= allowed for other in found[1:])
    threads(1)
    apart = torch.cat([fastip.admm(part, op, prior, **given).x for part in y.split(1)])
    assert relative(apart, found[0]) <= allowed
