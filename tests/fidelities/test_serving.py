"""Which form ``inverse="auto"`` takes for another data term, by the psf, the stride and the prior; explain says it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fastip
from cases.checks import noise
from fastip import fidelities, inverses, operators, priors, psf
from fastip.errors import InvalidInput

SPLIT, PROX, NUMBER, EXACT = "exact by a second split", "a prox in line one, a number", "a number", "exact, pointwise"
HUBER, SQUARES = fidelities.Huber(0.1), fidelities.Squares(2.0)
TV, L1 = priors.TV(0.02) + priors.NonNegative(), priors.L1(0.02) + priors.NonNegative()
NETWORK = priors.Denoiser(lambda x, sigma: x / (1 + sigma), sigma=0.1, noise=0.1)  # what gives its prox by one call


def blur(side: int, stride: int = 1, boundary: str = "valid") -> operators.Blur:
    return operators.Blur(noise((side, side), seed=3).abs() / side**2, stride, boundary)


def mask(size: int) -> operators.Mask:
    return operators.Mask(noise((size, size), seed=2))


@pytest.mark.parametrize(
    "op, prior, fidelity, words",
    [
        # an iteration of a number costs the weights of the psf, one of the split four transforms and fewer of them
        (blur(17), TV, HUBER, PROX),
        (blur(18), TV, HUBER, SPLIT),
        (blur(18), TV, SQUARES, SPLIT),
        (blur(17), TV, SQUARES, NUMBER),
        (blur(7), L1, HUBER, PROX),
        (blur(8), L1, HUBER, SPLIT),
        (blur(2), NETWORK, HUBER, SPLIT),
        # of which those that are zero cost nothing, and separable ones two sides
        (operators.Blur(psf.box(25), boundary="valid"), TV, HUBER, PROX),
        (operators.Blur(psf.shake(25, 1), boundary="valid"), TV, HUBER, PROX),
        (operators.Blur(psf.disk(25, 11), boundary="valid"), TV, HUBER, SPLIT),
        (operators.Blur(psf.box(8), boundary="valid"), L1, HUBER, SPLIT),
        (operators.Blur(psf.shake(25, 1), boundary="valid"), L1, HUBER, SPLIT),
        # a number convolves where data are alone
        (blur(24, 2), TV, HUBER, PROX),
        (blur(24, 2), L1, HUBER, SPLIT),
        (blur(36, 2), TV, HUBER, SPLIT),
        (blur(12, 2, "circular"), L1, HUBER, PROX),
        (mask(19) @ blur(18), TV, HUBER, SPLIT),
        (mask(20) @ blur(17), TV, HUBER, PROX),
        # nothing is mixed
        (mask(36), TV, SQUARES, EXACT),
        (mask(36), NETWORK, SQUARES, EXACT),
        (mask(36), TV, HUBER, PROX),
        (mask(36), NETWORK, HUBER, PROX),
        # no window
        (blur(18, 1, "reflect"), TV, HUBER, PROX),
    ],
)
def test_what_auto_takes(op: Any, prior: Any, fidelity: Any, words: str) -> None:
    y = op(torch.rand(1, 1, 36, 36, dtype=torch.float64))
    told = fastip.explain(op, prior, y, fidelity=fidelity)
    assert words in told and fidelity.describe() in told


@pytest.mark.parametrize("side, form", [(3, inverses.Scalar()), (18, inverses.Split())])
@pytest.mark.parametrize("fidelity", [HUBER, fidelities.Poisson(2.0), SQUARES, fidelities.Clipped(0.5)], ids=repr)
def test_auto_is_the_form_that_it_takes(side: int, form: Any, fidelity: Any) -> None:
    op = blur(side)
    y = op(torch.rand(1, 1, 36, 36, dtype=torch.float64))
    given: dict[str, Any] = {"fidelity": fidelity, "iterations": 10, "tolerance": 0}
    one, two = (fastip.admm(y, op, TV, inverse=inverse, **given) for inverse in ("auto", form))
    assert one.beta == two.beta and torch.equal(one.x, two.x)


def test_high_counts_are_served_as_low_ones() -> None:
    """The penalty is looked at beside the curvature of counts, which falls as they rise: a diagonal pays below 1e-3."""
    even = operators.Mask(1 + 0.2 * noise((12, 12), seed=5).abs())
    op = even @ operators.Blur(psf.gaussian(5, sigma=0.8), boundary="reflect")
    x = torch.rand(1, 1, 12, 12, dtype=torch.float64)
    for counts in (1.0, 1e4):
        told = fastip.explain(op, priors.TV(0.02), op(counts * x), fidelity=fidelities.Poisson())
        assert "a number by the norm of A" in told


@pytest.mark.parametrize(
    "fidelity, expected",
    [
        (fidelities.Absolute(), "data_beta = 2,"),  # 0.5 over the mean
        (fidelities.Absolute(3.0), "data_beta = 6,"),
        (fidelities.Poisson(), "data_beta = 0.2,"),  # 0.1 over twice the mean
        (fidelities.Clipped(1.0, weights=2.0), "data_beta = 0.05,"),
        (fidelities.Huber(0.1), "data_beta = 0.1,"),
        (SQUARES, "data_beta = 0.2,"),
    ],
    ids=repr,
)
def test_the_data_beta_of_each(fidelity: Any, expected: str) -> None:
    y = torch.full((1, 1, 12, 12), 0.25, dtype=torch.float64)
    told = fastip.explain(blur(3, 1, "circular"), TV, y, fidelity=fidelity, inverse=inverses.Split())
    assert expected in told


def smoothing(x: torch.Tensor, sigma: float) -> torch.Tensor:
    return x + min(1.0, sigma / 100) * (x.mean(dim=(-2, -1), keepdim=True) - x)


def test_a_denoiser_beside_counts() -> None:
    """High counts of nearly one mean m are squares of noise sqrt(m): beta is 1 / (2 sigma^2), sigma in counts."""
    op, sigma, m = operators.Mask(torch.ones(9, 8)), 40.0, 1e4
    y = torch.poisson(torch.full((1, 1, 9, 8), m, dtype=torch.float64), generator=torch.Generator().manual_seed(1))
    given: dict[str, Any] = {"iterations": 300, "tolerance": 0}
    plain = fastip.admm(y, op, priors.Denoiser(smoothing, sigma=sigma, noise=m**0.5), **given).x
    counts = {"fidelity": fidelities.Poisson(), "beta": 1 / (2 * sigma**2)}
    for inverse in ("auto", inverses.Scalar()):
        found = fastip.admm(y, op, priors.Denoiser(smoothing, sigma=sigma), inverse=inverse, **counts, **given).x
        assert float((found - plain).norm() / (y - plain).norm()) < 0.05
    assert float((y - plain).norm() / (y - m).norm()) > 0.1


@pytest.mark.parametrize("fidelity", [fidelities.Poisson(), fidelities.Absolute()], ids=repr)
def test_noise_of_squares_implies_no_beta_beside_counts(fidelity: Any) -> None:
    y, prior = torch.full((1, 1, 9, 8), 1e4), priors.Denoiser(smoothing, sigma=40.0, noise=100.0)
    with pytest.raises(InvalidInput, match=r"for squares of differences alone; .* beta = 1 / \(2 sigma\^2\)"):
        fastip.admm(y, operators.Mask(torch.ones(9, 8)), prior, fidelity=fidelity)


@pytest.mark.parametrize("fidelity", [fidelities.Poisson(), fidelities.Absolute(), fidelities.Absolute(3.0)], ids=repr)
def test_the_default_beta_follows_the_operator(fidelity: Any) -> None:
    """s A and s R are the problem of A and R whose image is as many times as high."""
    h = psf.gaussian(5, sigma=1.0)
    y = 50 * torch.rand(1, 1, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    one, two = (
        fastip.admm(y, operators.Blur(s * h), priors.TV(0.02 * s), fidelity=fidelity, iterations=20, tolerance=0)
        for s in (1.0, 8.0)
    )
    assert two.beta == pytest.approx(64 * one.beta, rel=1e-6)
    assert float((8 * two.x - one.x).norm() / one.x.norm()) < 1e-6


@pytest.mark.parametrize(
    "side, stride, prior, form",
    [(6, 1, TV, PROX), (7, 1, TV, SPLIT), (3, 1, L1, PROX), (4, 1, L1, SPLIT), (8, 2, TV, PROX), (8, 2, L1, SPLIT)],
)
def test_volumes(side: int, stride: int, prior: Any, form: str) -> None:
    """All the axes of a psf and its stride count."""
    op = operators.Blur(noise((side,) * 3, seed=3).abs() / side**3, stride, boundary="valid", axes=3)
    y = op(torch.rand(1, 1, 10, 10, 10, dtype=torch.float64))
    assert form in fastip.explain(op, prior, y, fidelity=HUBER)


@pytest.mark.parametrize(
    "fidelity, curvature, size",
    [
        (fidelities.Poisson(), 0.1, 10.0),  # 1 over twice the mean, and that
        (fidelities.Absolute(), 0.2, 10.0),
        (fidelities.Clipped(9.0), 0.25, 1.0),
        (SQUARES, 2.0, 1.0),
    ],
    ids=repr,
)
def test_the_default_beta(fidelity: Any, curvature: float, size: float) -> None:
    """That of squares, beside the curvature of D and with the weight that the image in [0, 1] has."""
    op, y = operators.Blur(psf.gaussian(5, sigma=1.0)), torch.full((1, 1, 9, 8), 5.0, dtype=torch.float64)
    beside = priors.TV(0.02 / (curvature * size)).suggested_beta(op, (1, 1, 9, 8))
    found = fastip.admm(y, op, priors.TV(0.02), fidelity=fidelity, iterations=1)
    assert found.beta == pytest.approx(curvature * beside, rel=1e-6)


@pytest.mark.parametrize("name", ["Scalar", "Diagonal", "Split"])
def test_all_weights_times_a_number(name: str) -> None:
    """The start, the penalties and the iterates are those of the prior times it."""
    op, a, inverse = blur(4), noise((9, 10), seed=4).abs(), getattr(inverses, name)()
    y = op(torch.rand(1, 1, 12, 13, dtype=torch.float64))
    one, two = (
        fastip.admm(y, op, priors.TV(0.02 * n), fidelity=fidelities.Squares(n * a), inverse=inverse, iterations=3).x
        for n in (1.0, 7.0)
    )
    assert float((one - two).norm() / one.norm()) < 1e-6
