"""Arithmetic of structures against their matrices."""

from __future__ import annotations

import pytest
import torch

from cases.checks import noise, relative, structure_matrix
from fastip.contracts import Circulant, Cosine, Dense, Diagonal, Kronecker, Scalar
from fastip.operators.base import structures

SHAPE = (1, 2, 3, 4)


def examples(seed: int) -> list:
    def positive(*shape: int) -> torch.Tensor:
        return noise(shape, seed=seed).square()

    even = positive(3, 4)
    even = even + even.flip(0, 1).roll((1, 1), (0, 1))  # the power spectrum of a real filter
    root = noise((24, 24), seed=seed)
    return [
        Scalar(0.7 + seed),
        Diagonal(positive(1, 2, 3, 4)),
        Circulant(even[:, :3].clone()),
        Cosine(positive(3, 4)),
        Dense(root @ root.T),
        Kronecker(root[:3] @ root[:3].T, root[3:7] @ root[3:7].T),
    ]


@pytest.mark.parametrize("i", range(6))
def test_scale_and_largest(i):
    structure = examples(0)[i]
    matrix = structure_matrix(structure, SHAPE)
    scaled = structures.scale(structure, 2.5)
    assert type(scaled) is type(structure) and relative(structure_matrix(scaled, SHAPE), 2.5 * matrix) <= 1e-14
    assert structures.largest(structure) == pytest.approx(torch.linalg.eigvalsh(matrix)[-1].item(), rel=1e-12)
    assert structures.scale(None, 2.0) is None


@pytest.mark.parametrize("i", range(6))
@pytest.mark.parametrize("j", range(6))
def test_add_and_multiply(i, j):
    a, b = examples(0)[i], examples(1)[j]
    total = structures.add(a, b)
    ma, mb = structure_matrix(a, SHAPE), structure_matrix(b, SHAPE)
    if (i == j or 0 in (i, j)) and 5 not in (i, j):
        assert relative(structure_matrix(total, SHAPE), ma + mb) <= 1e-13
    else:
        assert total is None
    product = structures.multiply(a, b)
    if i == j and i in (2, 3):
        assert relative(structure_matrix(product, SHAPE), ma @ mb) <= 1e-13
    else:
        assert product is None
    assert structures.add(a, None) is None and structures.add(None, b) is None


def test_a_product_of_diagonals_is_the_simplest_structure():
    ones, values = torch.eye(3, dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert structures.kronecker(ones, 4.0 * torch.eye(2).double()) == Scalar(4.0)
    diagonal = structures.kronecker(ones, values.diag())
    assert isinstance(diagonal, Diagonal) and torch.equal(diagonal.values, values.expand(1, 1, 3, 2))
    assert isinstance(structures.kronecker(ones, values.diag() + 1.0), Kronecker)
