"""Operators on volumes, b c d h w, against SciPy, dense matrices and what they state of themselves."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from scipy import ndimage

from fastip import inverses, operators, psf
from fastip.contracts import Circulant, Diagonal, Scalar
from fastip.errors import InvalidInput

SIZE = (5, 6, 7)
MODES = {"circular": "wrap", "reflect": "reflect", "zero": "constant"}


def drawn(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype)


def dense(op, shape):
    """The matrix of op on one volume of this shape."""
    count = int(np.prod(shape[1:]))
    eye = torch.eye(count, dtype=torch.float64).reshape(count, *shape[1:])
    return op(eye).reshape(count, -1).T


def made():
    k = (3, 2, 4)
    yield "circular", operators.Blur(drawn(*k), axes=3), (2, 2, *SIZE)
    yield "zero", operators.Blur(drawn(*k), boundary="zero", axes=3), (1, 1, *SIZE)
    yield "reflect", operators.Blur(drawn(*k), boundary="reflect", axes=3), (2, 1, *SIZE)
    yield "valid", operators.Blur(drawn(*k), boundary="valid", axes=3), (1, 3, *SIZE)
    yield "stride", operators.Blur(drawn(*k), stride=2, axes=3), (1, 2, 6, 4, 8)
    yield "valid stride", operators.Blur(drawn(*k), stride=2, boundary="valid", axes=3), (1, 1, 7, 6, 8)
    yield "narrow", operators.Blur(drawn(2, 1, 2), stride=2, boundary="valid", axes=3), (2, 1, 4, 5, 6)
    yield "centre", operators.Blur(drawn(*k), centre=(0, 1, 3), axes=3), (1, 1, *SIZE)
    yield "of channels", operators.Blur(drawn(2, *k), axes=3), (2, 2, *SIZE)
    yield "of images", operators.Blur(drawn(2, 1, *k), boundary="zero", axes=3), (2, 2, *SIZE)
    yield "averages", operators.Downsample(2, axes=3), (2, 1, 4, 6, 2)
    yield "mask", operators.Mask(drawn(*SIZE), axes=3), (2, 2, *SIZE)
    yield "mask of channels", operators.Mask(drawn(2, *SIZE), axes=3), (2, 2, *SIZE)
    yield "composed", operators.Mask(drawn(*SIZE), axes=3) @ operators.Blur(drawn(*k), axes=3), (1, 1, *SIZE)


CASES = [pytest.param(op, shape, id=name) for name, op, shape in made()]


@pytest.mark.parametrize("boundary", MODES)
@pytest.mark.parametrize("k", [(3, 4, 5), (2, 1, 3)])
def test_the_convolution_of_scipy(boundary, k):
    taps, x = drawn(*k), drawn(2, 2, 7, 8, 9)
    found = operators.Blur(taps, boundary=boundary, axes=3)(x)
    for volume, seen in zip(x.flatten(0, 1).numpy(), found.flatten(0, 1).numpy(), strict=True):
        assert np.allclose(seen, ndimage.convolve(volume, taps.numpy(), mode=MODES[boundary]), atol=1e-12)


def test_a_centre_and_no_border_are_those_of_scipy():
    taps, x = drawn(3, 2, 4), drawn(1, 1, *SIZE)
    full = ndimage.convolve(x[0, 0].numpy(), taps.numpy(), mode="wrap", origin=(-1, 0, 1))
    assert np.allclose(operators.Blur(taps, centre=(0, 1, 3), axes=3)(x)[0, 0].numpy(), full, atol=1e-12)
    valid = operators.Blur(taps, boundary="valid", axes=3)(x)
    brute = torch.nn.functional.conv3d(x, taps.flip(0, 1, 2)[None, None])
    assert torch.allclose(valid, brute, atol=1e-12)


@pytest.mark.parametrize(("op", "shape"), CASES)
def test_the_adjoint_is_that_of_the_matrix_and_structures_are_right(op, shape):
    x, y = drawn(*shape), drawn(*op.output_shape(shape))
    assert abs((op(x) * y).sum() - (x * op.adjoint(y)).sum()) < 1e-10 * x.norm() * y.norm()
    assert op.input_shape(op.output_shape(shape)) == shape
    gram, cogram = op.gram(shape), op.cogram(tuple(y.shape))
    for structure, seen, data in ((gram, op.adjoint(op(x)), x), (cogram, op(op.adjoint(y)), y)):
        if structure is not None:
            assert torch.allclose(applied(structure, data), seen, atol=1e-10)
    one = (1, *shape[1:])
    if len(shape) > 1 and op_of_one(op, one):
        largest = torch.linalg.matrix_norm(dense(op, one), 2).item()
        assert largest <= op.norm(one) * (1 + 1e-9)
        if gram is not None or cogram is not None:
            assert largest == pytest.approx(op.norm(one), rel=1e-6)


def op_of_one(op, shape):
    try:
        op.output_shape((int(np.prod(shape[1:])), *shape[1:]))
    except InvalidInput:
        return False
    return True


def applied(structure, x):
    if isinstance(structure, Scalar):
        return structure.value * x
    if isinstance(structure, Diagonal):
        return structure.values * x
    assert isinstance(structure, Circulant) and structure.axes == 3
    dims = tuple(range(-structure.axes, 0))
    return torch.fft.irfftn(torch.fft.rfftn(x, dim=dims) * structure.spectrum, s=x.shape[2:], dim=dims)


def test_structures_are_stated_where_they_are_known():
    known = {name: (op.gram(shape), op.cogram(op.output_shape(shape))) for name, op, shape in made()}
    for name in ("circular", "centre", "of channels"):
        assert all(isinstance(part, Circulant) for part in known[name])
    assert known["stride"][0] is None and isinstance(known["stride"][1], Circulant)
    assert isinstance(known["narrow"][1], Scalar) and isinstance(known["averages"][1], Scalar)
    assert all(isinstance(part, Diagonal) for part in known["mask"])
    assert known["reflect"] == known["zero"] == known["valid"] == (None, None)


def test_the_norm_of_averages_is_that_of_the_docstring():
    assert operators.Downsample(3, axes=3).norm((1, 1, 6, 3, 9)) == pytest.approx(3**-1.5)


@pytest.mark.parametrize("boundary", ["circular", "zero", "reflect", "valid"])
def test_the_bound_of_a_psf_that_is_not_negative_is_its_sum(boundary):
    taps = psf.gaussian((5, 7, 3), sigma=(1, 2, 0.7))
    assert operators.Blur(3 * taps, boundary=boundary, axes=3).norm() == pytest.approx(3, rel=1e-9)


@pytest.mark.parametrize(("op", "shape"), CASES)
def test_copies_dtypes_gradients_and_fingerprints(op, shape):
    again, x = pickle.loads(pickle.dumps(op)), drawn(*shape)
    assert again.fingerprint() == op.fingerprint() and torch.equal(again(x), op(x))
    assert op(x.float()).dtype == torch.float32 and torch.allclose(op(x.float()).double(), op(x), atol=1e-4)
    x.requires_grad_()
    y = op(x)
    (slope,) = torch.autograd.grad(y.square().sum() / 2, x)
    assert torch.allclose(slope, op.adjoint(y.detach()))


def test_the_operator_without_signs_is_that_of_the_matrix():
    for op in (operators.Blur(drawn(2, 3, 2), axes=3), operators.Mask(drawn(*SIZE), axes=3)):
        shape = (1, 1, *SIZE)
        assert torch.allclose(dense(op.absolute(), shape), dense(op, shape).abs(), atol=1e-12)


@pytest.mark.parametrize("width", [6, 7])
def test_norms_of_a_step_in_fourier_space_are_those_of_the_volume(width):
    op, y = operators.Blur(drawn(2, 3, 2), axes=3), drawn(2, 1, 4, 5, width)
    step, x = inverses.Exact().bind(op, y, 0.3), drawn(2, 1, 4, 5, width)
    _, residual = step(x, step.start())
    due = op.adjoint(y - op(x)).flatten(1).norm(dim=1)
    assert torch.allclose(step.pending(residual), due) and torch.allclose(step.norm(residual), due / step.size)


def test_several_psfs_are_each_with_its_own():
    taps, x = drawn(2, 3, 2, 4), drawn(1, 2, *SIZE)
    found = operators.Blur(taps, axes=3)(x)
    for channel in range(2):
        alone = operators.Blur(taps[channel], axes=3)(x[:, channel : channel + 1])
        assert torch.allclose(found[:, channel : channel + 1], alone, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: operators.Blur(torch.ones(3, 3, 3), axes=1), "axes is 1; expected 2 for images"),
        (lambda: operators.Blur(torch.ones(3, 3, 3), axes=True), "axes is True"),
        (lambda: operators.Blur(torch.ones(3, 3), axes=3), "expected 3 or 4 or 5 axes"),
        (lambda: operators.Blur(torch.zeros(3, 2, 3), axes=3), "psf is all zeros \\(3 x 2 x 3\\)"),
        (lambda: operators.Blur(torch.ones(3, 3, 3), centre=(0, 0), axes=3), "expected \\(slice, row, column\\)"),
        (lambda: operators.Blur(torch.ones(3, 3, 3), centre=(0, 0, 3), axes=3), "from \\(0, 0, 0\\) on"),
        (lambda: operators.Blur(torch.ones(3, 3, 3), axes=3)(torch.ones(1, 8, 8, 8)), "five dimensions b c d h w"),
        (lambda: operators.Blur(torch.ones(3, 3, 3), axes=3)(torch.ones(1, 1, 2, 8, 8)), "psf is 3 x 3 x 3 but"),
        (lambda: operators.Blur(torch.ones(1, 1, 1), 2, axes=3)(torch.ones(1, 1, 3, 4, 4)), "image depth of 3"),
        (lambda: operators.Blur(torch.ones(3, 3))(torch.ones(1, 1, 8, 8, 8)), "four dimensions b c h w"),
        (lambda: operators.Downsample(2, axes=3)(torch.ones(1, 1, 4, 5, 4)), "crop it to 4 x 4 x 4"),
        (lambda: operators.Downsample(2, axes=4), "axes is 4"),
        (lambda: operators.Blur(torch.ones(3, 3, 3), axes=3.0), "axes is 3.0"),
        (lambda: operators.Mask(torch.ones(3, 3, 3), axes=torch.ones(3)), "axes is "),
        (lambda: operators.Mask(torch.ones(2, 2), axes=3), "expected 3 or 4 or 5 axes"),
        (lambda: operators.Mask(torch.ones(2, 2, 2), axes=3)(torch.ones(1, 1, 2, 2, 3)), "the same d, h and w"),
        (lambda: psf.gaussian((3, 3, 3), sigma=(1, 2)), "one for each axis"),
        (lambda: psf.gaussian((3,), sigma=1), "two for images or three for volumes"),
        (lambda: psf.gaussian((3, 0, 3), sigma=1), "size is 0"),
        (lambda: psf.gaussian((3, 3, 3), sigma=(1, -1, 1)), "sigma is -1"),
    ],
)
def test_what_is_refused(make, told):
    with pytest.raises(InvalidInput, match=told):
        make()


def test_a_gaussian_of_volumes_is_a_product_of_lines():
    lines = [psf.gaussian(n, sigma=s).sum(dim=1) for n, s in ((5, 1.0), (4, 2.0), (3, 0.5))]
    found = psf.gaussian((5, 4, 3), sigma=(1.0, 2.0, 0.5))
    assert torch.allclose(found, torch.einsum("i,j,k->ijk", *lines)) and found.sum().item() == pytest.approx(1)
    assert torch.allclose(psf.gaussian((5, 5, 5), sigma=2), psf.gaussian(5, sigma=(2, 2, 2)))
    assert torch.equal(psf.gaussian((7, 7), sigma=1.5), psf.gaussian(7, sigma=1.5))
