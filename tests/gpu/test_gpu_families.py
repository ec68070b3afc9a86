"""Each kernel family on a GPU by itself.

As good as plain PyTorch in the same precision, in any memory, for one image and for a thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from cases.gpu import DTYPES, GPU, KERNELS, PROX, draw, relative
from cases.gpu import plain_float32 as plain_float32
from fastip.kernels import family as product
from fastip.kernels import reference, split_reference
from fastip.kernels.family import Implementations

native = Implementations("native")
triton = Implementations("triton")

pytestmark = GPU

Shape = tuple[int, int, int, int]
TAPS = draw(5, 5, seed=9).cpu() / 30
STEP, WEIGHT, MOMENTUM, STEPS = 0.5, 0.2, 0.3, 4


class Family(NamedTuple):
    """Inputs by data shape, and the call on a module.

    ``beside``: it writes over its inputs, which must be contiguous.
    """

    draw: Callable[[Shape], tuple[Tensor, ...]]
    call: Callable[..., tuple[Tensor, ...]]
    beside: bool = False
    half: bool = True


def _kernel(kh: int, kw: int) -> Tensor:
    kernel = draw(kh, kw, seed=kh).cpu()
    return kernel / kernel.abs().sum()


def _convolution(kernel: Tensor, stride: int, boundary: str) -> dict[str, Family]:
    where, name = (stride, boundary), f"{boundary}-{kernel.shape[0]}x{kernel.shape[1]}-s{stride}"

    def image(shape: Shape) -> tuple[Tensor, ...]:
        (b, c, h, w), (kh, kw) = shape, kernel.shape
        sides = ((h - 1) * stride + kh, (w - 1) * stride + kw) if boundary == "valid" else (h * stride, w * stride)
        return (draw(b, c, *sides, seed=1),)

    def solve(shape: Shape) -> tuple[Tensor, ...]:
        return *image(shape), draw(*shape, seed=2), draw(*shape, seed=3)

    return {
        f"strided_conv-{name}": Family(image, lambda m, x: (m.strided_conv(x, kernel, *where),)),
        f"strided_conv_adjoint-{name}": Family(_data, lambda m, y: (m.strided_conv_adjoint(y, kernel, *where),)),
        f"woodbury-{name}": Family(solve, lambda m, x, q, y: m.woodbury(x, q, y, kernel, *where, TAPS, 0.3)),
    }


def _convolutions() -> dict[str, Family]:
    found: dict[str, Family] = {}
    for boundary in reference.BOUNDARIES:
        for kh, kw, stride in ((9, 9, 4), (4, 6, 3), (3, 3, 1), (2, 7, 5), (5, 4, 2)):
            found |= _convolution(_kernel(kh, kw), stride, boundary)
        found[f"stencil-{boundary}"] = Family(_data, lambda m, r, boundary=boundary: (m.stencil(r, TAPS, boundary),))
    return found


def _data(shape: Shape) -> tuple[Tensor, ...]:
    return (draw(*shape, seed=2),)


def _pair(shape: Shape) -> tuple[Tensor, ...]:
    return draw(*shape, seed=4), draw(*shape, seed=5)


def _phases(shape: Shape) -> tuple[Tensor, ...]:
    b, c, h, w = shape
    return (draw(b, c, 3, 3, h, w, seed=6),)


def _spectra(shape: Shape) -> tuple[Tensor, ...]:
    b, c, h, w = shape
    planes = [torch.complex(draw(b * c, h, w, seed=i), draw(b * c, h, w, seed=9 + i)) for i in range(3)]
    return *planes, draw(h, w, seed=20).sigmoid()


def _spectral_step(m: Any, f: Tensor, p: Tensor, offset: Tensor, gain: Tensor) -> tuple[Tensor, ...]:
    if m is reference:
        return reference.spectral_step(f, p, offset, gain, 1.7)
    m.spectral_step_(f, p, offset, gain[:, :, None].expand(*gain.shape, 2).contiguous(), 1.7)
    return f, p


def _fields(shape: Shape) -> tuple[Tensor, ...]:
    u = reference.differences(draw(*shape, seed=7)) / 10
    return draw(*shape, seed=8), u, u.clone()


def _tv_prox(isotropic: bool) -> Callable[..., tuple[Tensor, ...]]:
    numbers = (STEP, WEIGHT, MOMENTUM, STEPS, isotropic)

    def prox(a: Tensor) -> Tensor:
        return reference.soft_threshold(a, STEP * PROX.l1, 1 / (1 + 2 * STEP * PROX.l2), PROX.low, PROX.high)

    def call(m: Any, v: Tensor, u: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        return m.tv_prox(v, u, r, *numbers, prox if m is reference else PROX)

    return call


def _behind(shape: Shape) -> tuple[Tensor, ...]:
    """X, H X, x, q, kept and target of a grid with two rows and three columns beside the picture."""
    (b, c, h, w), grid = shape, (shape[2] + 2, shape[3] + 3)
    image, blurred, target = (draw(b, c, *grid, seed=i) for i in (21, 22, 23))
    kept, q = draw(1, c, *grid, seed=24).sigmoid(), draw(b, 2, c, *grid, seed=25)
    return image, blurred, draw(b, c, h, w, seed=26), q, kept, target


def _mixed(shape: Shape) -> tuple[Tensor, ...]:
    """W, S, H, near and far."""
    planes = [torch.complex(draw(*shape, seed=i), draw(*shape, seed=9 + i)) for i in range(30, 34)]
    return *planes[:2], planes[2][0, 0], draw(*shape[2:], seed=44).sigmoid(), planes[3][0, 0]


def _split(m: Any) -> Any:
    return split_reference if m is reference else m


FAMILIES = {
    **_convolutions(),
    "pixel_unshuffle": Family(_data, lambda m, x: (m.pixel_unshuffle(x, 3),)),
    "pixel_shuffle": Family(_phases, lambda m, v: (m.pixel_shuffle(v, 3 * v.shape[4] - 1, 3 * v.shape[5] - 2),)),
    "soft_threshold": Family(_pair, lambda m, v, add: (m.soft_threshold(v, 0.1, 0.9, -1.0, 1.0, add),)),
    "soft_threshold-alone": Family(_data, lambda m, v: (m.soft_threshold(v, 0.2),)),
    "spectral_step": Family(_spectra, _spectral_step, beside=True, half=False),
    "split_open": Family(lambda shape: _behind(shape)[2:4], lambda m, x, q: (_split(m).split_open(x, q),), half=False),
    "split_mix": Family(_mixed, lambda m, *given: _split(m).split_mix(*given), beside=True, half=False),
    "split_close": Family(_behind, lambda m, *given: _split(m).split_close(*given, 0.3), half=False),
    "tv_prox-isotropic": Family(_fields, _tv_prox(True), beside=True),
    "tv_prox-anisotropic": Family(_fields, _tv_prox(False), beside=True),
}
# those that Triton runs, too
COMPILED = [name for name in FAMILIES if name.count("-") < 2 or "9x9" in name or "circular-4x6" in name]
SHAPES: tuple[Shape, ...] = ((1, 1, 11, 13), (2, 3, 33, 70), (1000, 1, 9, 10))


# ---- the memory of the inputs ----------------------------------------------------------------------------------------


def _shifted(t: Tensor, by: int) -> Tensor:
    """The same values in memory that starts ``by`` numbers after an aligned address."""
    return torch.empty(t.numel() + by, dtype=t.dtype, device=t.device)[by:].view(t.shape).copy_(t)


def _spread(t: Tensor) -> Tensor:
    """The same values at every other place of each row."""
    return torch.empty(*t.shape[:-1], 2 * t.shape[-1], dtype=t.dtype, device=t.device)[..., ::2].copy_(t)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "aligned": lambda t: t.contiguous().clone(),
    "shifted by 1": lambda t: _shifted(t, 1),
    "shifted by 3": lambda t: _shifted(t, 3),
    "spread": _spread,
    "transposed": lambda t: t.mT.contiguous().mT,
    "channels last": lambda t: t.clone(memory_format=torch.channels_last) if t.ndim == 4 else t.flip(0).flip(0),
}


# ---- the tests -------------------------------------------------------------------------------------------------------


def wide(t: Tensor) -> Tensor:
    return t.to(torch.complex128 if t.is_complex() else torch.float64)


def cast(t: Tensor, dtype: torch.dtype) -> Tensor:
    return t.to(dtype.to_complex() if t.is_complex() else dtype)


def error(t: Tensor, exact: Tensor) -> float:
    return relative(torch.view_as_real(t), torch.view_as_real(exact)) if t.is_complex() else relative(t, exact)


def check(
    family: Family, kernels: Any, dtype: torch.dtype, shape: Shape, arrange: Callable[[Tensor], Tensor]
) -> tuple[Tensor, ...]:
    """The result, held against the exact one.

    It must be as near to it as twice PyTorch's error in this precision, or as its rounding.
    """
    given = tuple(cast(t, dtype) for t in family.draw(shape))
    exact = family.call(reference, *(wide(t) for t in given))
    simple = family.call(reference, *(t.clone() for t in given))
    found = family.call(kernels, *(arrange(t) for t in given))
    rounding = 1e-13 if dtype == torch.float64 else 2 * torch.finfo(dtype).eps
    for ours, theirs, expected in zip(found, simple, exact, strict=True):
        assert ours.device == given[0].device and ours.dtype == theirs.dtype and ours.shape == expected.shape
        assert error(ours, expected) <= 2 * error(theirs, expected) + rounding
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("name", FAMILIES)
def test_as_good_as_the_reference(name: str, kernels: Any, dtype: torch.dtype, shape: Shape) -> None:
    family = FAMILIES[name]
    if dtype.itemsize == 2 and not family.half:
        pytest.skip("there is no complex half precision")
    if kernels is triton and (
        name not in COMPILED or (shape, dtype) not in ((SHAPES[1], torch.float32), (SHAPES[0], torch.bfloat16))
    ):
        pytest.skip("Triton compiles for seconds: it runs some families, on one shape in each of two precisions")
    check(family, kernels, dtype, shape, LAYOUTS["aligned"])


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "aligned"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("name", COMPILED)
def test_any_memory(name: str, kernels: Any, dtype: torch.dtype, layout: str) -> None:
    """The result is that of aligned memory: the same sums in the same order."""
    family, shape = FAMILIES[name], (2, 2, 13, 18)
    if family.beside and not layout.startswith("shifted"):
        pytest.skip("it writes over its inputs, which must be contiguous")
    if dtype.itemsize == 2 and (not family.half or kernels is triton):
        pytest.skip("no complex half precision, and one precision for Triton")
    found = check(family, kernels, dtype, shape, LAYOUTS[layout])
    aligned = check(family, kernels, dtype, shape, LAYOUTS["aligned"])
    for a, b in zip(found, aligned, strict=True):
        torch.testing.assert_close(a, b, rtol=4 * torch.finfo(dtype).eps, atol=4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("name", COMPILED)
def test_the_same_bits_again(name: str, kernels: Any) -> None:
    family = FAMILIES[name]
    given = tuple(cast(t, torch.float32) for t in family.draw((3, 2, 21, 37)))
    first, second = (family.call(kernels, *(t.clone() for t in given)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_all_families_are_here() -> None:
    """admm has tests of its own."""
    names = {name.split("-")[0].removesuffix("_") for name in FAMILIES}
    assert names == {name.removesuffix("_") for name in product.FAMILIES} - {"solve"}
