"""Total variation of volumes and of voxels that are no cubes, and solves of volumes, against cvxpy."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
import torch

import fastip
from fastip import fidelities, inverses, operators, priors, psf
from fastip.errors import InvalidInput, Unsupported
from fastip.kernels import variation

SPACING = (2.0, 1.0, 0.5)
BOUNDARIES = ("reflect", "circular")


def slopes(x, boundary, spacing):
    """Differences along the last axes, by NumPy: axes ... d h w."""
    parts = []
    for axis, h in zip(range(x.ndim - len(spacing), x.ndim), spacing, strict=True):
        part = np.roll(x, -1, axis) - x
        if boundary == "reflect":
            part[(slice(None),) * axis + (-1,)] = 0
        parts.append(part / h)
    return np.stack(parts)


def weights(shape, boundary, spacing):
    """The differences as one matrix for each axis."""
    count = int(np.prod(shape))
    columns = slopes(np.eye(count).reshape(count, *shape), boundary, spacing)
    return [part.reshape(count, count).T for part in columns]


def total_variation(x, shape, boundary, spacing):
    return cp.sum(cp.norm(cp.vstack([d @ x for d in weights(shape, boundary, spacing)]), 2, axis=0))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", [(2, 3, 4, 5, 6), (2, 3, 5, 6)])
def test_the_values_are_those_of_the_formulas(boundary, shape):
    axes = len(shape) - 2
    x, spacing = torch.randn(*shape, dtype=torch.float64), SPACING[-axes:]
    d, own = slopes(x.numpy(), boundary, spacing), {"boundary": boundary, "spacing": spacing}
    dims = tuple(range(1, x.ndim))
    length, threshold = np.sqrt((d**2).sum(0)), 0.8
    bent = np.where(length < threshold, length**2 / (2 * threshold), length - threshold / 2)
    joint = np.sqrt((d**2).sum(axis=(0, 2)))
    for prior, due in (
        (priors.TV(0.3, **own), length.sum(dims)),
        (priors.AnisotropicTV(0.3, **own), abs(d).sum(0).sum(dims)),
        (priors.VectorTV(0.3, **own), joint.sum(dims[:-1])),
        (priors.Huber(0.3, threshold, **own), bent.sum(dims)),
    ):
        assert np.allclose(prior.value(x), 0.3 * due)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("spacing", [SPACING, (1.0, 1.0, 1.0), (3.0, 0.4)])
def test_differences_have_their_adjoint_and_their_bound(boundary, spacing):
    kind = variation.Kind(boundary, (0,), 0.0, spacing)
    size = (8, 8, 8)[: len(spacing)]
    x = torch.randn(2, 2, *size, dtype=torch.float64)
    u = variation.differences(torch.randn(2, 2, *size, dtype=torch.float64), boundary, spacing)
    found = (variation.differences(x, boundary, spacing) * u).sum()
    assert abs(found - (x * variation.differences_adjoint(u, boundary, spacing)).sum()) < 1e-10
    for _ in range(300):
        x = variation.differences_adjoint(variation.differences(x, boundary, spacing), boundary, spacing)
        size, x = x.norm().item(), x / x.norm()
    assert 0.9 * kind.bound < size <= kind.bound * (1 + 1e-12)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("spacing", [SPACING, None])
def test_a_solve_with_a_box_is_that_of_cvxpy(boundary, spacing):
    shape, weight = (3, 4, 4), 0.05
    op = operators.Blur(psf.gaussian((3, 3, 3), sigma=(0.6, 1.0, 0.8)), axes=3)
    truth = torch.rand(2, 1, *shape, dtype=torch.float64)
    y = op(truth) + 0.1 * torch.randn(truth.shape, dtype=torch.float64)
    prior = priors.TV(weight, boundary=boundary, spacing=spacing) + priors.Box(0.2, 0.8)
    s = fastip.admm(y, op, prior, iterations=5000, tolerance=1e-6)
    count = int(np.prod(shape))
    matrix = op(torch.eye(count, dtype=torch.float64).reshape(count, 1, *shape)).reshape(count, count).T.numpy()
    for image, data in zip(s.x, y, strict=True):
        x = cp.Variable(count)
        misfit = cp.sum_squares(matrix @ x - data.flatten().numpy())
        found = misfit + weight * total_variation(x, shape, boundary, spacing or (1, 1, 1))
        best = cp.Problem(cp.Minimize(found), [x >= 0.2, x <= 0.8]).solve(solver="CLARABEL")
        ours = (op(image[None]) - data).square().sum() + prior.value(image[None])
        assert image.min() >= 0.2 and image.max() <= 0.8
        assert ours.item() <= best * (1 + 1e-5)


@pytest.mark.parametrize("boundary", ["circular", "valid"])
def test_counts_of_a_volume_are_those_of_cvxpy(boundary):
    size, weight, background = (4, 4, 5), 0.3, 0.5
    op = operators.Blur(psf.gaussian((2, 3, 2), sigma=1), boundary=boundary, axes=3)
    mean = op(20 * torch.rand(1, 1, *size, dtype=torch.float64))
    y = torch.poisson(mean + background)
    prior = priors.TV(weight) + priors.NonNegative()
    counts = fidelities.Poisson(background)
    s = fastip.admm(y, op, prior, fidelity=counts, iterations=8000, tolerance=1e-6)
    count, rows = int(np.prod(size)), y.numel()
    matrix = op(torch.eye(count, dtype=torch.float64).reshape(count, 1, *size)).reshape(count, rows).T.numpy()
    x, data = cp.Variable(count), y.flatten().numpy()
    seen = matrix @ x + background
    told = cp.sum(seen) - data @ cp.log(seen) + weight * total_variation(x, size, "reflect", (1, 1, 1))
    best = cp.Problem(cp.Minimize(told), [x >= 0]).solve(solver="CLARABEL")
    v = op(s.x) + background
    ours = (v - y * v.log()).sum() + prior.value(s.x).item()
    assert ours.item() <= best + 1e-5 * abs(best)


def test_one_slice_is_an_image_and_a_resumed_solve_is_one_solve():
    taps = psf.gaussian(5, sigma=1)
    y = torch.rand(1, 2, 9, 8, dtype=torch.float64)
    settings = {"iterations": 3000, "tolerance": 1e-7}
    flat = fastip.admm(y, operators.Blur(taps), priors.TV(0.02), **settings)
    deep = fastip.admm(y[:, :, None], operators.Blur(taps[None], axes=3), priors.TV(0.02), **settings)
    assert torch.allclose(flat.x, deep.x[:, :, 0], atol=1e-5)
    y, op, prior = torch.rand(1, 1, 4, 6, 5), operators.Blur(torch.rand(2, 3, 3) / 9, axes=3), priors.TV(0.02)
    whole = fastip.admm(y, op, prior, iterations=20, tolerance=0)
    half = fastip.admm(y, op, prior, iterations=10, tolerance=0)
    rest = fastip.admm(y, op, prior, iterations=10, tolerance=0, init=half)
    assert torch.allclose(rest.x, whole.x, atol=1e-6)


def test_the_gradient_at_the_fixed_point_is_that_of_the_iterations():
    op, y = operators.Blur(torch.rand(2, 2, 2, dtype=torch.float64), axes=3), torch.rand(1, 1, 4, 4, 4).double()
    slopes = []
    for gradient in ("unrolled", "implicit"):
        weight = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
        settings = {"iterations": 3000, "tolerance": 1e-7, "beta": 1.0, "gradient": gradient}
        s = fastip.admm(y, op, priors.TV(weight), **settings)
        slopes += torch.autograd.grad(s.x.square().sum(), weight)
    assert slopes[0] != 0 and slopes[1].item() == pytest.approx(slopes[0].item(), rel=1e-3)


@pytest.mark.parametrize(
    "prior",
    [
        priors.L1(0.01),
        priors.ElasticNet(0.01, 0.1),
        priors.Box(0, 1),
        priors.TV(0.01, spacing=SPACING) + priors.NonNegative(),
        priors.VectorTV(0.01),
        priors.Huber(0.01, 0.05),
    ],
    ids=lambda prior: type(prior).__name__,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_inverse_comes_to_the_same_volume(prior, dtype):
    x = torch.rand(2, 2, 5, 6, 7, dtype=dtype)
    op = operators.Blur(psf.gaussian((3, 3, 3), sigma=0.6), axes=3)
    y = op(x)
    found = [
        fastip.admm(y, op, prior, inverse=inverse, iterations=3000, tolerance=1e-4).x
        for inverse in (inverses.Exact(), inverses.Scalar(), inverses.ConjugateGradient(1e-6))
    ]
    assert found[0].dtype == dtype and found[0].shape == x.shape
    for other in found[1:]:
        assert (other - found[0]).norm() < 2e-2 * found[0].norm()


def test_the_gradient_of_the_weight_by_differences():
    op, y = operators.Blur(torch.rand(2, 2, 2, dtype=torch.float64), axes=3), torch.rand(1, 1, 4, 4, 4).double()

    def total(weight):
        return fastip.admm(y, op, priors.TV(weight, spacing=SPACING), iterations=15, tolerance=0, beta=1.0).x.sum()

    weight = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(total(weight), weight)
    h = 1e-6
    assert slope.item() == pytest.approx((total(0.05 + h) - total(0.05 - h)).item() / (2 * h), rel=1e-4, abs=1e-6)


VOLUME = operators.Blur(torch.ones(2, 2, 2), axes=3)
Y = torch.ones(1, 1, 4, 4, 4)
MIRRORED = operators.Blur(torch.ones(2, 2, 2), boundary="reflect", axes=3)


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda: priors.TV(1, spacing=2.0), InvalidInput, "spacing is 2.0; expected two numbers"),
        (lambda: priors.TV(1, spacing=(1, 0)), InvalidInput, "a distance of spacing is 0"),
        (lambda: priors.TV(1, spacing="ab"), InvalidInput, "spacing is 'ab'"),
        (lambda: priors.TV(1, spacing=(1, 1, 1, 1)), InvalidInput, "expected two numbers > 0 for images"),
        (lambda: priors.TV(1, spacing=(1, 1)).value(Y), InvalidInput, "for 2 axes, and the image has 3"),
        (lambda: fastip.admm(Y, VOLUME, priors.TV(1, spacing=(1, 1))), InvalidInput, "for 2 axes"),
        (lambda: fastip.admm(Y, VOLUME, priors.TGV(1)), InvalidInput, "TGV needs b c h w"),
        (lambda: fastip.admm(Y, VOLUME, priors.Wavelet(1)), InvalidInput, "4 x 4 x 4 pixels is too small for 3"),
        (lambda: fastip.admm(Y, VOLUME, priors.Quadratic(1, torch.ones(3, 3))), InvalidInput, "kd x kh x kw for vol"),
        (lambda: priors.Quadratic(1, torch.ones(1, 1, 1)).value(Y[0]), InvalidInput, "filter has shape .* 2 axes"),
        (lambda: fastip.admm(Y, VOLUME, priors.Quadratic(1, spacing=(1, 1))), InvalidInput, "for 2 axes"),
        (lambda: fastip.admm(Y, VOLUME, priors.TV(torch.ones(1, 2, 1, 1))), InvalidInput, "1 c 1 1 1, as a volume"),
        (lambda: fastip.admm(Y, VOLUME, priors.L1(torch.ones(1, 1, 3, 1, 1))), InvalidInput, "does not broadcast"),
        (lambda: priors.Quadratic(torch.ones(1, 1, 2, 1, 1)), InvalidInput, "of volumes 1 c 1 1 1"),
        (lambda: priors.VectorTV(torch.ones(1, 2, 1, 1, 1)), InvalidInput, "of volumes b 1 1 1 1"),
        (lambda: priors.L1(torch.ones(1, 1, 1, 1, 1, 2)), InvalidInput, "five to a volume"),
        (lambda: fastip.admm(Y, VOLUME, priors.TV(1), inverse=inverses.Stencil(3)), Unsupported, "."),
        (lambda: fastip.wiener(Y, VOLUME, 0.1, spectrum=torch.ones(4, 4)), InvalidInput, r"\(4, 4, 4\) or \(4, 4, 3\)"),
        (lambda: fastip.wiener(Y, MIRRORED, 0.1, spectrum="power"), Unsupported, "diagonal"),
    ],
)
def test_what_is_refused(call, error, told):
    with pytest.raises(error, match=told):
        call()
