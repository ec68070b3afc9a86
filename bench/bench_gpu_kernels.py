"""The kernel families on a GPU, one by one: fastip's CUDA and Triton kernels, and the same formulas in eager PyTorch.

The images are 96 planes of 1024^2. Bytes are the fewest that a call can move: each input read once and each output
written once (x: the image, y: the data, 16 times smaller), in the precision of the tensors. Only the total variation
steps count more: those of one sweep of a step, which reads v and both dual fields and writes both. A call is timed in a
row of several, between two looks of a clock that waits for the device. Each result is compared with the reference in
float64 on one plane before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import gpu_machine
from fastip.contracts import Pointwise
from fastip.kernels import reference, split_reference
from fastip.kernels.family import Implementations
from fastip.kernels.triton import start
from gpu_baselines import DeviceCopy
from measure import difference, now, per_iteration
from workloads import GAUSSIAN

native = Implementations("native")
triton = Implementations("triton")

SHAPE: tuple[int, int, int, int] = gpu_machine.sized((32, 3, 1024, 1024), (1, 2, 32, 32))
STRIDE, BETA, STEPS = 4, 1e-2, 10
TAPS = torch.tensor([[0.1, 0.3, 0.1], [0.3, 2.0, 0.3], [0.1, 0.3, 0.1]], dtype=torch.float64)
PROX = Pointwise(l1=1e-2, low=-2.0, high=2.0)
TV = (0.5, 0.02, 0.3, STEPS, True)  # step, weight, momentum, steps, isotropic
DTYPES = (torch.float32, torch.bfloat16)
BOUND = {torch.float32: 2e-5, torch.bfloat16: 2e-2}


@dataclass(frozen=True)
class Family:
    """One call and what it needs.

    Tensors by number of images, the call on a module, bytes in units of one image in its precision, weights, dtypes
    that it is measured in.
    """

    draw: Callable[..., tuple[Tensor, ...]]
    call: Callable[..., Any]
    images: float
    weights: tuple[Tensor, ...] = ()
    dtypes: tuple[torch.dtype, ...] = DTYPES


def _noise(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, seed: int) -> Tensor:
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float32, device=device).to(dtype)


def _image(b: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    return (_noise((b, *SHAPE[1:]), dtype, device, 0),)


def _data(b: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    return (_noise((b, SHAPE[1], SHAPE[2] // STRIDE, SHAPE[3] // STRIDE), dtype, device, 1),)


def _solve(b: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    (y,) = _data(b, dtype, device)
    return (*_image(b, dtype, device), _noise(tuple(y.shape), dtype, device, 2), y)


def _pair(b: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    return (*_image(b, dtype, device), _noise((b, *SHAPE[1:]), dtype, device, 3))


def _phases(b: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    return (_noise((b, SHAPE[1], STRIDE, STRIDE, SHAPE[2] // STRIDE, SHAPE[3] // STRIDE), dtype, device, 4),)


def _spectra(b: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    shape = (b * SHAPE[1], *SHAPE[2:])
    f, p, offset = (
        torch.complex(_noise(shape, dtype, device, i), _noise(shape, dtype, device, 9 + i)) for i in range(5, 8)
    )
    gain = _noise(shape[1:], dtype, device, 8).sigmoid()
    return f, p, offset, gain[:, :, None].expand(*gain.shape, 2).contiguous()


def _fields(b: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    u = reference.differences(_noise((b, *SHAPE[1:]), dtype, device, 10)) / 100
    return (*_image(b, dtype, device), u, u.clone())


def _behind(b: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    image, blurred, x, target = (_noise((b, *SHAPE[1:]), dtype, device, i) for i in range(11, 15))
    kept = _noise((1, 1, *SHAPE[2:]), dtype, device, 15).sigmoid()
    return image, blurred, x, _noise((b, 2, *SHAPE[1:]), dtype, device, 16), kept, target


def _mixed(b: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    shape = (b, *SHAPE[1:3], SHAPE[3] // 2 + 1)
    w, s = (torch.complex(_noise(shape, dtype, device, i), _noise(shape, dtype, device, 9 + i)) for i in (17, 18))
    # factors of at most 1: W and S are overwritten again and again
    h, far = (torch.polar(0.4 * torch.ones_like(t), t) for t in (w[0, 0].real, s[0, 0].real))
    return w, s, h, _noise(shape[2:], dtype, device, 19).sigmoid() / 2, far


def _split(module: Any) -> Any:
    return split_reference if module is reference else module


def _spectral_step(module: Any, _: Any, f: Tensor, p: Tensor, offset: Tensor, gain: Tensor) -> Any:
    if module is reference:
        return module.spectral_step(f, p, offset, gain[:, :, 0])
    return module.spectral_step_(f, p, offset, gain, 1.0)


def _tv_prox(module: Any, _: Any, v: Tensor, u: Tensor, r: Tensor) -> Any:
    if module is reference:
        step, scale = TV[0], 1.0
        return module.tv_prox(
            v, u, r, *TV, lambda a: reference.soft_threshold(a, step * PROX.l1, scale, PROX.low, PROX.high)
        )[0]
    return module.tv_prox(v, u, r, *TV, PROX)[0]


GRID = 1 / STRIDE**2
A = (STRIDE, "circular")
FAMILIES = {
    "strided_conv": Family(_image, lambda m, w, x: m.strided_conv(x, w[0], *A), 1 + GRID, (GAUSSIAN,)),
    "strided_conv_adjoint": Family(_data, lambda m, w, y: m.strided_conv_adjoint(y, w[0], *A), 1 + GRID, (GAUSSIAN,)),
    "stencil": Family(_image, lambda m, w, r: m.stencil(r, w[0], "circular"), 2, (TAPS,)),
    "woodbury": Family(
        _solve, lambda m, w, x, q, y: m.woodbury(x, q, y, w[0], *A, w[1], BETA), 1 + 4 * GRID, (GAUSSIAN, TAPS)
    ),
    "pixel_unshuffle": Family(_image, lambda m, w, x: m.pixel_unshuffle(x, STRIDE), 2),
    "pixel_shuffle": Family(_phases, lambda m, w, v: m.pixel_shuffle(v, SHAPE[2], SHAPE[3]), 2),
    "soft_threshold": Family(_pair, lambda m, w, v, add: m.soft_threshold(v, 0.1, 0.9, -1.0, 1.0, add), 3),
    "spectral_step": Family(_spectra, _spectral_step, 10, dtypes=(torch.float32,)),
    "split_open": Family(
        lambda *sizes: _behind(*sizes)[2:4], lambda m, _, x, q: _split(m).split_open(x, q), 3, dtypes=(torch.float32,)
    ),
    "split_mix": Family(_mixed, lambda m, _, *given: _split(m).split_mix(*given), 4, dtypes=(torch.float32,)),
    "split_close": Family(
        _behind, lambda m, _, *given: _split(m).split_close(*given, BETA), 9, dtypes=(torch.float32,)
    ),
    "tv_prox": Family(_fields, _tv_prox, 9 * STEPS, dtypes=(torch.float32,)),
}
MODULES = {"native": native, "triton": triton, "eager PyTorch": reference, "torch.compile": reference}
COMPILED = "torch.compile"


def outputs(found: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The tensors that a call made, or wrote over."""
    return given[:2] if found is None else found if isinstance(found, tuple) else (found,)


def bound(family: Family, module: Any, dtype: torch.dtype, device: torch.device) -> Callable[..., Any]:
    """The call with its weights.

    They are float64 on the CPU for fastip's kernels, as operators keep them; as the images, and beside them, for
    eager PyTorch.
    """
    held = tuple(w.to(device, dtype) for w in family.weights) if module is reference else family.weights
    return lambda *given: family.call(module, held, *given)


def check(family: Family, module: Any, dtype: torch.dtype, device: torch.device) -> float:
    """The largest relative difference to the reference in float64, one image."""
    given = family.draw(1, dtype, device)
    wide = tuple(t.to(torch.complex128 if t.is_complex() else torch.float64) for t in given)
    expected = outputs(bound(family, reference, torch.float64, device)(*wide), wide)
    found = outputs(bound(family, module, dtype, device)(*given), given)
    worst = max(difference(a.to(b.dtype), b) for a, b in zip(found, expected, strict=True))
    assert worst < BOUND[dtype], f"another result: relative difference {worst:.1e}, allowed {BOUND[dtype]:.0e}"
    return worst


def record(benchmark: Any, program: str, moved: float, **numbers: Any) -> None:
    """What the report needs besides the times."""
    benchmark.extra_info.update(kind="gpu kernel", program=program, bytes=moved, **numbers)


@pytest.mark.benchmark(timer=per_iteration)
@pytest.mark.parametrize("how", ("driver", "kernel"))
def test_copy(benchmark: Any, how: str) -> None:
    pixels = torch.Size(SHAPE).numel()
    benchmark.group = "GPU, copy of an image"
    copy = DeviceCopy(pixels, 8, gpu_machine.device(), how == "kernel")
    benchmark.pedantic(copy, rounds=10, warmup_rounds=2)
    record(benchmark, f"copy by {how}", 8.0 * pixels)


@pytest.mark.benchmark(timer=now)
@pytest.mark.parametrize("program", MODULES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", FAMILIES)
def test_family(benchmark: Any, name: str, dtype: torch.dtype, program: str) -> None:
    device, family = gpu_machine.device(), FAMILIES[name]
    if dtype not in family.dtypes:
        pytest.skip(f"{name} is measured in float32")
    if program == "native" and device.type == "cpu" and dtype is torch.bfloat16:
        pytest.skip("the compiled kernels of the CPU take float32 and float64")
    module = MODULES[program]
    if module is triton:
        missing = start.why_missing() or (
            None if device.type == "cuda" or start.interpreted() else "Triton's kernels run on a GPU"
        )
        if missing is not None:
            pytest.skip(missing)
    error = check(family, module, dtype, device)
    call = bound(family, module, dtype, device)
    if program == COMPILED:
        torch._dynamo.reset()
        call = torch.compile(call, dynamic=False)
    benchmark.group = f"GPU, {name}, {str(dtype).removeprefix('torch.')}"
    given = family.draw(SHAPE[0], dtype, device)
    for _ in range(3):
        call(*given)
    begun = now()
    call(*given)
    each = gpu_machine.sized(max(1, min(200, int(0.02 / (now() - begun)))), 1)
    benchmark.pedantic(call, args=given, rounds=gpu_machine.sized(7, 2), iterations=each)
    moved = family.images * dtype.itemsize * torch.Size(SHAPE).numel()
    record(benchmark, program, moved, difference=error, calls=each)
