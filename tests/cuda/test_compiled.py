"""The GPU kernels compiled for every architecture of a release.

No more registers than their ceiling, no spills, and a module that loads without a driver.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from cases.programs import PYTHON

ROOT = Path(__file__).parents[2]
CEILINGS = Path(__file__).with_name("resources.json")
ARCHITECTURES = {"sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"}
FAMILIES = {
    "strided_conv",
    "strided_conv_adjoint",
    "pixel_unshuffle",
    "pixel_shuffle",
    "soft_threshold",
    "spectral_step",
    "split_open",
    "split_mix",
    "split_close",
    "tv_prox",
    "admm",
}

_KERNEL = re.compile(
    r"Compiling entry function '(\S+)' for '(\S+)'\n(?:.*\n)*?"
    r"\s*(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n.*?Used (\d+) registers"
)


def compiler() -> tuple[str, dict[str, str]]:
    """nvcc from this environment's packages, else from the path; and the variables it needs.

    The packages keep libraries where nvcc does not look.
    """
    folder = Path(sysconfig.get_path("purelib")) / "nvidia" / "cu13"
    if (folder / "bin" / "nvcc").exists():
        return str(folder / "bin" / "nvcc"), {"NVCC_APPEND_FLAGS": f"-L{folder / 'lib'}"}
    found = shutil.which("nvcc")
    assert found, "no CUDA compiler: pip install 'fastip[nvcc]', or put nvcc on the PATH"
    return found, {}


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The extension with all its GPU code, and what the compilers printed.

    FASTIP_CUDA_BUILD names a build folder to keep.
    """
    given = os.environ.get("FASTIP_CUDA_BUILD")
    folder = Path(given) if given else tmp_path_factory.mktemp("cuda")
    nvcc, variables = compiler()
    pybind11 = subprocess.run(
        [*PYTHON, "-m", "pybind11", "--cmakedir"], capture_output=True, text=True, check=True
    ).stdout.strip()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    cmake = shutil.which("cmake", path=path)
    assert cmake, "cmake is missing: pip install 'fastip[dev]'"
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "FASTIP_CUDA": "ON",
        "CMAKE_CUDA_FLAGS": "-Xptxas=-v",
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11,
    }
    # Ninja prints what one compiler said in one piece; make mixes the lines of two that run side by side
    configure = [cmake, "-G", "Ninja", "-S", str(ROOT), "-B", str(folder), *(f"-D{k}={v}" for k, v in options.items())]
    printed = ""
    for command in (configure, [cmake, "--build", str(folder), "--parallel", "2"]):
        result = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **variables, "CUDACXX": nvcc, "PATH": path}
        )
        printed += result.stdout + result.stderr
        assert result.returncode == 0, printed[-4000:]
    log = folder / "printed.txt"  # a folder that is kept prints nothing when nothing is compiled again
    if "Compiling entry function" in printed:
        log.write_text(printed)
    return next(folder.glob("_C*.so")), log.read_text()


def resources(printed: str) -> dict[str, dict[str, tuple[int, int, int]]]:
    """kernel -> architecture -> (registers, bytes spilled, bytes of stack)."""
    rows = _KERNEL.findall(printed)
    names = subprocess.run(
        ["c++filt"], input="\n".join(row[0] for row in rows), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    table: dict[str, dict[str, tuple[int, int, int]]] = {}
    for name, (_, architecture, stack, stores, loads, registers) in zip(names, rows, strict=True):
        short = re.sub(
            r"fastip::cuda::|\(anonymous namespace\)::|__nv_|^void |\(.*",
            "",
            re.sub(r"\(anonymous namespace\)::", "", name),
        )
        table.setdefault(short.replace("> >", ">>").replace("> >", ">>"), {})[architecture] = (
            int(registers),
            int(stores) + int(loads),
            int(stack),
        )
    return table


def test_every_kernel_is_compiled_for_every_architecture(build: tuple[Path, str]) -> None:
    table = resources(build[1])
    assert len(table) > 50
    for kernel, found in table.items():
        assert set(found) == ARCHITECTURES, kernel


def test_registers_and_spills_stay_below_their_ceilings(build: tuple[Path, str]) -> None:
    """The ceilings are those of the last measured build.

    A kernel that gets heavier is looked at before its line is raised.
    """
    table, ceilings = resources(build[1]), json.loads(CEILINGS.read_text())
    assert set(table) == set(ceilings), (
        "resources.json lists other kernels than there are: python tests/cuda/test_compiled.py FOLDER writes it anew"
    )
    heavier = {}
    for kernel, found in table.items():
        worst = [max(values) for values in zip(*found.values(), strict=True)]
        if any(now > most for now, most in zip(worst, ceilings[kernel], strict=True)):
            heavier[kernel] = {"now": worst, "ceiling": ceilings[kernel]}
    assert not heavier


def test_ceilings_allow_next_to_no_spill() -> None:
    """[registers, bytes spilled, bytes of stack] of each kernel.

    Four blocks of 256 threads fit on a processor, three of those that keep a plane on the chip.
    """
    for kernel, (registers, spilled, _) in json.loads(CEILINGS.read_text()).items():
        chip = kernel.startswith("cluster_entry<")
        assert registers <= (80 if chip else 64), kernel
        hot = "float" in kernel and "double" not in kernel and not kernel.startswith("entry<Direct")
        # 44: numbers that are loaded again once a row or a margin's cell, outside the inner loops,
        # on compute capability 10.0 alone
        assert spilled <= (44 if chip else 0 if hot else 32), kernel


def test_module_loads_where_there_is_no_driver(build: tuple[Path, str]) -> None:
    code = (
        "import importlib.util, sys, torch\n"
        f"spec = importlib.util.spec_from_file_location('fastip._C', {str(build[0])!r})\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "print(module.cuda_compiled, module.cuda_devices(), "
        "sorted(n for n in dir(module.cuda) if not n.startswith('_')))\n"
    )
    result = subprocess.run([*PYTHON, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("True (") and all(f"'{family}'" in result.stdout for family in FAMILIES)
    needed = subprocess.run(["ldd", str(build[0])], capture_output=True, text=True, check=True).stdout
    assert "libcuda" not in needed and "libtorch" not in needed


if __name__ == "__main__":  # FOLDER: a build folder with printed.txt in it
    measured = resources((Path(sys.argv[1]) / "printed.txt").read_text())
    lines = [
        f"  {json.dumps(kernel)}: {[max(values) for values in zip(*found.values(), strict=True)]}"
        for kernel, found in sorted(measured.items())
    ]
    CEILINGS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
