"""What every test shares: ``compiled`` refuses to skip, because a build that should have compiled kernels and lacks them has failed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads make small tests ten times slower on a busy machine

os.environ.pop("COLUMNS", None)  # of the terminal that pytest was started in: a command that is tested has its own

import pytest
import torch

from fastip.kernels import extension

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it does not wait for; tests interrupt themselves
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked ``gpu`` are left out where no device answers; asked for by ``-m gpu`` there, they are an error."""
    unstable = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if unstable:  # an address in it is another one in each worker
        pytest.exit(f"give these tests ids that stay: {', '.join(unstable)}", returncode=1)
    if torch.cuda.is_available():
        return
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and config.option.markexpr == "gpu":
        pytest.exit("pytest -m gpu: no CUDA device answers here", returncode=1)
    config.hook.pytest_deselected(items=marked)
    items[:] = [item for item in items if not item.get_closest_marker("gpu")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    """FASTIP_TEST_TIMES names a file for the processor time of each test, that of the processes that it waited for too: what tests/slow.py is made from."""
    begun = sum(os.times()[:4])
    result = yield
    path = os.environ.get("FASTIP_TEST_TIMES")
    if path:
        with open(path, "a") as file:
            file.write(f"{sum(os.times()[:4]) - begun:.2f} {item.nodeid}\n")
    return result


@pytest.fixture(scope="session")
def compiled() -> object:
    """``fastip._C``; its absence is a failure unless FASTIP_ALLOW_REFERENCE=1 says that this installation has no compiler."""
    if extension.why_missing():
        if os.environ.get("FASTIP_ALLOW_REFERENCE") == "1":
            pytest.skip(f"FASTIP_ALLOW_REFERENCE=1 and no compiled extension: {extension.why_missing()}")
        pytest.fail(f"no compiled extension: {extension.why_missing()}")
    from fastip import _C

    return _C


@pytest.fixture
def each_isa(compiled: object, request: pytest.FixtureRequest) -> object:
    """Runs the test on the instruction set that it is parametrised with (indirect), where this machine has it, then returns to the one before."""
    before = compiled.isa()  # type: ignore[attr-defined]
    if request.param not in compiled.isas():  # type: ignore[attr-defined]
        pytest.skip(f"this machine or compiler has no {request.param}")
    compiled.use_isa(request.param)  # type: ignore[attr-defined]
    yield request.param
    compiled.use_isa(before)  # type: ignore[attr-defined]
