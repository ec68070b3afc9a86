"""Equal conditions for every program: one process, the same threads, passive OpenMP waiting; what the machine and the build are goes into the results."""

from __future__ import annotations

import datetime
import os
import pathlib
import platform
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # workloads.py, baselines.py, measure.py

import pytest
import torch

import fastip


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


@pytest.fixture(autouse=True)
def no_gradients() -> Any:
    """Every program runs without autograd."""
    with torch.no_grad():
        yield


def pytest_report_header() -> str:
    return f"fastip {fastip.__version__} ({fastip.kernels.available()}), torch {torch.__version__}, {torch.get_num_threads()} threads"


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """What report.py copies into the results."""
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.processor())
    machine_info["fastip"] = {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "kernels": {name: str(value) for name, value in fastip.kernels.available().items()},
        "versions": {"fastip": fastip.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "command": "pytest " + " ".join(a for a in config.invocation_params.args if not str(a).startswith("--benchmark-json")),
        "date": datetime.date.today().isoformat(),
    }
