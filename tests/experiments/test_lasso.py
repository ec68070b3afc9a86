"""The Lasso baseline.

Against an independent ISTA in float64, its conditions of optimality, exact recovery, and the choice of basis and
weight.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn
from torch import Tensor

from fastip import operators
from fastip.experiments.generative import compressed_sensing, lasso

SIDE = 16
OP = operators.GaussianMeasurements(90, (1, SIDE, SIDE), seed=3)
BASES = [basis for kind in lasso.bases(SIDE).values() for basis in kind]
EACH = pytest.mark.parametrize("basis", BASES, ids=[basis.title for basis in BASES])


def smooth(count: int, seed: int = 0) -> Tensor:
    """Images of a few low cosines, float64, in [0, 1]."""
    coefficients = np.zeros((count, 1, SIDE, SIDE))
    draws = np.random.default_rng(seed)
    coefficients[..., :3, :3] = 0.5 * draws.normal(size=(count, 1, 3, 3))
    coefficients[..., 0, 0] = 8
    x = torch.from_numpy(idctn(coefficients, axes=(-2, -1), norm="ortho"))
    assert bool((x >= 0).all() and (x <= 1).all())
    return x


def sharp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasso, "ITERATIONS", 4000)
    monkeypatch.setattr(lasso, "TOLERANCE", 1e-9)


@EACH
def test_the_bases_are_orthonormal(basis: lasso.Basis) -> None:
    x = torch.randn(2, 3, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    coefficients = basis.forward(x)
    torch.testing.assert_close(coefficients.square().sum(), x.square().sum())
    torch.testing.assert_close(basis.inverse(coefficients), x)


def test_the_dct_is_that_of_scipy() -> None:
    x = torch.randn(2, 3, 10, 14, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (basis,) = lasso.bases(SIDE)["DCT"]
    torch.testing.assert_close(basis.forward(x), torch.from_numpy(dctn(x.numpy(), axes=(-2, -1), norm="ortho")))


@EACH
def test_the_turned_operator_measures_the_image(basis: lasso.Basis) -> None:
    """A T^T s = A x for the coefficients s = T x."""
    x = smooth(2)
    torch.testing.assert_close(lasso.turned(OP, basis)(basis.forward(x)), OP(x))


def test_the_dct_lasso_agrees_with_ista(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain iterations with scipy's transforms, of another route from image to coefficients and without momentum."""
    sharp(monkeypatch)
    x = smooth(2) + 0.05 * torch.randn(
        2, 1, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    y, a = OP(x).numpy(), OP.matrix.numpy()

    def back(r: np.ndarray) -> np.ndarray:
        return dctn((r @ a).reshape(-1, 1, SIDE, SIDE), axes=(-2, -1), norm="ortho")

    step, threshold = 1 / (2 * np.linalg.norm(a, 2) ** 2), 0.1 * 2 * np.abs(back(y)).max(axis=(1, 2, 3), keepdims=True)
    s = np.zeros((2, 1, SIDE, SIDE))
    for _ in range(4000):
        image = idctn(s, axes=(-2, -1), norm="ortho").reshape(2, -1)
        s = s + step * 2 * back(y - image @ a.T)
        s = np.sign(s) * np.maximum(np.abs(s) - step * threshold, 0)
    (basis,) = lasso.bases(SIDE)["DCT"]
    *_, found = lasso.path(OP(x), lasso.turned(OP, basis), basis, weights=(0.6, 0.1))
    torch.testing.assert_close(found, torch.from_numpy(idctn(s, axes=(-2, -1), norm="ortho")), rtol=0, atol=1e-5)


@EACH
def test_the_solution_satisfies_the_conditions_of_optimality(
    basis: lasso.Basis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient 2 T A^T (y - A x) is the weight times the sign where s is not 0, and no larger where it is."""
    sharp(monkeypatch)
    y, turned = OP(smooth(3)), lasso.turned(OP, basis)
    largest = 2 * turned.adjoint(y).abs().amax(dim=(1, 2, 3), keepdim=True)
    for weight, x in zip((0.5, 0.05), lasso.path(y, turned, basis, weights=(0.5, 0.05)), strict=True):
        s, slope = basis.forward(x), 2 * basis.forward(OP.adjoint(y - OP(x))) / (weight * largest)
        active = s.abs() > 1e-6
        assert bool(active.any()) and not bool(active.all())
        torch.testing.assert_close(slope[active], s[active].sign(), rtol=0, atol=1e-4)
        assert float(slope.abs().max()) < 1 + 1e-4


def test_an_image_that_is_sparse_in_the_basis_comes_back() -> None:
    """9 cosines of 256 from 90 numbers; in pixels, where nothing is sparse, it does not."""
    x = smooth(4).float()
    y = OP(x)
    errors = {}
    for kind in ("DCT", "pixels"):
        (basis,) = lasso.bases(SIDE)[kind]
        *_, found = lasso.path(y, lasso.turned(OP, basis), basis)
        errors[kind] = compressed_sensing.errors(found, x)
    assert float(errors["DCT"].max()) < 1e-6 and float(errors["pixels"].min()) > 1e-2


def test_the_basis_and_the_weight_are_those_of_least_error_on_the_held_out_pictures() -> None:
    held_out, x = smooth(6, seed=1).float(), smooth(4).float()
    kind = [basis for basis in BASES if basis.title in ("pixels", "DCT")]
    chosen = lasso.choose(OP, kind, OP(held_out), held_out)
    # without noise the least weight is the best
    assert chosen.basis.title == "DCT" and chosen.weight == min(lasso.WEIGHTS)
    noisy = OP(held_out) + 0.1 * torch.randn(6, 90, generator=torch.Generator().manual_seed(0))
    careful = lasso.choose(OP, kind, noisy, held_out)
    errors = [
        float(compressed_sensing.errors(each, held_out).mean()) for each in lasso.path(noisy, careful.op, careful.basis)
    ]
    assert min(lasso.WEIGHTS) < careful.weight == lasso.WEIGHTS[errors.index(min(errors))]
    # so there is something left that a path that ends early does not solve
    assert errors.index(min(errors)) + 2 < len(errors) - 1
    *_, last = lasso.path(OP(x), chosen.op, chosen.basis)
    torch.testing.assert_close(chosen.images(OP(x)), last)


def test_a_path_ends_when_the_error_has_risen(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.5, 0.4, 0.45, 0.35, 0.36, 0.37: once worse is not the end, twice is; then the weight is the fourth."""
    asked: list[int] = []

    def path(*given: object) -> Iterator[int]:
        for k in range(len(lasso.WEIGHTS)):
            asked.append(k)
            yield k

    monkeypatch.setattr(lasso, "path", path)
    monkeypatch.setattr(
        lasso, "errors", lambda k, truth: torch.tensor([[0.5, 0.4, 0.45, 0.35, 0.36, 0.37, 0.1, 0.1, 0.1][k]])
    )
    x = smooth(1)
    assert lasso.choose(OP, lasso.bases(SIDE)["pixels"], OP(x), x).weight == lasso.WEIGHTS[3] and asked == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]
