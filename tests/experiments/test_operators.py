"""The operators as matrices: equal to the operators, column by column, also for kernels and strides of other shapes."""

from __future__ import annotations

import pytest
import torch

from fastip import psf
from fastip.errors import InvalidInput
from fastip.experiments.inner_loop import operators
from fastip.experiments.record import plain


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "length"),
    [(16, "gaussian:9:1.6", 4, 16), (15, "motion:6:30", 3, 21), (12, "disk:4", 2, 12), (8, "motion:4:10", 4, 8)],
)
def test_the_matrices_are_the_operators(size, kernel, stride, length):
    numbers = plain(operators.run(size=size, kernel=kernel, stride=stride, length=length).numbers)
    plane, line = numbers["plane"], numbers["line"]
    assert set(plane["differences"]) == {"H", "S", "A", "Aᵀ", "A Aᵀ"} and max(plane["differences"].values()) < 1e-15
    assert plane["shapes"]["A"] == [(size // stride) ** 2, size**2]
    assert plane["H: departure from block circulant"] == 0 and plane["A Aᵀ: departure from block circulant"] < 1e-15
    assert 0 < plane["A Aᵀ: eigenvalues"][0] < plane["A Aᵀ: eigenvalues"][1] * (1 + 1e-12)
    assert line["squared norm of the kernel"] == pytest.approx(0.38)
    assert line["differences"]["A"] < 1e-16
    assert (line["differences"]["A Aᵀ"] < 1e-15) == (stride >= 3)  # rows of three taps overlap at stride 2
    assert ("= 0.38 I (largest" in operators.page(numbers)) == (stride >= 3)


def test_the_comparison_can_fail():
    """A flipped kernel, other pixels kept, and a matrix that is not circulant are all seen."""
    taps = psf.motion(5, 30)
    h = operators.convolution(taps, 8)
    assert operators.difference(h, operators.columns(operators.Blur(taps.flip(0)), 8)) > 0.01
    s = operators.decimation(8, 2)
    assert operators.difference(s.roll(1, 1), operators.columns(operators.Blur(psf.delta(1), stride=2), 8)) == 1
    h[0, 0] += 0.5
    assert operators.departure(h, 8) == pytest.approx(0.5)
    assert operators.departure(torch.eye(16), 4) == 0


def test_the_page_and_the_figure():
    outcome = operators.run()
    text = operators.page(plain(outcome.numbers))
    assert "256 × 256" in text and "| A | 16 × 256 |" in text and "= 0.38 I" in text
    titles = [axes.get_title(loc="left") for axes in outcome.figure.axes if axes.get_title(loc="left")]
    assert titles == ["H", "S", "A = S H", "A Aᵀ", "H in 1-D", "S in 1-D", "A = S H in 1-D", "A Aᵀ in 1-D"]


def test_a_stride_that_does_not_divide_is_refused():
    with pytest.raises(InvalidInput, match="stride 5 does not divide"):
        operators.run(stride=5)
    with pytest.raises(InvalidInput, match="length is 18; expected a multiple of the stride, 4"):
        operators.run(length=18)
