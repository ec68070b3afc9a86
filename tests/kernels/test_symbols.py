"""No instruction set leaks into another.

An object compiled for one has no weak symbol (the linker keeps any one copy), the module one export.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNELS = sorted((ROOT / "csrc" / "cpu").glob("*.cpp"))


def symbols(path: Path, *options: str) -> list[list[str]]:
    """nm's lines, split: [address,] kind, name."""
    return [
        line.split()
        for line in subprocess.run(
            ["nm", *options, str(path)], check=True, capture_output=True, text=True
        ).stdout.splitlines()
        if line
    ]


def objects(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/CMakeFiles/fastip_*.dir/csrc/cpu/*.o"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The objects of the last build, or of one made here."""
    found = objects(ROOT / "build")
    if not found or min(p.stat().st_mtime for p in found) < max(p.stat().st_mtime for p in KERNELS):
        folder = tmp_path_factory.mktemp("build")
        pybind11 = pytest.importorskip("pybind11")
        configure = [
            "cmake",
            "-S",
            str(ROOT),
            "-B",
            str(folder / "b"),
            "-DFASTIP_CUDA=OFF",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        ]
        subprocess.run(configure, check=True, capture_output=True)
        subprocess.run(
            ["cmake", "--build", str(folder / "b"), "-j2", "--target", "fastip_avx2"], check=True, capture_output=True
        )
        found = objects(folder)
    return found


def test_no_weak_symbols(built: list[Path]) -> None:
    assert len(built) >= len(KERNELS) - 1  # all but dispatch.cpp, for one instruction set at least
    weak = {
        path.name: [
            line[-1] for line in symbols(path, "-C") if line[-2] in "WwVvu" or (len(line) > 2 and line[1] in "WwVvu")
        ]
        for path in built
    }
    assert not any(weak.values()), {k: v for k, v in weak.items() if v}


def test_functions_live_in_the_namespace_of_their_instruction_set(built: list[Path]) -> None:
    for path in built:
        isa = path.parents[2].name.removeprefix("fastip_").removesuffix(".dir")
        defined = [line[2] for line in symbols(path) if len(line) == 3 and line[1] == "T"]
        assert defined and all(isa in name for name in defined), (path, defined)


def test_module_exports_its_init_function_only(compiled: object) -> None:
    exported = [line[-1] for line in symbols(Path(compiled.__file__), "-D", "--defined-only")]  # type: ignore[attr-defined]
    assert exported == ["PyInit__C"]


def test_module_brings_no_openmp_of_its_own(compiled: object) -> None:
    """It takes the runtime that PyTorch has loaded, whatever its file is called."""
    read = subprocess.run(["readelf", "-d", compiled.__file__], check=True, capture_output=True, text=True).stdout  # type: ignore[attr-defined]
    assert "NEEDED" in read and "gomp" not in read
