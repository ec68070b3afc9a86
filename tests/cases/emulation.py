"""The GPU kernels compiled for the host: built once, and put in the place of the compiled extension for tensors on the CPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

SOURCE = Path(__file__).parents[2] / "csrc" / "tests"


def build(folder: Path, *options: str) -> Path:
    """Configures and compiles csrc/tests in ``folder``; returns the module's file."""
    pybind11 = subprocess.run([sys.executable, "-P", "-m", "pybind11", "--cmakedir"], capture_output=True, text=True, check=True).stdout.strip()
    cmake = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    assert cmake, "cmake is missing: pip install 'fastip[dev]'"
    defined = {"CMAKE_BUILD_TYPE": "Release", "Python_EXECUTABLE": sys.executable, "pybind11_DIR": pybind11}
    configure = [cmake, "-S", str(SOURCE), "-B", str(folder), *(f"-D{name}={value}" for name, value in defined.items())]
    for command in ([*configure, *options], [cmake, "--build", str(folder), "--parallel", "2"]):
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
    return next(folder.glob("fastip_emulated*.so"))


def load(path: Path) -> ModuleType:
    """The module in that file."""
    spec = spec_from_file_location("fastip_emulated", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
