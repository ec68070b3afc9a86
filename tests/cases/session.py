"""What the tests of the two calls on a GPU share: the modules of bench/ and a session of a minute."""

from __future__ import annotations

import importlib
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"


def clean(**more: str) -> dict[str, str]:
    """The environment of a program of bench/ on one thread."""
    path = os.pathsep.join(p for p in sys.path if p)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FASTIP_", "PYTEST_"))}
    return {**kept, "PYTHONPATH": path, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", **more}


@pytest.fixture(name="bench")
def bench_fixture(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a module of bench/ that needs nothing but Python."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


@pytest.fixture(name="session")
def session_fixture(bench: Callable[[str], Any], tmp_path: pathlib.Path) -> Any:
    """A session of a minute that writes into a folder of its own."""
    out = tmp_path / "out"
    out.mkdir()
    return bench("gpu_part").Session(out, time.monotonic() + 60, environment=clean())
