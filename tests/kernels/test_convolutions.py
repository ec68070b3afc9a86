"""strided_conv, its adjoint, the stencil and the data step.

Compiled against the float64 reference, over sizes, boundaries and instruction sets.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from fastip.errors import InvalidInput
from fastip.kernels import reference
from fastip.kernels.family import Implementations

native = Implementations("native")

ISAS = ("base", "avx2", "avx512")
DTYPES = (torch.float32, torch.float64)
pytestmark = pytest.mark.usefixtures("compiled")


def psf_of(kind: str, kh: int, kw: int, generator: torch.Generator) -> Tensor:
    """A random psf: dense, an outer product, or with most taps zero."""
    full = torch.rand(kh, kw, dtype=torch.float64, generator=generator) + 0.1
    if kind == "separable":
        return full[:, :1] * full[:1, :]
    return full if kind == "dense" else full * (torch.rand(kh, kw, generator=generator) < 0.3)


def assert_as_accurate(result: Tensor, plain: Tensor, exact: Tensor) -> None:
    """The error is at most four times the reference's own, plus two roundings of the largest value.

    In float64 16 roundings, as the truth rounds too.
    """
    assert result.dtype == plain.dtype and result.shape == exact.shape and result.is_contiguous()
    own = (plain.double() - exact).abs().max()
    roundings = 2 if result.dtype == torch.float32 else 16
    bound = 4 * own + roundings * torch.finfo(result.dtype).eps * exact.abs().max()
    assert (result.double() - exact).abs().max() <= bound


def check(seed: int, dtype: torch.dtype, stride: int, boundary: str, kind: str) -> None:
    """One random problem of odd sizes: both directions."""
    draw, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    kh, kw = draw.randint(1, 9), draw.randint(1, 9)
    batch, channels = draw.choice(((1, 1), (1, 3), (3, 2)))
    height, width = (
        stride * draw.randint(1, 9) + kh * (boundary == "valid"),
        stride * draw.randint(1, 90) + kw * (boundary == "valid"),
    )
    if draw.random() < 0.3:  # the raw kernel also takes sizes that the stride does not divide
        height, width = height + draw.randint(0, stride), width + draw.randint(0, stride)
    psf = psf_of(kind, kh, kw, generator)
    x = torch.randn(batch, channels, height, width, dtype=torch.float64, generator=generator).to(dtype)
    exact = reference.strided_conv(x.double(), psf, stride, boundary)
    assert_as_accurate(
        native.strided_conv(x, psf, stride, boundary), reference.strided_conv(x, psf, stride, boundary), exact
    )
    y = torch.randn(exact.shape, dtype=torch.float64, generator=generator).to(dtype)
    exact = reference.strided_conv_adjoint(y.double(), psf, stride, boundary)
    assert_as_accurate(
        native.strided_conv_adjoint(y, psf, stride, boundary),
        reference.strided_conv_adjoint(y, psf, stride, boundary),
        exact,
    )


@pytest.mark.parametrize("each_isa", ISAS, indirect=True)
@pytest.mark.parametrize("boundary", reference.BOUNDARIES)
@pytest.mark.parametrize("kind", ["dense", "separable", "sparse"])
def test_both_directions(each_isa: str, boundary: str, kind: str) -> None:
    seed = 0
    for dtype in DTYPES:
        for stride in range(1, 6):
            for _ in range(4):
                seed += 1
                check(seed, dtype, stride, boundary, kind)


@pytest.mark.parametrize("boundary", ["circular", "reflect", "zero"])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4, 1), (5, 2)])
def test_psf_larger_than_the_image(shape: tuple[int, int], boundary: str) -> None:
    """The margins go around the image more than once."""
    generator = torch.Generator().manual_seed(shape[0])
    for kind in ("dense", "separable"):
        psf = psf_of(kind, 9, 8, generator)
        x = torch.randn(1, 2, *shape, dtype=torch.float64, generator=generator)
        torch.testing.assert_close(
            native.strided_conv(x, psf, 1, boundary),
            reference.strided_conv(x, psf, 1, boundary),
            rtol=1e-13,
            atol=1e-13,
        )
        torch.testing.assert_close(
            native.strided_conv_adjoint(x, psf, 1, boundary),
            reference.strided_conv_adjoint(x, psf, 1, boundary),
            rtol=1e-13,
            atol=1e-13,
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("boundary", reference.BOUNDARIES)
def test_adjoint_by_dot_product(boundary: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(3)
    for stride, k in ((1, 7), (2, 4), (3, 9), (4, 9)):
        y_size = 11
        size = (y_size - 1) * stride + k if boundary == "valid" else y_size * stride
        psf = torch.rand(k, k, dtype=torch.float64, generator=generator)
        x = torch.randn(2, 3, size, size, dtype=dtype, generator=generator)
        y = torch.randn(2, 3, y_size, y_size, dtype=dtype, generator=generator)
        ax, aty = native.strided_conv(x, psf, stride, boundary), native.strided_conv_adjoint(y, psf, stride, boundary)
        left, right = (ax.double() * y.double()).sum(), (x.double() * aty.double()).sum()
        assert abs(left - right) <= (1e-5 if dtype == torch.float32 else 1e-12) * ax.double().norm() * y.double().norm()


@pytest.mark.parametrize("boundary", reference.BOUNDARIES)
@pytest.mark.parametrize("kind", ["dense", "separable"])
def test_threads_change_nothing(kind: str, boundary: str) -> None:
    """One thread, two and three: the same bits, one plane or many."""
    generator = torch.Generator().manual_seed(5)
    psf = psf_of(kind, 7, 5, generator)
    before = torch.get_num_threads()
    for batch, size in ((1, 181), (5, 67)):
        x = torch.randn(batch, 3, 3 * size, 3 * size, generator=generator)
        y = torch.randn(batch, 3, size, size, generator=generator)
        results = []
        try:
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                results.append(
                    (native.strided_conv(x, psf, 3, boundary), native.strided_conv_adjoint(y, psf, 3, boundary))
                )
        finally:
            torch.set_num_threads(before)
        for forward, adjoint in results[1:]:
            assert torch.equal(forward, results[0][0]) and torch.equal(adjoint, results[0][1])


def test_views_and_signs() -> None:
    """Transposed, strided, expanded and lazily negated tensors are read as what they stand for."""
    generator = torch.Generator().manual_seed(6)
    psf = torch.rand(3, 4, dtype=torch.float64, generator=generator)
    wide = torch.randn(2, 3, 24, 40, dtype=torch.float64, generator=generator)
    lazy = torch.randn(2, 3, 8, 8, dtype=torch.complex128, generator=generator).conj().imag
    assert lazy.is_neg()
    views = [
        wide.transpose(2, 3),
        wide[:, :, ::2, 1:33:4],
        wide[:1, :1].expand(4, 2, 24, 40),
        wide.flip(3),
        wide.to(memory_format=torch.channels_last),
        lazy,
    ]
    for view in views:
        torch.testing.assert_close(
            native.strided_conv(view, psf.t(), 2, "reflect"),
            reference.strided_conv(view, psf.t(), 2, "reflect"),
            rtol=1e-13,
            atol=1e-13,
        )
        torch.testing.assert_close(
            native.strided_conv_adjoint(view, psf, 2, "zero"),
            reference.strided_conv_adjoint(view, psf, 2, "zero"),
            rtol=1e-13,
            atol=1e-13,
        )


@pytest.mark.parametrize("each_isa", ISAS, indirect=True)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("boundary", reference.BOUNDARIES)
def test_data_step_and_stencil(each_isa: str, boundary: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(7)
    for half, stride in ((0, 2), (1, 4), (3, 1)):
        psf = torch.rand(5, 6, dtype=torch.float64, generator=generator)
        taps = torch.randn(2 * half + 1, 2 * half + 1, dtype=torch.float64, generator=generator)
        height, width = (8 * stride, 21 * stride) if boundary != "valid" else (7 * stride + 5, 20 * stride + 6)
        x = torch.randn(2, 3, height, width, dtype=torch.float64, generator=generator).to(dtype)
        q, y = torch.randn(2, 2, 3, 8, 21, dtype=torch.float64, generator=generator).to(dtype)
        arguments = (psf, stride, boundary, taps, 0.37)
        exact = reference.woodbury(x.double(), q.double(), y.double(), *arguments)
        plain = reference.woodbury(x, q, y, *arguments)
        for result, own, truth in zip(native.woodbury(x, q, y, *arguments), plain, exact, strict=True):
            assert_as_accurate(result, own, truth)
        assert_as_accurate(
            native.stencil(q, taps, boundary),
            reference.stencil(q, taps, boundary),
            reference.stencil(q.double(), taps, boundary),
        )


def test_many_python_threads_at_once() -> None:
    generator = torch.Generator().manual_seed(8)
    psf = torch.rand(9, 9, dtype=torch.float64, generator=generator)
    images = [torch.randn(1, 3, 64 + 4 * i, 128, generator=generator) for i in range(16)]
    expected = [native.strided_conv(x, psf, 4, "circular") for x in images]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda x: native.strided_conv(x, psf, 4, "circular"), images * 8))
    assert all(torch.equal(result, expected[i % 16]) for i, result in enumerate(results))


@pytest.mark.parametrize(
    "x, psf, stride, boundary",
    [
        (torch.zeros(3, 4, 4), torch.ones(3, 3), 1, "zero"),
        (torch.zeros(1, 1, 4, 4), torch.ones(3), 1, "zero"),
        (torch.zeros(1, 1, 4, 4), torch.ones(0, 3), 1, "zero"),
        (torch.zeros(1, 1, 4, 4), torch.ones(3, 3), 0, "zero"),
        (torch.zeros(1, 1, 4, 4), torch.ones(3, 3), 1.5, "zero"),
        (torch.zeros(1, 1, 4, 4), torch.ones(3, 3), 1, "wrap"),
        (torch.zeros(1, 1, 4, 4), torch.ones(5, 3), 1, "valid"),
    ],
)
def test_refusals(x: Tensor, psf: Tensor, stride: int, boundary: str) -> None:
    """Raw pointers go down, so what does not fit is refused above them."""
    with pytest.raises(InvalidInput, match="expected|needs"):
        native.strided_conv(x, psf, stride, boundary)


def test_data_step_refuses_other_shapes() -> None:
    x, y = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 4, 4)
    with pytest.raises(InvalidInput, match="expected"):
        native.woodbury(x, torch.zeros(1, 1, 4, 5), y, torch.ones(3, 3), 2, "zero", torch.ones(1, 1), 0.1)
