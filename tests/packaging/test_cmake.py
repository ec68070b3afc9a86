"""When a build from source compiles GPU kernels: CMake is asked, with a compiler that only says that it was called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GPU_HERE = any(Path(path).exists() for path in ("/dev/nvidia0", "/proc/driver/nvidia/version"))


class Pretended:
    """A folder of programs in front of all others: an nvcc that compiles nothing, an nvidia-smi that lists GPUs."""

    def __init__(self, folder: Path, gpus: str) -> None:
        self.build, self.called, self.bin = folder / "build", folder / "called", folder / "bin"
        self.bin.mkdir()
        self._program("nvcc", f"echo nvcc >> '{self.called}'\nexit 1")
        self._program("nvidia-smi", f"printf '{gpus}'")

    def _program(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def configured(self, *options: str) -> subprocess.CompletedProcess[str]:
        """What CMake says."""
        hooks = pytest.importorskip("pybind11").get_cmake_dir()
        known = {name: value for name, value in os.environ.items() if name not in ("CUDACXX", "CUDAHOSTCXX")}
        given = [f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={hooks}", "-DFASTIP_OPENMP=OFF", *options]
        return subprocess.run(
            ["cmake", "-S", str(ROOT), "-B", str(self.build), *given],
            env={**known, "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=300,
        )


@pytest.mark.skipif(GPU_HERE, reason="AUTO compiles for the GPU of this machine")
def test_a_compiler_alone_asks_for_nothing(tmp_path: Path) -> None:
    pretended = Pretended(tmp_path, gpus="")
    ran = pretended.configured()
    assert ran.returncode == 0, ran.stderr
    assert "FASTIP_CUDA=ON compiles them all the same" in ran.stdout and "CUDA OFF, OpenMP OFF" in ran.stdout
    assert not pretended.called.exists()


@pytest.mark.parametrize("options, gpus", [((), r"GPU 0: A card\n"), (("-DFASTIP_CUDA=ON",), "")], ids=["gpu", "asked"])
def test_the_compiler_is_called(tmp_path: Path, options: tuple[str, ...], gpus: str) -> None:
    """Where it cannot compile, a GPU alone is no error, and asking for the kernels is."""
    pretended = Pretended(tmp_path, gpus)
    ran = pretended.configured(*options)
    assert pretended.called.exists()
    if options:
        assert ran.returncode and "no CUDA compiler was found; name one in CUDACXX, or set FASTIP_CUDA=OFF" in " ".join(
            ran.stderr.split()
        )
    else:
        assert ran.returncode == 0 and "no CUDA compiler; CUDACXX names one" in ran.stdout, ran.stdout + ran.stderr
