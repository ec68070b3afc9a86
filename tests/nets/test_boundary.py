"""Extension and its transpose: against NumPy's padding, and by the inner product."""

import numpy as np
import pytest
import torch

from fastip import nets
from fastip.errors import InvalidInput
from fastip.nets.boundary import NET_BOUNDARIES, conv, conv_transpose, extend, fold

NUMPY = {"circular": "wrap", "zero": "constant", "reflect": "symmetric"}
PADS = [(0, 0), (1, 2), (3, 3), (0, 4), (11, 9)]


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("boundary", NET_BOUNDARIES)
def test_extension_is_numpys(boundary, pads):
    """Also where the pads are wider than the grid."""
    v = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    np.testing.assert_array_equal(
        extend(v, pads, boundary).numpy(), np.pad(v.numpy(), ((0, 0), (0, 0), pads, pads), mode=NUMPY[boundary])
    )


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("boundary", NET_BOUNDARIES)
def test_fold_is_the_transpose(boundary, pads):
    v = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    e = extend(v, pads, boundary)
    u = torch.randn_like(e)
    torch.testing.assert_close((e * u).sum(), (v * fold(u, pads, boundary)).sum())


@pytest.mark.parametrize("size, pads, dilation", [(4, (1, 2), 1), (3, (1, 1), 1), (5, (4, 4), 2)])
@pytest.mark.parametrize("boundary", NET_BOUNDARIES)
def test_conv_transpose_is_the_transpose_of_conv(boundary, size, pads, dilation):
    weight = torch.randn(3, 2, size, size, dtype=torch.float64)
    v = torch.randn(2, 2, 9, 7, dtype=torch.float64)
    u = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    image, back = conv(v, weight, pads, boundary, dilation), conv_transpose(u, weight, pads, boundary, dilation)
    assert image.shape == u.shape and back.shape == v.shape
    torch.testing.assert_close((image * u).sum(), (v * back).sum())


def test_boundary_of_an_operator():
    assert [nets.boundary_of(b) for b in ("circular", "valid", "zero", "reflect")] == [
        "circular",
        "zero",
        "zero",
        "reflect",
    ]
    with pytest.raises(InvalidInput, match="periodic"):
        nets.boundary_of("periodic")
