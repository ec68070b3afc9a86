"""The GPU kernels compiled for the host.

Built once, and put in the place of the compiled extension for tensors on the CPU.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from cases.programs import PYTHON

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "csrc" / "tests"


def built(kind: str, *options: str) -> Path:
    """The module of :func:`build`, kept in build/ for as long as csrc/ and the options are the same.

    One process builds, others wait.
    """
    files = sorted(path for path in (ROOT / "csrc").rglob("*") if path.is_file())
    content = b"".join(str(path.relative_to(ROOT)).encode() + path.read_bytes() for path in files)
    digest = hashlib.sha256(repr((options, sys.version)).encode() + content).hexdigest()[:12]
    folder = ROOT / "build" / f"{kind}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "built"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            done.write_text(str(build(folder, *options)))
    return Path(done.read_text())


def build(folder: Path, *options: str) -> Path:
    """Configures and compiles csrc/tests in ``folder``; returns the module's file."""
    pybind11 = subprocess.run(
        [*PYTHON, "-m", "pybind11", "--cmakedir"], capture_output=True, text=True, check=True
    ).stdout.strip()
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
