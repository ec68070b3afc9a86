"""The polyphase layout: exact copies, so the compiled kernels equal the reference bit by bit."""

from __future__ import annotations

import pytest
import torch

from fastip.errors import InvalidInput
from fastip.kernels import reference
from fastip.kernels.family import Implementations

native = Implementations("native")

ISAS = ("base", "avx2", "avx512")
pytestmark = pytest.mark.usefixtures("compiled")


@pytest.mark.parametrize("each_isa", ISAS, indirect=True)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5, 7])
def test_there_and_back(each_isa: str, stride: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(stride)
    for shape in ((1, 1, 1, 1), (2, 3, 17, 33), (1, 3, 4 * stride, 9 * stride), (3, 1, 5 * stride + 1, 130)):
        x = torch.randn(shape, dtype=dtype, generator=generator)
        phases = native.pixel_unshuffle(x, stride)
        assert torch.equal(phases, reference.pixel_unshuffle(x, stride))
        assert torch.equal(native.pixel_shuffle(phases, *shape[2:]), x)


@pytest.mark.parametrize("stride", [2, 3, 4, 6])
def test_crop_larger_than_one_stride(stride: int) -> None:
    generator = torch.Generator().manual_seed(stride)
    phases = torch.randn(2, 3, stride, stride, 6, 7, generator=generator)
    for height, width in ((6 * stride, 7 * stride), (5, 2 * stride + 1), (1, 1), (100, 100)):
        assert torch.equal(native.pixel_shuffle(phases, height, width), reference.pixel_shuffle(phases, height, width))


def test_views() -> None:
    x = torch.randn(2, 3, 20, 31).transpose(2, 3)
    assert torch.equal(native.pixel_unshuffle(x, 3), reference.pixel_unshuffle(x, 3))
    phases = torch.randn(2, 3, 9, 8, 4, 4).permute(0, 1, 4, 5, 2, 3)
    assert torch.equal(native.pixel_shuffle(phases, 35, 30), reference.pixel_shuffle(phases, 35, 30))


def test_threads_change_nothing() -> None:
    x, before = torch.randn(1, 3, 501, 402), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = native.pixel_unshuffle(x, 4)
        torch.set_num_threads(2)
        assert torch.equal(native.pixel_unshuffle(x, 4), one) and torch.equal(native.pixel_shuffle(one, 501, 402), x)
    finally:
        torch.set_num_threads(before)


def test_refusals() -> None:
    for call in (
        lambda: native.pixel_unshuffle(torch.zeros(2, 2), 2),
        lambda: native.pixel_unshuffle(torch.zeros(1, 1, 2, 2), 0),
        lambda: native.pixel_shuffle(torch.zeros(1, 1, 2, 3, 4, 4), 8, 8),
        lambda: native.pixel_shuffle(torch.zeros(1, 1, 2, 2, 4, 4), -1, 8),
    ):
        with pytest.raises(InvalidInput, match="expected"):
            call()
