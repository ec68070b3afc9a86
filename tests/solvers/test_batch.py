"""A picture does not depend on its batch: beside a neighbour a million times brighter it is what it is alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from cases.checks import relative
from cases.devices import BETA, INVERSES
from cases.priors import smooth
from fastip import inverses, operators, priors
from fastip.contracts import SpectralStep
from fastip.operators import psf
from fastip.solvers import spectral

BRIGHT = 1e6
PRIORS = {
    "pointwise": priors.L1(1e-3) + priors.Box(0.0, 0.9),
    "tv": priors.TV(1e-3),
    "denoiser": priors.Denoiser(smooth, sigma=0.1),
}
# What amplifies the rounding of a matrix product, which BLAS makes otherwise for more columns, and an update that
# subtracts nearly equal terms and divides by beta.
ROUGH = {"printed": 1e2, "exact-dense-tall": 10}
ITERATIONS = 6


def rand(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def solved(y: Tensor, op: operators.Operator, prior: Any, inverse: Any, iterations: int = ITERATIONS) -> Tensor:
    x: Tensor = fastip.admm(y, op, prior, beta=BETA, inverse=inverse, iterations=iterations, tolerance=0).x
    return x


@pytest.mark.parametrize("dtype, allowed", [(torch.float32, 1e-6), (torch.float64, 1e-12)], ids=["float32", "float64"])
@pytest.mark.parametrize("name", [name for name in INVERSES if "several" not in name])  # which fix the batch
def test_beside_a_bright_neighbour(name: str, dtype: torch.dtype, allowed: float) -> None:
    """Every inverse, with a prior that runs fused, one with a memory and one that is called."""
    inverse, op, (_, *sizes), _ = INVERSES[name]
    dark, other = (op(rand(1, *sizes, seed=seed, dtype=dtype)) for seed in (1, 2))
    for prior in PRIORS.values() if len(sizes) == 3 else [PRIORS["pointwise"]]:
        alone = solved(dark, op, prior, inverse)
        found = solved(torch.cat((other * BRIGHT, dark, 0 * other)), op, prior, inverse)
        assert relative(found[1], alone[0]) <= allowed * ROUGH.get(name, 1)


@pytest.mark.parametrize(
    "prior", [priors.L1(1e-8), priors.NonNegative(), priors.Box(0.1, 0.8)], ids=["l1", "nonnegative", "box"]
)
@pytest.mark.parametrize("relaxation", [1.0, 1.5])
def test_transforms_of_unlike_planes(prior: Any, relaxation: float) -> None:
    """Two planes share a transform: a dark channel of a bright picture, a dark picture, and one of zeros."""
    op = operators.Blur(psf.motion(9, angle=45))
    y = op(rand(2, 3, 33, 30, seed=3))
    y[0, 0] *= BRIGHT
    y[0, 2] = 0
    y[1, 1] /= BRIGHT
    given: dict[str, Any] = {"inverse": inverses.Exact(), "beta": BETA, "tolerance": 0, "relaxation": relaxation}
    for iterations in (1, 40):
        found = fastip.admm(y, op, prior, iterations=iterations, **given)
        for b in range(2):
            for c in range(3):
                one = y[b : b + 1, c : c + 1]
                alone = fastip.admm(one, op, prior, iterations=iterations, **given)
                size = alone.x.norm().clamp(min=torch.finfo(one.dtype).tiny)
                assert (found.x[b, c] - alone.x[0, 0]).norm() <= 1e-6 * size
    # and where it goes on from an image or a solution
    more = fastip.admm(y, op, prior, init=found, iterations=5, **given)
    one = fastip.admm(y[1:, 1:2], op, prior, iterations=40, **given)
    one = fastip.admm(y[1:, 1:2], op, prior, init=one, iterations=5, **given)
    assert relative(more.x[1, 1], one.x[0, 0]) <= 1e-6


def test_a_far_start_of_one_picture() -> None:
    """Its plane shrinks to the size of its neighbour's in the first iterations: rounding alone tells them apart."""
    op = operators.Blur(psf.gaussian(9, sigma=1.6))
    y, init = op(rand(2, 1, 32, 32, seed=4)), torch.zeros(2, 1, 32, 32)
    init[0] = 1e5
    given: dict[str, Any] = {"inverse": inverses.Exact(), "beta": 0.3, "tolerance": 0, "iterations": 300}
    found = fastip.admm(y, op, priors.L1(1e-3), init=init, **given)
    alone = fastip.admm(y[:1], op, priors.L1(1e-3), init=init[:1], **given)
    exact = fastip.admm(y[:1].double(), op, priors.L1(1e-3), init=init[:1].double(), **given)
    assert relative(found.x[0], alone.x[0]) <= relative(alone.x[0].double(), exact.x[0])


def test_the_stop_rule_sees_each_plane_at_its_own_size() -> None:
    op, prior = operators.Blur(psf.motion(9, angle=45)), priors.NonNegative()
    y = op(rand(2, 1, 33, 30, seed=4))
    y[1] /= BRIGHT
    given: dict[str, Any] = {"inverse": inverses.Exact(), "beta": BETA, "iterations": 15}
    found = fastip.admm(y, op, prior, tolerance=1e-9, **given).residuals
    for b in range(2):
        alone = fastip.admm(y[b : b + 1], op, prior, tolerance=1e-9, **given).residuals
        torch.testing.assert_close(found[:, :, b], alone[:, :, 0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_factors_are_powers_of_two(dtype: torch.dtype) -> None:
    sizes = torch.tensor([1.0, 1.9, 3e-7, 0.0, 5e20, 1e-25, 7.0], dtype=dtype)
    found = spectral.factors(sizes, 5, look=True)
    assert found is not None
    forth, back = (t.reshape(4, 5, 2)[:, 0].flatten() for t in found)
    live = torch.cat([sizes, sizes[-1:]]) > 0
    assert torch.equal(forth * back, live.to(dtype)) and torch.equal(forth == 0, ~live)
    assert bool((torch.frexp(back[live]).mantissa == 0.5).all())
    scaled = (torch.cat([sizes, sizes[-1:]]) * forth)[live]
    assert bool((scaled >= 0.5).all()) and bool((scaled < 1).all())


def test_like_planes_need_no_factors() -> None:
    assert spectral.factors(torch.tensor([1.0, 1.9, 0.0, 0.0, 5.0]), 4, look=True) is None
    assert spectral.factors(torch.tensor([1.0, 1.9]), 4, look=False) is not None  # nobody looks where that would wait
    assert spectral.factors(torch.tensor([1.0, 0.0]), 4, look=True) is not None


def test_a_solve_on_a_gpu_without_a_tolerance_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = spectral.factors
    monkeypatch.setattr(spectral, "factors", lambda s, w, look: asked.append(look) or original(s, w, look))
    x = rand(2, 1, 8, 9, seed=5)
    flat = torch.ones(8, 5)
    step = SpectralStep(0.5 * flat, flat, x, 0.5)
    prox = priors.L1(0.1).bind(x, operators.Identity()).pointwise()
    assert prox is not None
    spectral.Spectral(step, prox, x, torch.fft.rfft2(x), 1.0, look=False)
    assert asked == [True]  # on a CPU always
