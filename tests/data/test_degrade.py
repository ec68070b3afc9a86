"""Data as a camera gives them: A x, plus noise of the level asked for, only where something is measured."""

from __future__ import annotations

import pytest
import torch

from cases.operators import operator_cases
from fastip import operators, psf
from fastip.data import degrade
from fastip.errors import InvalidInput

OP = operators.Blur(psf.gaussian(3, sigma=1.0), stride=2, boundary="circular")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_noise_it_is_the_operator(dtype):
    x = torch.rand(2, 3, 8, 10, dtype=dtype)
    assert torch.equal(degrade(x, OP), OP(x)) and torch.equal(degrade(x, OP, torch.zeros(2)), OP(x))


@pytest.mark.parametrize(
    ("make", "shape"), [pytest.param(make, shape, id=name) for name, make, shape in operator_cases()]
)
def test_every_operator(make, shape):
    """The noise is that of the level, on the entries that are ever measured and on no other."""
    op = make(torch.float64)
    x = torch.rand(
        shape, dtype=torch.complex128 if op.complex_input else torch.float64, generator=torch.Generator().manual_seed(1)
    )
    y = op(x)
    e = degrade(x, op, 0.25, generator=3) - y
    e = torch.view_as_real(e) if e.is_complex() else e[..., None]
    rows = torch.stack([op(torch.randn(x.shape, dtype=torch.float64).to(x)).abs() for _ in range(3)]).amax(0) > 0
    assert e.shape[:-1] == y.shape and bool((e[~rows] == 0).all()) and bool((e[rows] != 0).all())
    assert e.dtype == torch.float64 and float(e[rows].std(unbiased=False)) < 0.6


def test_the_level():
    x = torch.rand(3, 1, 64, 64)
    levels = torch.tensor([0.0, 0.1, 0.4])
    e = degrade(x, operators.Identity(), levels, generator=1) - x
    assert (
        e[0].abs().max() == 0
        and e[1].std() == pytest.approx(0.1, rel=0.05)
        and e[2].std() == pytest.approx(0.4, rel=0.05)
    )
    assert (degrade(x, operators.Identity(), 0.1, generator=1) - x)[2].std() == pytest.approx(0.1, rel=0.05)


def test_hidden_pixels_stay_zero():
    mask = (torch.rand(16, 16) > 0.5).double()
    x = torch.rand(2, 1, 16, 16, dtype=torch.float64) - 0.5
    x[0, 0, 3] = 0  # a measured zero is measured all the same
    y = degrade(x, operators.Mask(mask), 0.1)
    assert bool((y[..., mask == 0] == 0).all()) and bool((y[..., mask == 1] != 0).all())
    z = degrade(x, operators.MaskedFourier(mask), 0.1) - operators.MaskedFourier(mask)(x)
    assert (
        bool((z[..., mask == 0] == 0).all())
        and z[..., mask == 1].real.std() == pytest.approx(0.1, rel=0.3)
        and z.imag.abs().max() > 0
    )


def test_seeds_and_generators():
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(degrade(x, OP, 0.1, generator=4), degrade(x, OP, 0.1, generator=4))
    assert not torch.equal(degrade(x, OP, 0.1, generator=4), degrade(x, OP, 0.1, generator=5))
    generator = torch.Generator().manual_seed(4)
    first, second = degrade(x, OP, 0.1, generator=generator), degrade(x, OP, 0.1, generator=generator)
    assert torch.equal(first, degrade(x, OP, 0.1, generator=4)) and not torch.equal(first, second)
    state = torch.get_rng_state()
    degrade(x, OP, 0.1)
    assert torch.equal(state, torch.get_rng_state())


def test_it_is_differentiable():
    x = torch.rand(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    degrade(x, OP, 0.1).square().sum().backward()
    y = degrade(x.detach(), OP, 0.1)
    assert torch.allclose(x.grad, OP.adjoint(2 * y))


@pytest.mark.parametrize(
    "noise",
    [
        -0.1,
        float("nan"),
        "0.1x",
        torch.tensor([0.1, 0.2, 0.3]),
        torch.tensor([0.1, -0.2]),
        torch.tensor([0.1, float("inf")]),
    ],
)
def test_doors(noise):
    with pytest.raises(InvalidInput, match="noise"):
        degrade(torch.rand(2, 1, 8, 8), OP, noise)
