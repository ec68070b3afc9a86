"""explain says which inverse, loop and kernels a solve will use, and why not faster ones."""

import pytest
import torch

import fastip
from fastip import inverses, operators, priors, psf
from fastip.errors import FastipError

BLUR = operators.Blur(psf.gaussian(9, sigma=1.6), stride=4)
Y = torch.rand(1, 3, 8, 8)


@pytest.mark.parametrize(
    "op, prior, y, options, words",
    [
        (BLUR, priors.L1(1e-2), Y, {}, ["stencil", "fused", "compiled"]),
        (BLUR, priors.TV(1e-3), Y, {}, ["FFT on the data grid", "visible", "the prior has no formula for each pixel"]),
        (
            BLUR,
            priors.L1(torch.tensor(0.1, requires_grad=True)),
            Y,
            {},
            ["visible", "a weight of the prior requires a gradient"],
        ),
        (
            BLUR,
            priors.L1(1e-2),
            Y.clone().requires_grad_(),
            {},
            ["visible", "gradient", "compiled", "through torch.ops.fastip"],
        ),
        (
            BLUR,
            priors.L1(1e-2),
            Y,
            {"inverse": inverses.ConjugateGradient()},
            ["conjugate gradients", "inner loop", "visible"],
        ),
        (
            operators.Blur(psf.motion(5, 20), boundary="reflect"),
            priors.L1(1e-2),
            Y,
            {},
            ["stencil", "visible", "reflect"],
        ),
        (
            operators.Blur(psf.motion(5, 20)),
            priors.Box(),
            Y,
            {"inverse": inverses.Exact()},
            ["FFT on the image grid", "fused"],
        ),
        (
            operators.Mask(torch.ones(8, 8)),
            priors.NonNegative(),
            Y,
            {"beta": 0.25},
            ["pointwise", "visible", "beta = 0.25"],
        ),
    ],
)
def test_words(op, prior, y, options, words):
    text = fastip.explain(op, prior, y, **options)
    assert all(word in text for word in words), text


def test_the_door_is_the_same_as_that_of_admm():
    with pytest.raises(FastipError, match="NaN"):
        fastip.explain(BLUR, priors.L1(1e-2), Y / 0)


def test_it_is_asked_like_the_solve():
    """A keyword that no solve has is told, and a beta for each iteration goes step by step."""
    with pytest.raises(FastipError, match="did you mean 'beta'"):
        fastip.explain(BLUR, priors.L1(1e-2), Y, betas=1.0)
    assert "visible" in fastip.explain(BLUR, priors.L1(1e-2), Y, beta=[0.1, 0.2])
    with pytest.raises(FastipError, match="relaxation is 2.5"):
        fastip.explain(BLUR, priors.L1(1e-2), Y, relaxation=2.5)
