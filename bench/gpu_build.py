"""The extension with CUDA: built without a network, for the GPU at hand alone.

CMake, ninja, pybind11 and nvcc must be there.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sys

from gpu_part import Session
from gpu_process import NO_COMMAND, ROOT

FOLDER = ROOT / "build" / "gpu"
LOADED = """
import importlib.util, sys, torch
spec = importlib.util.spec_from_file_location("fastip._C", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print("loaded", sys.argv[1], "with CUDA" if module.cuda_compiled else "without CUDA", module.cuda_devices())
if torch.cuda.is_available():
    trouble = module.cuda.trouble(0) if module.cuda_compiled else "compiled without CUDA"
    sys.exit(f"it does not run: {trouble}" if trouble else 0)
"""


def build(s: Session, prefix: pathlib.Path, limit: float, cuda: bool = True) -> int:
    """Compiles into build/gpu, which a second call finds again, and installs below ``prefix``."""
    if cuda and shutil.which("nvcc") is None and "CUDACXX" not in os.environ:
        s.say("no CUDA compiler: nvcc is not on the PATH and CUDACXX is not set")
        return NO_COMMAND
    code, pybind = s.run(20, sys.executable, "-P", "-m", "pybind11", "--cmakedir")
    if code:
        s.say("pybind11 is not there")
        return NO_COMMAND
    architectures = os.environ.get("FASTIP_CUDA_ARCHS") or f"{s.capability or '90'}-real"
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "FASTIP_CUDA": "ON" if cuda else "OFF",
        "FASTIP_CUDA_ARCHS": architectures,
        "pybind11_DIR": pybind[-1],
        "Python_EXECUTABLE": sys.executable,
    }
    commands = (
        ("cmake", "-S", ROOT, "-B", FOLDER, "-G", "Ninja", *(f"-D{name}={value}" for name, value in options.items())),
        ("cmake", "--build", FOLDER),
        ("cmake", "--install", FOLDER, "--prefix", prefix),
    )
    for command in commands:
        code, lines = s.run(limit, *command)
        if code:
            s.say("\n".join(lines[-5:]))
            return code
    return 0


def loads(s: Session, file: pathlib.Path) -> int:
    """0 where this file is an extension that this Python loads and, where there is a device, runs there."""
    code, lines = s.run(30, sys.executable, "-P", "-c", LOADED, file)
    s.say(lines[-1] if lines else f"{file.name}: nothing was printed")
    return code
