"""The passes of a second split against the float64 reference, and the reference against its formulas by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cases.checks import noise, relative
from fastip import kernels
from fastip.errors import InvalidInput
from fastip.kernels import split_reference as reference
from fastip.kernels.family import Implementations

native: Any = Implementations("native")
ISAS = ("base", "avx2", "avx512")
# b c h w, H W, images and channels of kept
SIZES = (
    ((1, 1, 1, 1), (1, 1), (1, 1)),
    ((2, 3, 5, 7), (8, 9), (1, 1)),
    ((2, 3, 6, 5), (6, 5), (2, 3)),
    ((3, 2, 17, 31), (18, 40), (3, 1)),
    ((2, 2, 33, 60), (40, 64), (1, 2)),
)


def planes(shape: tuple[int, ...], grid: tuple[int, int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """(x, q)."""
    return noise(shape, seed=seed), noise((shape[0], 2, shape[1], *grid), seed=seed + 1)


def spectra(shape: tuple[int, ...], grid: tuple[int, int]) -> tuple[Tensor, ...]:
    """(W, S, H, near, far)."""
    half = (grid[0], grid[1] // 2 + 1)
    drawn = [noise((*shape[:2], *half), seed=i) for i in range(4)]
    factors = [noise(half, seed=i) for i in range(4, 9)]
    w, s = torch.complex(*drawn[:2]), torch.complex(*drawn[2:])
    return w, s, torch.complex(*factors[:2]), factors[2].abs(), torch.complex(*factors[3:])


def behind(shape: tuple[int, ...], grid: tuple[int, int], seen: tuple[int, int]) -> tuple[Tensor, ...]:
    """(X, H X, x, q, kept, target)."""
    image, blurred, target = (noise((*shape[:2], *grid), seed=i) for i in (2, 3, 4))
    return image, blurred, *planes(shape, grid), noise((*seen, *grid), seed=5).sigmoid(), target


def to(dtype: torch.dtype, *tensors: Tensor) -> list[Tensor]:
    return [t.to(dtype.to_complex() if t.is_complex() else dtype) for t in tensors]


def check(found: Any, simple: Any, exact: Any) -> None:
    """As near to the exact as twice the plain formula in the same precision."""
    found, simple, exact = ((v,) if isinstance(v, Tensor) else v for v in (found, simple, exact))
    for ours, theirs, expected in zip(found, simple, exact, strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == expected.shape
        rounding = 2 * torch.finfo(ours.dtype).eps
        assert (
            relative(ours.to(expected.dtype), expected) <= 2 * relative(theirs.to(expected.dtype), expected) + rounding
        )


@pytest.mark.parametrize("each_isa", ISAS, indirect=True)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape, grid, seen", SIZES)
def test_equal_the_reference(
    shape: tuple[int, ...], grid: tuple[int, int], seen: tuple[int, int], dtype: torch.dtype, each_isa: object
) -> None:
    for name, given in (
        ("split_open", planes(shape, grid)),
        ("split_mix", spectra(shape, grid)),
        ("split_close", (*behind(shape, grid, seen), 0.3)),
    ):
        given, beta = (given[:-1], given[-1:]) if name == "split_close" else (given, ())
        exact = getattr(reference, name)(*given, *beta)
        simple = getattr(reference, name)(*to(dtype, *given), *beta)
        kept = to(dtype, *given)
        before = [t.clone() for t in kept]
        check(getattr(native, name)(*kept, *beta), simple, exact)
        read = slice(2, None) if name == "split_mix" else slice(None)
        assert all(map(torch.equal, kept[read], before[read]))  # what is read is not written


def test_the_formulas() -> None:
    """On 1 x 1 of 1 x 2 pixels, by hand."""
    q = torch.tensor([[2.0, 3.0], [5.0, 7.0]]).reshape(1, 2, 1, 1, 2)
    x = torch.tensor(11.0).reshape(1, 1, 1, 1)
    image, blurred = torch.tensor([13.0, 17.0]).reshape(1, 1, 1, 2), torch.tensor([19.0, 23.0]).reshape(1, 1, 1, 2)
    kept, target = torch.tensor([0.5, 0.25]).reshape(1, 1, 1, 2), torch.tensor([29.0, 31.0]).reshape(1, 1, 1, 2)
    new = [29 + 0.5 * (2 * 19 - 5) + 5 - 19, 31 + 0.25 * (2 * 23 - 7) + 7 - 23]
    for module in (native, Implementations("reference"), kernels):
        assert module.split_open(x, q).flatten().tolist() == [9.0, -3.0]
        dual, r = module.split_close(image, blurred, x, q, kept, target, 0.5)
        assert dual.flatten().tolist() == [2 + 13 - 11, -17, *new] and r.flatten().tolist() == [1.0]
        w, s, h, far = (
            torch.complex(*torch.tensor(v)).reshape(1, 1) for v in ((1.0, 2.0), (3.0, 4.0), (0, 1.0), (2.0, 1.0))
        )
        mixed, other = module.split_mix(w[None, None], s[None, None], h, torch.full((1, 1), 3.0), far)
        assert mixed.item() == 3 * (1 + 2j) + (2 + 1j) * (3 + 4j) and other.item() == 1j * mixed.item()


def test_many_blocks_and_threads_give_the_same_bits() -> None:
    shape, grid = (2, 3, 130, 170), (144, 180)
    before, results = torch.get_num_threads(), []
    given, mixed = behind(shape, grid, (1, 1)), spectra(shape, grid)
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            w, s = (t.clone() for t in mixed[:2])
            results.append(
                (native.split_open(*given[2:4]), *native.split_mix(w, s, *mixed[2:]), *native.split_close(*given, 0.3))
            )
    finally:
        torch.set_num_threads(before)
    exact = (
        reference.split_open(*given[2:4]), *reference.split_mix(*mixed), *reference.split_close(*given, 0.3)
    )  # fmt: skip
    for result in results:
        assert all(map(torch.equal, result, results[0]))
        assert all(relative(a, b) < 1e-14 for a, b in zip(result, exact, strict=True))


def test_views() -> None:
    """Of other tensors, of transposed and of conjugated ones."""
    shape, grid, seen = SIZES[3]
    given = behind(shape, grid, seen)
    turned = [t.mT.contiguous().mT for t in given]
    for ours, plain in zip(native.split_close(*turned, 0.3), native.split_close(*given, 0.3), strict=True):
        assert torch.equal(ours, plain)
    assert torch.equal(native.split_open(*turned[2:4]), native.split_open(*given[2:4]))
    mixed = spectra(shape, grid)
    expected = reference.split_mix(*(t.conj().resolve_conj() for t in mixed))
    for ours, plain in zip(native.split_mix(*(t.conj() for t in mixed)), expected, strict=True):
        assert relative(ours, plain) < 1e-14


def test_nothing() -> None:
    shape, grid = (0, 3, 5, 7), (8, 9)
    image, blurred, x, q, kept, target = behind((0, 3, 5, 7), grid, (1, 1))
    assert kernels.split_open(x, q).shape == (0, 3, 8, 9)
    assert kernels.split_mix(*spectra(shape, grid))[0].shape == (0, 3, 8, 5)
    dual, r = kernels.split_close(image, blurred, x, q, kept, target, 0.3)
    assert dual.shape == q.shape and r.shape == (0, 1, 3, 5, 7)


def test_gradients() -> None:
    shape, grid, _ = SIZES[1]
    given = [t.requires_grad_() for t in behind(shape, grid, (1, 3))]
    assert torch.autograd.gradcheck(lambda *v: kernels.split_close(*v, 0.3), given, fast_mode=True)
    assert torch.autograd.gradcheck(kernels.split_open, given[2:4], fast_mode=True)
    mixed = [t.requires_grad_() for t in spectra(shape, grid)]
    assert torch.autograd.gradcheck(kernels.split_mix, mixed, fast_mode=True)


GIVEN = behind((2, 3, 5, 7), (8, 9), (1, 1))
PLANES, MIXED = GIVEN[2:4], spectra((2, 3, 5, 7), (8, 9))


def other(given: tuple[Tensor, ...], at: int, tensor: Tensor) -> tuple[Tensor, ...]:
    return (*given[:at], tensor, *given[at + 1 :])


@pytest.mark.parametrize(
    "name, given, message",
    [
        ("split_open", other(PLANES, 0, PLANES[0][0]), r"x \(3, 5, 7\), q .*expected b c h w"),
        ("split_open", other(PLANES, 0, noise((2, 3, 9, 7))), "a grid at least as large"),
        ("split_open", other(PLANES, 0, PLANES[0][:1]), "expected b c h w"),
        ("split_open", other(PLANES, 1, PLANES[1][:, 0]), "expected b c h w"),
        ("split_open", other(PLANES, 1, PLANES[1].float()), "q is torch.float32"),
        ("split_mix", other(MIXED, 1, MIXED[1][:1]), "b c h w twice"),
        ("split_mix", other(MIXED, 2, MIXED[2][:, :4]), "h w three times"),
        ("split_mix", other(MIXED, 2, MIXED[2].to(torch.complex64)), "one complex dtype"),
        ("split_mix", other(MIXED, 4, MIXED[4].real), "one complex dtype"),
        ("split_close", (*other(GIVEN, 4, noise((1, 2, 8, 9))), 0.3), "which kept broadcasts to"),
        ("split_close", (*other(GIVEN, 0, GIVEN[0][..., :8]), 0.3), "b c H W for image"),
        ("split_close", (*other(GIVEN, 5, GIVEN[5].float()), 0.3), "target is torch.float32"),
    ],
)
@pytest.mark.parametrize("implementation", ["native", "triton"])
def test_refused(name: str, given: Any, message: str, implementation: str) -> None:
    if implementation == "triton":
        pytest.importorskip("triton")
    with pytest.raises(InvalidInput, match=message):
        getattr(Implementations(implementation), name)(*given)
