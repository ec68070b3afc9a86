"""Masks of pixels and of frequencies, grey images, matrices and stacks: definitions, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import fastip
from cases.checks import noise, operator_matrix, relative, structure_matrix
from fastip import inverses, priors
from fastip.contracts import Scalar
from fastip.errors import FastipError, InvalidInput, UnknownKeyword
from fastip.operators import (
    Blur,
    Composition,
    Dense,
    Downsample,
    Identity,
    Mask,
    MaskedFourier,
    Operator,
    Scaled,
    Stack,
    ToGray,
)


def test_mask_multiplies_and_broadcasts():
    x = noise((2, 3, 4, 5))
    for shape in ((4, 5), (1, 4, 5), (3, 4, 5), (1, 1, 4, 5), (2, 1, 4, 5), (1, 3, 4, 5), (2, 3, 4, 5)):
        weights = noise(shape, seed=len(shape))
        assert torch.equal(Mask(weights)(x), x * weights)
        assert Mask(weights).norm(x.shape) == pytest.approx(weights.abs().max().item(), rel=1e-14)
    kept = noise((4, 5)) > 0
    assert torch.equal(Mask(kept)(x), torch.where(kept, x, 0.0)) and torch.equal(Mask(kept.numpy())(x), Mask(kept)(x))
    assert torch.equal(Mask(kept.int())(x.float()), Mask(kept)(x.float()))


def test_masked_fourier_is_numpys_transform():
    for h, w in ((6, 8), (5, 7), (1, 4)):
        x, mask = noise((2, 3, h, w)), noise((h, w), seed=1)
        y = MaskedFourier(mask)(x)
        assert y.dtype == torch.complex128 and MaskedFourier(mask)(x.float()).dtype == torch.complex64
        assert np.allclose(y.numpy(), mask.numpy() * np.fft.fft2(x.numpy(), norm="ortho"), atol=1e-13)
        back = MaskedFourier(mask).adjoint(y)
        assert np.allclose(back.numpy(), np.fft.ifft2(mask.numpy() * y.numpy(), norm="ortho").real, atol=1e-13)
        full = MaskedFourier(torch.ones(h, w))
        assert relative(full.adjoint(full(x)), x) <= 1e-14 and full.norm() == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize("own", [(2, 1, 8, 7), (3, 8, 7), (2, 3, 8, 7)])
def test_masks_of_images_and_channels_solve_each_by_itself(own):
    masks = noise(own, seed=5) > -0.5
    op, each = MaskedFourier(masks), masks.expand(2, 3, 8, 7)
    y, prior = op(noise((2, 3, 8, 7))), priors.TV(1e-2) + priors.NonNegative()
    solution = fastip.admm(y, op, prior, iterations=60, tolerance=0)
    step = inverses.Exact().bind(op, y, 0.1)
    assert "FFT" in step.describe() and step.fused() is None and "image to image" in step.why_unfused()
    for i, j in np.ndindex(2, 3):
        plane, alone = y[i : i + 1, j : j + 1], MaskedFourier(each[i, j])
        assert torch.equal(op(solution.x)[i : i + 1, j : j + 1], alone(solution.x[i : i + 1, j : j + 1]))
        assert relative(step.guess()[i : i + 1, j : j + 1], inverses.Exact().bind(alone, plane, 0.1).guess()) <= 1e-13
        beta = solution.beta
        single = fastip.admm(plane, alone, prior, beta=beta, iterations=60, tolerance=0)
        assert relative(solution.x[i : i + 1, j : j + 1], single.x) <= 1e-12
    assert MaskedFourier(masks[:1, ..., :8, :7]).norm() > 0 and MaskedFourier(torch.ones(1, 1, 4, 5)).channelwise


def test_masked_fourier_cogram_is_not_the_identity():
    op = MaskedFourier(torch.ones(4, 4))
    matrix = operator_matrix(op, (1, 1, 4, 4))
    assert op.cogram((1, 1, 4, 4)) is None and relative(matrix @ matrix.T, torch.eye(32, dtype=torch.float64)) > 0.5


def test_grey_is_the_weighted_sum():
    x = noise((2, 3, 4, 5))
    assert relative(ToGray()(x)[:, 0], 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]) <= 1e-14
    assert ToGray().norm() == pytest.approx(math.sqrt(0.299**2 + 0.587**2 + 0.114**2), rel=1e-14)


def test_dense_is_the_matrix():
    matrix = noise((7, 12))
    x = noise((3, 12), seed=1)
    assert relative(Dense(matrix)(x), x @ matrix.T) <= 1e-14
    image = x.reshape(3, 1, 3, 4)
    assert torch.equal(Dense(matrix.numpy(), image_shape=(1, 3, 4))(image), Dense(matrix)(x))
    assert Dense(matrix, image_shape=[1, 3, 4]).adjoint(noise((3, 7))).shape == (3, 1, 3, 4)
    assert Dense(matrix).norm() == pytest.approx(torch.linalg.matrix_norm(matrix, ord=2).item(), rel=1e-10)
    square = Dense(noise((5, 5)))
    assert square.gram((1, 5)) is not None and square.cogram((1, 5)) is not None


def test_identity_copies():
    x = noise((1, 1, 3, 3))
    assert torch.equal(Identity()(x), x) and Identity()(x).data_ptr() != x.data_ptr() and Identity().norm() == 1.0


def test_stack_joins_channels():
    x = noise((2, 3, 4, 6))
    blur = Blur(noise((3, 3)))
    op = Stack([ToGray(), blur, Mask(noise((4, 6)))])
    assert torch.equal(op(x), torch.cat([ToGray()(x), blur(x), Mask(noise((4, 6)))(x)], dim=1))
    assert op.input_shape((5, 7, 4, 6)) == (5, 3, 4, 6)
    assert Stack([Downsample(2), Blur(noise((3, 3)), stride=2)]).output_shape((1, 2, 4, 6)) == (1, 4, 2, 3)
    assert Stack([ToGray(), ToGray((1.0, 2.0, 3.0))]).input_shape((1, 2, 4, 4)) == (1, 3, 4, 4)


def test_an_operator_of_ones_own():
    class Flip(Operator):
        """Left and right exchanged."""

        def _forward(self, x):
            return x.flip(-1)

        def _adjoint(self, y):
            return y.flip(-1)

        def _parameters(self):
            return ()

        def output_shape(self, input_shape):
            return tuple(input_shape)

        input_shape = output_shape

    x = noise((1, 1, 4, 4), dtype=torch.float64).requires_grad_()
    op = Blur(torch.ones(2, 2)) @ Flip()
    assert (
        torch.autograd.gradcheck(op, x)
        and op.cogram((1, 1, 4, 4)) is None
        and op.norm((1, 1, 4, 4)) == pytest.approx(4.0, rel=1e-6)
    )
    assert repr(2.0 * op) == "Scaled(2.0, Composition(Blur(<2x2>, 1, 'circular'), Flip()))"


def test_a_circulant_gram_behind_a_permutation_is_not_multiplied():
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))

    class Shuffle(Operator):
        """The pixels in another order: orthogonal, so A^T A = I, but no convolution."""

        def _forward(self, x):
            return x.flatten(2)[..., order].reshape(x.shape)

        def _adjoint(self, y):
            return y.flatten(2)[..., order.argsort()].reshape(y.shape)

        def _parameters(self):
            return (order,)

        def output_shape(self, input_shape):
            return tuple(input_shape)

        input_shape = output_shape

        def gram(self, input_shape):
            return Scalar(1.0)

    shape = (1, 1, 4, 5)
    shuffled = Shuffle() @ Blur(noise((3, 3)))
    matrix = operator_matrix(shuffled, shape)
    assert relative(structure_matrix(shuffled.gram(shape), shape), matrix.T @ matrix) <= 1e-13
    assert (Blur(noise((2, 3))) @ shuffled).gram(shape) is None


ONES = torch.ones(1, 3, 4, 4)
MASK = torch.ones(4, 4)


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: Mask(torch.zeros(4, 4)), "0 everywhere"),
        (lambda: Mask(torch.full((4, 4), math.nan)), "NaN"),
        (lambda: Mask(torch.ones(4)), "2 or 3 or 4 axes"),
        (lambda: Mask(torch.ones(0, 4)), "empty"),
        (lambda: Mask(torch.ones(4, 4, dtype=torch.complex64)), "real"),
        (lambda: Mask("mask.png"), "array of numbers"),
        (lambda: Mask(torch.ones(4, 5))(ONES), "the same h and w"),
        (lambda: Mask(torch.ones(2, 4, 4))(ONES), "the same or 1 for c and b"),
        (lambda: Mask(torch.ones(2, 1, 4, 4))(ONES), "the same or 1 for c and b"),
        (lambda: Mask(MASK).adjoint(ONES.long()), "floating"),
        (lambda: MaskedFourier(torch.zeros(4, 4)), "0 everywhere"),
        (lambda: MaskedFourier(torch.ones(4)), "2 or 3 or 4 axes"),
        (lambda: MaskedFourier(torch.ones(2, 4, 4))(ONES), "the same or 1 for c and b of the masks"),
        (lambda: MaskedFourier(torch.ones(2, 1, 4, 4))(ONES), "the same or 1 for c and b of the masks"),
        (lambda: MaskedFourier(torch.ones(4, 3))(ONES), "the same size"),
        (lambda: MaskedFourier(MASK)(torch.complex(ONES, ONES)), "real part"),
        (lambda: MaskedFourier(MASK).adjoint(ONES), "complex64"),
        (lambda: MaskedFourier(MASK)(ONES.half()), "float32"),
        (lambda: MaskedFourier(MASK)(ONES.numpy().astype(np.float16)), "float32"),
        (lambda: ToGray((0.0, 0.0, 0.0)), "all 0"),
        (lambda: ToGray(()), "empty"),
        (lambda: ToGray((1.0, math.inf, 1.0)), "Inf"),
        (lambda: ToGray("rgb"), "array of numbers"),
        (lambda: ToGray(0.5), "1 axes"),
        (lambda: ToGray()(ONES[:, :1]), "1 channels but there are 3 weights"),
        (lambda: ToGray().adjoint(ONES), "grey image"),
        (lambda: Dense(torch.zeros(3, 3)), "all zeros"),
        (lambda: Dense(torch.ones(3)), "2 axes"),
        (lambda: Dense(torch.ones(3, 4), image_shape=(1, 2, 3)), "c h w = 4"),
        (lambda: Dense(torch.ones(3, 4), image_shape=(2, 2)), "c h w = 4"),
        (lambda: Dense(torch.ones(3, 4), image_shape=(1, 2, 2.0)), "whole number"),
        (lambda: Dense(torch.ones(3, 4), image_shape=4), "image_shape"),
        (lambda: Dense(torch.ones(3, 4))(torch.ones(1, 5)), "b x 4"),
        (lambda: Dense(torch.ones(3, 4))(torch.ones(4)), "b x 4"),
        (lambda: Dense(torch.ones(3, 4))(torch.tensor(1.0)), "b x 4"),
        (lambda: Dense(torch.ones(3, 4)).adjoint(torch.ones(1, 4)), "b x 3"),
        (lambda: Dense(torch.ones(3, 16), image_shape=(1, 4, 4))(torch.ones(1, 16)), "b x 1 x 4 x 4"),
        (lambda: Stack([]), "at least one operator"),
        (lambda: Stack(Identity()), "list"),
        (lambda: Stack([Identity(), 3]), "at least one operator"),
        (lambda: Stack([Identity(), MaskedFourier(MASK)]), "mix real and complex"),
        (lambda: Stack([Identity(), Downsample(2)])(ONES), "equal sizes"),
        (lambda: Stack([Identity(), Identity()]).adjoint(ONES), "no image gives"),
        (lambda: Stack([Identity(), Identity()]).adjoint(torch.tensor(1.0)), "no image gives"),
        (lambda: Scaled(math.nan, Identity()), "finite number"),
        (lambda: "two" * Identity(), "expected a number"),
        (lambda: Scaled(2.0, None), "expected an operator"),
        (lambda: Identity() @ ONES, r"apply an operator to data with A\(x\)"),
        (lambda: Identity() @ 2, "composes two operators"),
        (lambda: Composition(Identity(), "blur"), "expected an operator"),
        (lambda: MaskedFourier(MASK) @ MaskedFourier(MASK), "takes real data but MaskedFourier gives complex"),
        (lambda: (ToGray() @ Blur(torch.ones(3, 3)))(ONES[:, :2]), "2 channels but there are 3 weights"),
        (lambda: Blur(torch.ones(3, 3)).T(torch.ones(1, 1, 2, 2)), "psf is 3 x 3"),
        (lambda: Identity()(torch.ones(3, 3)), "b c h w"),
        (lambda: Stack([Identity()]).norm(), "pass it"),
        (lambda: (ToGray() @ Mask(MASK)).norm(), "pass it"),
    ],
)
def test_refusals(make, says):
    with pytest.raises(InvalidInput, match=says) as caught:
        make()
    assert isinstance(caught.value, FastipError) and len(str(caught.value)) > 30


@pytest.mark.parametrize(
    "cls, keyword",
    [
        (Mask, "msk"),
        (MaskedFourier, "maks"),
        (ToGray, "weight"),
        (Dense, "matrx"),
        (Stack, "operator"),
        (Scaled, "facter"),
    ],
)
def test_misspelt_keywords(cls, keyword):
    with pytest.raises(UnknownKeyword, match="did you mean"):
        cls(**{keyword: 1})
