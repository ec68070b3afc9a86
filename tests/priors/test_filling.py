"""Pixels that no datum looks at: which they are, and what they are filled with."""

from __future__ import annotations

import pytest
import torch

from cases.checks import noise
from fastip import operators, psf
from fastip.priors.filling import filled, unseen

HOLES = torch.tensor([[1, 0, 1, 1], [1, 1, 1, 1]]).bool()[None, None]


def test_numbers_worked_out_by_hand() -> None:
    """The coarse grid knows (2) on the left and nothing on the right, so 2 is everywhere; a known pixel is kept."""
    v = torch.tensor([[7.0, 2.0, 5.0, 5.0], [5.0, 5.0, 5.0, 5.0]])[None, None]
    assert torch.equal(filled(v, HOLES), torch.full((1, 1, 2, 4), 2.0))
    two = filled(
        torch.tensor([[0.0, 4.0, 0.0, 0.0, 8.0, 0.0, 0.0, 0.0]])[None, None],
        torch.tensor([[1, 0, 1, 1, 0, 1, 1, 1]]).bool()[None, None],
    )
    assert two[0, 0, 0].tolist() == [4.0, 4.0, 4.75, 5.75, 8.0, 8.0, 8.0, 8.0]  # [4, 8], then [4, 5, 8, 8] below


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (16, 16), (33, 20)])
def test_what_is_known_stays_and_holes_lie_between(size: tuple[int, int]) -> None:
    v, holes = noise((2, 3, *size), seed=1), noise((2, 3, *size), seed=2) > -0.5
    holes[:, :, 0, 0] = False
    x = filled(v, holes)
    assert torch.equal(x[~holes], v[~holes]) and bool(torch.isfinite(x).all())
    for k in range(2):
        for c in range(3):
            known = v[k, c][~holes[k, c]]
            assert known.min() - 1e-12 <= x[k, c].min() and x[k, c].max() <= known.max() + 1e-12


def test_no_holes_and_nothing_but_holes() -> None:
    v = noise((1, 2, 9, 6))
    assert torch.equal(filled(v, torch.zeros_like(v).bool()), v)
    for some in (v, v[..., :1, :1]):
        assert not filled(some, torch.ones_like(some).bool()).any()


def test_a_slope_is_continued_smoothly() -> None:
    slope = torch.linspace(0, 1, 64, dtype=torch.float64).expand(1, 1, 64, 64)
    holes = noise((1, 1, 64, 64), seed=3) > 0
    assert float((filled(slope, holes) - slope).abs().max()) < 4 / 64


def test_gradients() -> None:
    v, holes = noise((1, 1, 5, 6)).requires_grad_(), noise((1, 1, 5, 6), seed=4) > 0
    assert torch.autograd.gradcheck(lambda z: filled(z, holes), v)


def test_which_pixels_no_datum_looks_at() -> None:
    mask = (noise((9, 8), seed=5) > 0).float()
    like, shape = torch.zeros(1), (2, 3, 9, 8)
    assert torch.equal(unseen(operators.Mask(mask), shape, like), (mask == 0).expand(shape))
    upper = torch.nn.functional.pad(torch.ones(4, 8), (0, 0, 0, 5))
    blurred = operators.Mask(upper) @ operators.Blur(psf.box(3), boundary="zero")
    expected = torch.zeros(shape).bool()
    expected[:, :, 5:] = True  # four rows of data and one beside them
    assert torch.equal(unseen(blurred, shape, like), expected)
    for op in (
        operators.Blur(psf.gaussian(9, 1.6), stride=4),
        operators.ToGray(),
        operators.Identity(),
        operators.Downsample(2),
    ):
        assert not unseen(op, (1, 3, 16, 20), like).any()


def test_a_psf_without_a_mean_leaves_no_holes():
    """Where the psf sums to 0 an even image leaves no data, and yet every pixel is looked at."""
    op = operators.Blur(torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]))
    assert not unseen(op, (2, 3, 9, 8), torch.zeros(1)).any()
