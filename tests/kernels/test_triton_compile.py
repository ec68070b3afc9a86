"""Ahead of time, for GPUs that are not here: what a launch would compile compiles for each architecture, spills nothing and moves 16 bytes at a time.

The launches are real: the functions are called with tensors of the CPU, and what they would launch is recorded, compiled and looked into.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from fastip.contracts import Convolution, Pointwise, StencilStep
from fastip.kernels import triton_families
from fastip.stopping import StopRule

triton = pytest.importorskip("triton")
if triton_families.interpreted():
    pytest.skip("TRITON_INTERPRET=1: nothing is compiled", allow_module_level=True)

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

ARCHITECTURES = (80, 90, 100, 120)
NAMES = {
    torch.float32: "fp32",
    torch.float64: "fp64",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
    torch.int32: "i32",
}


class Launch(NamedTuple):
    """A kernel and what it was launched with."""

    kernel: Any
    grid: tuple[int, ...]
    arguments: dict[str, Any]
    options: dict[str, Any]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "triton"))


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Launch]]:
    """Every launch that a test makes, in order; nothing runs."""
    seen: list[Launch] = []

    def launch(kernel: Any, grid: tuple[int, ...]) -> Callable[..., None]:
        def record(*arguments: Any, **named: Any) -> None:
            options = {name: named.pop(name) for name in list(named) if name not in kernel.arg_names}
            seen.append(Launch(kernel, grid, dict(zip(kernel.arg_names, arguments, strict=False)) | named, options))

        return record

    monkeypatch.setattr(triton.runtime.JITFunction, "__getitem__", launch)
    yield seen


def source(launch: Launch) -> ASTSource:
    """What Triton would compile: numbers 1 and None become constants, addresses and numbers that 16 divides are known to be so."""
    signature, constants, attributes = {}, {}, {}
    for place, parameter in enumerate(launch.kernel.params):
        value, key = launch.arguments[parameter.name], (place,)
        plain = "specialize" if not parameter.do_not_specialize else "as it is"
        if parameter.is_constexpr or value is None or (isinstance(value, int) and value == 1 and plain == "specialize"):
            signature[parameter.name], constants[key] = "constexpr", value
        elif isinstance(value, Tensor):
            signature[parameter.name] = "*" + NAMES[value.dtype]
            if value.data_ptr() % 16 == 0:
                attributes[key] = [["tt.divisibility", 16]]
        elif isinstance(value, float):
            signature[parameter.name] = parameter.annotation_type or "fp32"
        else:
            signature[parameter.name] = "i32" if abs(value) < 2**31 else "i64"
            if value % 16 == 0 and plain == "specialize":
                attributes[key] = [["tt.divisibility", 16]]
    return ASTSource(launch.kernel, signature, constants, attributes)


class Code(NamedTuple):
    """What came out: accesses by kind, registers of a thread, bytes that it spills."""

    accesses: Counter[str]
    registers: int
    spilled: int
    ptx: str


def compiled(launch: Launch, cc: int, folder: Path) -> Code:
    result = triton.compile(source(launch), target=GPUTarget("cuda", cc, 32), options=launch.options)
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    cubin = folder / "kernel.cubin"
    cubin.write_bytes(result.asm["cubin"])
    usage = subprocess.run([tool, "-res-usage", cubin], capture_output=True, text=True, check=True).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", usage)
    assert found, usage
    ptx = result.asm["ptx"]
    return Code(Counter(re.findall(r"(?:ld|st)\.global[.\w:]*", ptx)), int(found[1]), int(found[2]) + int(found[3]), ptx)


# ---- the main configurations ------------------------------------------------------------------------------------------


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape).to(dtype)


def psf(k: int) -> Tensor:
    return torch.rand(k, k, dtype=torch.float64)


def solve(k: int, stride: int, boundary: str, dtype: torch.dtype, size: int, tolerance: float, relaxation: float, batch: int = 1) -> None:
    height = (size - 1) * stride + k if boundary == "valid" else size * stride
    step = StencilStep(Convolution(psf(k), stride, boundary), psf(7), 0.1)
    x, y = draw(batch, 3, height, height, dtype=dtype), draw(batch, 3, size, size, dtype=dtype)
    triton_families.admm(step, Pointwise(l1=0.1, low=0.0, high=1.0), x, torch.zeros_like(y), y, StopRule(tolerance, 5), relaxation)


def spectral(dtype: torch.dtype) -> None:
    f, p, offset = (torch.rand(2, 64, 64, dtype=dtype) for _ in range(3))
    triton_families.spectral_step_(f, p, offset, torch.rand(64, 64, 2, dtype=dtype.to_real()), 1.6)


def tv(dtype: torch.dtype) -> None:
    u, r = draw(2, 1, 3, 128, 256, dtype=dtype), draw(2, 1, 3, 128, 256, dtype=dtype)
    triton_families.tv_prox_(draw(1, 3, 128, 256, dtype=dtype), u, r, 0.5, 0.1, 0.7, 1, True, Pointwise(low=0.0))


F = triton_families
HALF = torch.bfloat16

CASES: dict[str, Callable[[], Any]] = {
    "strided_conv 9x9 / 4": lambda: F.strided_conv(draw(1, 3, 256, 256), psf(9), 4, "circular"),
    "strided_conv 9x9 / 4 bfloat16": lambda: F.strided_conv(draw(1, 3, 256, 256, dtype=HALF), psf(9), 4, "zero"),
    "strided_conv 9x9 / 4 float64": lambda: F.strided_conv(draw(1, 3, 256, 256, dtype=torch.float64), psf(9), 4, "circular"),
    "strided_conv 9x9 / 1 reflect": lambda: F.strided_conv(draw(1, 3, 256, 256), psf(9), 1, "reflect"),
    "strided_conv 31x31 / 1": lambda: F.strided_conv(draw(1, 3, 256, 256), psf(31), 1, "zero"),
    "stencil 7x7": lambda: F.stencil(draw(1, 3, 64, 64), psf(7), "zero"),
    "strided_conv_adjoint 9x9 / 4": lambda: F.strided_conv_adjoint(draw(1, 3, 64, 64), psf(9), 4, "circular"),
    "strided_conv_adjoint 9x9 / 4 reflect": lambda: F.strided_conv_adjoint(draw(1, 3, 64, 64), psf(9), 4, "reflect"),
    "strided_conv_adjoint 9x9 / 1 float64": lambda: F.strided_conv_adjoint(draw(1, 3, 128, 128, dtype=torch.float64), psf(9), 1, "zero"),
    "strided_conv_adjoint 5x5 / 3 float16": lambda: F.strided_conv_adjoint(draw(1, 3, 64, 64, dtype=torch.float16), psf(5), 3, "valid"),
    "woodbury 9x9 / 4": lambda: F.woodbury(draw(1, 3, 256, 256), draw(1, 3, 64, 64), draw(1, 3, 64, 64), psf(9), 4, "circular", psf(7), 0.1),
    "pixel_unshuffle 4": lambda: F.pixel_unshuffle(draw(1, 3, 256, 256), 4),
    "pixel_shuffle 4 bfloat16": lambda: F.pixel_shuffle(draw(1, 3, 4, 4, 64, 64, dtype=HALF), 256, 256),
    "soft_threshold": lambda: F.soft_threshold(draw(3, 256, 256), 0.1, 0.9, 0.0, 1.0, draw(3, 256, 256)),
    "soft_threshold float64": lambda: F.soft_threshold(draw(3, 256, 256, dtype=torch.float64), 0.1, low=0.0),
    "spectral_step": lambda: spectral(torch.complex64),
    "tv_prox": lambda: tv(torch.float32),
    "admm 9x9 / 4 planes": lambda: solve(9, 4, "circular", torch.float32, 64, 0.0, 1.0),
    "admm 9x9 / 4 planes, looked at, relaxed": lambda: solve(9, 4, "circular", torch.float32, 64, 1e-4, 1.6),
    "admm 9x9 / 4 sweeps": lambda: solve(9, 4, "circular", torch.float32, 256, 1e-4, 1.0),
    "admm 9x9 / 4 sweeps, valid, bfloat16": lambda: solve(9, 4, "valid", HALF, 80, 1e-4, 1.0),
    "admm 9x9 / 4 sweeps, zero, float64": lambda: solve(9, 4, "zero", torch.float64, 80, 1e-4, 1.6),
    "admm 9x9 / 1 sweeps": lambda: solve(9, 1, "circular", torch.float32, 320, 0.0, 1.0),
    "admm 5x5 / 2 sweeps": lambda: solve(5, 2, "circular", torch.float32, 160, 1e-4, 1.0),
}


def distinct(launches: list[Launch]) -> list[Launch]:
    """One launch of each kernel and set of constants."""
    kept: dict[str, Launch] = {}
    for launch in launches:
        described = source(launch)
        kept.setdefault(f"{launch.kernel.fn.__name__} {described.signature} {described.constants} {described.attrs}", launch)
    return list(kept.values())


@pytest.mark.parametrize("cc", ARCHITECTURES)
@pytest.mark.parametrize("case", CASES)
def test_compiles_without_spills(case: str, cc: int, launches: list[Launch], tmp_path: Path) -> None:
    CASES[case]()
    assert launches
    for launch in distinct(launches):
        code = compiled(launch, cc, tmp_path)
        print(launch.kernel.fn.__name__, cc, code.registers, dict(code.accesses))
        assert code.spilled == 0, f"{launch.kernel.fn.__name__} spills {code.spilled} bytes with {code.registers} registers"
