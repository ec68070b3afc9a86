"""Parallel imaging: the formula, the bound of its norm, what is refused, and solves against a dense minimiser."""

from __future__ import annotations

import pickle
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
import torch
from torch import Tensor

import fastip
from cases.checks import operator_matrix, relative
from cases.scenes import scene
from fastip import operators, priors
from fastip.errors import InvalidInput, Unsupported

Sense = operators.Sense


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def coils(n: int, h: int, w: int) -> Tensor:
    """Smooth ones around the image, whose squares add to 1."""
    row, column = torch.meshgrid(
        torch.linspace(-1, 1, h, dtype=torch.float64), torch.linspace(-1, 1, w, dtype=torch.float64), indexing="ij"
    )
    at = 2 * torch.pi * torch.arange(n, dtype=torch.float64)[:, None, None] / n
    away = (row - 1.2 * at.sin()).square() + (column - 1.2 * at.cos()).square()
    made = torch.polar((-away).exp(), at + column * at.cos())
    return made / made.abs().square().sum(0).sqrt()


def every(h: int, step: int, middle: int) -> Tensor:
    """Rows: each step-th, and those of the lowest frequencies."""
    kept = torch.arange(h) % step == 0
    kept |= (torch.fft.fftfreq(h) * h).abs() <= middle
    return kept.double()[:, None]


@pytest.mark.parametrize("axes", [2, 3])
def test_it_is_the_transform_of_each_coil(axes: int) -> None:
    size = (3, 5, 4)[-axes:]
    mask, sensitivity, x = torch.rand(size, dtype=torch.float64), draw(4, *size), draw(2, 1, *size, seed=1)
    op = Sense(mask, sensitivity, axes=axes)
    y = op(x)
    for image in range(2):
        for j in range(4):
            seen = np.fft.fftn((sensitivity[j] * x[image, 0]).numpy(), norm="ortho") * mask.numpy()
            assert relative(y[image, j], torch.from_numpy(seen)) < 1e-14
    one = operators.MaskedFourier(mask, image="complex", axes=axes)
    alone = Sense(mask, torch.ones(1, *size), axes=axes)
    assert torch.equal(alone(x), one(x)) and torch.equal(alone.adjoint(one(x)), one.adjoint(one(x)))


@pytest.mark.parametrize("mask", [(7, 6), (3, 7, 6), (2, 1, 7, 6), (2, 3, 7, 6)])
@pytest.mark.parametrize("sensitivity", [(3, 7, 6), (2, 3, 7, 6)])
def test_images_and_coils_have_masks_of_their_own(mask: tuple[int, ...], sensitivity: tuple[int, ...]) -> None:
    weights, s, x = torch.rand(mask, dtype=torch.float64), draw(*sensitivity), draw(2, 1, 7, 6, seed=1)
    op, again = Sense(weights, s), pickle.loads(pickle.dumps(Sense(weights, s)))
    expected = torch.fft.fft2(s * x, norm="ortho") * weights
    torch.testing.assert_close(op(x), expected)
    assert torch.equal(again(x), op(x)) and again.fingerprint() == op.fingerprint()
    assert op.output_shape((2, 1, 7, 6)) == (2, 3, 7, 6) and op.input_shape((2, 3, 7, 6)) == (2, 1, 7, 6)
    assert op.fingerprint() != Sense(weights, 2 * s).fingerprint() and op.fingerprint() != Sense(2 * weights, s)
    largest = torch.linalg.matrix_norm(operator_matrix(op, (2, 1, 7, 6)), 2).item()
    assert largest <= op.norm() == op.norm((2, 1, 7, 6))


def test_the_norm_is_that_of_whole_samples() -> None:
    mask, s = 0.7 * torch.ones(5, 6, dtype=torch.float64), draw(3, 5, 6)
    largest = torch.linalg.matrix_norm(operator_matrix(Sense(mask, s), (1, 1, 5, 6)), 2).item()
    assert Sense(mask, s).norm() == pytest.approx(largest, rel=1e-12)
    weights = torch.tensor([1.0, 0.1, 2.0], dtype=torch.float64).reshape(3, 1, 1).expand(3, 5, 6)
    largest = torch.linalg.matrix_norm(operator_matrix(Sense(weights, s), (1, 1, 5, 6)), 2).item()
    assert Sense(weights, s).norm() == pytest.approx(largest, rel=1e-12)


def test_coils_alone() -> None:
    s, x = draw(2, 3, 5, 4), draw(2, 1, 5, 4, seed=1)
    op = operators.Coils(s)
    assert torch.equal(op(x), s * x)
    torch.testing.assert_close(op.adjoint(op(x)), s.abs().square().sum(1, keepdim=True) * x)
    mask = torch.rand(5, 4, dtype=torch.float64)
    pair = operators.MaskedFourier(mask, image="complex") @ op
    assert relative(pair(x), Sense(mask, s)(x)) < 1e-14
    largest = torch.linalg.matrix_norm(operator_matrix(op, (2, 1, 5, 4)), 2).item()
    assert op.norm() == pytest.approx(largest, rel=1e-12)


HOLED = torch.full((2, 4, 4), torch.nan, dtype=torch.complex64)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sense(torch.zeros(4, 4), draw(2, 4, 4)), "mask is 0 everywhere"),
        (lambda: Sense(torch.ones(4, 4), torch.zeros(2, 4, 4)), "coils are 0 everywhere"),
        (lambda: Sense(draw(4, 4), draw(2, 4, 4)), "mask has dtype torch.complex128; expected real"),
        (lambda: Sense(torch.ones(4, 4), draw(4, 4)), "coils has shape"),
        (lambda: Sense(torch.ones(4, 4), HOLED), "coils holds 32 values that are NaN or Inf"),
        (lambda: Sense(torch.ones(4, 5), draw(2, 4, 4)), "the mask is 4 x 5 but coils 4 x 4"),
        (lambda: Sense(torch.ones(3, 4, 4), draw(2, 4, 4)), r"the mask has shape \(3, 4, 4\) but coils"),
        (lambda: Sense(torch.ones(2, 1, 4, 4), draw(3, 2, 4, 4)), r"the mask has shape \(2, 1, 4, 4\) but coils"),
        (lambda: Sense(torch.ones(4, 4), draw(2, 4, 4), axes=1), "axes is 1"),
        (lambda: Sense(torch.ones(4, 4), draw(2, 4, 4))(draw(1, 2, 4, 4)), "2 channels; expected one"),
        (lambda: Sense(torch.ones(4, 4), draw(2, 4, 4))(draw(1, 1, 4, 5)), "the image is 4 x 5 but the coils 4 x 4"),
        (lambda: Sense(torch.ones(4, 4), draw(2, 4, 4))(torch.ones(1, 1, 4, 4)), "expected complex64 or complex128"),
        (lambda: Sense(torch.ones(4, 4), draw(2, 4, 4)).adjoint(draw(1, 3, 4, 4)), "those of 3 coils; expected .* 2"),
        (lambda: Sense(torch.ones(3, 1, 4, 4), draw(2, 4, 4))(draw(2, 1, 4, 4)), "there are masks for 3 images"),
        (lambda: operators.Coils(draw(2, 4, 4)).adjoint(draw(1, 2, 3, 4)), "the data is 3 x 4 but the coils 4 x 4"),
        (lambda: Sense(torch.ones(4, 4), draw(3, 2, 4, 4))(draw(2, 1, 4, 4)), "there are coils for 3 images"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make()


def test_gradients_of_constants_are_refused() -> None:
    with pytest.raises(Unsupported, match="coils requires a gradient"):
        Sense(torch.ones(4, 4), draw(2, 4, 4).requires_grad_())


@pytest.mark.parametrize("name", ["L1", "TV"])
def test_it_ends_at_the_minimiser(name: str) -> None:
    """admm and pgd against cvxpy, on the real and imaginary parts."""
    h, w = 5, 6
    op = Sense(every(h, 2, 1).expand(h, w), coils(3, h, w))
    y = op(draw(1, 1, h, w)) + 0.05 * op(draw(1, 1, h, w, seed=2))
    matrix = operator_matrix(op, (1, 1, h, w)).numpy()
    parts, data = cp.Variable((h * w, 2)), torch.view_as_real(y).flatten().numpy()
    x = [cp.reshape(parts[:, k], (h, w), order="C") for k in (0, 1)]
    if name == "TV":
        down = [cp.vstack([cp.diff(p, axis=0), np.zeros((1, w))]) for p in x]
        across = [cp.hstack([cp.diff(p, axis=1), np.zeros((h, 1))]) for p in x]
        # of complex images: the modulus of each difference, both together
        total = cp.sum(cp.norm(cp.vstack([cp.vec(d, order="C") for d in (*down, *across)]), 2, axis=0))
    else:
        total = cp.sum(cp.norm(parts, 2, axis=1))
    misfit = cp.sum_squares(matrix @ cp.vec(parts, order="C") - data)
    cp.Problem(cp.Minimize(misfit + 0.05 * total)).solve(
        solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12
    )
    known = torch.view_as_complex(torch.from_numpy(parts.value.reshape(1, 1, h, w, 2)).contiguous())
    found = fastip.admm(y, op, getattr(priors, name)(0.05), iterations=3000, tolerance=1e-9).x
    assert relative(found, known) < 1e-5
    if name == "L1":
        assert relative(fastip.pgd(y, op, priors.L1(0.05), iterations=3000, tolerance=1e-9).x, known) < 1e-5


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_two_fifths_of_the_rows_of_a_picture(dtype: torch.dtype) -> None:
    h, w = 48, 40
    phase = torch.linspace(0, 2, h, dtype=torch.float64)[:, None] * torch.linspace(0.5, 1, w, dtype=torch.float64)
    x = torch.polar(scene(h, w, 1)[0], phase.expand(1, h, w))[None].to(dtype)
    op = Sense(every(h, 3, 3).expand(h, w), coils(8, h, w))
    s = fastip.admm(op(x), op, priors.TV(1e-4), iterations=200)
    alone = fastip.admm(op(x)[:, :1], operators.MaskedFourier(op.mask, image="complex"), priors.TV(1e-4))
    assert s.x.dtype == dtype and relative(s.x, x) < 0.01 and 0.1 < relative(alone.x, x)
