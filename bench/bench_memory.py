"""Memory of the fused solve: the peak of a fresh process, less what it held before and the x it returns.

The solve is of 3 planes of 2048^2 (x4, stop rule on).

Expected: the image in polyphase layout (one image), the dual q, and rows of workspace; at most 1.25 images + 8 y.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from typing import Any

import torch

import fastip
from workloads import label, super_resolution

SHAPE = (1, 3, 2048, 2048)


def resident(field: str) -> int:
    """VmRSS (now) or VmHWM (peak) of this process in bytes.

    The peak of getrusage would not do: a child starts with that of its parent.
    """
    line = next(line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


def child() -> None:
    """Prints the extra bytes of one solve, measured in this process."""
    small = super_resolution((1, 3, 64, 64))
    prior = fastip.priors.L1(small.weight)
    fastip.admm(small.data(), small.op, prior, beta=small.beta, iterations=5)  # code, threads, fits
    problem = super_resolution(SHAPE)
    # drawn directly: the image that would give it must not raise the peak
    y = torch.rand(problem.op.output_shape(SHAPE))
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = resident("VmRSS")
    solution = fastip.admm(y, problem.op, prior, beta=problem.beta, iterations=10, tolerance=1e-9)
    peak = resident("VmHWM")
    image, data = (t.numel() * t.element_size() for t in (solution.x, y))
    print(json.dumps({"extra": peak - before - image, "image": image, "data": data, "iterations": solution.iterations}))


def test_memory(benchmark: Any) -> None:
    def fresh() -> dict[str, int]:
        done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    benchmark.group = "memory, a fresh process"
    found = benchmark.pedantic(fresh, rounds=1)
    assert found["extra"] > found["image"] // 2, (
        f"the solve cannot have run in {found['extra']} bytes: the measurement is wrong"
    )
    allowed = 1.25 * found["image"] + 8 * found["data"]
    benchmark.extra_info.update(
        kind="memory",
        program="fastip",
        size=label(SHAPE),
        allowed=allowed,
        images=found["extra"] / found["image"],
        **found,
    )


if __name__ == "__main__":
    child()
