"""What is said where the compiled extension is not there, cannot be loaded, or belongs to another version."""

from __future__ import annotations

import ctypes
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import fastip
from cases.programs import PYTHON
from fastip.kernels import extension

REMEDY = "install fastip again where a C++ compiler is (in a clone: make)"
SOURCES = Path(fastip.__file__).parent


def nothing(folder: Path) -> None:
    """No file at all."""


def another_python(folder: Path) -> None:
    (folder / "_C.cpython-27-x86_64-linux-gnu.so").write_bytes(b"")


def damaged(folder: Path) -> None:
    (folder / f"_C{EXTENSION_SUFFIXES[0]}").write_bytes(b"cut off")


def another_version(folder: Path) -> None:
    (folder / "_C.py").write_text("version = '0.0.9'")


def older(folder: Path) -> None:
    """One that does not say its version."""
    (folder / "_C.py").write_text("")


def other_boundaries(folder: Path) -> None:
    (folder / "_C.py").write_text(f"version, boundaries = {fastip.__version__!r}, ('circular',)")


STATES: list[tuple[Callable[[Path], None], str]] = [
    (nothing, "fastip/_C is not there"),
    (another_python, "fastip/_C is not there for this Python, only _C.cpython-27-x86_64-linux-gnu.so"),
    (damaged, "fastip/_C cannot be loaded: "),
    (another_version, f"fastip/_C is of version 0.0.9, the package of {fastip.__version__}"),
    (older, f"fastip/_C is of version unknown, the package of {fastip.__version__}"),
    (other_boundaries, "fastip/_C knows the boundaries ('circular',), the package ('circular', "),
]


def installed(folder: Path, extension: Callable[[Path], None], *bare: str) -> Path:
    """The package with this extension in place of its own, and nothing in the files ``bare``."""
    (folder / "kernels").mkdir(parents=True)
    for source in (*SOURCES.iterdir(), *(SOURCES / "kernels").iterdir()):
        name = source.relative_to(SOURCES)
        if str(name) in bare:
            (folder / name).touch()
        elif not source.name.startswith("_C.") and str(name) != "kernels":
            (folder / name).symlink_to(source)
    extension(folder)
    return folder


@pytest.mark.parametrize("extension, reason", STATES, ids=[state.__name__ for state, _ in STATES])
def test_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: Callable[[Path], None], reason: str
) -> None:
    name = f"fastip_with_{extension.__name__}"
    installed(tmp_path / name, extension, "__init__.py", "kernels/__init__.py")
    monkeypatch.syspath_prepend(tmp_path)
    told = importlib.import_module(f"{name}.kernels.extension").why_missing()
    assert told.startswith(reason) and "circular import" not in told


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp is that of Linux")
@pytest.mark.parametrize("shared", [True, False])
def test_an_openmp_is_loaded_only_where_there_is_none(monkeypatch: pytest.MonkeyPatch, shared: bool) -> None:
    asked = []

    class Loaded:
        def __init__(self, name: str | None, mode: int = 0) -> None:
            asked.append((name, mode))
            if shared:
                self.GOMP_parallel = None
            if name:
                raise OSError("there is none, which is told when the extension is loaded")

    monkeypatch.setattr(ctypes, "CDLL", Loaded)
    extension.share_openmp()
    assert asked == [(None, 0)] + [("libgomp.so.1", ctypes.RTLD_GLOBAL)] * (not shared)


# An editable installation finds its own package before any path: its finder goes first.
RUN = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "ScikitBuildRedirectingFinder"]
sys.argv = ["fastip", "info"]
from fastip.cli import main
main()
"""


@pytest.mark.parametrize("asked", ["", "native"])
def test_what_to_do(tmp_path: Path, asked: str) -> None:
    """``fastip info`` says it; where the extension is asked for it is an error, else a warning."""
    installed(tmp_path / "fastip", another_version)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FASTIP_")}
    ran = subprocess.run(
        [*PYTHON, "-c", RUN],
        env={**environment, "PYTHONPATH": str(tmp_path), "COLUMNS": "200", "FASTIP_BACKEND": asked},
        capture_output=True,
        text=True,
        timeout=120,
    )
    text, reason = " ".join((ran.stdout + ran.stderr).split()), STATES[3][1]
    missing = f"no compiled extension to use ({reason}); {REMEDY}"
    if asked:
        assert ran.returncode == 2 and text == f"error: FASTIP_BACKEND is 'native' but there is {missing}, or unset it"
    else:
        assert ran.returncode == 0 and f"reason {reason}: {REMEDY} backend reference" in text, text
        assert f"fastip runs its slow pure-torch kernels on CPUs: {missing}" in text, text
