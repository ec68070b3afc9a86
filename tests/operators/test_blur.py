"""Blur and Downsample against SciPy, against their definition, and at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import torch

import fastip
from cases.checks import adjointness, noise, operator_matrix, relative
from fastip import kernels
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.operators import Blur, Downsample, blur, psf

MODES = {"circular": "wrap", "reflect": "reflect", "zero": "constant"}
SIZES = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (3, 4), (6, 2), (1, 7), (5, 1), (9, 8)]


def scipy_blur(x: np.ndarray, kernel: np.ndarray, stride: int, boundary: str) -> np.ndarray:
    """The same convolution by SciPy on every plane, then slicing.

    With origin 0 its centre is k // 2, for even psfs too.
    """
    planes = []
    for plane in x.reshape(-1, *x.shape[2:]):
        if boundary == "valid":
            full = scipy.signal.convolve2d(plane, kernel, mode="valid")
        else:
            full = scipy.ndimage.convolve(plane, kernel, mode=MODES[boundary], cval=0.0)
        planes.append(full[::stride, ::stride])
    return np.stack(planes).reshape(*x.shape[:2], *planes[0].shape)


@pytest.mark.parametrize("boundary", ["circular", "reflect", "zero", "valid"])
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kh, kw", SIZES)
def test_equals_scipy_then_slicing(kh, kw, stride, boundary):
    kernel = noise((kh, kw), seed=kh * 10 + kw)
    for h, w, b, c in ((9, 10, 1, 1), (12, 11, 2, 3)):
        size = ((h - 1) * stride + kh, (w - 1) * stride + kw) if boundary == "valid" else (h * stride, w * stride)
        x = noise((b, c, *size), seed=h)
        expected = scipy_blur(x.numpy(), kernel.numpy(), stride, boundary)
        op = Blur(kernel, stride=stride, boundary=boundary)
        assert op(x).shape == (b, c, h, w)
        assert np.abs(op(x.numpy()) - expected).max() <= 1e-12 * np.abs(kernel.numpy()).sum() * 4
        assert relative(op(x.float()).double(), torch.from_numpy(expected)) <= 1e-5


@pytest.mark.parametrize("boundary", ["circular", "reflect", "zero", "valid"])
@pytest.mark.parametrize("kh, kw", [(37, 34), (34, 41), (2, 301), (4, 4), (3, 5), (1, 2)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_large_psf_equals_scipy_and_is_adjoint(kh, kw, stride, boundary, monkeypatch):
    monkeypatch.setattr(blur, "LARGEST_DIRECT", 0)  # through the FFT for every stride
    kernel = noise((kh, kw), seed=kh) / (kh * kw)
    h, w = -(-kh // stride) + 2, -(-kw // stride) + 1
    size = ((h - 1) * stride + kh, (w - 1) * stride + kw) if boundary == "valid" else (h * stride, w * stride)
    op = Blur(kernel, stride=stride, boundary=boundary)
    x = noise((1, 2, *size))
    # SciPy's own FFT convolution of the extended image: ndimage is too slow here.
    if boundary == "valid":
        extended = x.numpy()
    else:
        mode = {"circular": "wrap", "reflect": "symmetric", "zero": "constant"}[boundary]
        extended = np.pad(
            x.numpy(), ((0, 0), (0, 0), (kh - 1 - kh // 2, kh // 2), (kw - 1 - kw // 2, kw // 2)), mode=mode
        )
    full = scipy.signal.fftconvolve(extended, kernel.numpy()[None, None], mode="valid", axes=(2, 3))
    expected = torch.from_numpy(full[..., ::stride, ::stride].copy())
    assert relative(op(x), expected) <= 1e-12
    assert relative(op(x.float()), expected) <= 1e-5
    assert adjointness(op, x.shape, torch.float64) <= 1e-12
    assert adjointness(op, x.shape, torch.float32) <= 1e-5
    y = op(x)
    assert op.adjoint(y).shape == x.shape and y.is_contiguous()


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kh, kw", [(4, 4), (5, 2), (1, 6), (9, 8), (3, 3)])
def test_a_centre_gives_the_data_of_fftconvolve(kh, kw, large, monkeypatch):
    if large:
        monkeypatch.setattr(blur, "LARGEST_DIRECT", 0)
    kernel, x = noise((kh, kw), seed=kh).numpy(), noise((2, 3, 9, 8)).numpy()
    expected = scipy.signal.fftconvolve(x, kernel[None, None], mode="same", axes=(2, 3))
    op = Blur(kernel, boundary="zero", centre=((kh - 1) // 2, (kw - 1) // 2))
    assert np.abs(op(x) - expected).max() <= 1e-13 * np.abs(expected).max()
    assert op.fingerprint() == Blur(op.psf, boundary="zero").fingerprint()


@pytest.mark.parametrize("boundary", ["circular", "reflect", "zero"])
@pytest.mark.parametrize("centre", [(0, 0), (3, 2), (1, 4), (0, 4)])
@pytest.mark.parametrize("stride", [1, 2])
def test_any_centre_shifts_the_image_that_is_seen(boundary, centre, stride, monkeypatch):
    kernel = noise((4, 5))
    matrix = torch.zeros(4 // stride, 6 // stride, 4, 6, dtype=torch.float64)
    for i, j, s, t in np.ndindex(4 // stride, 6 // stride, 4, 5):
        row = boundary_index(stride * i + centre[0] - s, 4, boundary)
        column = boundary_index(stride * j + centre[1] - t, 6, boundary)
        if row is not None and column is not None:
            matrix[i, j, row, column] += kernel[s, t]
    for most in (blur.LARGEST_DIRECT, 0):
        monkeypatch.setattr(blur, "LARGEST_DIRECT", most)
        op = Blur(kernel, stride, boundary, centre=centre)
        assert relative(operator_matrix(op, (1, 1, 4, 6)), matrix.reshape(-1, 24)) <= 1e-14


def test_a_centre_restores_the_scene_in_its_place():
    x = torch.zeros(1, 1, 24, 25, dtype=torch.float64)
    x[..., 9:14, 8:12] = 1
    kernel = torch.outer(torch.tensor([1.0, 4.0, 6.0, 1.0]), torch.tensor([1.0, 5.0, 2.0, 1.0])).double() / 108
    y = torch.from_numpy(scipy.signal.fftconvolve(x.numpy(), kernel.numpy()[None, None], mode="same", axes=(2, 3)))
    op = Blur(kernel, boundary="zero", centre=(1, 1))
    assert relative(fastip.wiener(y, op, 1e-3).x, x) <= 0.2
    assert relative(fastip.wiener(y, Blur(kernel, boundary="zero"), 1e-3).x, x) >= 0.5


def test_a_large_psf_never_takes_the_direct_kernels(monkeypatch):
    def direct(*_: object) -> None:
        raise AssertionError("direct taps")

    monkeypatch.setattr(kernels, "strided_conv", direct)
    monkeypatch.setattr(kernels, "strided_conv_adjoint", direct)
    x = noise((1, 1, 36, 36))
    op = Blur(torch.ones(34, 34))
    assert op.adjoint(op(x)).shape == x.shape
    few = torch.zeros(36, 36).fill_diagonal_(1.0)  # the compiled kernels skip taps that are 0
    for function in (
        Blur(torch.ones(33, 33)),
        Blur(torch.ones(33, 33)).adjoint,
        Blur(few),
        Blur(torch.ones(34, 34), stride=2),
    ):
        with pytest.raises(AssertionError, match="direct taps"):
            function(x)


def test_large_psf_works_on_changing_grids_and_dtypes():
    op = Blur(psf.gaussian(41, sigma=5.0), boundary="reflect")
    direct = scipy.ndimage.convolve
    for size in ((41, 50), (64, 47), (41, 50)):
        # float32 before float64: a spectrum that stays must not serve data of a higher precision
        for dtype, bound in ((torch.float32, 1e-5), (torch.float64, 1e-12), (torch.float16, 1e-2)):
            x = noise((1, 1, *size), dtype)
            expected = direct(x[0, 0].double().numpy(), op.psf.numpy(), mode="reflect")
            assert op(x).dtype == dtype
            assert np.abs(op(x)[0, 0].double().numpy() - expected).max() <= bound


def boundary_index(i: int, n: int, boundary: str) -> int | None:
    """The pixel that position i of an endless axis shows; None for a zero.

    Written from the words of the documentation alone.
    """
    if 0 <= i < n:
        return i
    if boundary == "circular":
        return i % n
    if boundary == "reflect":  # d c b a | a b c d | d c b a
        return -1 - i if i < 0 else 2 * n - 1 - i
    return None


@pytest.mark.parametrize("boundary", ["circular", "reflect", "zero", "valid"])
@pytest.mark.parametrize("kh, kw, stride", [(3, 3, 1), (4, 3, 1), (2, 5, 2), (4, 4, 3), (2, 3, 4)])
def test_equals_the_matrix_of_its_definition(kh, kw, stride, boundary):
    kernel = noise((kh, kw), seed=3)
    h, w = 3, 4
    height, width = ((h - 1) * stride + kh, (w - 1) * stride + kw) if boundary == "valid" else (h * stride, w * stride)
    if height < kh or width < kw:
        height, width, h, w = 2 * height, 2 * width, 2 * h, 2 * w
    ci, cj = (kh - 1, kw - 1) if boundary == "valid" else (kh // 2, kw // 2)
    matrix = torch.zeros(h, w, height, width, dtype=torch.float64)
    for i in range(h):
        for j in range(w):
            for s in range(kh):
                for t in range(kw):
                    row = boundary_index(stride * i + ci - s, height, boundary)
                    column = boundary_index(stride * j + cj - t, width, boundary)
                    if row is not None and column is not None:
                        matrix[i, j, row, column] += kernel[s, t]
    op = Blur(kernel, stride=stride, boundary=boundary)
    assert relative(operator_matrix(op, (1, 1, height, width)), matrix.reshape(h * w, height * width)) <= 1e-14


@pytest.mark.parametrize("boundary", ["circular", "reflect", "zero", "valid"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_norm_without_a_size_bounds_every_grid_closely(stride, boundary):
    for kernel in (
        noise((4, 5), seed=stride),
        psf.gaussian(5, 1.2),
        psf.motion(5, 30.0),
        noise((2, 2), seed=1),
        noise((1, 6), seed=2),
    ):
        op = Blur(kernel, stride=stride, boundary=boundary)
        bound, largest = op.norm(), 0.0
        if boundary == "circular":
            largest = op.norm((1, 1, 840 * stride, 840 * stride))  # the closed form on a fine grid of frequencies
            assert bound >= largest * (1 - 1e-12)
        for n in (2, 4, 7):
            height = max(n, -(-kernel.shape[0] // stride))
            width = max(n + 1, -(-kernel.shape[1] // stride))
            shape = op.input_shape((1, 1, height, width))
            exact = torch.linalg.matrix_norm(operator_matrix(op, shape), ord=2).item()
            assert bound >= exact * (1 - 1e-12)
            largest = max(largest, exact)
        # Zero and valid grids reach the supremum slowly, and the reflecting bound is a row-sum bound.
        assert bound <= largest * (1.003 if boundary == "circular" else 2.5)


def test_norm_of_a_normalised_blur_is_one():
    for boundary in ("circular", "zero", "valid", "reflect"):
        assert Blur(psf.gaussian(9, 1.6), boundary=boundary).norm() == pytest.approx(1.0, abs=1e-12)
    assert Blur(psf.gaussian(9, 1.6), stride=4).norm((8, 3, 256, 256)) == pytest.approx(0.25, abs=2e-3)
    assert Blur(psf.gaussian(9, 1.6), stride=4).norm() >= Blur(psf.gaussian(9, 1.6), stride=4).norm((1, 1, 256, 256))


@pytest.mark.parametrize(
    "kernel, rank_one",
    [
        (psf.gaussian(9, 1.6), True),
        (psf.box(4), True),
        (psf.motion(9, 0.0), True),
        (psf.motion(9, 45.0), False),
        (psf.disk(7), False),
    ],
)
def test_separable_psfs_are_found(kernel, rank_one):
    separable = Blur(kernel).separable
    assert (separable is not None) == rank_one
    if separable is not None:
        column, row = separable
        assert relative(torch.outer(column, row), kernel) <= 1e-14 and column.dtype == torch.float64
    nearly = psf.gaussian(5, 1.0)
    nearly[0, 0] += 1e-9
    assert Blur(nearly).separable is None
    column, row = torch.tensor([1.0, -1.0, 2.0]), torch.tensor([-3.0, 1.0])
    found = Blur(torch.outer(column, row)).separable
    assert found is not None and relative(torch.outer(*found), torch.outer(column, row).double()) <= 1e-14


def test_psf_comes_as_any_array_and_is_copied():
    x = noise((1, 1, 6, 6))
    kernel = np.arange(1, 7).reshape(2, 3)
    expected = Blur(torch.from_numpy(kernel).double())(x)
    frozen = kernel.astype(np.float32)
    frozen.flags.writeable = False
    for given in (
        kernel,
        kernel.tolist(),
        frozen,
        np.asfortranarray(kernel),
        kernel[::-1].copy()[::-1],
        torch.tensor(kernel),
        kernel.astype(np.uint8),
    ):
        assert torch.equal(Blur(given)(x), expected)
    for mutable in (torch.ones(3, 3, dtype=torch.float64), np.ones((3, 3)), torch.ones(3, 3)):
        op = Blur(mutable)
        before = op(x)
        mutable[...] = 7.0
        assert torch.equal(op(x), before)


def test_psf_exactly_as_large_as_the_image():
    for boundary in ("circular", "reflect", "zero", "valid"):
        op = Blur(noise((5, 4)), boundary=boundary)
        assert adjointness(op, (1, 1, 5, 4), torch.float64) <= 1e-12


def test_convolution_describes_the_operator():
    kernel = noise((3, 4))
    a = Blur(kernel, stride=2, boundary="zero").convolution()
    assert torch.equal(a.psf, kernel) and (a.stride, a.boundary) == (2, "zero") and a.psf.dtype == torch.float64


# ---- Downsample ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
def test_downsample_is_the_box_average(factor):
    x = noise((2, 3, 3 * factor, 4 * factor))
    op = Downsample(factor)
    assert relative(op(x), torch.nn.functional.avg_pool2d(x, factor)) <= 1e-14
    assert op.norm() == pytest.approx(1 / factor, rel=1e-12) and op.norm(x.shape) == pytest.approx(
        1 / factor, rel=1e-12
    )
    spread = op.adjoint(torch.ones(1, 1, 3, 4, dtype=torch.float64))
    assert torch.allclose(spread, torch.full_like(spread, factor**-2.0))
    a = op.convolution()
    assert relative(Blur(a.psf, stride=a.stride, boundary=a.boundary)(x), op(x)) <= 1e-15


# ---- the door --------------------------------------------------------------------------------------------------------

GOOD = torch.ones(3, 3)


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: Blur(torch.ones(0, 3)), "empty"),
        (lambda: Blur(torch.zeros(3, 3)), "all zeros"),
        (lambda: Blur(torch.tensor([[1.0, math.nan]])), "NaN"),
        (lambda: Blur(np.array([[1.0, np.inf]])), "Inf"),
        (lambda: Blur(torch.ones(3)), "2 or 3 or 4 axes"),
        (lambda: Blur(torch.ones(1, 1, 1, 3, 3)), "2 or 3 or 4 axes"),
        (lambda: Blur(torch.stack([torch.ones(3, 3), torch.zeros(3, 3)])), "one psf is all zeros"),
        (lambda: Blur(torch.ones(3, 3, dtype=torch.complex64)), "real"),
        (lambda: Blur("gaussian:9:1.6"), "array of numbers"),
        (lambda: Blur([[1.0], [1.0, 2.0]]), "array"),
        (lambda: Blur(None), "array of numbers"),
        (lambda: Blur(torch.ones(3, 3, requires_grad=True)), "detach"),
        (lambda: Blur(GOOD, stride=0), ">= 1"),
        (lambda: Blur(GOOD, stride=-2), ">= 1"),
        (lambda: Blur(GOOD, stride=1.5), "whole number"),
        (lambda: Blur(GOOD, stride=True), "whole number"),
        (lambda: Blur(GOOD, stride=(2, 2)), "whole number"),
        (lambda: Blur(GOOD, centre=1), "row, column"),
        (lambda: Blur(GOOD, centre=(1, 1, 1)), "row, column"),
        (lambda: Blur(GOOD, centre=(1.0, 1)), "whole number"),
        (lambda: Blur(GOOD, centre=(-1, 1)), ">= 0"),
        (lambda: Blur(GOOD, centre=(1, 3)), "one of its pixels"),
        (lambda: Blur(GOOD, boundary="valid", centre=(1, 1)), "leave centre out"),
        (lambda: Blur(GOOD, boundary="wrap"), "did you mean 'circular'"),
        (lambda: Blur(GOOD, boundary="Circlar"), "did you mean 'circular'"),
        (lambda: Blur(GOOD, boundary="reflekt"), "did you mean 'reflect'"),
        (lambda: Blur(GOOD, boundary="periodic-ish"), "circular, valid, reflect, zero"),
        (lambda: Blur(GOOD, boundary=None), "circular, valid, reflect, zero"),
        (lambda: Downsample(0), ">= 1"),
        (lambda: Downsample(2.0), "whole number"),
    ],
)
def test_bad_parameters_are_refused(make, says):
    with pytest.raises(ValueError if says != "detach" else NotImplementedError, match=says) as caught:
        make()
    assert type(caught.value).__module__ == "fastip.errors"


def test_misspelt_keywords_are_refused_with_the_right_one():
    with pytest.raises(UnknownKeyword, match="did you mean 'stride'"):
        Blur(GOOD, strid=2)
    with pytest.raises(UnknownKeyword, match="did you mean 'boundary'"):
        Blur(GOOD, boundry="valid")
    with pytest.raises(UnknownKeyword, match="factor"):
        Downsample(faktor=2)


@pytest.mark.parametrize(
    "x, says",
    [
        (torch.ones(8, 8), "b c h w"),
        (torch.ones(1, 8, 8), "b c h w"),
        (torch.ones(1, 1, 1, 8, 8), "b c h w"),
        (torch.ones(1, 1, 7, 8), "stride 2 does not divide"),
        (torch.ones(1, 1, 8, 9), "crop the image to 8"),
        (torch.ones(1, 1, 2, 8), "psf is 3 x 3"),
        (torch.ones(1, 1, 0, 8), "empty"),
        (torch.ones(0, 1, 8, 8), "empty"),
        (torch.ones(1, 1, 8, 8, dtype=torch.int64), "floating"),
        (torch.ones(1, 1, 8, 8, dtype=torch.bool), "floating"),
        (torch.ones(1, 1, 8, 8, dtype=torch.complex64), "real part"),
        (torch.ones(8, 8).to_sparse()[None, None].to_dense().to_sparse(), "to_dense"),
        (np.ones((1, 1, 8, 8), dtype=np.uint8), "float32"),
        (np.ones((1, 1, 8, 8), dtype=object), "float32"),
        ([[1.0]], "torch tensor"),
        ("photograph.png", "torch tensor"),
        (None, "torch tensor"),
    ],
)
def test_bad_images_are_refused(x, says):
    with pytest.raises(InvalidInput, match=says):
        Blur(GOOD, stride=2)(x)


def test_bad_data_and_valid_sizes_are_refused():
    with pytest.raises(InvalidInput, match="psf is 3 x 3"):
        Blur(GOOD).adjoint(torch.ones(1, 1, 2, 8))
    with pytest.raises(InvalidInput, match="y has dtype"):
        Blur(GOOD).adjoint(torch.ones(1, 1, 8, 8, dtype=torch.int32))
    with pytest.raises(InvalidInput, match=r"height - 3 a multiple of 2 \(valid\).*crop the image to 9"):
        Blur(GOOD, stride=2, boundary="valid")(torch.ones(1, 1, 10, 9))
    with pytest.raises(InvalidInput, match="crop it to 6 x 6"):
        Downsample(3)(torch.ones(1, 1, 8, 7))
    with pytest.raises(InvalidInput, match="b c h w"):
        Blur(GOOD).norm((8, 8))
    with pytest.raises(InvalidInput, match="does not divide"):
        Blur(GOOD, stride=3).gram((1, 1, 8, 9))
