"""Closed forms of strided convolutions: structures on many grids, products, and the norm bound."""

from __future__ import annotations

import itertools

import pytest
import torch

from cases.checks import noise, operator_matrix, relative, structure_matrix
from fastip.contracts import Circulant, Convolution, Cosine, Diagonal, Kronecker, Scalar
from fastip.operators import Blur, Downsample, Identity, psf
from fastip.operators.base import convolutions

BOUNDARIES = ("circular", "valid", "reflect", "zero")


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5])
def test_structures_equal_the_matrices_on_every_grid(stride, boundary):
    found = set()
    for kh, kw in itertools.product((1, 2, 3, 4, 5), repeat=2):
        op = Blur(noise((kh, kw), seed=kh + 7 * kw), stride=stride, boundary=boundary)
        for h, w in ((-(-kh // stride), -(-kw // stride)), (3, 2), (5, 6)):
            data = (1, 1, max(h, -(-kh // stride)), max(w, -(-kw // stride)))
            image = op.input_shape(data)
            matrix = operator_matrix(op, image)
            cogram, gram = op.cogram(data), op.gram(image)
            if cogram is not None:
                found.add(type(cogram))
                assert relative(structure_matrix(cogram, data), matrix @ matrix.T) <= 1e-12
            if gram is not None:
                assert relative(structure_matrix(gram, image), matrix.T @ matrix) <= 1e-12
            if max(kh, kw) <= stride or boundary == "circular":
                assert cogram is not None
    kinds = {"circular": {Scalar, Circulant}, "valid": {Scalar}}.get(
        boundary, {Scalar, Diagonal} if stride >= 3 else {Scalar}
    )
    if boundary != "circular":
        kinds = kinds | {Kronecker}  # rows and columns, which are of rank one
    assert found == (kinds if stride < 5 else kinds - {Circulant, Kronecker})


@pytest.mark.parametrize(
    "kernel",
    [psf.gaussian(3, 0.8), psf.box(5), psf.disk(7, 2.0), torch.tensor([[1.0, -3.0, 1.0]], dtype=torch.float64)],
)
def test_symmetric_reflecting_blurs_are_cosine(kernel):
    for h, w in ((7, 7), (8, 11), (12, 7)):
        op = Blur(kernel, boundary="reflect")
        matrix = operator_matrix(op, (1, 1, h, w))
        for structure, product in (
            (op.cogram((1, 1, h, w)), matrix @ matrix.T),
            (op.gram((1, 1, h, w)), matrix.T @ matrix),
        ):
            assert (
                isinstance(structure, Cosine) and relative(structure_matrix(structure, (1, 1, h, w)), product) <= 1e-12
            )


@pytest.mark.parametrize(
    "kernel, kind",
    [
        (psf.gaussian(4, 1.0), Kronecker),
        (torch.tensor([[1.0, 2.0, 1.1]]), Kronecker),
        (psf.gaussian(4, 1.0).float(), type(None)),  # of rank one but for rounding
        (psf.motion(5, 30.0), type(None)),
    ],
)
def test_other_reflecting_blurs_are_products_or_state_nothing(kernel, kind):
    op = Blur(kernel, boundary="reflect")
    assert type(op.cogram((1, 1, 9, 9))) is kind and op.gram((1, 1, 9, 9)) is None


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_the_stencil_is_the_decimated_autocorrelation(stride):
    kernel = noise((7, 4))
    r = convolutions.autocorrelation(kernel, stride)
    assert r.shape == (2 * (6 // stride) + 1, 2 * (3 // stride) + 1)
    for i, d in enumerate(range(-(6 // stride), 6 // stride + 1)):
        for j, e in enumerate(range(-(3 // stride), 3 // stride + 1)):
            exact = sum(
                kernel[s, t] * kernel[s + stride * d, t + stride * e]
                for s in range(7)
                for t in range(4)
                if 0 <= s + stride * d < 7 and 0 <= t + stride * e < 4
            )
            assert r[i, j].item() == pytest.approx(float(exact), abs=1e-13)


MERGES = [
    (left, right, s, t, one, two)
    for left, right in (("circular", "circular"), ("valid", "valid"))
    for s, t in ((1, 1), (2, 1), (1, 2), (2, 3), (3, 2))
    for one, two in (((3, 3), (2, 5)), ((4, 2), (3, 4)), ((1, 5), (4, 1)), ((2, 2), (2, 2)))
]


@pytest.mark.parametrize("left, right, s, t, one, two", MERGES)
def test_products_of_convolutions(left, right, s, t, one, two):
    a, b = Blur(noise(one, seed=1), stride=s, boundary=left), Blur(noise(two, seed=2), stride=t, boundary=right)
    merged = (a @ b).convolution()
    assert merged is not None and merged.stride == s * t
    shape = (a @ b).input_shape((1, 1, 8, 9))
    single = Blur(merged.psf, stride=merged.stride, boundary=merged.boundary)
    x = noise(shape)
    assert single.output_shape(shape) == (1, 1, 8, 9)
    assert relative(single(x), a(b(x))) <= 1e-13


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("size", [(3, 3), (4, 5), (2, 1)])
def test_box_average_after_a_circular_blur_is_one_circular_blur(factor, size):
    op = Downsample(factor) @ Blur(noise(size))
    merged = op.convolution()
    assert merged is not None and (merged.stride, merged.boundary) == (factor, "circular")
    x = noise((1, 2, 6 * factor, 5 * factor))
    assert relative(Blur(merged.psf, stride=factor)(x), op(x)) <= 1e-13


def test_products_that_are_no_convolution():
    blur = Blur(noise((3, 3)), boundary="zero")
    assert (blur @ blur).convolution() is None
    assert (Blur(noise((3, 3)), boundary="valid") @ Blur(noise((3, 3)))).convolution() is None
    assert (Blur(noise((3, 3))) @ Blur(noise((3, 3)), boundary="valid")).convolution() is None
    assert (Downsample(2) @ blur).convolution() is None


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_identity_merges_with_everything(boundary):
    kernel = noise((3, 4))
    blur = Blur(kernel, stride=2, boundary=boundary)
    for op in (blur @ (2.0 * Identity()), (2.0 * Identity()) @ blur, 2.0 * blur):
        merged = op.convolution()
        assert merged == Convolution(merged.psf, 2, boundary) and relative(merged.psf, 2 * kernel) <= 1e-15
    assert (blur @ Identity()).cogram((1, 1, 4, 4)) is not None or boundary != "circular"


def test_a_psf_merged_wider_than_the_image_still_has_the_right_spectrum():
    op = Blur(noise((4, 4), seed=1)) @ Blur(noise((4, 4), seed=2))
    matrix = operator_matrix(op, (1, 1, 4, 5))
    assert op.convolution().psf.shape[0] > 5
    assert relative(structure_matrix(op.cogram((1, 1, 4, 5)), (1, 1, 4, 5)), matrix @ matrix.T) <= 1e-12
    assert relative(structure_matrix(op.gram((1, 1, 4, 5)), (1, 1, 4, 5)), matrix.T @ matrix) <= 1e-12
