"""The default beta: that of the formula, alike in other units of A, the best one where all images are seen alike."""

from __future__ import annotations

import pytest
import torch
from skimage import data

import fastip
from cases.programs import traces_constants
from fastip import operators, priors, psf
from fastip.contracts import LinearOperator, Prior, Status
from fastip.errors import InvalidInput

SHAPE = (1, 1, 24, 20)
BLUR = operators.Blur(psf.gaussian(9, sigma=1.6))  # norm 1
MASK = operators.Mask((torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) < 0.5).double())


@pytest.mark.parametrize(
    "prior, expected",
    [
        (priors.TV(0.01), 0.0796214),  # 2 x 0.01^0.7
        (priors.AnisotropicTV(0.1), 0.399052),
        (priors.TV(0.01) + priors.Box(0, 1), 0.0796214),
        (priors.TV(1e-5) + priors.L2(0.1), 0.25),
        (priors.Wavelet(0.01, "haar"), 0.0278675),
        (priors.Quadratic(0.01), 0.025),
        (priors.Quadratic(10.0, "gradient", boundary="circular"), 1.0),
        (priors.L1(0.01), 0.0119432),
        (priors.L2(0.01), 0.025),
        (priors.ElasticNet(0.01, 0.002), 0.0119432),
        (priors.ElasticNet(0.01, 0.02), 0.05),
        (priors.TV(0.0), 1e-3),
        (priors.TV(50.0), 1.0),
        (priors.TV(torch.tensor([0.01, 0.1]).reshape(1, 2, 1, 1)), 0.399052),
        (priors.Box(0, 1), 0.02),
    ],
)
def test_formula(prior: Prior, expected: float) -> None:
    channels = 2 if isinstance(getattr(prior, "weight", None), torch.Tensor) else 1
    y = torch.rand(1, channels, *SHAPE[2:], dtype=torch.float64)
    assert fastip.admm(y, BLUR, prior, iterations=1).beta == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "make", [priors.TV, priors.AnisotropicTV, priors.Wavelet, priors.L1, priors.L2, priors.Quadratic]
)
def test_other_units(make: type[priors.TV]) -> None:
    """(A, weight) and (c A, c^2 weight) with data c y are one problem: beta grows with c^2, and x is the same."""
    y = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    one, other = fastip.admm(y, BLUR, make(0.02)), fastip.admm(5 * y, 5 * BLUR, make(0.5))
    assert other.beta == pytest.approx(25 * one.beta) and other.iterations == one.iterations
    torch.testing.assert_close(other.x, one.x)


@pytest.mark.parametrize(
    "op, prior, expected",
    [
        (operators.Identity(), priors.TV(0.01), 1.0),
        (3 * operators.Identity(), priors.Wavelet(0.01), 9.0),
        (operators.Mask(torch.ones(SHAPE)), priors.TV(0.01), 1.0),
        (operators.Identity(), priors.L2(5.0), 1.0),
        (MASK, priors.L1(0.01), 1.0),
        (2 * MASK, priors.Box(0, 1), 4.0),
        (MASK, priors.TV(0.01), 0.0796214),
    ],
)
def test_where_images_or_pixels_are_seen_alike(op: LinearOperator, prior: Prior, expected: float) -> None:
    assert prior.suggested_beta(op, SHAPE) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("weight", [0.01, 0.1])
@pytest.mark.parametrize("task", ["holes", "noise"])
def test_the_defaults_converge_soon(task: str, weight: float) -> None:
    """Half of a photograph missing, or noise: converged within the default number of iterations."""
    random = torch.Generator().manual_seed(5)
    x = torch.from_numpy(data.camera()[60:252:2, 150:342:2] / 255)[None, None]
    mask = torch.rand(x.shape, generator=random) < 0.5
    op = operators.Mask(mask.to(x)) if task == "holes" else operators.Identity()
    y = op(x + 0.02 * torch.randn(x.shape, generator=random, dtype=x.dtype))
    found = fastip.admm(y, op, priors.TV(weight))
    assert found.status is Status.CONVERGED and found.iterations <= (100 if task == "holes" else 40)


@traces_constants
@pytest.mark.parametrize(
    "prior",
    [
        priors.L1(1e-2),
        priors.ElasticNet(1e-2, 1e-2),
        priors.Box(),
        priors.TV(1e-2) + priors.L1(1.0),
        priors.Wavelet(1e-2),
        priors.Quadratic(1e-2),
    ],
)
def test_the_default_is_traced(prior: Prior) -> None:
    y = torch.rand(SHAPE)

    def run(y: torch.Tensor) -> torch.Tensor:
        return fastip.admm(y, BLUR, prior, iterations=2, tolerance=0).x

    torch.testing.assert_close(torch.compile(run, backend="eager", fullgraph=True)(y), run(y))


def test_an_operator_that_sees_nothing_is_said() -> None:
    for prior in (priors.TV(1e-2), priors.L1(1e-2), priors.Box()):
        with pytest.raises(InvalidInput, match="the operator is zero"):
            fastip.admm(torch.rand(SHAPE), 0 * BLUR, prior)


@traces_constants
def test_a_weight_that_is_a_tensor_is_not_traced() -> None:
    """Its largest entry is not known while torch.compile traces; another beta than that would be another result."""
    y, weight = torch.rand(SHAPE), torch.tensor([0.01]).reshape(1, 1, 1, 1).requires_grad_()

    def run(y: torch.Tensor, beta: float | None = None) -> torch.Tensor:
        return fastip.admm(y, BLUR, priors.TV(weight), beta=beta, iterations=2, tolerance=0).x

    assert run(y).requires_grad
    compiled = torch.compile(run, backend="eager", fullgraph=True)
    assert torch.isfinite(compiled(y, 0.1)).all()
    with pytest.raises(torch._dynamo.exc.Unsupported, match="default beta of a prior whose weight is a tensor"):
        compiled(y)
