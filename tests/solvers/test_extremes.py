"""Numbers at the ends of a dtype: data of any size give the same picture, what underflows is refused in words."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fastip
from cases.checks import relative
from fastip import inverses, operators, priors
from fastip.errors import InvalidInput
from fastip.operators import psf

GAUSS = psf.gaussian(5, sigma=1.1)
SOLVES: dict[str, tuple[operators.Operator, Any]] = {
    "whole solve": (operators.Blur(GAUSS, stride=2), "auto"),
    "transforms": (operators.Blur(psf.motion(5, 30)), inverses.Exact()),
    "conjugate gradients": (operators.Blur(GAUSS, boundary="zero"), inverses.ConjugateGradient(1e-7)),
    "conjugate gradients on the image": (
        operators.Blur(GAUSS, boundary="zero"),
        inverses.ConjugateGradient(1e-7, side="image"),
    ),
}
PRIORS = {
    "l1": lambda s: priors.L1(1e-2 * s),
    "box": lambda s: priors.Box(0.1 * s, 0.8 * s),
    "tv": lambda s: priors.TV(1e-2 * s),
    "anisotropic": lambda s: priors.AnisotropicTV(1e-2 * s) + priors.NonNegative(),
    "wavelet": lambda s: priors.Wavelet(1e-2 * s, "haar", levels=1),
}


def picture(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 1, 24, 22, generator=generator) * (torch.rand(2, 1, 24, 22, generator=generator) < 0.3)


@pytest.mark.parametrize("scale", [1e-25, 1e20])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("solve", SOLVES)
def test_data_of_any_size_give_the_same_picture(solve: str, prior: str, scale: float) -> None:
    op, inverse = SOLVES[solve]
    y = op(picture())
    given: dict[str, Any] = {"inverse": inverse, "beta": 0.05}
    expected = fastip.admm(y, op, PRIORS[prior](1.0), iterations=20, tolerance=0, **given)
    found = fastip.admm(y * scale, op, PRIORS[prior](scale), iterations=20, tolerance=0, **given)
    assert relative(found.x.double() / scale, expected.x.double()) < 1e-4
    if solve.startswith("conjugate"):  # which are slow
        return
    expected = fastip.admm(y, op, PRIORS[prior](1.0), iterations=100, **given)
    found = fastip.admm(y * scale, op, PRIORS[prior](scale), iterations=100, **given)
    assert found.status is expected.status
    assert abs(found.iterations - expected.iterations) <= 5


@pytest.mark.parametrize("factor", [10, 100])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_far_start_is_no_instability(stride: int, factor: float) -> None:
    op = operators.Blur(GAUSS, stride=stride)
    y = op(picture().double())
    init = factor * torch.randn(2, 1, 24, 22, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for beta in (None, 1.0, 10.0):
        given: dict[str, Any] = {"inverse": inverses.Exact(), "beta": beta, "relaxation": 0.05, "iterations": 400}
        assert fastip.admm(y, op, priors.L2(0.1), init=init, **given).status is not fastip.Status.UNSTABLE


@pytest.mark.parametrize(
    "dtype, values",
    [(torch.float32, (5e-324, 1e-310, 1e-39, 1e39)), (torch.float64, (5e-324, 1e-310))],
    ids=["float32", "float64"],
)
@pytest.mark.parametrize("name", ["beta", "relaxation"])
def test_numbers_outside_of_a_dtype(name: str, dtype: torch.dtype, values: tuple[float, ...]) -> None:
    op = operators.Blur(GAUSS, stride=2, boundary="zero")
    y, tiny = op(picture().to(dtype)), torch.finfo(dtype).tiny
    for value in values:
        with pytest.raises(InvalidInput, match=name):
            fastip.admm(y, op, priors.L1(1e-3), **{name: value})
        with pytest.raises(InvalidInput, match=name):
            fastip.admm(y, op, priors.L1(1e-3), **{name: [1.0, value] if name == "beta" else value})
        if name == "beta":
            with pytest.raises(InvalidInput, match="constant"):
                fastip.wiener(y, op, value)
            with pytest.raises(InvalidInput, match="beta"):
                inverses.woodbury(inverses.Exact(side="data"), op, value)(picture().to(dtype))
    advice = "norm near 1" if name == "beta" else "1 is none"
    with pytest.raises(InvalidInput, match=rf"expected {tiny:.3g} to .*{advice}"):
        fastip.admm(y, op, priors.L1(1e-3), **{name: values[0]})
    fastip.admm(y, op, priors.L1(1e-3), **{name: 4 * tiny}, iterations=2)


def too_large(kind: str, scale: float) -> tuple[operators.Operator, Any, torch.Tensor]:
    """An operator, the inverse that factors or fits it, and an image."""
    if kind == "dense":
        matrix = torch.randn(30, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        return operators.Dense(matrix * scale), inverses.Exact(side="data"), torch.ones(1, 20, dtype=torch.float64)
    inverse = inverses.Stencil(2) if kind == "stencil" else inverses.Exact(side="data")
    taps = GAUSS if kind == "kronecker" else GAUSS + 0.01 * torch.eye(len(GAUSS))  # of rank one or not
    return operators.Blur(taps * scale, boundary="zero"), inverse, picture().double()


@pytest.mark.parametrize(
    "kind, scale", [("dense", 1e16), *((k, 1e200) for k in ("dense", "assembled", "kronecker", "stencil"))]
)
@pytest.mark.parametrize("beta", [None, 1e-2])
def test_operators_out_of_range_are_refused_in_words(kind: str, scale: float, beta: float | None) -> None:
    """Where the size of A leaves the linear algebra nothing to work with: never an error of PyTorch's own."""
    op, inverse, x = too_large(kind, scale)
    if beta is None and scale < 1e100:  # the default is in proportion to A
        fastip.admm(op(x), op, priors.L1(1e-3), inverse=inverse, iterations=5)
        return
    expected = "raise beta, or use" if kind in ("dense", "assembled") and beta is not None else "scale it"
    with pytest.raises(InvalidInput, match=expected):
        fastip.admm(op(x), op, priors.L1(1e-3), inverse=inverse, beta=beta, iterations=5)
