"""Frequencies off the grid: the sum itself, its density, what is refused, and solves."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from cases.checks import operator_matrix, relative
from fastip import fidelities, inverses, operators, priors
from fastip.errors import InvalidInput, Unsupported
from fastip.inverses import auto

NonUniformFourier = operators.NonUniformFourier


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def scattered(count: int, axes: int = 2) -> Tensor:
    return torch.rand(count, axes, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.5


def radial(lines: int, n: int) -> Tensor:
    angle = torch.arange(lines, dtype=torch.float64)[:, None] * torch.pi * (3 - 5**0.5)
    along = (torch.arange(2 * n, dtype=torch.float64) + 0.5) / (2 * n) - 0.5
    return torch.stack([along * angle.sin(), along * angle.cos()], dim=-1).reshape(-1, 2)


@pytest.mark.parametrize("size", [(5, 6), (4, 7), (3, 4, 5)], ids=str)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_it_is_the_sum(dtype: torch.dtype, size: tuple[int, ...]) -> None:
    f, x = scattered(23, len(size)), draw(2, 3, *size).to(dtype)
    places = torch.cartesian_prod(*(torch.arange(n) - n // 2 for n in size)).double()
    matrix = torch.exp(-2j * torch.pi * f.to(torch.complex128) @ places.T.to(torch.complex128)) / len(places) ** 0.5
    y = NonUniformFourier(f, size)(x)
    assert y.shape == (2, 3, 23) and y.dtype == dtype
    assert relative(y, x.flatten(2).to(torch.complex128) @ matrix.T) < (1e-5 if dtype == torch.complex64 else 1e-12)


def test_on_the_grid_it_is_the_transform() -> None:
    x = draw(1, 2, 6, 5)
    grid = torch.cartesian_prod(torch.fft.fftfreq(6).double(), torch.fft.fftfreq(5).double())
    expected = torch.fft.fft2(torch.fft.ifftshift(x, dim=(-2, -1)), norm="ortho")
    op = NonUniformFourier(grid, (6, 5))
    assert relative(op(x), expected.flatten(2)) < 1e-7  # fftfreq is of single precision
    assert op.norm() == pytest.approx(1, rel=1e-4)


def test_a_diagonal_is_above() -> None:
    """And near, where density is computed: radial lines are ten times denser in the middle."""
    for f, given in ((scattered(30), None), (radial(6, 8), None), (scattered(30), torch.rand(30) + 0.1)):
        op = NonUniformFourier(f, (8, 7), given)
        matrix = operator_matrix(op, (1, 1, 8, 7))
        above = op.majorant().repeat_interleave(2)
        assert float(torch.linalg.eigvalsh(above.diag() - matrix @ matrix.T)[0]) > -1e-9
        root = above.rsqrt()[:, None] * matrix
        assert torch.linalg.matrix_norm(root, 2).item() == pytest.approx(1, abs=2e-3)
        assert torch.equal((3.0 * op).majorant(), 9 * op.majorant())
    alone = NonUniformFourier(scattered(1), (8, 7))
    assert alone.density.item() == pytest.approx(1, rel=1e-9)
    assert torch.equal(op.density, given.double()) and bool((op.density > 0).all())
    density = NonUniformFourier(radial(6, 8), (8, 8)).density.reshape(6, 16)
    assert bool((density[:, 0] > 2 * density[:, 8]).all())


def test_a_diagonal_is_above_that_of_coils() -> None:
    coils = draw(2, 8, 7, seed=5)
    op = NonUniformFourier(radial(6, 8), (8, 7)) @ operators.Coils(coils)
    matrix, above = operator_matrix(op, (1, 1, 8, 7)), op.majorant()
    assert above is not None and torch.equal(above, op.right.norm() ** 2 * op.left.majorant())
    whole = above.repeat(2).repeat_interleave(2)
    assert float(torch.linalg.eigvalsh(whole.diag() - matrix @ matrix.T)[0]) > -1e-9
    x = draw(1, 1, 8, 7)
    prior, y = priors.L1(0.05), op(x)
    assert "a number for each datum" in fastip.explain(op, prior, y)
    known = fastip.admm(y, op, prior, inverse=inverses.Scalar(), beta=0.5, iterations=3000, tolerance=0).x
    assert relative(fastip.admm(y, op, prior, iterations=1500, tolerance=0).x, known) < 1e-4


def test_it_pickles_with_its_fingerprint() -> None:
    op = NonUniformFourier(scattered(9), (4, 5))
    again = pickle.loads(pickle.dumps(op))
    x = draw(1, 1, 4, 5)
    assert torch.equal(again(x), op(x)) and again.fingerprint() == op.fingerprint()
    others = NonUniformFourier(-scattered(9), (4, 5)), NonUniformFourier(scattered(9), (4, 5), torch.ones(9))
    assert len({op.fingerprint(), *(other.fingerprint() for other in others)}) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NonUniformFourier(torch.rand(5) / 2, (4, 5)), "frequencies has shape"),
        (lambda: NonUniformFourier(torch.rand(5, 4) / 2, (4, 5)), r"\(5, 4\); expected n x 2"),
        (lambda: NonUniformFourier(3 * torch.ones(5, 2), (4, 5)), "frequencies reach 3; .* divided by 2 pi"),
        (lambda: NonUniformFourier(torch.full((5, 2), torch.nan), (4, 5)), "NaN or Inf"),
        (lambda: NonUniformFourier(scattered(5), (4, 5, 6)), "expected as many sizes"),
        (lambda: NonUniformFourier(scattered(5), (4, 5), torch.ones(4)), "density has 4 numbers"),
        (lambda: NonUniformFourier(scattered(5), (4, 5), torch.zeros(5)), "the least 0; expected 5 numbers > 0"),
        (lambda: NonUniformFourier(scattered(5), (4, 5))(draw(1, 1, 4, 4)), "the image is 4 x 4; expected 4 x 5"),
        (lambda: NonUniformFourier(scattered(5), (4, 5)).adjoint(draw(1, 1, 4)), "expected b c 5"),
        (lambda: NonUniformFourier(scattered(5), (4, 5))(torch.ones(1, 1, 4, 5)), "expected complex64 or complex128"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make()


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_finufft.functional", None)
    with pytest.raises(Unsupported, match=r"pip install 'fastip\[nufft\]'"):
        NonUniformFourier(scattered(5), (4, 5))


def test_auto_steps_by_the_density() -> None:
    """To the minimiser that line one with a number has, in a fraction of the iterations."""
    n = 16
    op, x = NonUniformFourier(radial(14, n), (n, n)), torch.zeros(1, 1, n, n, dtype=torch.complex128)
    x[..., 4:11, 5:13] = 1 + 0.5j
    y = op(x) + 0.01 * draw(1, 1, len(op.frequencies))
    prior = priors.TV(0.02)
    known = fastip.admm(y, op, prior, inverse=inverses.Polynomial(8), beta=0.5, iterations=200, tolerance=0).x
    found = fastip.admm(y, op, prior, iterations=60, tolerance=0).x
    by_number = fastip.admm(y, op, prior, inverse=inverses.Scalar(), iterations=60, tolerance=0).x
    assert relative(found, known) < 2e-3 and relative(by_number, known) > 5 * relative(found, known)
    assert "a number for each datum" in fastip.explain(op, prior, y)
    least = auto.least_beta(op, op.norm() ** 2)
    assert least == pytest.approx(0.04 * op.majorant().min().item()) and least < 0.01 * op.norm() ** 2
    robust = fastip.admm(y, op, prior, fidelity=fidelities.Huber(10.0), iterations=200, tolerance=0).x
    assert relative(robust, known) < 2e-3
    assert "a number for each datum" in fastip.explain(op, prior, y, fidelity=fidelities.Huber(10.0))


def test_gradients() -> None:
    op, y = NonUniformFourier(scattered(7), (3, 4)), draw(1, 1, 7).requires_grad_()

    def solve(y: Tensor) -> Tensor:
        given: dict[str, Any] = {"beta": 0.3, "inverse": inverses.Diagonal(), "iterations": 3, "tolerance": 0}
        return fastip.admm(y, op, priors.L2(0.1), **given).x

    assert torch.autograd.gradcheck(solve, (y,))
