"""Memory of the fused solve: the peak of a fresh process during a solve of 3 planes of 2048^2 (x4, stop rule on), less what it held before and less the x it returns.

Expected: the image in polyphase layout (one image), the dual q, and rows of workspace; at most 1.25 images + 8 y.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

import torch
from workloads import label, super_resolution

import fastip

SHAPE = (1, 3, 2048, 2048)


def child() -> None:
    """Prints the extra bytes of one solve, measured in this process."""
    small = super_resolution((1, 3, 64, 64))
    prior = fastip.priors.L1(small.weight)
    fastip.admm(small.data(), small.op, prior, beta=small.beta, iterations=5)  # code, threads, fits
    problem = super_resolution(SHAPE)
    y = torch.rand(problem.op.output_shape(SHAPE))  # drawn directly: the image that would give it must not raise the peak
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    solution = fastip.admm(y, problem.op, prior, beta=problem.beta, iterations=10, tolerance=1e-9)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    image, data = (t.numel() * t.element_size() for t in (solution.x, y))
    print(json.dumps({"extra": 1024 * (peak - before) - image, "image": image, "data": data, "iterations": solution.iterations}))


def test_memory(benchmark: Any) -> None:
    def fresh() -> dict[str, int]:
        done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    benchmark.group = "memory, a fresh process"
    found = benchmark.pedantic(fresh, rounds=1)
    allowed = 1.25 * found["image"] + 8 * found["data"]
    benchmark.extra_info.update(kind="memory", program="fastip", size=label(SHAPE), allowed=allowed, images=found["extra"] / found["image"], **found)


if __name__ == "__main__":
    child()
