"""One build of the emulated kernels for all tests here. FASTIP_EMULATED names another one, that with the sanitizers."""

import os
from pathlib import Path

import pytest

from cases.emulation import built, load
from fastip.kernels import extension, whole_solve
from fastip.kernels.family import Implementations

native = Implementations("native")


EVERY = 8  # of the cases of a test is run under the sanitizers, and the first and the last


def pytest_collection_modifyitems(items):
    """Under the sanitizers the first, the last and every eighth case of each test.

    Each kernel in all its forms, not in all its sizes.
    """
    if "FASTIP_EMULATED" not in os.environ:
        return
    cases = {}
    for item in items:
        cases.setdefault(item.function, []).append(item)
    items[:] = [item for own in cases.values() for k, item in enumerate(own) if k % EVERY == 0 or k + 1 == len(own)]


@pytest.fixture(scope="session")
def emulated_module():
    given = os.environ.get("FASTIP_EMULATED")
    return load(Path(given) if given else built("emulated"))


@pytest.fixture
def emulated(emulated_module, monkeypatch):
    """``native`` runs the GPU kernels in emulation on CPU tensors, threads in their natural order."""
    monkeypatch.setattr(extension, "target", lambda tensor: (emulated_module, (0, 0)))
    monkeypatch.setattr(whole_solve, "runs_on_gpu", lambda y: True)
    emulated_module.set_order(0)
    emulated_module.set_limits(227 * 1024, 8, 132)
    yield emulated_module
    emulated_module.set_order(0)
