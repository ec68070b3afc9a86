"""operators.check: what it finds, prints and refuses."""

from __future__ import annotations

import pytest
import torch

from fastip import operators, psf
from fastip.errors import InvalidInput


def rolled(back: int = -1, offset: float = 0.0) -> operators.Function:
    """Twice the image moved by one pixel, and what is said to be its adjoint."""
    return operators.Function(
        lambda x: 2 * x.roll(1, -1) + offset, lambda y: 2 * y.roll(back, -1), (1, 8, 9), (1, 8, 9)
    )


def test_a_right_operator(capsys):
    found = operators.check(rolled(), (1, 8, 9))
    assert found.right and found.adjoint < 1e-6 and found.linear < 1e-6
    assert found.norm == pytest.approx(2) and found.forward > 0 and found.backward > 0
    assert (found.image_shape, found.data_shape) == ((1, 8, 9), (1, 8, 9))
    printed = capsys.readouterr().out
    assert "images 1 x 8 x 9 to data 1 x 8 x 9" in printed and "WRONG" not in printed
    assert "considered" in found.auto and str(found).strip() == printed.strip()


def test_a_wrong_adjoint_and_what_is_not_linear(capsys):
    found = operators.check(rolled(back=1), (1, 8, 9))
    assert not found.right and found.adjoint > 0.1 and found.linear < 1e-6
    printed = capsys.readouterr().out
    assert printed.count("WRONG") == 1 and "refused: the adjoint of Function" in printed
    found = operators.check(rolled(offset=1.0), (1, 8, 9))
    assert not found.right and found.linear > 0.1


def test_a_small_fault_of_size_is_seen_beside_its_own_data():
    """Random data are nearly orthogonal to A x, so that they would tell less of it."""
    op = operators.Function(lambda x: x.clone(), lambda y: 1.001 * y, (1, 40, 40), (1, 40, 40))
    assert operators.check(op, (1, 40, 40)).adjoint == pytest.approx(1e-3, rel=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_operators_of_fastip(dtype):
    for op, shape in (
        (operators.Blur(psf.gaussian(5, sigma=1.0), stride=2), (3, 8, 12)),
        (operators.MaskedFourier(torch.ones(8, 9)), (2, 8, 9)),
        (operators.Dense(torch.randn(5, 9)), (9,)),
    ):
        found = operators.check(op, shape, dtype=dtype)
        assert found.right and found.dtype == dtype and found.auto.startswith("inverse: exact")


@pytest.mark.parametrize(
    "arguments, options",
    [
        ((torch.ones(3), (1, 8, 9)), {}),
        ((rolled(), (1, 8, 8)), {}),
        ((rolled(), 8), {}),
        ((rolled(), (1, 8, 9)), {"dtype": torch.float16}),
        ((rolled(), (1, 8, 9)), {"detail": 1}),
    ],
)
def test_refusals(arguments, options):
    with pytest.raises((InvalidInput, TypeError)):
        operators.check(*arguments, **options)
