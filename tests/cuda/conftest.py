"""One build of the emulated kernels for all tests here. FASTIP_EMULATED names one that is built already."""

import os
from pathlib import Path

import pytest

from cases.emulation import build, load
from fastip.kernels import extension, whole_solve
from fastip.kernels.family import Implementations

native = Implementations("native")


@pytest.fixture(scope="session")
def emulated_module(tmp_path_factory):
    given = os.environ.get("FASTIP_EMULATED")
    return load(Path(given) if given else build(tmp_path_factory.mktemp("emulated")))


@pytest.fixture
def emulated(emulated_module, monkeypatch):
    """``native`` runs the GPU kernels in emulation on CPU tensors, threads in their natural order."""
    monkeypatch.setattr(extension, "target", lambda tensor: (emulated_module, (0, 0)))
    monkeypatch.setattr(whole_solve, "runs_on_gpu", lambda y: True)
    emulated_module.set_order(0)
    emulated_module.set_limits(227 * 1024, 8, 132)
    yield emulated_module
    emulated_module.set_order(0)
