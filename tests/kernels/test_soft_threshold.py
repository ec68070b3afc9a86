"""The pointwise prox: the same operations in the same order, so the compiled kernel equals the reference bit by bit."""

from __future__ import annotations

import math
from types import ModuleType

import pytest
import torch

from cases.pretended import pretended
from fastip import kernels
from fastip.errors import InvalidInput
from fastip.kernels import reference
from fastip.kernels.family import Implementations

native = Implementations("native")
triton = Implementations("triton")

ISAS = ("base", "avx2", "avx512")
pytestmark = pytest.mark.usefixtures("compiled")


@pytest.mark.parametrize("each_isa", ISAS, indirect=True)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_reference(each_isa: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    for shape in ((1,), (3, 7), (2, 3, 17, 41), (1, 3, 255, 301)):
        v, add = torch.randn(2, *shape, dtype=dtype, generator=generator)
        for threshold, shrink, low, high in (
            (0.3, 1.0, -math.inf, math.inf),
            (0.0, 0.7, -math.inf, math.inf),
            (0.2, 0.9, 0.0, 1.0),
            (0.1, 1.0, -0.5, math.inf),
        ):
            for term in (None, add):
                expected = reference.soft_threshold(v, threshold, shrink, low, high, term)
                assert torch.equal(native.soft_threshold(v, threshold, shrink, low, high, term), expected)


def test_numbers_as_tensors() -> None:
    v, expected = torch.randn(2, 1, 5, 9), None
    for t in (
        0.25,
        torch.tensor(0.25),
        torch.tensor([0.25]),
        torch.full((2, 1, 1, 1), 0.25),
        torch.tensor(0.25, dtype=torch.float64),
    ):
        result = native.soft_threshold(v, t)
        expected = result if expected is None else expected
        assert torch.equal(result, expected) and result.dtype == v.dtype


def test_weights_per_image_broadcast() -> None:
    v, t, shrink = torch.randn(3, 2, 5, 9), torch.rand(3, 1, 1, 1), torch.rand(1, 2, 1, 1)
    assert torch.equal(native.soft_threshold(v, t, shrink), reference.soft_threshold(v, t, shrink))
    assert torch.equal(native.soft_threshold(v, 0.1, add=v[:1]), reference.soft_threshold(v, 0.1, add=v[:1]))


def test_nan_and_inf_go_through() -> None:
    v = torch.tensor([math.nan, math.inf, -math.inf, 1.0] * 9)
    result = native.soft_threshold(v, 0.5)
    torch.testing.assert_close(result, torch.tensor([math.nan, math.inf, -math.inf, 0.5] * 9), equal_nan=True)
    assert native.soft_threshold(v, 0.5, low=0.0, high=1.0)[0].isnan()


@pytest.mark.parametrize("module", [native, triton], ids=["native", "triton"])
def test_what_is_added_must_fit(module: ModuleType) -> None:
    """Another precision takes the reference, which promotes; another device is refused before its address is read."""
    if module is triton:
        pytest.importorskip("triton")
    v, add = torch.randn(3, 7), torch.randn(3, 7, dtype=torch.float64)
    result = module.soft_threshold(v, 0.1, add=add)
    assert result.dtype == torch.float64 and torch.equal(result, reference.soft_threshold(v, 0.1, add=add))
    with pretended() as gpu, pytest.raises(InvalidInput, match="v on cpu, add on cuda:0"):
        module.soft_threshold(v, 0.1, add=gpu.put(v))


def test_a_keyword_behind_one_that_is_left_out_counts() -> None:
    """add= without shrink, low and high: a family binds keywords as its reference would."""
    v, add = torch.randn(2, 1, 3, 5), torch.randn(2, 1, 3, 5)
    expected = reference.soft_threshold(v, 0.3, add=add)
    assert not torch.equal(expected, reference.soft_threshold(v, 0.3))
    for threshold in (0.3, torch.tensor(0.3, requires_grad=True)):
        torch.testing.assert_close(kernels.soft_threshold(v, threshold, add=add), expected)
    torch.testing.assert_close(
        kernels.soft_threshold(v=v, threshold=0.3, high=0.2), reference.soft_threshold(v, 0.3, high=0.2)
    )
