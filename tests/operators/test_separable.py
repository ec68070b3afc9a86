"""Matrices in blocks, Separable, and what a separable blur says of itself."""

from __future__ import annotations

import pytest
import torch

from cases.checks import noise, operator_matrix, relative
from fastip import inverses
from fastip.contracts import Diagonal, Kronecker, Scalar
from fastip.errors import InvalidInput, Unsupported
from fastip.operators import Blur, Separable, psf
from fastip.operators.base import banded, structures

CPU = torch.device("cpu")


def matrices() -> list[torch.Tensor]:
    wrapped = torch.eye(70, dtype=torch.float64) + 2.0 * torch.eye(70, dtype=torch.float64).roll(1, 0)
    holes = noise((100, 41), seed=1) * (noise((100, 1), seed=2) > 0.8)  # whole blocks may be empty
    holes[32:64] = 0
    band = noise((65, 130), seed=3).triu(-3).tril(70) * (noise((65, 130), seed=4) > 0)
    return [noise((33, 64), seed=0), wrapped, holes, band, noise((1, 1), seed=5), noise((97, 2), seed=6)]


@pytest.mark.parametrize("matrix", matrices(), ids=lambda m: "x".join(map(str, m.shape)))
def test_blocks_multiply_as_the_matrix(matrix):
    m, n = matrix.shape
    kept = banded.dense(matrix)
    for transposed, r in ((False, matrix), (True, matrix.T)):
        blocks = kept.blocks(transposed, torch.float64, CPU)
        x = noise((2, 3, r.shape[1], 5), seed=7)
        assert relative(banded.down(blocks, x), r @ x) <= 1e-14
        x = noise((2, 3, 5, r.shape[1]), seed=8)
        assert relative(banded.across(blocks, x), x @ r.T) <= 1e-14
        assert relative(kept.gram(transposed), r @ r.T) <= 1e-14
    assert kept.shape == (m, n)
    if m > 64:
        assert sum(b.numel() for *_, b in kept.blocks(False, torch.float32, CPU)) <= matrix.numel()


def test_entries_at_one_place_are_added():
    columns, weights = torch.tensor([[0, 0, 1], [2, 1, 2]]), torch.tensor([[1.0, 2.0, 4.0], [8.0, 0.0, 16.0]])
    (first, last, block), *others = banded.gathered(columns, weights.double(), 4).blocks(False, torch.float64, CPU)
    assert not others and (first, last) == (0, 3) and block.tolist() == [[3.0, 4.0, 0.0], [0.0, 0.0, 24.0]]


def test_equals_two_products():
    v, h, x = noise((40, 71), seed=1), noise((5, 9), seed=2), noise((2, 3, 71, 9), seed=3)
    op = Separable(v.numpy(), h)
    assert relative(op(x), v @ x @ h.T) <= 1e-14 and op(x.float()).dtype == torch.float32
    assert op.norm() == pytest.approx(
        (torch.linalg.matrix_norm(v, 2) * torch.linalg.matrix_norm(h, 2)).item(), rel=1e-12
    )
    assert op.norm((7, 3, 71, 9)) == op.norm()


@pytest.mark.parametrize("shapes, gram", [(((40, 7), (5, 9)), True), (((7, 40), (9, 5)), False)])
def test_the_smaller_side_is_stated_and_inverted(shapes, gram):
    """On the image side too, and where a factor is of less than full rank."""
    op = Separable(noise(shapes[0], seed=4), noise(shapes[1], seed=5))
    image, data = (1, 2, shapes[0][1], shapes[1][1]), (1, 2, shapes[0][0], shapes[1][0])
    assert (op.gram(image) is not None) == gram == (op.cogram(data) is None)
    y, a, beta = noise(data, seed=6), operator_matrix(op, image), 1e-2
    solved = torch.linalg.solve(a.T @ a + beta * torch.eye(a.shape[1], dtype=a.dtype), a.T @ y.flatten())
    assert relative(inverses.Exact().bind(op, y, beta).guess().flatten(), solved) <= 1e-10


def test_decomposed_once_for_a_size(monkeypatch):
    op, y = Separable(noise((6, 8), seed=7), noise((6, 8), seed=7)), noise((1, 1, 6, 6), seed=8)
    calls = []
    eigh = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda m: calls.append(len(m)) or eigh(m))
    for beta in (0.1, 0.2):
        inverses.Exact().bind(op, y, beta)
        inverses.Exact().bind(op, y.float(), beta)
    assert calls == [6]  # one for both axes, which are the same


def test_every_entry_counts_in_the_fingerprint():
    v, h = torch.eye(3, dtype=torch.float64), torch.ones(2, 4, dtype=torch.float64)
    ops = [Separable(v, h), Separable(v.T, 2 * h), Separable(h, v)]
    ops += [Separable(v * torch.tensor([1.0, 1.0, weak])[:, None], h) for weak in (1e-9, 2e-9)]
    assert len({op.fingerprint() for op in ops}) == len(ops)
    assert Separable(v.numpy(), h.float()).fingerprint() == ops[0].fingerprint()


def test_autocast_lowers_no_precision():
    op, x = Separable(noise((6, 8), seed=1), noise((5, 7), seed=2)), noise((1, 2, 8, 7), seed=3).float()
    y = op(x)
    step = inverses.Exact().bind(op, y, 0.1)
    plain = op.adjoint(y), step.apply(y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(op(x), y)
        assert torch.equal(op.adjoint(y), plain[0]) and torch.equal(step.apply(y), plain[1])


@pytest.mark.parametrize("crowded", [False, True])
def test_the_norm_of_large_factors(monkeypatch, crowded):
    monkeypatch.setattr(structures, "SMALL", 0)
    if crowded:  # too slow for the steps of Lanczos: all eigenvalues
        monkeypatch.setattr(structures, "STEPS", 3)
    v, h = noise((60, 71), seed=9), noise((50, 90), seed=10)
    expected = torch.linalg.matrix_norm(v, 2) * torch.linalg.matrix_norm(h, 2)
    assert Separable(v, h).norm() == pytest.approx(expected.item(), rel=2e-7 if not crowded else 1e-12)


@pytest.mark.parametrize(
    "make, error, says",
    [
        (lambda: Separable(torch.eye(3), torch.ones(3)), InvalidInput, "horizontal has shape"),
        (lambda: Separable(torch.zeros(3, 3), torch.eye(3)), InvalidInput, "vertical is all zeros"),
        (lambda: Separable(torch.eye(3) * 1j, torch.eye(3)), InvalidInput, "real"),
        (lambda: Separable(torch.eye(3) / 0, torch.eye(3)), InvalidInput, "NaN or Inf"),
        (lambda: Separable(torch.eye(3).requires_grad_(), torch.eye(3)), Unsupported, "detach"),
        (lambda: Separable(torch.eye(3), torch.eye(4))(torch.ones(1, 1, 4, 3)), InvalidInput, "4 x 3; expected 3 x 4"),
        (lambda: Separable(torch.ones(2, 3), torch.eye(4)).T(torch.ones(1, 1, 3, 4)), InvalidInput, "expected 2 x 4"),
    ],
)
def test_refusals(make, error, says):
    with pytest.raises(error, match=says):
        make()


# ---- blurs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", ["zero", "valid", "reflect"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kh, kw", [(4, 3), (7, 2), (5, 5)])
def test_a_separable_blur_has_an_exact_inverse_on_any_border(boundary, stride, kh, kw):
    """Asymmetric and even psf too, also where the psf is as wide as the image."""
    kernel = torch.outer(noise((kh,), seed=kh), noise((kw,), seed=10 + kw))
    op = Blur(kernel, stride, boundary)
    for h, w in ((-(-kh // stride), -(-kw // stride)), (9, 8)):
        y = noise((2, 1, h, w), seed=h)
        a = operator_matrix(op, op.input_shape((1, 1, h, w)))
        structure = op.cogram(tuple(y.shape))
        assert isinstance(structure, Kronecker if max(kh, kw) > stride and h * w > 1 else (Scalar, Diagonal))
        gram = a @ a.T + 0.02 * torch.eye(h * w, dtype=torch.float64)
        solved = torch.linalg.solve(gram, y.reshape(2, -1).T).T.reshape(y.shape)
        assert relative(inverses.Exact().bind(op, y, 0.02).apply(y), solved) <= 1e-10


def test_larger_blurs_and_those_of_higher_rank_state_nothing():
    gaussian = psf.gaussian(5, 1.0)
    assert isinstance(Blur(gaussian, boundary="zero").cogram((1, 1, 2048, 6)), Kronecker)
    assert Blur(gaussian, boundary="zero").cogram((1, 1, 2049, 6)) is None
    assert Blur(psf.motion(5, 30.0), boundary="zero").cogram((1, 1, 8, 8)) is None
