"""The step to the image that gives the data: against the pseudo-inverse, and on its own data."""

from __future__ import annotations

import pytest
import torch

from fastip import inverses, operators, psf, solvers
from fastip.errors import InvalidInput

OPERATORS = {
    "gaussian": operators.GaussianMeasurements(20, (1, 8, 9)),
    "mask": operators.Mask((torch.arange(72).reshape(8, 9) % 3 > 0).double()),
    "mean": operators.Downsample(2),
    "blur": operators.Blur(psf.gaussian(3, 0.6), stride=2),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_it_is_the_nearest_image_that_gives_the_data(name):
    op = OPERATORS[name]
    shape = (3, 1, 8, 9) if name in ("gaussian", "mask") else (3, 2, 8, 10)
    truth, x = torch.rand(2, *shape, dtype=torch.float64)
    y = op(truth)
    made = solvers.consistent(x, y, op, epsilon=1e-9)
    unit = torch.eye(x[0].numel(), dtype=torch.float64).unflatten(1, shape[1:])
    matrix = op(unit).flatten(1).T
    expected = x.flatten(1) + (y - op(x)).flatten(1) @ torch.linalg.pinv(matrix).T
    torch.testing.assert_close(made.flatten(1), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(op(made), y, rtol=0, atol=1e-6)
    assert (op(x) - y).abs().max() > 1e-2


def test_arrays_stay_arrays_and_an_inverse_can_be_given():
    op = OPERATORS["mean"]
    y, x = torch.rand(1, 1, 4, 4), torch.rand(1, 1, 8, 8)
    made = solvers.consistent(x, y, op)
    torch.testing.assert_close(op(made), y, rtol=0, atol=1e-5)
    assert (torch.from_numpy(solvers.consistent(x.numpy(), y.numpy(), op)) - made).abs().max() < 1e-6
    torch.testing.assert_close(solvers.consistent(x, y, op, inverse=inverses.Exact()), made, rtol=0, atol=1e-5)


def test_bad_inputs():
    op, y = OPERATORS["mean"], torch.rand(1, 1, 4, 4)
    for x, message in (
        (torch.rand(1, 1, 8, 9), "shape"),
        (torch.rand(1, 1, 8, 8).double(), "x has dtype"),
        (torch.full((1, 1, 8, 8), float("nan")), "NaN"),
    ):
        with pytest.raises(InvalidInput, match=message):
            solvers.consistent(x, y, op)
    with pytest.raises(InvalidInput, match="epsilon"):
        solvers.consistent(torch.rand(1, 1, 8, 8), y, op, epsilon=0.0)
