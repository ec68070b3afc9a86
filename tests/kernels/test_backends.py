"""The choice between compiled kernels and reference: environment, gradients, transforms, a missing extension, forks."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from cases.programs import PYTHON
from fastip import kernels
from fastip.errors import InvalidInput, Unsupported
from fastip.kernels import choose, extension
from fastip.kernels.family import Implementations
from fastip.kernels.triton import start

library = Implementations("operator")
native = Implementations("native")
triton = Implementations("triton")

PSF = torch.rand(3, 4, dtype=torch.float64)
BLOCKED = "import sys; sys.modules['fastip._C'] = None\n"


def run(code: str, **environment: str) -> str:
    """What a fresh interpreter prints, errors included."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FASTIP_")}
    path = os.pathsep.join(p for p in sys.path if p)
    result = subprocess.run(
        [*PYTHON, "-c", code],
        env={**clean, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return result.stdout + result.stderr


@pytest.fixture
def fresh() -> object:
    """Forgets the choice before and after."""
    choose.choice.cache_clear()
    yield
    choose.choice.cache_clear()


def test_this_installation_is_compiled(compiled: object) -> None:
    """A build that should have the extension and lacks it fails here (and in every test that asks for ``compiled``)."""
    state = kernels.available()
    assert state["compiled"] and state["isa"] in state["isas"] and "base" in state["isas"]
    assert state["threads"] == (torch.get_num_threads() if state["openmp"] else 1)
    assert state["cuda_devices"] > 0 or state["cuda"]
    if os.environ.get("FASTIP_BACKEND", "native") == "native":
        assert kernels.why_reference((torch.zeros(1, 1, 4, 4),)) is None


@pytest.mark.usefixtures("fresh", "compiled")
def test_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(1, 1, 4, 4)
    monkeypatch.setenv("FASTIP_BACKEND", "reference")
    assert choose.implementation((x,)) == choose.REFERENCE and "FASTIP_BACKEND" in str(choose.why_reference((x,)))
    choose.choice.cache_clear()
    monkeypatch.setenv("FASTIP_BACKEND", "native")
    assert choose.implementation((x,)) == choose.NATIVE
    choose.choice.cache_clear()
    monkeypatch.setenv("FASTIP_BACKEND", "fast")
    with pytest.raises(InvalidInput, match="'fast'; expected native .the compiled kernels., triton or reference"):
        choose.implementation((x,))


def test_missing_extension_warns_once_and_works() -> None:
    code = BLOCKED + (
        "import warnings, torch\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    from fastip import kernels\n"
        "    x = torch.rand(1, 2, 8, 8)\n"
        "    a = kernels.strided_conv(x, torch.ones(3, 3), 2, 'reflect'); "
        "kernels.soft_threshold(x, 0.1); kernels.pixel_unshuffle(x, 2)\n"
        "print(a.shape, [str(w.message) for w in seen if 'fastip' in str(w.message)])\n"
        "print(kernels.available(), kernels.why_reference((x,)))\n"
    )
    printed = run(code)
    assert "torch.Size([1, 2, 4, 4])" in printed and printed.count("slow pure-torch kernels") == 1, printed
    assert (
        "'compiled': False, 'reason'" in printed
        and "'backend': 'reference'" in printed
        and "no compiled extension to use" in printed
    ), printed
    assert "slow pure-torch kernels on CPUs" in printed, printed
    assert "'reason': 'fastip/_C is not there: install fastip again" in printed and "circular" not in printed, printed


def test_native_asked_for_and_missing() -> None:
    printed = run(
        BLOCKED + "import torch; from fastip import kernels; kernels.soft_threshold(torch.zeros(3), 0.1)",
        FASTIP_BACKEND="native",
    )
    assert "InvalidInput: FASTIP_BACKEND is 'native' but there is no compiled extension to use" in printed


@pytest.mark.usefixtures("compiled")
def test_instruction_set_from_the_environment() -> None:
    code = (
        "import torch; from fastip import kernels; "
        "kernels.soft_threshold(torch.zeros(3), 0.1); print('isa', kernels.available()['isa'])"
    )
    assert "isa base\n" in run(code, FASTIP_CPU_ISA="base")
    printed = run(code, FASTIP_CPU_ISA="sse9")
    assert "InvalidInput: FASTIP_CPU_ISA is 'sse9'; expected one" in printed and "base" in printed


@pytest.mark.usefixtures("compiled")
def test_use_isa_refuses() -> None:
    from fastip import _C

    with pytest.raises(ValueError, match="isa is 'neon'; expected"):
        _C.use_isa("neon")


@pytest.mark.usefixtures("compiled")
def test_child_of_a_fork_does_not_hang() -> None:
    """An OpenMP team opened in a child after the parent had one would wait for ever."""
    code = (
        "import os, signal, torch, warnings; warnings.simplefilter('ignore'); torch.set_num_threads(2)\n"
        "from fastip.kernels import strided_conv\n"
        "x, psf = torch.rand(8, 3, 128, 128), torch.rand(5, 5, dtype=torch.float64)\n"
        "expected = strided_conv.native(x, psf, 1, 'zero')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    signal.alarm(20)\n"
        "    result = strided_conv.native(x, psf, 1, 'zero')\n"
        "    os._exit(0 if (result.numpy() == expected.numpy()).all() else 1)\n"
        "print('child', os.waitpid(child, 0)[1])\n"
    )
    assert "child 0\n" in run(code)


@pytest.mark.usefixtures("fresh", "compiled")
class TestDispatch:
    """Which tensors take which kernels, seen by what is called."""

    @pytest.fixture(autouse=True)
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        monkeypatch.delenv("FASTIP_BACKEND", raising=False)
        seen: list[str] = []
        for name in ("native", "reference"):

            def spy(
                *arguments: object, name: str = name, original: object = getattr(kernels.strided_conv, name)
            ) -> Tensor:
                seen.append(name)
                return original(*arguments)  # type: ignore[operator]

            monkeypatch.setattr(kernels.strided_conv, name, spy)
        return seen

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_plain_tensors_are_native(self, calls: list[str], dtype: torch.dtype) -> None:
        kernels.strided_conv(torch.rand(1, 1, 8, 8, dtype=dtype), PSF, 2, "zero")
        kernels.strided_conv(torch.nn.Parameter(torch.rand(1, 1, 8, 8), requires_grad=False), PSF, 2, "zero")
        with torch.no_grad():
            kernels.strided_conv(torch.rand(1, 1, 8, 8, dtype=dtype, requires_grad=True), PSF, 2, "zero")
        assert calls == ["native"] * 3

    def test_half_precision_is_reference(self, calls: list[str]) -> None:
        kernels.strided_conv(torch.rand(1, 1, 8, 8, dtype=torch.bfloat16), PSF, 2, "zero")
        assert calls == ["reference"]

    def test_gradients_take_the_registered_operators(self, calls: list[str]) -> None:
        """Forward and backward run compiled kernels."""
        x = torch.rand(1, 2, 6, 6, dtype=torch.float64, requires_grad=True)
        psf = PSF.clone().requires_grad_()
        assert (
            choose.implementation((x,), (psf,)) == choose.OPERATOR
            and choose.implementation((x.detach(),), (psf,)) == choose.OPERATOR
        )
        assert torch.autograd.gradcheck(lambda x, psf: kernels.strided_conv(x, psf, 2, "reflect"), (x, psf))
        assert set(calls) == {"native"}

    def test_gradients_of_what_is_not_compiled_are_reference(self, calls: list[str]) -> None:
        kernels.strided_conv(
            torch.rand(1, 1, 8, 8, dtype=torch.bfloat16, requires_grad=True), PSF, 2, "zero"
        ).sum().backward()
        assert calls == ["reference"]

    def test_transforms_are_reference(self, calls: list[str]) -> None:
        x = torch.rand(3, 1, 1, 8, 8, dtype=torch.float64)
        mapped = torch.func.vmap(lambda v: kernels.strided_conv(v, PSF, 2, "circular"))(x)
        value, tangent = torch.func.jvp(lambda v: kernels.strided_conv(v, PSF, 2, "circular"), (x[0],), (x[1],))
        with torch.autograd.forward_ad.dual_level():
            dual = kernels.strided_conv(torch.autograd.forward_ad.make_dual(x[0], x[1]), PSF, 2, "circular")
            assert torch.autograd.forward_ad.unpack_dual(dual).tangent is not None
        assert set(calls) == {"reference"}
        torch.testing.assert_close(mapped[0], value)
        torch.testing.assert_close(mapped[1], tangent)

    def test_compile_traces_the_registered_operators(self) -> None:
        x = torch.rand(1, 2, 8, 8)
        compiled = torch.compile(
            lambda v: kernels.soft_threshold(kernels.strided_conv_adjoint(v, PSF, 2, "reflect"), 0.1),
            backend="eager",
            fullgraph=True,
        )
        torch.testing.assert_close(
            compiled(x), kernels.soft_threshold(kernels.strided_conv_adjoint(x, PSF, 2, "reflect"), 0.1)
        )

    def test_empty_batches(self) -> None:
        assert kernels.strided_conv(torch.zeros(0, 3, 8, 8), PSF, 2, "circular").shape == (0, 3, 4, 4)
        assert kernels.pixel_unshuffle(torch.zeros(0, 3, 8, 8), 2).shape == (0, 3, 2, 2, 4, 4)


CROSSED = [
    ("", None, "triton"),
    ("", "not there", "reference"),
    ("reference", None, "reference"),
    ("reference", "not there", "reference"),
    ("triton", None, "triton"),
    ("triton", "not there", InvalidInput),
    ("native", None, InvalidInput),
]


@pytest.mark.usefixtures("fresh", "compiled")
class TestGpuChoice:
    """What a tensor on a GPU takes, asked with one on the CPU: the choice looks at shape and environment only."""

    IMAGE = torch.zeros(1, 1, 4, 4)

    @pytest.fixture(autouse=True)
    def unset(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("FASTIP_BACKEND", raising=False)

    @pytest.mark.parametrize(
        "native_missing, triton_missing, expected",
        [(None, None, "native"), ("no", None, "triton"), ("no", "nor", "reference")],
    )
    def test_fastest_that_is_there(
        self, monkeypatch: pytest.MonkeyPatch, native_missing: str | None, triton_missing: str | None, expected: object
    ) -> None:
        monkeypatch.setattr(extension, "why_no_gpu", lambda device: native_missing)
        monkeypatch.setattr(start, "why_missing", lambda: triton_missing)
        module, reason = choose._on_gpu(self.IMAGE)
        assert module == expected and (reason is None) == (expected != "reference")
        assert expected != "reference" or ("no" in str(reason) and "nor" in str(reason))

    @pytest.mark.parametrize("asked, expected", [("triton", "triton"), ("reference", "reference")])
    def test_environment(self, monkeypatch: pytest.MonkeyPatch, asked: str, expected: object) -> None:
        monkeypatch.setattr(extension, "why_no_gpu", lambda device: None)
        monkeypatch.setattr(start, "why_missing", lambda: None)
        monkeypatch.setenv("FASTIP_BACKEND", asked)
        assert choose._on_gpu(self.IMAGE)[0] == expected

    @pytest.mark.parametrize("asked, triton_missing, expected", CROSSED)
    def test_what_is_asked_for_crossed_with_what_is_there(
        self, monkeypatch: pytest.MonkeyPatch, asked: str, triton_missing: str | None, expected: object
    ) -> None:
        """Without the extension: to ask for the reference is one thing, to fall back to it on CPUs another."""
        monkeypatch.setattr(extension, "why_missing", lambda: "not built")
        monkeypatch.setattr(extension, "why_no_gpu", lambda device: "no compiled extension to use (not built)")
        monkeypatch.setattr(start, "why_missing", lambda: triton_missing)
        if asked:
            monkeypatch.setenv("FASTIP_BACKEND", asked)
        if expected is InvalidInput:
            with pytest.raises(InvalidInput, match=f"FASTIP_BACKEND is '{asked}' but"):
                choose._on_gpu(self.IMAGE)
            return
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            (on_gpu, gpu_reason), (on_cpu, cpu_reason) = choose._on_gpu(self.IMAGE), choose._on_cpu(self.IMAGE)
        assert on_gpu == expected and on_cpu == "reference"
        assert [str(w.message).split(":")[0] for w in seen] == (
            [] if asked else ["fastip runs its slow pure-torch kernels on CPUs"]
        )
        if asked == "reference":
            assert gpu_reason == cpu_reason == "FASTIP_BACKEND is 'reference'"
        elif asked == "triton":
            assert gpu_reason is None and "runs on a GPU" in str(cpu_reason)
        else:
            assert cpu_reason == "no compiled extension to use (not built)"
            assert (gpu_reason is None) == (expected == "triton")
        assert choose.available()["backend"] == (asked or "reference")

    def test_each_device_is_asked_by_its_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[int] = []
        monkeypatch.setattr(extension, "why_no_gpu", lambda device: asked.append(device))
        for device in ("cuda:0", "cuda:3"):
            image = SimpleNamespace(device=torch.device(device), ndim=4, shape=(1, 1, 4, 4))
            assert choose._on_gpu(image)[0] == "native"  # type: ignore[arg-type]
        assert asked == [0, 3]

    def test_planes_are_counted_in_32_bits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(extension, "why_no_gpu", lambda device: None)
        module, reason = choose._on_gpu(torch.zeros(1).expand(1, 1, 2**16, 2**15))
        assert module == "reference" and "65536 x 32768" in str(reason)

    def test_triton_on_the_cpu_says_why_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(start, "why_missing", lambda: None)
        monkeypatch.setattr(start, "interpreted", lambda: False)
        monkeypatch.setenv("FASTIP_BACKEND", "triton")
        assert "runs on a GPU" in str(choose.why_reference((self.IMAGE,)))

    def test_triton_asked_for_and_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(start, "why_missing", lambda: "not there")
        monkeypatch.setenv("FASTIP_BACKEND", "triton")
        with pytest.raises(InvalidInput, match="'triton' but Triton cannot be used: not there, or unset it"):
            choose.choice()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system lists no loaded libraries")
def test_one_openmp_runtime() -> None:
    """Two copies of libgomp in a process cost tens of milliseconds a call; a solve and its kernels load one."""
    solved = run(
        "import torch, fastip; from fastip import operators, priors, psf; y = torch.rand(1, 1, 64, 64); "
        "fastip.admm(y, operators.Blur(psf.gaussian(5, sigma=1)), priors.TV(0.01), iterations=2); "
        "maps = open('/proc/self/maps').read(); print(*{m.split()[-1] for m in maps.splitlines() if 'libgomp' in m})"
    )
    assert "Error" not in solved and len(solved.split()) <= 1, solved


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int32])
def test_compiled_kernels_refuse_what_they_would_misread(dtype: torch.dtype) -> None:
    """The raw functions are behind the choice.

    Called by themselves they refuse a dtype rather than read its bytes as another.
    """
    with pytest.raises(Unsupported, match=f"do not take {dtype} on cpu"):
        native.soft_threshold(torch.ones(8, dtype=dtype), 0.1, 1.0, -1.0, 1.0)
