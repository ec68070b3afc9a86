"""torch.ops.fastip: the names, the values against the reference, fake tensors, opcheck, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from cases.library import BOUNDARIES, CASES, arguments, clones, exactly, formula, op, tensors, with_gradients
from fastip.errors import InvalidInput
from fastip.kernels import choose, reference
from fastip.kernels.family import OPERATORS, Implementations

native = Implementations("native")

DTYPES = (torch.float32, torch.float64)
REDUCED = (torch.float32, torch.bfloat16, torch.float16)


def test_the_names() -> None:
    """What CASES covers is all there is; a new op has to be tested."""
    registered = {
        name.removeprefix("fastip::") for name in torch._C._dispatch_get_all_op_names() if name.startswith("fastip::")
    }
    assert registered == set(CASES) == set(OPERATORS)
    assert all(str(op(name)._schema).removeprefix("fastip::") == OPERATORS[name].schema for name in CASES)


@pytest.mark.parametrize("name", CASES)
def test_equals_the_reference(name: str) -> None:
    for seed in range(24):
        values = arguments(name, seed)
        for result, expected in zip(tensors(op(name)(*values)), tensors(formula(name)(*values)), strict=True):
            torch.testing.assert_close(result, expected, rtol=1e-11, atol=1e-11)
            assert result.is_contiguous()


# no complex half
@pytest.mark.parametrize(
    "name, dtype", [(n, d) for n in CASES for d in REDUCED if n != "spectral_step" or d == torch.float32]
)
def test_other_precisions(name: str, dtype: torch.dtype) -> None:
    """The dtype of the images is that of the result, and the error is of its size."""
    for seed in range(100, 108):
        values = arguments(name, seed, dtype)
        exact = formula(name)(*exactly(values))
        for result, expected in zip(tensors(op(name)(*values)), tensors(exact), strict=True):
            assert result.dtype.to_real() == dtype
            tolerance = 60 * torch.finfo(dtype).eps * max(1.0, float(expected.abs().max()))
            torch.testing.assert_close(result.to(expected.dtype), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("backend", ["chosen", "reference"])
@pytest.mark.parametrize("name", CASES)
def test_arguments_are_kept_and_never_returned(name: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend == "reference":
        monkeypatch.setattr(choose, "raw", lambda images: choose.REFERENCE)
    plain = [arguments(name, seed) for seed in range(8)]
    v = torch.randn(1, 1, 3, 5)
    nothing_to_do: dict[str, tuple[Any, ...]] = {
        "soft_threshold": (v, 0.0, 1.0, -math.inf, math.inf, None),
        "pixel_unshuffle": (v, 1),
        "pixel_shuffle": (v[:, :, None, None], 3, 5),
    }
    for values in [*plain, *([nothing_to_do[name]] if name in nothing_to_do else [])]:
        before = clones(values)
        results = tensors(op(name)(*values))
        memory = [t.untyped_storage().data_ptr() for t in (*results, *(v for v in values if isinstance(v, Tensor)))]
        assert len(set(memory)) == len(memory)
        for result in results:
            result.fill_(7)
        assert all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in zip(values, before, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_strided_views(name: str) -> None:
    """Transposed and strided tensors are read as what they stand for."""
    for seed in range(8):
        values = arguments(name, seed)
        expected = tensors(op(name)(*values))
        for view in (transposed, spaced):
            for result, exact in zip(
                tensors(op(name)(*(view(v) if isinstance(v, Tensor) else v for v in values))), expected, strict=True
            ):
                torch.testing.assert_close(result, exact, rtol=1e-13, atol=1e-13)
                assert result.is_contiguous()


def transposed(v: Tensor) -> Tensor:
    return v.mT.contiguous().mT if v.ndim > 1 else v


def spaced(v: Tensor) -> Tensor:
    return torch.stack([v, torch.full_like(v, math.nan)], dim=-1)[..., 0]


@pytest.mark.parametrize("name", CASES)
def test_opcheck(name: str) -> None:
    """Schema, autograd registration, fake kernel and ahead-of-time tracing with dynamic shapes."""
    for seed in range(4):
        values = arguments(name, 10 + seed)
        torch.library.opcheck(op(name), values)
        if name != "admm":
            torch.library.opcheck(op(name), with_gradients(values))


@pytest.mark.parametrize("device", ["cuda", "cpu", "meta"])
@pytest.mark.parametrize("name", CASES)
def test_fake_tensors(name: str, device: str) -> None:
    """Shape, dtype and device without a device; psf and taps stay on the CPU, as real tensors."""
    for seed in range(8):
        for dtype in DTYPES:
            values = arguments(name, seed, dtype)
            expected = tensors(formula(name)(*values))
            with FakeTensorMode(allow_non_fake_inputs=True) as mode:
                # psf and taps, the matrices, stay; the gain of spectral_step is one too
                fake = (
                    empty(v, device) if isinstance(v, Tensor) and (v.ndim != 2 or name == "spectral_step") else v
                    for v in values
                )
                results = tensors(op(name)(*fake))
            for result, exact in zip(results, expected, strict=True):
                assert result.fake_mode is mode
                assert (tuple(result.shape), result.dtype, result.device.type) == (
                    tuple(exact.shape),
                    exact.dtype,
                    device,
                )
                assert result.is_contiguous()


def empty(like: Tensor, device: str) -> Tensor:
    """A tensor of this shape that is not contiguous."""
    return (
        torch.empty(like.mT.shape, dtype=like.dtype, device=device).mT
        if like.ndim > 1
        else torch.empty(like.shape, dtype=like.dtype, device=device)
    )


def test_images_of_different_precision() -> None:
    x, q, y, *rest = arguments("woodbury", 3)
    mixed = op("woodbury")(x.to(torch.bfloat16), q.float(), y.float(), *rest)
    expected = reference.woodbury(x.to(torch.bfloat16).float(), q.float(), y.float(), *rest)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = op("woodbury")(
            mode.from_tensor(x.to(torch.bfloat16)), mode.from_tensor(q.float()), mode.from_tensor(y.float()), *rest
        )
    for result, traced, exact in zip(mixed, fake, expected, strict=True):
        torch.testing.assert_close(result, exact, rtol=1e-5, atol=1e-5)
        assert traced.dtype == result.dtype
    widened = op("soft_threshold.Tensor")(
        torch.randn(2, 1, 3, 3), torch.rand(1, 1, 3, 3).double(), torch.ones(()), 0.0, 1.0, None
    )
    assert widened.dtype == torch.float64


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_empty_batches(boundary: str) -> None:
    psf = torch.rand(3, 4, dtype=torch.float64)
    x = torch.zeros(0, 3, 8, 9)
    y = torch.ops.fastip.strided_conv(x, psf, 2, boundary)
    assert y.shape == reference.strided_conv(x, psf, 2, boundary).shape
    assert torch.ops.fastip.strided_conv_adjoint(y, psf, 2, boundary).shape[:2] == (0, 3)
    assert torch.ops.fastip.pixel_shuffle(torch.ops.fastip.pixel_unshuffle(x, 2), 8, 9).shape == x.shape


IMAGE, PSF = torch.zeros(1, 1, 4, 4), torch.ones(3, 3)
REFUSED: dict[str, tuple[str, tuple[Any, ...]]] = {
    "three dimensions": ("strided_conv", (torch.zeros(3, 4, 4), PSF, 1, "zero")),
    "psf a vector": ("strided_conv", (IMAGE, torch.ones(3), 1, "zero")),
    "psf empty": ("strided_conv", (IMAGE, torch.ones(0, 3), 1, "zero")),
    "stride 0": ("strided_conv", (IMAGE, PSF, 0, "zero")),
    "unknown boundary": ("strided_conv", (IMAGE, PSF, 1, "wrap")),
    "valid, too small": ("strided_conv", (IMAGE, torch.ones(5, 3), 1, "valid")),
    "adjoint, three dimensions": ("strided_conv_adjoint", (torch.zeros(3, 4, 4), PSF, 1, "zero")),
    "adjoint, psf": ("strided_conv_adjoint", (IMAGE, torch.ones(3), 1, "zero")),
    "adjoint, stride": ("strided_conv_adjoint", (IMAGE, PSF, -1, "zero")),
    "adjoint, boundary": ("strided_conv_adjoint", (IMAGE, PSF, 1, "same")),
    "y": ("woodbury", (IMAGE, torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 3), PSF, 2, "zero", torch.ones(1, 1), 0.1)),
    "q": ("woodbury", (IMAGE, torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2), PSF, 2, "zero", torch.ones(1, 1), 0.1)),
    "unshuffle, dimensions": ("pixel_unshuffle", (torch.zeros(4, 4), 2)),
    "unshuffle, stride": ("pixel_unshuffle", (IMAGE, 0)),
    "shuffle, dimensions": ("pixel_shuffle", (IMAGE, 4, 4)),
    "shuffle, not square": ("pixel_shuffle", (torch.zeros(1, 1, 2, 3, 4, 4), 8, 8)),
    "shuffle, negative": ("pixel_shuffle", (torch.zeros(1, 1, 2, 2, 4, 4), -1, 8)),
    "whole numbers": ("strided_conv", (IMAGE.long(), PSF, 1, "zero")),
    "complex psf": ("strided_conv", (IMAGE, PSF.to(torch.complex64), 1, "zero")),
    "stencil, boundary": ("stencil", (IMAGE, PSF, "wrap")),
    "stencil, taps": ("stencil", (IMAGE, torch.ones(3), "zero")),
}
ONLY_HERE: dict[str, tuple[str, tuple[Any, ...]]] = {
    "planes": (
        "spectral_step",
        (*(torch.zeros(2, 3, 4, dtype=torch.complex64) for _ in range(3)), torch.ones(3, 5), 1.0),
    ),
    "real planes": ("spectral_step", (*(torch.zeros(2, 3, 4) for _ in range(3)), torch.ones(3, 4), 1.0)),
    "precision of gain": (
        "spectral_step",
        (*(torch.zeros(2, 3, 4, dtype=torch.complex64) for _ in range(3)), torch.ones(3, 4).double(), 1.0),
    ),
    "solve, image": (
        "admm",
        (
            torch.zeros(1, 1, 5, 4),
            IMAGE[:, :, :3, :2],
            IMAGE[:, :, :3, :2],
            PSF,
            2,
            "zero",
            PSF,
            1.0,
            0.0,
            0.0,
            0.0,
            1.0,
            1.0,
            3,
        ),
    ),
    "solve, dtypes": ("admm", (IMAGE, IMAGE.double(), IMAGE, PSF, 1, "zero", PSF, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 3)),
    "solve, beta": ("admm", (IMAGE, IMAGE, IMAGE, PSF, 1, "zero", PSF, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 3)),
    "solve, iterations": ("admm", (IMAGE, IMAGE, IMAGE, PSF, 1, "zero", PSF, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0)),
    "solve, taps": ("admm", (IMAGE, IMAGE, IMAGE, PSF, 1, "zero", torch.ones(3, 2), 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 3)),
}


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("case", REFUSED)
def test_refuses_as_the_compiled_kernels_do(case: str) -> None:
    name, values = REFUSED[case]
    with pytest.raises(InvalidInput) as compiled:
        getattr(native, name)(*values)
    refused(name, values, str(compiled.value))


@pytest.mark.parametrize("case", ONLY_HERE)
def test_refuses(case: str) -> None:
    name, values = ONLY_HERE[case]
    refused(name, values, None)


def refused(name: str, values: tuple[Any, ...], message: str | None) -> None:
    """With real tensors and when traced."""
    with pytest.raises(InvalidInput, match="expected|needs") as real:
        op(name)(*values)
    with FakeTensorMode() as mode, pytest.raises(InvalidInput) as fake:
        op(name)(*(mode.from_tensor(v) if isinstance(v, Tensor) else v for v in values))
    assert str(real.value) == (message or str(real.value)) == str(fake.value)


def test_images_on_two_devices() -> None:
    with FakeTensorMode(), pytest.raises(InvalidInput, match="different devices"):
        y = torch.zeros(1, 1, 4, 4, device="cuda")
        op("woodbury")(torch.zeros(1, 1, 4, 4), y, y, torch.ones(3, 3), 1, "zero", torch.ones(1, 1), 0.1)
