"""Blur with a psf for each channel or image: what each plane sees is what a blur with its psf alone gives."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import fastip
from cases.checks import noise, relative
from fastip import inverses, priors, tasks
from fastip.errors import InvalidInput, Unsupported
from fastip.operators import Blur, Identity, Mask, Stack, Varying, blur

BOUNDARIES = ("circular", "valid", "reflect", "zero")
SHAPE = (2, 3, 12, 14)


def psfs(*shape: int) -> Tensor:
    """Positive ones, each with the sum 1, so that solves are conditioned alike."""
    values = noise(shape, seed=sum(shape)).abs() + 0.1
    values[..., shape[-2] // 2, shape[-1] // 2] += 2
    return values / values.sum(dim=(-2, -1), keepdim=True)


def size(k: int, n: int, stride: int, boundary: str) -> int:
    return (n // stride - 1) * stride + k if boundary == "valid" else n


def planes(op: Blur, x: Tensor, apply: Any) -> Tensor:
    """``apply(blur of one psf, plane)`` for each plane of x."""
    b, c = x.shape[:2]
    taps = op.psf.expand(b, c, *op.psf.shape[-2:])
    rows = [
        torch.cat([apply(Blur(taps[i, j], op.stride, op.boundary), x[i : i + 1, j : j + 1]) for j in range(c)], 1)
        for i in range(b)
    ]
    return torch.cat(rows)


OWN = [(3, 3, 4), (2, 1, 4, 3), (2, 3, 3, 3)]


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("own", OWN, ids=str)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("way", ["direct", "large", "many"])
def test_each_plane_has_its_psf(own, boundary, stride, way, monkeypatch):
    monkeypatch.setattr(blur, "LARGEST_DIRECT", 0 if way == "large" else 1000)
    monkeypatch.setattr(blur, "FEW", 0 if way == "many" else 16)
    op = Blur(psfs(*own), stride, boundary)
    shape = (*SHAPE[:2], size(own[-2], 12, stride, boundary), size(own[-1], 14, stride, boundary))
    for dtype, bound in ((torch.float64, 1e-14), (torch.float32, 1e-6)):
        x = noise(shape, dtype)
        y = op(x)
        assert y.dtype == dtype and y.is_contiguous()
        assert relative(y, planes(op, x, lambda one, plane: one(plane))) <= bound
        assert relative(op.adjoint(y), planes(op, y, lambda one, plane: one.adjoint(plane))) <= bound
    singles = [Blur(taps, stride, boundary) for taps in op.psf.flatten(0, 1)]
    assert op.norm() == max(one.norm() for one in singles) >= op.norm(shape) * (1 - 1e-12)
    back = pickle.loads(pickle.dumps(op))
    assert back.fingerprint() == op.fingerprint() and torch.equal(back(x), op(x))


def test_numpy_and_a_centre_and_one_psf_for_all():
    x, taps = noise((2, 3, 8, 9)), psfs(3, 4, 4)
    op = Blur(taps.numpy(), boundary="zero", centre=(1, 1))
    assert isinstance(op(x.numpy()), np.ndarray)
    for j in range(3):
        single = Blur(taps[j], boundary="zero", centre=(1, 1))
        assert relative(op(x)[:, j : j + 1], single(x[:, j : j + 1])) <= 1e-15
    for one in (taps[:1], taps[None, :1]):
        assert Blur(one).fingerprint() == Blur(taps[0]).fingerprint() and Blur(one).convolution() is not None
    signed = Blur(-taps, boundary="zero", centre=(1, 1))
    assert signed.absolute().fingerprint() == op.fingerprint() and signed.absolute()(x[..., :4, :4]).shape[2:] == (4, 4)


@pytest.mark.parametrize("boundary, stride", [("circular", 1), ("circular", 2), ("zero", 4), ("valid", 4)])
@pytest.mark.parametrize("own", OWN, ids=str)
def test_the_exact_step_is_that_of_each_plane(own, boundary, stride):
    op = Blur(psfs(*own), stride, boundary)
    y = noise((2, 3, 4, 5))
    step = inverses.Exact().bind(op, y, 0.1)
    expected = planes(op, y, lambda one, plane: inverses.Exact().bind(one, plane, 0.1).guess())
    assert relative(step.guess(), expected) <= 1e-12


def test_the_exact_step_of_mirrored_planes():
    taps = psfs(2, 3, 3, 5)
    taps = taps + taps.flip(-1) + taps.flip(-2) + taps.flip((-1, -2))
    op, y = Blur(taps, boundary="reflect"), noise((2, 3, 6, 7))
    step = inverses.Exact().bind(op, y, 0.1)
    assert "DCT" in step.describe()
    expected = planes(op, y, lambda one, plane: inverses.Exact().bind(one, plane, 0.1).guess())
    assert relative(step.guess(), expected) <= 1e-12


def test_few_planes_are_mirrored_at_a_time(monkeypatch):
    monkeypatch.setattr(inverses.exact, "MIRRORED", 100)
    test_the_exact_step_of_mirrored_planes()


@pytest.mark.parametrize("boundary, stride", [("valid", 1), ("valid", 2), ("circular", 2), ("zero", 1), ("reflect", 1)])
@pytest.mark.parametrize("own", OWN, ids=str)
def test_solves_are_those_of_each_plane(own, boundary, stride):
    op = Blur(psfs(*own), stride, boundary)
    y = noise((2, 3, 6, 7), seed=4)
    prior = priors.L2(0.05) + priors.NonNegative()
    named = {"beta": 0.1, "iterations": 3000, "tolerance": 1e-7}
    whole = fastip.admm(y, op, prior, **named).x
    expected = planes(op, y, lambda one, plane: fastip.admm(plane, one, prior, **named).x)
    assert relative(whole, expected) <= 1e-4
    if op.window() is not None:
        for inverse in (inverses.Split(), inverses.ConjugateGradient(1e-7, preconditioner="circulant")):
            assert relative(fastip.admm(y, op, prior, inverse=inverse, **named).x, expected) <= 1e-4


def test_a_preconditioned_step_is_exact():
    for own in OWN:
        op, y = Blur(psfs(*own), 1, "valid"), noise((2, 3, 9, 8))
        near = inverses.ConjugateGradient(1e-10, preconditioner="circulant").bind(op, y, 0.1)
        far = inverses.ConjugateGradient(1e-10).bind(op, y, 0.1)
        assert relative(near.guess(), far.guess()) <= 1e-8


def test_masked_and_scaled_windows():
    taps, mask = psfs(2, 3, 3, 4), noise((3, 9, 8)).abs() + 0.5
    op = 2.0 * (Mask(mask) @ Blur(taps, boundary="valid"))
    y = noise((2, 3, 9, 8))
    prior = priors.L2(0.05)
    named = {"beta": 0.5, "iterations": 3000, "tolerance": 1e-8}
    split = fastip.admm(y, op, prior, inverse=inverses.Split(), **named)
    other = fastip.admm(y, op, prior, inverse=inverses.ConjugateGradient(1e-9), **named)
    assert relative(split.x, other.x) <= 1e-4
    assert relative(fastip.wiener(y, op, 0.05).x, other.x) <= 1e-3


def test_what_goes_with_every_operator():
    x = noise((2, 3, 8, 9))
    op = Blur(psfs(2, 3, 3, 3))
    y = op(x)
    assert relative(fastip.solvers.consistent(torch.zeros_like(x), y, op), x) <= 1e-3
    both = Stack([op, Identity()])
    assert relative(fastip.wiener(both(x), both, 1e-9).x, x) <= 1e-6
    for inverse in (inverses.Scalar(), inverses.Diagonal(), inverses.Polynomial(3), inverses.GradientDescent(3)):
        found = fastip.admm(y, op, priors.L2(1e-2), inverse=inverse, iterations=2000, tolerance=1e-7)
        assert relative(found.x, fastip.admm(y, op, priors.L2(1e-2), iterations=2000, tolerance=1e-7).x) <= 1e-3
    assert "A differs from image to image" in fastip.explain(op, priors.L1(1e-2), y)


def test_with_a_denoiser():
    taps = psfs(3, 5, 5)
    op, y = Blur(taps, 2, "valid"), noise((2, 3, 9, 8), torch.float32).abs()
    prior = priors.Denoiser(lambda v, level: v / (1 + level), sigma=[0.3, 0.2, 0.1])
    whole = fastip.admm(y, op, prior, beta=0.1, iterations=3, tolerance=0).x
    expected = planes(op, y, lambda one, plane: fastip.admm(plane, one, prior, beta=0.1, iterations=3, tolerance=0).x)
    assert relative(whole, expected) <= 2e-2  # conjugate gradients to 3e-3, of a whole image


def test_gradients_are_those_of_each_plane():
    op = Blur(psfs(2, 2, 3, 3))
    y = noise((2, 2, 5, 6)).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: fastip.admm(z, op, priors.L2(0.1), iterations=5, tolerance=0).x, y)


def test_tasks_take_several_psfs():
    taps = psfs(3, 5, 4)
    problem = tasks.get("deblur").problem(psf=taps, noise=0.01)
    x = noise((1, 3, 24, 22)).abs()
    y = Blur(taps, boundary="valid")(x)
    assert problem.op.input_shape(tuple(y.shape)) == (1, 3, 24, 22)
    assert tasks.crop_valid(x, Blur(taps, boundary="valid"), (20, 19)).shape[2:] == (20, 19)
    assert tasks.fitted(x, Blur(taps, 2, "valid")).shape[2:] == (23, 22)


@pytest.mark.parametrize("shape", [(3, 3, 8, 8), (1, 3, 8, 8)])
def test_another_batch_is_refused(shape):
    op = Blur(psfs(2, 3, 3, 3))
    for call in (op, op.adjoint, lambda x: fastip.admm(x, op, priors.L1(0.1)), lambda x: op.norm(x.shape)):
        with pytest.raises(InvalidInput, match="2 psfs, one for each of 2 images; expected 2 images"):
            call(torch.ones(shape))


def test_other_channels_are_refused():
    for op in (Blur(psfs(3, 3, 3)), Mask(torch.ones(8, 8)) @ Blur(psfs(3, 3, 3), 1, "circular")):
        with pytest.raises(InvalidInput, match="3 psfs, one for each of 3 channels; expected 3 channels"):
            op(torch.ones(2, 1, 8, 8))


def test_what_is_for_one_psf_is_refused():
    op, y = Blur(psfs(3, 3, 3)), torch.rand(1, 3, 8, 8)
    with pytest.raises(Unsupported, match="one psf for all"):
        fastip.admm(y, op, priors.L1(0.1), inverse=inverses.Stencil(1))
    with pytest.raises(Unsupported, match="no exact inverse is known"):
        inverses.Exact().bind(Blur(psfs(2, 1, 3, 3), boundary="zero"), torch.rand(2, 3, 8, 8), 0.1)
    with pytest.raises(InvalidInput, match="expected 3 axes"):
        Varying(psfs(2, 3, 3, 3), torch.ones(2, 8, 8))
    assert op.separable is None and op.convolution() is None
