"""Equal conditions for every program: one process, the same threads, passive OpenMP waiting.

What the machine and the build are goes into the results.
"""

from __future__ import annotations

import datetime
import os
import pathlib
import platform
import sys
import time
from collections.abc import Sequence
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # workloads.py, baselines.py, measure.py

import pytest
import torch

import fastip
import gpu_lines
import gpu_machine
from measure import processor

STARTED = time.monotonic()


@pytest.fixture(scope="session", autouse=True)
def conditions() -> None:
    """Refuse to measure where the numbers would mislead."""
    if os.environ.get("OMP_WAIT_POLICY", "").upper() != "PASSIVE":
        pytest.fail(
            "OMP_WAIT_POLICY is not PASSIVE: threads that spin make timings depend on their neighbours. "
            "Run OMP_WAIT_POLICY=PASSIVE pytest bench --benchmark-only"
        )
    if not fastip.kernels.available()["compiled"]:
        pytest.fail(f"the compiled kernels are missing, so there is nothing to measure: {fastip.kernels.available()}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What torch.compile must compile takes longest to start, so it comes last."""
    items.sort(key=lambda item: "torch.compile" in item.name)


@pytest.fixture(autouse=True)
def in_time(pytestconfig: pytest.Config) -> None:
    """Leave out what does not fit into FASTIP_BENCH_SECONDS, so that the results of the rest are written."""
    allowed = float(os.environ.get("FASTIP_BENCH_SECONDS", "inf"))
    if time.monotonic() - STARTED > allowed:
        pytest.skip(f"the {allowed:g} seconds of FASTIP_BENCH_SECONDS are over")


@pytest.fixture(autouse=True)
def plain_float32() -> None:
    """float32 means float32 on a GPU too, and PyTorch may try its convolutions and take the fastest."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = True


@pytest.fixture(autouse=True)
def no_gradients() -> Any:
    """Every program runs without autograd."""
    with torch.no_grad():
        yield


@pytest.fixture(scope="session")
def lines() -> gpu_lines.Lines | None:
    """Where FASTIP_BENCH_LINES says that results are written as they come."""
    path = os.environ.get("FASTIP_BENCH_LINES")
    return gpu_lines.Lines(pathlib.Path(path), about(sys.argv[1:])) if path else None


@pytest.fixture(autouse=True)
def written(request: pytest.FixtureRequest, lines: gpu_lines.Lines | None) -> Any:
    """A result is written at once, and shown with what was predicted."""
    benchmark = request.getfixturevalue("benchmark") if lines and "benchmark" in request.fixturenames else None
    yield
    if lines and benchmark is not None and benchmark.stats is not None:
        print(
            "\n" + lines.add(benchmark.group, benchmark.name, benchmark.stats.stats, benchmark.extra_info), flush=True
        )


def pytest_report_header() -> str:
    return (
        f"fastip {fastip.__version__} ({fastip.kernels.available()}), "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    )


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """What report.py copies into the results."""
    machine_info["fastip"] = about(config.invocation_params.args)


def about(arguments: Sequence[Any]) -> dict[str, Any]:
    """The machine, the versions, the kernels and the command."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "kernels": {name: str(value) for name, value in fastip.kernels.available().items()},
        "versions": {"fastip": fastip.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "gpu": gpu_machine.describe(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "command": "pytest " + " ".join(str(a) for a in arguments if not str(a).startswith("--benchmark-json")),
        "date": datetime.date.today().isoformat(),
    }
