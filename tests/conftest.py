"""What every test shares.

``compiled`` refuses to skip, because a build that should have compiled kernels and lacks them has failed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

# before torch: spinning threads make small tests ten times slower on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

os.environ.pop("COLUMNS", None)  # of the terminal that pytest was started in: a command that is tested has its own

import pytest
import torch

import slow
from fastip.kernels import extension

HERE = Path(__file__).parent

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as a shell starts what it does not wait for; tests interrupt themselves
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before -m looks at the markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked ``gpu`` are left out where no device answers; asked for by ``-m gpu`` there, they are an error."""
    unstable = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if unstable:  # an address in it is another one in each worker
        pytest.exit(f"give these tests ids that stay: {', '.join(unstable)}", returncode=1)
    _mark(items)
    if torch.cuda.is_available():
        return
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and config.option.markexpr == "gpu":
        pytest.exit("pytest -m gpu: no CUDA device answers here", returncode=1)
    config.hook.pytest_deselected(items=marked)
    items[:] = [item for item in items if not item.get_closest_marker("gpu")]


def _mark(items: list[pytest.Item]) -> None:
    """Marks slow, gpu_tools, web and deepinv, from the table.

    A name in it that no test has any more is an error where its file was collected.
    """
    seen: set[str] = set()
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        name = f"{item.path.relative_to(HERE).as_posix()}::{item.function.__name__}"  # type: ignore[attr-defined]
        seen |= {name, name.partition("::")[0]}
        if name.startswith(slow.FUZZERS):
            item.add_marker("fuzz")
        if f"{name}{item.name.removeprefix(item.function.__name__)}".startswith(slow.GPU_TOOLS):  # type: ignore[attr-defined]
            item.add_marker("gpu_tools")
        elif name.startswith(slow.WEB):
            item.add_marker("web")
        elif name.startswith(slow.DEEPINV):
            item.add_marker("deepinv")
        elif name in slow.SLOW:
            item.add_marker("slow")
    whole = len(items) > 1000  # not a single test that was asked for
    gone = [name for name in slow.SLOW if whole and name.partition("::")[0] in seen and name not in seen]
    if gone:
        pytest.exit(f"tests/slow.py names tests that do not exist: {', '.join(gone)}", returncode=1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A test that takes long has to be named in tests/slow.py."""
    begun = time.process_time()
    yield
    took = time.process_time() - begun
    free = {"slow", "gpu_tools", "gpu", "web", "deepinv"} | ({"fuzz"} if slow.LONG else set())
    if took > slow.LIMIT and not free & {marker.name for marker in item.iter_markers()}:
        pytest.fail(f"it took {took:.0f} s of processor time: make it smaller, or name it in tests/slow.py")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    """FASTIP_TEST_TIMES names a file for the processor time of each test, from which tests/slow.py is made.

    The time of the processes that a test waited for counts too.
    """
    begun = sum(os.times()[:4])
    result = yield
    path = os.environ.get("FASTIP_TEST_TIMES")
    if path:
        with open(path, "a") as file:
            file.write(f"{sum(os.times()[:4]) - begun:.2f} {item.nodeid}\n")
    return result


@pytest.fixture(scope="session")
def compiled() -> object:
    """The module ``fastip._C``.

    Its absence is a failure unless FASTIP_ALLOW_REFERENCE=1 says that this installation has no compiler.
    """
    if extension.why_missing():
        if os.environ.get("FASTIP_ALLOW_REFERENCE") == "1":
            pytest.skip(f"FASTIP_ALLOW_REFERENCE=1 and no compiled extension: {extension.why_missing()}")
        pytest.fail(f"no compiled extension: {extension.why_missing()}")
    from fastip import _C

    return _C


@pytest.fixture
def each_isa(compiled: object, request: pytest.FixtureRequest) -> object:
    """Runs the test on the instruction set that it is parametrised with (indirect), where this machine has it.

    Afterwards the one before is back.
    """
    before = compiled.isa()  # type: ignore[attr-defined]
    if request.param not in compiled.isas():  # type: ignore[attr-defined]
        pytest.skip(f"this machine or compiler has no {request.param}")
    compiled.use_isa(request.param)  # type: ignore[attr-defined]
    yield request.param
    compiled.use_isa(before)  # type: ignore[attr-defined]
