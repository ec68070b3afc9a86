"""The emulated kernels under the address and undefined-behaviour sanitizers.

Shared memory has its exact size, images are ordinary heap memory.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from cases.emulation import built
from cases.programs import PYTHON

HERE = Path(__file__).parent


def library(name: str) -> str:
    """The compiler's runtime of a sanitizer."""
    return subprocess.run(
        ["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_no_kernel_leaves_its_memory() -> None:
    """A part of the tests of the emulated kernels again, in a process that loads the sanitizers first.

    Any report ends it.
    """
    environment = {
        **os.environ,
        "FASTIP_EMULATED": str(built("sanitized", "-DFASTIP_SANITIZE=ON")),
        "LD_PRELOAD": f"{library('libasan.so')} {library('libubsan.so')}",
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "OMP_NUM_THREADS": "1",
    }
    files = [str(HERE / name) for name in ("test_emulated_families.py", "test_emulated_admm.py")]
    command = [
        *PYTHON,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-s",
        "-p",
        "no:cacheprovider",
        "-k",
        "not larger_than_shared",
        *files,
    ]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=HERE.parents[1], timeout=1800)
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
    assert " passed" in result.stdout
