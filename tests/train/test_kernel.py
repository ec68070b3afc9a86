"""Learning A from pairs.

Exact without noise, as uncertain as predicted with it, and refused where the data cannot tell.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cases.checks import noise
from fastip import operators, psf
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.train.kernel import BLOCK, KernelFit, kernel

SIZES = [(1, 1), (3, 3), (4, 4), (2, 5), (5, 1), (9, 9)]


def pairs(h, *, stride, boundary, data=(2, 3, 11, 13), seed=0, dtype=torch.float64):
    """Random images and what the operator makes of them."""
    op = operators.Blur(h, stride=stride, boundary=boundary)
    x = noise(op.input_shape(data), dtype, seed=seed)
    return x, op(x)


def design(x, size, *, stride, boundary):
    """X, column by column: what the operator with one tap makes of x."""
    columns = []
    for t in range(size[0] * size[1]):
        one = torch.zeros(size[0] * size[1], dtype=torch.float64)
        one[t] = 1
        columns.append(operators.Blur(one.reshape(size), stride=stride, boundary=boundary)(x.double()).flatten())
    return torch.stack(columns, 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("boundary", ["circular", "valid", "reflect", "zero"])
def test_without_noise_the_psf_is_exact(boundary, stride, size):
    seed = SIZES.index(size) + 10 * stride
    h = noise(size, seed=seed)
    x, y = pairs(h, stride=stride, boundary=boundary, seed=seed + 1)
    fit = kernel(x, y, size, stride=stride, boundary=boundary)
    assert fit.psf.shape == size and fit.psf.dtype == torch.float64
    assert float((fit.psf - h).abs().max()) < 1e-11 and fit.noise < 1e-11
    single = kernel(
        x.float(),
        pairs(h, stride=stride, boundary=boundary, seed=seed + 1, dtype=torch.float32)[1],
        size,
        stride=stride,
        boundary=boundary,
    )
    assert float((single.psf - h).abs().max()) < 3e-6


def test_smooth_images_still_give_eight_digits():
    """Photographs are smooth, so the columns of X are nearly parallel; the normal equations would square that."""
    x = operators.Blur(psf.gaussian(13, 2.0), boundary="circular")(noise((3, 2, 40, 44), seed=3))
    h = psf.motion(9, 30)
    y = operators.Blur(h, stride=4)(x)
    fit = kernel(x, y, 9, stride=4)
    assert fit.condition > 1e6
    assert float((fit.psf - h).abs().max()) < 1e-8


def test_one_image_of_one_channel_and_a_larger_size():
    h = noise((3, 3), seed=5)
    x, y = pairs(h, stride=1, boundary="zero", data=(1, 1, 15, 17), seed=6)
    fit = kernel(x, y, 5, boundary="zero")
    assert float((fit.psf[1:4, 1:4] - h).abs().max()) < 1e-12
    assert float(fit.psf.abs().sum() - fit.psf[1:4, 1:4].abs().sum()) < 1e-11


@pytest.mark.parametrize(("data", "size"), [((1, 1, 300, 290), 7), ((60, 3, 40, 30), 7), ((1, 2, 40, 37), (31, 33))])
def test_more_data_than_one_block(data, size):
    """Bands of one large plane, groups of small planes, and a psf whose block is as small as allowed."""
    shape = (size, size) if isinstance(size, int) else size
    h = noise(shape, seed=8)
    x, y = pairs(h, stride=1, boundary="reflect", data=data, seed=9, dtype=torch.float32)
    assert math.prod(data) * h.numel() > BLOCK / 2
    y = operators.Blur(h, boundary="reflect")(x.double())
    fit = kernel(x, y, size, boundary="reflect")
    assert float((fit.psf - h).abs().max()) < 1e-10


def test_the_blocks_do_not_matter(monkeypatch):
    import sys

    h = noise((4, 3), seed=1)
    x, y = pairs(h, stride=2, boundary="zero", seed=2)
    y = y + 0.1 * noise(y.shape, seed=3)
    whole = kernel(x, y, (4, 3), stride=2, boundary="zero", ridge=0.3)
    monkeypatch.setattr(sys.modules["fastip.train.kernel"], "BLOCK", 1)
    parts = kernel(x, y, (4, 3), stride=2, boundary="zero", ridge=0.3)
    torch.testing.assert_close(parts.psf, whole.psf, rtol=1e-12, atol=1e-13)
    assert (parts.spread, parts.noise, parts.condition) == pytest.approx(
        (whole.spread, whole.noise, whole.condition), rel=1e-10
    )


@pytest.mark.parametrize("boundary", ["circular", "valid", "reflect", "zero"])
def test_noise_makes_the_predicted_error(boundary):
    """Over 60 draws the rms error is sigma sqrt(tr((X^T X)^-1) / k^2) within 10 %; each fit finds sigma by itself."""
    h, sigma = psf.gaussian(5, 1.2), 0.03
    x, y = pairs(h, stride=2, boundary=boundary, data=(2, 2, 14, 15), seed=20)
    columns = design(x, (5, 5), stride=2, boundary=boundary)
    spread = math.sqrt(torch.linalg.inv(columns.T @ columns).trace() / 25)
    fits = [kernel(x, y + sigma * noise(y.shape, seed=100 + i), 5, stride=2, boundary=boundary) for i in range(60)]
    assert all(fit.spread == pytest.approx(spread, rel=1e-9) for fit in fits)
    measured = math.sqrt(sum(float((fit.psf - h).square().mean()) for fit in fits) / 60)
    assert measured == pytest.approx(sigma * spread, rel=0.1)
    assert math.sqrt(sum(fit.noise**2 for fit in fits) / 60) == pytest.approx(sigma, rel=0.02)
    assert fits[0].error == pytest.approx(sigma * spread, rel=0.15)


@pytest.mark.parametrize("rows", ["more", "fewer"])
def test_ridge_is_the_dense_solve(rows):
    """Also with fewer data than taps, where only the ridge decides."""
    data = (1, 2, 7, 9) if rows == "more" else (1, 1, 4, 4)
    x, y = pairs(noise((4, 5), seed=30), stride=2, boundary="valid", data=data, seed=31)
    y = y + 0.2 * noise(y.shape, seed=32)
    columns, ridge = design(x, (4, 5), stride=2, boundary="valid"), 2.5
    m = columns.T @ columns + ridge * torch.eye(20, dtype=torch.float64)
    expected = torch.linalg.solve(m, columns.T @ y.flatten())
    fit = kernel(x, y, (4, 5), stride=2, boundary="valid", ridge=ridge)
    torch.testing.assert_close(fit.psf.flatten(), expected, rtol=1e-10, atol=1e-12)
    inverse = torch.linalg.inv(m)
    assert fit.spread == pytest.approx(math.sqrt((inverse @ columns.T @ columns @ inverse).trace() / 20), rel=1e-9)
    if rows == "more":
        assert fit.noise == pytest.approx(
            float((y.flatten() - columns @ expected).norm()) / math.sqrt(126 - 20), rel=1e-9
        )
        assert fit.condition == pytest.approx(float(torch.linalg.cond(columns)), rel=1e-9)
    else:
        assert math.isnan(fit.noise) and fit.condition == math.inf


def test_the_answer_is_the_least():
    """Nothing near it has a smaller objective."""
    x, y = pairs(noise((3, 4), seed=40), stride=3, boundary="reflect", seed=41)
    y = y + noise(y.shape, seed=42)
    for ridge in (0.0, 7.0):
        fit = kernel(x, y, (3, 4), stride=3, boundary="reflect", ridge=ridge)

        def objective(h, ridge=ridge):
            return float(
                (y - operators.Blur(h, stride=3, boundary="reflect")(x)).square().sum() + ridge * h.square().sum()
            )

        least = objective(fit.psf)
        assert all(objective(fit.psf + 1e-3 * noise((3, 4), seed=i)) > least for i in range(20))


def test_arrays_come_back_as_themselves_and_the_operator_is_the_learned_one():
    h = noise((3, 5), seed=50)
    x, y = pairs(h, stride=2, boundary="zero", seed=51)
    fit = kernel(x.numpy(), y.numpy(), (3, 5), stride=2, boundary="zero")
    assert isinstance(fit, KernelFit) and isinstance(fit.psf, np.ndarray) and fit.psf.dtype == np.float64
    op = fit.operator()
    assert (op.stride, op.boundary) == (2, "zero")
    torch.testing.assert_close(op(x), y, rtol=0, atol=1e-11)
    assert not kernel(x.clone().requires_grad_(), y, (3, 5), stride=2, boundary="zero").psf.requires_grad


def test_data_that_cannot_tell_are_refused():
    flat = torch.full((2, 3, 16, 16), 0.5)
    with pytest.raises(InvalidInput, match="determine only 1 of the 9 taps.*ridge > 0"):
        kernel(flat, flat, 3)
    steps = torch.arange(16.0).expand(1, 1, 16, 16).contiguous()  # no row differs from another
    with pytest.raises(InvalidInput, match="determine only 3 of the 9 taps"):
        kernel(steps, steps, 3)
    with pytest.raises(InvalidInput, match="y holds 16 values, fewer than the 25 taps"):
        kernel(torch.rand(1, 1, 16, 16), torch.rand(1, 1, 4, 4), 5, stride=4)
    assert torch.isfinite(kernel(flat, flat, 3, ridge=1e-3).psf).all()
    assert float(kernel(flat, flat, 3, ridge=1e-3).psf.sum()) == pytest.approx(1, abs=1e-4)


def test_what_is_refused_at_the_door():
    x, y = torch.rand(1, 3, 16, 12), torch.rand(1, 3, 4, 3)
    assert kernel(x, y, 2, stride=4).psf.shape == (2, 2)
    for arguments, options, message in [
        ((x, y, 2), {}, r"y has shape \(1, 3, 4, 3\); expected \(1, 3, 16, 12\).*check stride"),
        ((x, y[:, :1], 2), {"stride": 4}, "expected \\(1, 3, 4, 3\\)"),
        ((x[0], y, 2), {"stride": 4}, "four dimensions"),
        ((x, y, 0), {"stride": 4}, "size.* is 0; expected a whole number"),
        ((x, y, (2, 2, 2)), {"stride": 4}, "expected k or"),
        ((x, y, 2.0), {"stride": 4}, "whole number"),
        ((x, y, 17), {"stride": 4}, "psf is 17 x 17 but the image only 16 x 12"),
        ((x, y, 2), {"stride": 5}, "does not divide"),
        ((x, y, 2), {"stride": 4, "boundary": "wrap"}, "did you mean 'circular'"),
        ((x, y, 2), {"stride": 4, "ridge": -1}, "ridge is -1"),
        ((x, torch.full_like(y, torch.nan), 2), {"stride": 4}, "y holds 36 values that are NaN"),
        ((x / 0, y, 2), {"stride": 4}, "x holds"),
        ((x.long(), y, 2), {"stride": 4}, "dtype"),
        (("x.png", y, 2), {"stride": 4}, "expected a torch tensor"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            kernel(*arguments, **options)
    with pytest.raises(UnknownKeyword, match="did you mean 'ridge'"):
        kernel(x, y, 2, stride=4, rigde=1.0)
