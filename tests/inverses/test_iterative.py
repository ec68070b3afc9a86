"""Conjugate gradients, gradient descent, the paper's forms, the Woodbury identity and the automatic choice."""

import pytest
import torch

import fastip
from cases.problems import gaussian, matrix, motion, observe, spikes
from fastip import inverses, operators, priors
from fastip.errors import FastipError, InvalidInput, Unsupported
from fastip.inverses.conjugate_gradient import conjugate_gradient
from fastip.operators import psf


@pytest.mark.parametrize("side", ["data", "image"])
def test_conjugate_gradient_reaches_the_exact_step(side):
    op = motion("valid")
    x = spikes(2, 2, 17, 19)
    y = observe(op, x)
    exact = inverses.Exact(side="data").bind(op, y, 0.05)
    step = inverses.ConjugateGradient(1e-12, side=side).bind(op, y, 0.05)
    q = 0.1 * torch.randn_like(y)
    dual = q if side == "data" else op.adjoint(q)
    torch.testing.assert_close(step.pull(step(x, dual)[0]), exact.pull(exact(x, q)[0]), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(step.guess(), exact.guess(), rtol=1e-7, atol=1e-9)


def test_images_of_a_batch_do_not_disturb_each_other():
    """A zero image, an easy one and a hard one: each gets the answer it gets alone, and zero stays zero."""
    d = torch.linspace(1, 1000, 50, dtype=torch.float64)
    b = torch.stack(
        [
            torch.zeros(50, dtype=torch.float64),
            torch.eye(50, dtype=torch.float64)[0],
            torch.randn(50, dtype=torch.float64),
        ]
    )
    x = conjugate_gradient(lambda v: v * d, b, torch.full((3, 1), 1e-10, dtype=torch.float64), 500)
    assert torch.equal(x[0], torch.zeros(50, dtype=torch.float64))
    torch.testing.assert_close(x, b / d, rtol=1e-8, atol=1e-12)
    assert torch.isfinite(conjugate_gradient(lambda v: v * d, b, torch.zeros(3, 1, dtype=torch.float64), 500)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("side", ["data", "image"])
def test_data_of_zeros_end_at_zero_from_any_start(side, dtype):
    """min ||A x||^2 + 0.1 ||x||^2 is at 0, from wherever, and zero residuals give zero updates."""
    op, y = operators.Downsample(2), torch.zeros(2, 1, 5, 10, dtype=dtype)
    init = torch.randn(2, 1, 10, 20, dtype=dtype, generator=torch.Generator().manual_seed(1))
    init[1] = 0
    inverse = inverses.ConjugateGradient(side=side)
    found = fastip.admm(y, op, priors.L2(0.1), beta=0.03, inverse=inverse, init=init, iterations=600, tolerance=0)
    assert found.x[0].abs().max() < 1e-10 and not found.x[1].any()
    step = inverse.bind(op, y, 0.03)
    assert not step(torch.zeros_like(init), step.start())[0].any()


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**-60, 2.0**40, 2.0**80])
@pytest.mark.parametrize("side", ["data", "image"])
def test_the_size_of_data_changes_no_bit(side, scale):
    """Squares of these would vanish or overflow in float32."""
    op = motion("valid")
    y = observe(op, spikes(2, 2, 17, 19)).float()
    step, scaled = (inverses.ConjugateGradient(side=side).bind(op, t, 0.05) for t in (y, y * scale))
    assert torch.equal(scaled.guess(), step.guess() * scale) and step.guess().any()


def test_a_converged_image_stands_still():
    """However many steps its neighbours still need."""
    d = torch.linspace(1, 1000, 50)
    b = torch.stack([torch.eye(50)[0], torch.randn(50, generator=torch.Generator().manual_seed(2))])
    both = conjugate_gradient(lambda v: v * d, b, torch.tensor([[1e-3], [1e-5]]), 500)
    alone = conjugate_gradient(lambda v: v * d, b[:1], torch.tensor([[1e-3]]), 500)
    assert torch.equal(both[:1], alone)


def test_gradient_descent_is_symmetric_and_below_b():
    op = gaussian(2, "valid")
    grid = (1, 1, 6, 7)
    y = torch.zeros(grid, dtype=torch.float64)
    step = inverses.GradientDescent(7).bind(op, y, 0.1)
    c = torch.stack([step.apply(e.reshape(grid)).flatten() for e in torch.eye(42, dtype=torch.float64)])
    a = matrix(op, op.input_shape(grid))
    b = torch.linalg.inv(0.1 * torch.eye(42, dtype=torch.float64) + a @ a.T)
    torch.testing.assert_close(c, c.T)
    assert torch.linalg.eigvalsh(c).min() > 0 and torch.linalg.eigvalsh(b - c).min() > -1e-9
    # Seven steps of size s from zero miss (I - s B^-1)^7 B, eight miss less.
    missing = torch.eye(42, dtype=torch.float64) - torch.linalg.inv(b) / (0.1 + op.norm(op.input_shape(grid)) ** 2)
    torch.testing.assert_close(c, b - torch.linalg.matrix_power(missing, 7) @ b)
    more = inverses.GradientDescent(400).bind(op, y, 0.1)
    torch.testing.assert_close(more.apply(y + 1), (b @ (y + 1).flatten()).reshape(grid), rtol=1e-4, atol=1e-6)


def test_paper_forms_equal_the_exact_step_when_c_is_exact():
    op = gaussian(4, "circular")
    x = spikes(1, 2, 32, 24)
    y = observe(op, x)
    q = 0.1 * torch.randn_like(y)
    expected = inverses.Exact().bind(op, y, 0.05)(x, q)
    for form in (inverses.Uncorrected, inverses.Printed):
        new, r = form(inverses.Exact()).bind(op, y, 0.05)(x, q)
        torch.testing.assert_close(new, expected[0], rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(r, expected[1])


def test_paper_forms_need_the_data_side():
    with pytest.raises(Unsupported, match="side='data'"):
        inverses.Printed(inverses.Exact()).bind(motion("circular"), torch.randn(1, 1, 16, 16), 0.1)


@pytest.mark.parametrize(
    "inverse",
    [
        inverses.Exact(),
        inverses.Exact(side="data"),
        inverses.ConjugateGradient(1e-12),
        inverses.ConjugateGradient(1e-12, side="image"),
    ],
)
def test_woodbury_identity(inverse):
    op, beta = motion("circular"), 0.03
    v = torch.randn(2, 1, 12, 14, dtype=torch.float64)
    k = inverses.woodbury(inverse, op, beta)(v)
    torch.testing.assert_close(beta * k + op.adjoint(op(k)), v, rtol=1e-7, atol=1e-8)
    out = inverses.woodbury(inverse, op, beta)(v.numpy())
    torch.testing.assert_close(torch.from_numpy(out), k)


def test_woodbury_refuses_bad_beta():
    with pytest.raises(InvalidInput, match="beta"):
        inverses.woodbury(inverses.Exact(), motion("circular"), 0.0)


@pytest.mark.parametrize(
    "op, shape, pointwise, expected",
    [
        (operators.Blur(psf.gaussian(3, 1.0), stride=4), (1, 1, 16, 16), True, inverses.Exact),
        (gaussian(4, "circular"), (1, 1, 16, 16), True, inverses.Stencil),
        (gaussian(4, "circular"), (1, 1, 16, 16), False, inverses.Exact),
        (motion("circular"), (1, 1, 16, 16), True, inverses.Stencil),
        (motion("circular"), (1, 1, 16, 16), False, inverses.Exact),
        (operators.Blur(torch.rand(9, 9)), (1, 1, 16, 16), True, inverses.Exact),
        (motion("valid"), (1, 1, 80, 80), True, inverses.Stencil),
        (gaussian(1, "valid"), (1, 1, 80, 80), True, inverses.Stencil),  # separable, but fused
        (gaussian(4, "reflect"), (1, 1, 16, 16), False, inverses.Stencil),  # which takes hardly more iterations
        (operators.Resize(4), (1, 1, 16, 16), True, inverses.Exact),
        (operators.Dense(torch.randn(5, 9, dtype=torch.float64)), (1, 5), True, inverses.Exact),
        (gaussian(2, "valid") @ operators.Mask(torch.ones(25, 25)), (1, 1, 9, 9), True, inverses.Scalar),
        (gaussian(1, "valid") @ operators.Mask(torch.ones(89, 89)), (1, 1, 81, 81), True, inverses.Scalar),
    ],
)
def test_automatic_choice(op, shape, pointwise, expected):
    y = torch.randn(shape, dtype=torch.float64)
    chosen = inverses.choose(op, y, 0.05, pointwise=pointwise)
    assert type(chosen) is expected
    chosen.bind(op, y, 0.05)


@pytest.mark.parametrize("side, expected", [(64, inverses.Exact), (1000, inverses.Stencil)])
def test_a_separable_blur_takes_its_eigenvectors_while_they_are_cheap(side, expected):
    """At this beta the stencils take several times the iterations; 2 (h + w) products cost more on large grids."""
    y = torch.empty(1, 1, side, side)
    assert type(inverses.choose(gaussian(1, "valid"), y, 3e-3, pointwise=False)) is expected
    # Of rank one but for the rounding of float32: nothing but stencils is known.
    op = operators.Blur(psf.gaussian(9, sigma=1.6).float(), boundary="valid")
    assert type(inverses.choose(op, y, 3e-3, pointwise=False)) is inverses.Stencil


@pytest.mark.parametrize(
    "make",
    [
        lambda: inverses.ConjugateGradient(0.0),
        lambda: inverses.ConjugateGradient(side="up"),
        lambda: inverses.ConjugateGradient(maximum=0),
        lambda: inverses.GradientDescent(0),
    ],
)
def test_bad_numbers(make):
    with pytest.raises(FastipError):
        make()
