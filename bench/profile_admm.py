"""A few iterations of each form of the fused kernel between the marks of a profiler: what ncu is to look at.

    ncu --profile-from-start off --clock-control none --csv --page raw --metrics ... python -P bench/profile_admm.py
    python -P bench/profile_admm.py table FILE        the table of what ncu wrote

Exits with 3 where there is no CUDA device.
"""

from __future__ import annotations

import contextlib
import csv
import pathlib
import re
import sys
from typing import Any

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # python -P leaves it out

import fastip
import gpu_machine
from fastip.solvers import fused
from fastip.stopping import StopRule
from sanitize_families import NO_DEVICE
from workloads import super_resolution

ITERATIONS = 2  # the same kernels again and again
# planes of, backend, way
FORMS: tuple[tuple[tuple[int, int, int, int], str, gpu_machine.Way], ...] = (
    ((8, 3, 1024, 1024), "native", gpu_machine.SWEEPS),
    ((512, 3, 256, 256), "native", gpu_machine.CHIP),
    ((512, 3, 256, 256), "native", gpu_machine.Way(2, by_phase=True)),
    ((1, 3, 256, 256), "native", gpu_machine.CHIP),
    ((8, 3, 1024, 1024), "triton", gpu_machine.FASTEST),
)
TINY = (((1, 3, 64, 64), "native", gpu_machine.FASTEST),)
# those that every version of ncu has; then what decides whether a kernel waits for instructions or for shared memory
FEW = {
    "gpu__time_duration.sum": "time",
    "dram__bytes_read.sum": "read",
    "dram__bytes_write.sum": "written",
    "dram__throughput.avg.pct_of_peak_sustained_elapsed": "memory, % of peak",
    "sm__warps_active.avg.pct_of_peak_sustained_active": "occupancy, %",
    "launch__registers_per_thread": "registers",
    "launch__shared_mem_per_block": "shared memory",
}
METRICS = FEW | {
    "sm__inst_executed.avg.per_cycle_active": "IPC",
    "smsp__inst_executed.sum": "instructions",
    "smsp__issue_active.avg.pct_of_peak_sustained_active": "issue, %",
    "l1tex__data_pipe_lsu_wavefronts_mem_shared.sum": "wavefronts",
    "l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum": "bank conflicts",
    "lts__t_sector_hit_rate.pct": "hits in L2, %",
}
# of a line of results
SHORT = ("time", "IPC", "issue, %", "memory, % of peak", "wavefronts", "instructions", "registers")
MOST = 10  # such lines


def profile(shape: tuple[int, int, int, int], backend: str, way: gpu_machine.Way, device: torch.device) -> None:
    """One fused solve between the marks, after one outside them."""
    problem = super_resolution(shape)
    y = problem.data().to(device)
    step = fastip.inverses.choose(problem.op, y, problem.beta, pointwise=True).bind(problem.op, y, problem.beta)
    prox = fastip.priors.L1(problem.weight).bind(y, problem.op)
    start, q = step.guess(), step.start()
    mark: Any = torch.cuda.profiler.profile if y.is_cuda else contextlib.nullcontext
    with gpu_machine.backend(backend, y), gpu_machine.way(way):
        for around in (contextlib.nullcontext, mark):
            x = start.clone()
            if y.is_cuda:
                torch.cuda.synchronize()
            with around():
                fused.admm(step, prox, x, q, y, StopRule(0.0, ITERATIONS), 1.0)
    print(f"{ITERATIONS} iterations of {problem.name}, {backend}, {way}; {problem.pixels} pixels", flush=True)


def named(row: dict[str, str]) -> str:
    """The kernel and its grid, in few letters."""
    name = re.sub(
        r"fastip::cuda::|\(anonymous namespace\)::|<unnamed>::|^void |\(.*|(cluster_)?entry<", "", row["Kernel Name"]
    )
    return f"{name[:46]} {row.get('Grid Size', '')}"


def table(source: str) -> None:
    """Each kernel that ncu saw, in one line; then a line of results for the longest launch of each."""
    lines = [line for line in pathlib.Path(source).read_text().splitlines() if line.startswith('"')]
    rows = list(csv.DictReader(lines))
    known = [m for m in METRICS if rows and m in rows[0]]
    units, seen = rows[0] if rows else {}, rows[1:]
    print(f"{'kernel':60} " + " ".join(f"{METRICS[m] + ' ' + units[m]:>24}" for m in known))
    for row in seen:
        print(f"{row['Kernel Name'][:60]:60} " + " ".join(f"{row[m]:>24}" for m in known))
    if not seen:
        print("ncu saw no kernel")
    time = next(m for m, word in METRICS.items() if word == "time")
    longest: dict[str, dict[str, str]] = {}
    for row in sorted(seen, key=lambda row: number(row.get(time, ""))):
        longest[named(row)] = row
    for name, row in list(reversed(longest.items()))[:MOST]:
        cells = [
            f"{METRICS[m]} {row[m]}{' ' + units[m] if METRICS[m] == 'time' else ''}"
            for m in known
            if METRICS[m] in SHORT
        ]
        print("RESULT profile: " + "; ".join([name, *cells]))


def number(cell: str) -> float:
    """0 for what is none."""
    try:
        return float(cell.replace(",", ""))
    except ValueError:
        return 0.0


def main(*arguments: str) -> int:
    if arguments[:1] == ("table",):
        table(*arguments[1:])
        return 0
    missing = gpu_machine.why_absent()
    if missing is not None:
        print(missing)
        return NO_DEVICE
    for form in gpu_machine.sized(FORMS, TINY):
        try:
            profile(*form, device=gpu_machine.device())
        except (RuntimeError, gpu_machine.Skipped) as error:
            print(f"left out: {form}: {error}")
    return 0


if __name__ == "__main__":
    with torch.no_grad():
        sys.exit(main(*sys.argv[1:]))
