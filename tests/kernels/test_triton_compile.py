"""What a launch would compile, ahead of time, for GPUs that are not here.

It compiles for each architecture, spills nothing and moves whole cells at a time. The launches are real: the functions
are called with tensors of the CPU, and what they would launch is recorded, compiled and looked into. The families are
compiled for every architecture, what else there is to a family (dtypes, strides, borders) for one.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from fastip.contracts import Convolution, Pointwise, Scales, StencilStep
from fastip.kernels.family import Implementations
from fastip.stopping import StopRule

triton = pytest.importorskip("triton")
import fastip.kernels.triton as compiled_here  # noqa: E402
from fastip.kernels.triton import start  # noqa: E402

if start.interpreted():
    pytest.skip("TRITON_INTERPRET=1: nothing is compiled", allow_module_level=True)

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

F = Implementations("triton")

ARCHITECTURES = (80, 90, 100, 120)
NAMES = {
    torch.float32: "fp32",
    torch.float64: "fp64",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
    torch.int32: "i32",
}
SPILLED = 16  # bytes of a thread at most: where ptxas stops at 56 or 64 registers, of 255, it spills one or two doubles


class Launch(NamedTuple):
    """A kernel and what it was launched with."""

    kernel: Any
    grid: tuple[int, ...]
    arguments: dict[str, Any]
    options: dict[str, Any]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for all tests of this run, and none that was there before."""
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
    """What Triton would compile.

    Numbers 1 and None become constants, addresses and numbers that 16 divides are known to be so.
    """
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
            assert parameter.annotation_type == "fp64", (
                f"{parameter.name} of {launch.kernel.fn.__name__} would be rounded to float32"
            )
            signature[parameter.name] = parameter.annotation_type
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
    return Code(
        Counter(re.findall(r"(?:ld|st)\.global[.\w:]*", ptx)), int(found[1]), int(found[2]) + int(found[3]), ptx
    )


# ---- what is launched ------------------------------------------------------------------------------------------------


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape).to(dtype)


def psf(k: int) -> Tensor:
    return torch.rand(k, k, dtype=torch.float64)


def solve(
    k: int, stride: int, boundary: str, dtype: torch.dtype, size: int, tolerance: float, relaxation: float
) -> None:
    height = (size - 1) * stride + k if boundary == "valid" else size * stride
    step = StencilStep(Convolution(psf(k), stride, boundary), psf(7), 0.1)
    x, y = draw(1, 3, height, height, dtype=dtype), draw(1, 3, size, size, dtype=dtype)
    rule = StopRule(tolerance, 2, Scales(1.0, *torch.ones(2, 1, dtype=torch.float64)))
    F.solve(step, Pointwise(l1=0.1, low=0.0, high=1.0), x, torch.zeros_like(y), y, rule, relaxation)


def spectral(dtype: torch.dtype) -> None:
    f, p, offset = (torch.rand(2, 64, 64, dtype=dtype) for _ in range(3))
    F.spectral_step_(f, p, offset, torch.rand(64, 64, 2, dtype=dtype.to_real()), 1.6)


def tv(dtype: torch.dtype, isotropic: bool) -> None:
    u, r = draw(2, 1, 3, 128, 256, dtype=dtype), draw(2, 1, 3, 128, 256, dtype=dtype)
    F.tv_prox(draw(1, 3, 128, 256, dtype=dtype), u, r, 0.5, 0.1, 0.7, 1, isotropic, Pointwise(low=0.0))


def split(dtype: torch.dtype) -> None:
    x, q, wide = (draw(*s, dtype=dtype) for s in ((1, 3, 120, 240), (1, 2, 3, 128, 256), (1, 3, 128, 256)))
    F.split_open(x, q)
    w, s = (torch.rand(1, 3, 128, 130, dtype=dtype.to_complex()) for _ in range(2))
    F.split_mix(w, s, w[0, 0].clone(), w[0, 0].real.clone(), s[0, 0].clone())
    F.split_close(wide, wide, x, q, wide[:, :1], wide, 0.1)


class Case(NamedTuple):
    """A call, and how many accesses of a width each of its kernels has at least.

    The width is 16 bytes, or four pixels where a pixel is smaller.
    """

    call: Callable[[], Any]
    wide: dict[str, dict[str, int]] = {}


HALF, DOUBLE = torch.bfloat16, torch.float64
LOAD4, STORE4, LOAD2, STORE2 = "ld.global.v4.b32", "st.global.v4.b32", "ld.global.v2.b32", "st.global.v2.b32"
LOAD_DOUBLE, STORE_DOUBLE = "ld.global.v2.b64", "st.global.v2.b64"

FAMILIES = {
    "strided_conv": Case(
        lambda: F.strided_conv(draw(1, 3, 256, 256), psf(9), 4, "circular"),
        {"strided_conv_kernel": {LOAD4: 15, STORE4: 1}},
    ),
    "strided_conv_adjoint": Case(
        lambda: F.strided_conv_adjoint(draw(1, 3, 64, 64), psf(9), 4, "circular"),
        {"strided_conv_adjoint_kernel": {LOAD4: 9, STORE4: 4}},
    ),
    "woodbury and stencil": Case(
        lambda: F.woodbury(
            draw(1, 3, 256, 256), draw(1, 3, 64, 64), draw(1, 3, 64, 64), psf(9), 4, "circular", psf(7), 0.1
        ),
        {"strided_conv_kernel": {LOAD4: 2, STORE4: 1}},
    ),
    "pixel_unshuffle": Case(
        lambda: F.pixel_unshuffle(draw(1, 3, 256, 256), 4), {"pixel_unshuffle_kernel": {LOAD4: 4, STORE4: 4}}
    ),
    "pixel_shuffle": Case(
        lambda: F.pixel_shuffle(draw(1, 3, 4, 4, 64, 64), 256, 256), {"pixel_shuffle_kernel": {LOAD4: 4, STORE4: 4}}
    ),
    "soft_threshold": Case(
        lambda: F.soft_threshold(draw(3, 256, 256), 0.1, 0.9, 0.0, 1.0, draw(3, 256, 256)),
        {"soft_threshold_kernel": {LOAD4: 8, STORE4: 4}},
    ),
    "spectral_step": Case(lambda: spectral(torch.complex64), {"spectral_step_kernel": {LOAD4: 16, STORE4: 8}}),
    "split_open, split_mix and split_close": Case(
        lambda: split(torch.float32),
        {
            "split_open_kernel": {LOAD4: 4, STORE4: 4},
            "split_mix_kernel": {LOAD4: 18, STORE4: 8},
            "split_close_kernel": {LOAD4: 24, STORE4: 8},
        },
    ),
    "tv_prox": Case(lambda: tv(torch.float32, True), {"tv_prox_kernel": {LOAD4: 8, STORE4: 2}}),
    "admm by planes": Case(
        lambda: solve(9, 4, "circular", torch.float32, 64, 1e-4, 1.6), {"plane_kernel": {LOAD4: 20, STORE4: 4}}
    ),
    "admm in sweeps": Case(
        lambda: solve(9, 4, "circular", torch.float32, 256, 1e-4, 1.0),
        {
            "residual_kernel": {LOAD4: 17, STORE4: 1},
            "dual_kernel": {LOAD4: 1, STORE4: 2},
            "prior_kernel": {LOAD4: 13, STORE4: 4},
        },
    ),
}
OTHERS = {
    "strided_conv bfloat16": Case(
        lambda: F.strided_conv(draw(1, 3, 256, 256, dtype=HALF), psf(9), 4, "zero"),
        {"strided_conv_kernel": {LOAD2: 12, STORE2: 1}},
    ),
    "strided_conv float64": Case(
        lambda: F.strided_conv(draw(1, 3, 256, 256, dtype=DOUBLE), psf(9), 4, "circular"),
        {"strided_conv_kernel": {LOAD_DOUBLE: 15, STORE_DOUBLE: 1}},
    ),
    "strided_conv, stride 1, reflect": Case(
        lambda: F.strided_conv(draw(1, 3, 256, 256), psf(9), 1, "reflect"), {"strided_conv_kernel": {STORE4: 2}}
    ),
    "strided_conv 31 x 31": Case(
        lambda: F.strided_conv(draw(1, 3, 256, 256), psf(31), 1, "zero"), {"strided_conv_kernel": {STORE4: 2}}
    ),
    "strided_conv_adjoint reflect": Case(
        lambda: F.strided_conv_adjoint(draw(1, 3, 64, 64), psf(9), 4, "reflect"),
        {"strided_conv_adjoint_kernel": {STORE4: 4}},
    ),
    "strided_conv_adjoint float64": Case(
        lambda: F.strided_conv_adjoint(draw(1, 3, 128, 128, dtype=DOUBLE), psf(9), 1, "zero"),
        {"strided_conv_adjoint_kernel": {STORE_DOUBLE: 2}},
    ),
    "strided_conv_adjoint float16, stride 3, valid": Case(
        lambda: F.strided_conv_adjoint(draw(1, 3, 64, 64, dtype=torch.float16), psf(5), 3, "valid")
    ),
    "pixel_shuffle bfloat16": Case(
        lambda: F.pixel_shuffle(draw(1, 3, 4, 4, 64, 64, dtype=HALF), 256, 256),
        {"pixel_shuffle_kernel": {LOAD4: 2, STORE2: 4}},
    ),
    "soft_threshold float64": Case(
        lambda: F.soft_threshold(draw(3, 256, 256, dtype=DOUBLE), 0.1, low=0.0),
        {"soft_threshold_kernel": {LOAD_DOUBLE: 8, STORE_DOUBLE: 8}},
    ),
    "soft_threshold float16": Case(
        lambda: F.soft_threshold(draw(3, 256, 256, dtype=torch.float16), 0.1),
        {"soft_threshold_kernel": {LOAD4: 2, STORE4: 2}},
    ),
    "spectral_step complex128": Case(
        lambda: spectral(torch.complex128), {"spectral_step_kernel": {LOAD_DOUBLE: 16, STORE_DOUBLE: 8}}
    ),
    "split_mix float64": Case(lambda: split(DOUBLE), {"split_mix_kernel": {LOAD_DOUBLE: 18, STORE_DOUBLE: 8}}),
    "tv_prox, each entry alone, float64": Case(lambda: tv(DOUBLE, False), {"tv_prox_kernel": {STORE_DOUBLE: 2}}),
    "tv_prox float16": Case(lambda: tv(torch.float16, True)),
    "admm by planes, to the end": Case(
        lambda: solve(9, 4, "circular", torch.float32, 64, 0.0, 1.0), {"plane_kernel": {LOAD4: 20, STORE4: 2}}
    ),
    "admm in sweeps, valid, bfloat16": Case(
        lambda: solve(9, 4, "valid", HALF, 80, 0.0, 1.0),
        {"residual_kernel": {LOAD2: 12, STORE4: 1}, "prior_kernel": {LOAD4: 9, STORE2: 4}},
    ),
    "admm in sweeps, zero, float64, relaxed": Case(
        lambda: solve(9, 4, "zero", DOUBLE, 80, 0.0, 1.6),
        {"residual_kernel": {LOAD_DOUBLE: 17, STORE_DOUBLE: 1}, "prior_kernel": {LOAD_DOUBLE: 13, STORE_DOUBLE: 4}},
    ),
    "admm in sweeps, stride 1": Case(
        lambda: solve(9, 1, "circular", torch.float32, 320, 0.0, 1.0), {"prior_kernel": {LOAD4: 2, STORE4: 2}}
    ),
    "admm in sweeps, stride 2": Case(
        lambda: solve(5, 2, "circular", torch.float32, 160, 0.0, 1.0),
        {"residual_kernel": {LOAD2: 27, STORE4: 2}, "prior_kernel": {LOAD2: 17, STORE2: 8}},
    ),
}


def distinct(launches: list[Launch]) -> list[Launch]:
    """One launch of each kernel and set of constants."""
    kept: dict[str, Launch] = {}
    for launch in launches:
        described = source(launch)
        kept.setdefault(
            f"{launch.kernel.fn.__name__} {described.signature} {described.constants} {described.attrs}", launch
        )
    return list(kept.values())


# ---- what comes out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case, cc", [*((case, cc) for cc in ARCHITECTURES for case in FAMILIES), *((case, 90) for case in OTHERS)]
)
def test_compiles_without_spills(case: str, cc: int, launches: list[Launch], tmp_path: Path) -> None:
    call, wide = (FAMILIES | OTHERS)[case]
    call()
    assert launches
    for launch in distinct(launches):
        code, name = compiled(launch, cc, tmp_path), launch.kernel.fn.__name__
        assert code.spilled <= SPILLED, f"{name} spills {code.spilled} bytes with {code.registers} registers"
        for access, least in wide.get(name, {}).items():
            assert code.accesses[access] >= least, f"{name}: {dict(code.accesses)}"
        if launch.arguments.get("ACC") == triton.language.float32:
            assert not re.search(r"\b(?:mul|fma|div)\S*\.f64", code.ptx), f"{name} reckons in float64"


def test_every_kernel_is_compiled(launches: list[Launch]) -> None:
    modules = [
        importlib.import_module(f"fastip.kernels.triton.{m.name}") for m in pkgutil.iter_modules(compiled_here.__path__)
    ]
    known = {
        name
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, triton.JITFunction) and name.endswith("_kernel")
    }
    for case in FAMILIES.values():
        case.call()
    assert known == {launch.kernel.fn.__name__ for launch in launches} and len(known) >= 12


@pytest.mark.parametrize(
    "side, planes, side_by_side, by_plane",
    [
        (64, 1, 132, True),
        (65, 1, 132, False),
        (65, 131, 132, False),
        (65, 132, 132, True),
        (256, 132, 132, True),
        (257, 999, 132, False),
        (256, 1, 1, True),
    ],
)
def test_few_large_planes_are_swept(
    side: int, planes: int, side_by_side: int, by_plane: bool, launches: list[Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastip.kernels.triton import solve

    monkeypatch.setattr(solve, "multiprocessors", lambda device: side_by_side)
    step = StencilStep(
        Convolution(torch.ones(1, 1, dtype=torch.float64), 1, "zero"), torch.ones(1, 1, dtype=torch.float64), 0.3
    )
    y = torch.zeros(planes, 1, side, side)
    F.solve(step, Pointwise(), y.clone(), y, y, StopRule(0.0, 1), 1.0)
    names = [launch.kernel.fn.__name__ for launch in launches]
    assert names == (["plane_kernel"] if by_plane else ["residual_kernel", "dual_kernel", "prior_kernel"])
