"""Resize against the programs that it is like, its sizes, its exact inverse, and each refusal."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import cvxpy as cp
import numpy as np
import pytest
import torch
from PIL import Image

import fastip
from cases.checks import data_for, image_for, noise, operator_matrix, relative
from fastip import inverses, priors
from fastip.contracts import Diagonal, Kronecker, Scalar
from fastip.errors import InvalidInput
from fastip.operators import Resize
from fastip.operators.base.resampling import PROGRAMS

METHODS = ("area", "bilinear", "bicubic", "lanczos")
SIZES = [  # height, width, and those of the data
    ((12, 16), (3, 4)),  # 4
    ((24, 36), (16, 24)),  # 1.5
    ((24, 48), (8, 6)),  # 3, 8
    ((13, 17), (7, 9)),
    ((31, 50), (31, 7)),  # the height stays
    ((64, 48), (37, 31)),
    ((100, 66), (45, 33)),
    ((9, 9), (9, 9)),
    ((17, 31), (1, 2)),
]
sizes = pytest.mark.parametrize("image, data", SIZES)


def picture(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(size).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
@sizes
def test_equals_pillow(method, image, data):
    x = picture(image)
    code = dict(zip(METHODS, (Image.BOX, Image.BILINEAR, Image.BICUBIC, Image.LANCZOS), strict=True))[method]
    expected = np.asarray(Image.fromarray(x).resize(data[::-1], code))
    result = Resize(shapes=(image, data), method=method)(x[None, None].astype(np.float64))
    assert result.shape == (1, 1, *data) and np.abs(result - expected).max() <= 1e-6


@pytest.mark.parametrize("method", METHODS)
@sizes
def test_equals_opencv(method, image, data):
    x = picture(image, seed=1)
    codes = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
    expected = cv2.resize(x, data[::-1], interpolation=dict(zip(METHODS, codes, strict=True))[method])
    op = Resize(shapes=(image, data), method=method, like="opencv")
    assert np.abs(op(x[None, None].astype(np.float64)) - expected).max() <= 1e-4  # its positions are float32


@pytest.mark.parametrize("like", ["torch", "torch-antialias"])
@pytest.mark.parametrize("method", METHODS)
@sizes
def test_equals_torch(method, like, image, data):
    if method not in PROGRAMS[like] or (
        method == "lanczos" and "lanczos" not in torch.nn.functional.interpolate.__doc__
    ):
        return  # the former is refused, see below; torch has the latter since 2.13
    x = noise((2, 3, *image), seed=2)
    align = {} if method == "area" else {"align_corners": False}
    expected = torch.nn.functional.interpolate(x, data, mode=method, antialias=like != "torch", **align)
    op = Resize(shapes=(image, data), method=method, like=like)
    assert relative(op(x), expected) <= 1e-12
    assert relative(op(x.float()).double(), expected) <= 1e-6


def imresize_row(i: int, n: int, m: int, kernel: Callable[[float], float], width: float) -> list[float]:
    """The weights of output pixel i (from 1) in MATLAB's imresize, by its published formula, pixel by pixel."""
    scale = m / n
    u = i / scale + 0.5 * (1 - 1 / scale)
    left = math.floor(u - width / scale / 2)
    taps = range(left, left + math.ceil(width / scale) + 2)
    weights = [scale * kernel(scale * (u - j)) for j in taps]
    row = [0.0] * n
    for j, weight in zip(taps, weights, strict=True):
        k = (j - 1) % (2 * n) + 1  # a pixel of the picture followed by its mirror image
        row[(k if k <= n else 2 * n + 1 - k) - 1] += weight / sum(weights)
    return row


def cubic(x: float) -> float:
    x = abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    return near if x <= 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0


def lanczos3(x: float) -> float:
    tiny = 2.0**-52
    wave = (math.sin(math.pi * x) * math.sin(math.pi * x / 3) + tiny) / (math.pi**2 * x**2 / 3 + tiny)
    return wave if abs(x) < 3 else 0.0


MATLAB = {
    "area": (lambda x: float(-0.5 <= x < 0.5), 1.0),
    "bilinear": (lambda x: max(0.0, 1 - abs(x)), 2.0),
    "bicubic": (cubic, 4.0),
    "lanczos": (lanczos3, 6.0),
}


@pytest.mark.parametrize("method", METHODS)
@sizes
def test_equals_the_formula_of_imresize(method, image, data):
    kernel, width = MATLAB[method]
    vertical, horizontal = (
        torch.tensor([imresize_row(i + 1, n, m, kernel, width) for i in range(m)], dtype=torch.float64)
        for n, m in zip(image, data, strict=True)
    )
    x = noise((1, 2, *image), seed=3)
    op = Resize(shapes=(image, data), method=method, like="matlab")
    assert relative(op(x), vertical @ x @ horizontal.T) <= 1e-12


@pytest.mark.parametrize("like, method", [(like, method) for like in PROGRAMS for method in PROGRAMS[like]])
def test_what_all_have_in_common(like, method):
    """Constants stay, a ramp stays one inside, so nothing is shifted, and a mirror image becomes a mirror image."""
    op = Resize((3, 2.5), method=method, like=like)
    assert torch.allclose(op(torch.full((1, 1, 48, 50), 0.7, dtype=torch.float64)), torch.tensor(0.7).double())
    ramp = torch.arange(48.0, dtype=torch.float64)[:, None].expand(1, 1, 48, 50)
    centres = 3 * torch.arange(16.0, dtype=torch.float64)[:, None] + 1
    bound = 1e-12 if method != "lanczos" else 0.03  # which is no exact interpolation of ramps
    assert (op(ramp) - centres)[..., 4:-4, :].abs().max() <= bound
    x = noise((1, 1, 48, 50), seed=4)
    assert relative(op(x.flip(2)), op(x).flip(2)) <= 1e-12


# ---- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1, 1.5, 2, 3, 4, 8, 16, 2.4, 1.01, math.pi])
def test_sizes_are_those_of_the_factor(factor):
    op = Resize(factor)
    for m in (1, 2, 3, 7, 40):
        n = math.floor(m * factor + 0.5)
        assert op.input_shape((2, 3, m, m)) == (2, 3, n, n) and op.output_shape((2, 3, n, n)) == (2, 3, m, m)
    assert Resize((factor, 2)).output_shape((1, 1, n, 10)) == (1, 1, m, 5)
    assert op.fingerprint() == Resize((factor, factor)).fingerprint()


def test_the_scale_is_that_of_the_sizes():
    x = noise((1, 1, 11, 11), seed=5)
    assert Resize(1.5).output_shape(x.shape) == (1, 1, 7, 7)  # 11 / 7, not 1.5
    assert torch.equal(Resize(1.5)(x), Resize(shapes=((11, 11), (7, 7)))(x))


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: Resize(), "neither factor nor shapes"),
        (lambda: Resize(2, shapes=((4, 4), (2, 2))), "both factor and shapes"),
        (lambda: Resize(0.5), "factor is 0.5; expected a finite number >= 1"),
        (lambda: Resize(17), "1 to 16.*shapes"),
        (lambda: Resize((2, 3, 4)), "a number from 1 to 16, or two"),
        (lambda: Resize("two"), "factor is 'two'"),
        (lambda: Resize(float("nan")), "finite"),
        (lambda: Resize(shapes=(4, 2)), r"expected \(\(H, W\), \(h, w\)\)"),
        (lambda: Resize(shapes=((4, 4), (2.5, 2))), "a size in shapes is 2.5"),
        (lambda: Resize(shapes=((4, 4), (8, 2))), "enlarges"),
        (lambda: Resize(2, like="gimp"), "like is 'gimp'; expected one of pillow, opencv"),
        (lambda: Resize(2, method="nearest"), "expected one of area, bilinear, bicubic, lanczos, which 'pillow' has"),
        (
            lambda: Resize(2, method="lanczos", like="torch"),
            "expected one of area, bilinear, bicubic, which 'torch' has",
        ),
        (lambda: Resize(2, method="area", like="torch-antialias"), "bilinear, bicubic, lanczos"),
        (lambda: Resize(2)(torch.rand(1, 1, 5, 4)), "makes no image height of 5.*crop it to 4"),
        (lambda: Resize(1.5)(torch.rand(1, 1, 6, 10)), "makes no image width of 10.*crop it to 9.*shapes"),
        (lambda: Resize(4)(torch.rand(1, 1, 3, 4)), "height of 3 is less than the factor of 4"),
        (lambda: Resize(4)(torch.rand(1, 1, 1, 4)), "height of 1 is less than the factor of 4"),
        (lambda: Resize(shapes=((4, 4), (2, 2)))(torch.rand(1, 1, 4, 6)), "the image is 4 x 6; expected 4 x 4"),
        (lambda: Resize(shapes=((4, 4), (2, 2))).T(torch.rand(1, 1, 4, 4)), "the data is 4 x 4; expected 2 x 2"),
        (lambda: Resize(2)(torch.rand(1, 1, 4, 4, dtype=torch.complex64)), "real"),
        (lambda: Resize(2).norm(), "pass it"),
    ],
)
def test_refusals(make, says):
    with pytest.raises(InvalidInput, match=says):
        make()


def test_the_crop_that_is_advised_is_accepted():
    for factor in (1.3, 1.5, 2, 2.4, 3, 7.7, 16):
        for n in range(math.ceil(factor), 60):
            try:
                Resize(factor).output_shape((1, 1, n, n))
            except InvalidInput as error:
                crop = int(str(error).split("crop it to ")[1].split(",")[0])
                assert 0 < crop < n and Resize(factor).output_shape((1, 1, crop, crop))


# ---- the inverse -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "op, shape, kind",
    [
        (Resize(4), (2, 3, 16, 24), Kronecker),
        (Resize((1.5, 8), method="lanczos", like="matlab"), (1, 2, 9, 48), Kronecker),
        (Resize(4, method="area"), (2, 1, 8, 12), Scalar),  # cells do not meet
        (Resize(shapes=((7, 9), (3, 4)), method="bilinear", like="torch"), (1, 1, 7, 9), Diagonal),  # nor do two taps
        (Resize(shapes=((40, 9), (37, 9))), (1, 1, 40, 9), Kronecker),
    ],
)
def test_the_exact_inverse_is_a_dense_solve(op, shape, kind):
    y = data_for(op, shape, seed=6)
    assert type(op.cogram(tuple(y.shape))) is kind
    plane = (1, 1, *shape[2:])
    a, beta = operator_matrix(op, plane), 3e-3
    step = inverses.Exact().bind(op, y, beta)
    identity = torch.eye(len(a), dtype=torch.float64)
    solved = torch.linalg.solve(a @ a.T + beta * identity, y.reshape(-1, len(a)).T).T.reshape(y.shape)
    assert relative(step.apply(y), solved) <= 1e-10
    assert relative(inverses.Exact().bind(op, y.float(), beta).apply(y.float()).double(), solved) <= 1e-4
    assert op.norm(shape) == pytest.approx(torch.linalg.matrix_norm(a, 2).item(), rel=1e-12)


def test_admm_reaches_the_optimum_of_cvxpy():
    op, truth = Resize(2.5, method="lanczos"), image_for(Resize(2.5), (1, 1, 15, 10), seed=7).abs()
    y = op(truth) + 0.05 * noise((1, 1, 6, 4), seed=8)
    prior = priors.ElasticNet(0.02, 0.005) + priors.NonNegative()
    a = operator_matrix(op, (1, 1, 15, 10)).numpy()
    x = cp.Variable(a.shape[1])
    total = cp.sum_squares(y.flatten().numpy() - a @ x) + 0.02 * cp.norm1(x) + 0.005 * cp.sum_squares(x)
    problem = cp.Problem(cp.Minimize(total), [x >= 0])
    best = problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    solution = fastip.admm(y, op, prior, iterations=1000, tolerance=1e-6)
    value = (y - op(solution.x)).square().sum() + prior.value(solution.x).sum()
    assert solution.status is fastip.Status.CONVERGED and abs(value.item() - best) <= 1e-5 * best
    told = str(fastip.explain(op, prior, y))
    assert "exact, eigenvectors of 6 rows and 4 columns on the data grid" in told
