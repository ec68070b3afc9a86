"""Quadratic against dense matrices that SciPy's convolution makes, and holes against a biharmonic filling."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
from skimage import data, restoration
from torch import Tensor

import fastip
from cases.checks import noise, relative
from cases.pretended import pretended
from cases.priors import draw, prox
from cases.problems import matrix
from cases.programs import traces_constants
from fastip import metrics, operators, priors, psf
from fastip.errors import InvalidInput
from fastip.operators.base import spectra

LAPLACIAN = np.array([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]])
SYMMETRIC = np.array([[0.1, -0.4, 0.1], [0.3, 1.0, 0.3], [0.1, -0.4, 0.1]])
SKEW = np.array([[0.5, -1.0, 0.2, 0.3], [0.0, 0.2, 0.0, -0.7]])
MODES = {"circular": "wrap", "reflect": "reflect"}


def penalised(given: Any, boundary: str, h: int, w: int) -> Tensor:
    """F^T F, (h w) x (h w), with columns of F by SciPy; where an even filter has its centre changes no energy."""
    if isinstance(given, str):
        taps = [LAPLACIAN] if given == "laplacian" else [np.array([[0.0], [-1], [1]]), np.array([[0.0, -1, 1]])]
    else:
        taps = [np.asarray(given)]
    total = torch.zeros(h * w, h * w, dtype=torch.float64)
    for one in taps:
        planes = np.eye(h * w).reshape(-1, h, w)
        rows = [scipy.ndimage.convolve(p, one, mode=MODES[boundary]).ravel() for p in planes]
        f = torch.from_numpy(np.stack(rows, axis=1))
        total += f.T @ f
    return total


CASES = [
    (given, boundary)
    for boundary in MODES
    for given in ("laplacian", "gradient", SYMMETRIC, np.array([[2.0]]), *([SKEW] if boundary == "circular" else []))
]


@pytest.mark.parametrize(
    "given, boundary", CASES, ids=lambda v: v if isinstance(v, str) else "x".join(map(str, v.shape))
)
@pytest.mark.parametrize("shape", [(1, 1, 7, 5), (2, 3, 6, 9)], ids=str)
def test_prox_and_value_against_a_dense_matrix(given: Any, boundary: str, shape: tuple[int, ...]) -> None:
    prior, step, v = priors.Quadratic(0.3, given, boundary=boundary), 0.7, draw(*shape)
    f = penalised(given, boundary, *shape[2:])
    flat = v.flatten(2)
    expected = torch.linalg.solve(torch.eye(len(f), dtype=f.dtype) + 2 * step * 0.3 * f, flat.transpose(1, 2))
    assert relative(prox(prior, v, step), expected.transpose(1, 2).reshape(shape)) < 1e-12
    values = 0.3 * torch.einsum("bcn,nm,bcm->b", flat, f, flat)
    torch.testing.assert_close(prior.value(v), values, rtol=1e-11, atol=0)
    assert prior.spectrum(*shape[2:]).dtype == torch.float64


@pytest.mark.parametrize("boundary", ["valid", "circular", "reflect"])
def test_admm_ends_at_the_minimiser(boundary: str) -> None:
    """(A^T A + weight F^T F) x = A^T y, solved by elimination."""
    op, shape = operators.Blur(psf.gaussian(5, sigma=1.2).double(), boundary=boundary), (1, 1, 11, 9)
    y, weight = op(draw(*shape)), 0.05
    a, f = matrix(op, shape), penalised("laplacian", "reflect", *shape[2:])
    expected = torch.linalg.solve(a.T @ a + weight * f, a.T @ y.flatten()).reshape(shape)
    solution = fastip.admm(y, op, priors.Quadratic(weight), iterations=2000, tolerance=1e-9)
    assert relative(solution.x, expected) < 1e-6


@pytest.mark.parametrize("boundary", spectra.GRIDS)
@pytest.mark.parametrize("given", ["laplacian", "gradient"])
def test_admm_ends_where_wiener_begins(boundary: str, given: str) -> None:
    op, shape = operators.Blur(psf.gaussian(5, sigma=1.2).double(), boundary=boundary), (2, 3, 9, 12)
    y = op(draw(*shape))
    x = fastip.wiener(y, op, 0.05, spectrum=given).x
    prior = priors.Quadratic(0.05, given, boundary=boundary)
    assert relative(fastip.admm(y, op, prior, iterations=1000, tolerance=1e-10).x, x) < 1e-7


def test_a_hole_is_filled_as_well_as_by_a_biharmonic_equation() -> None:
    """And much better than by total variation, with the default beta."""
    truth = torch.from_numpy(data.astronaut()[60:188:2, 180:308:2] / 255).permute(2, 0, 1)[None]
    mask = torch.ones(64, 64, dtype=torch.float64)
    mask[30:42, 24:36] = 0
    for i in range(64):
        mask[i, i // 2 + 4 : i // 2 + 6] = 0
    y, op = mask * truth, operators.Mask(mask)
    plane = restoration.inpaint_biharmonic(y[0].permute(1, 2, 0).numpy(), mask.numpy() == 0, channel_axis=-1)
    biharmonic = torch.from_numpy(plane).permute(2, 0, 1)[None]
    scores = {
        "biharmonic": biharmonic,
        "quadratic": fastip.admm(y, op, priors.Quadratic(1e-3), iterations=500).x,
        "tv": fastip.admm(y, op, priors.TV(1e-3), iterations=500).x,
    }
    found = {name: float(metrics.psnr(x.clamp(0, 1), truth)) for name, x in scores.items()}
    assert found["quadratic"] > found["biharmonic"] - 0.3 and found["quadratic"] > found["tv"] + 1


def test_no_dtype_nor_device_is_another() -> None:
    """Float32, half precision on a GPU, and weights of each channel there."""
    v = draw(2, 3, 7, 10, dtype=torch.float32)
    for prior in (priors.Quadratic(0.2), priors.Quadratic(torch.rand(1, 3, 1, 1), SKEW, boundary="circular")):
        expected = prox(prior, v.double(), 0.5)
        with pretended() as gpu:
            for dtype, tolerance in ((torch.float32, 1e-6), (torch.float16, 1e-3), (torch.bfloat16, 1e-2)):
                x = gpu.get(prox(prior, gpu.put(v.to(dtype)), 0.5))
                assert x.dtype == dtype and relative(x.double(), expected) < tolerance


@traces_constants
@pytest.mark.parametrize("given", ["laplacian", SYMMETRIC], ids=["name", "array"])
def test_traced_and_pickled(given: Any) -> None:
    y, op = noise((1, 2, 8, 9), torch.float32), operators.Blur(psf.gaussian(5, sigma=1.0), boundary="reflect")
    prior = priors.Quadratic(0.02, given)

    def run(y: Tensor) -> Tensor:
        return fastip.admm(y, op, prior, iterations=4, tolerance=0).x

    torch.testing.assert_close(torch.compile(run, backend="eager", fullgraph=True)(y), run(y))
    again = pickle.loads(pickle.dumps(prior))
    assert torch.equal(prox(again, y, 0.3), prox(prior, y, 0.3))


def test_changing_steps_and_sizes() -> None:
    """The filter that is kept belongs to its step, the spectrum to its size."""
    prior = priors.Quadratic(0.2, SYMMETRIC)
    bound, v = prior.bind(draw(1, 1, 6, 7), operators.Identity()), draw(1, 1, 6, 7)
    for step in (0.3, 2.0, 0.3):
        assert torch.equal(bound(v, step), prox(prior, v, step))
    for sides in ((6, 7), (9, 4), (6, 7)):
        assert prior.spectrum(*sides).shape == sides


@pytest.mark.parametrize(
    "options, told",
    [
        ({"filter": "laplace"}, "did you mean 'laplacian'"),
        ({"filter": np.zeros((3, 3))}, "all zeros"),
        ({"filter": [1.0, 2.0]}, "expected 2 or 3 axes"),
        ({"filter": SKEW}, "expected odd sides and symmetric taps"),
        ({"boundary": "reflekt"}, "did you mean 'reflect'"),
        ({"boundary": "valid"}, "there is no boundary of a quadratic prior"),
        ({"weight": torch.ones(1, 1, 4, 4)}, "1 c 1 1"),
        ({"filter": SYMMETRIC, "spacing": (2, 1)}, "leave spacing out"),
        ({"spacing": 2}, "spacing is 2; expected two numbers"),
    ],
)
def test_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        priors.Quadratic(**({"weight": 0.1} | options))


def test_vectors_are_refused() -> None:
    with pytest.raises(InvalidInput, match="b c h w"):
        priors.Quadratic(0.1).bind(torch.zeros(1, 6), operators.Dense(torch.eye(6)))
