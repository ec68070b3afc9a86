"""Which form ``inverse="auto"`` takes for another data term, by the psf, the stride and the prior; explain says it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fastip
from cases.checks import noise
from fastip import fidelities, inverses, operators, priors, psf

SPLIT, PROX, NUMBER, EXACT = "exact by a second split", "a prox in line one, a number", "a number", "exact, pointwise"
HUBER, SQUARES = fidelities.Huber(0.1), fidelities.Squares(2.0)
TV, L1 = priors.TV(0.02) + priors.NonNegative(), priors.L1(0.02) + priors.NonNegative()
NETWORK = priors.Denoiser(lambda x, sigma: x / (1 + sigma), sigma=0.1, noise=0.1)  # what gives its prox by one call


def blur(side: int, stride: int = 1, boundary: str = "valid") -> operators.Blur:
    return operators.Blur(psf.box(side), stride, boundary)


def mask(size: int) -> operators.Mask:
    return operators.Mask(noise((size, size), seed=2))


@pytest.mark.parametrize(
    "op, prior, fidelity, words",
    [
        # an iteration of a number costs the pixels of the psf, one of the split four transforms and fewer of them
        (blur(17), TV, HUBER, PROX),
        (blur(18), TV, HUBER, SPLIT),
        (blur(18), TV, SQUARES, SPLIT),
        (blur(17), TV, SQUARES, NUMBER),
        (blur(7), L1, HUBER, PROX),
        (blur(8), L1, HUBER, SPLIT),
        (blur(2), NETWORK, HUBER, SPLIT),
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
