"""The benchmark of a GPU, rehearsed without one.

Every line of its Python that needs no device runs, and the shares are what they say.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import torch

from cases.programs import PYTHON

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"


LEFT_OUT = ("FASTIP_BACKEND", "TRITON_INTERPRET", "FASTIP_BENCH_DEVICE")


def run(*arguments: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    """Python with these arguments in the repository, one thread."""
    clean = {k: v for k, v in os.environ.items() if k not in LEFT_OUT and not k.startswith("PYTEST_")}
    path = os.pathsep.join(p for p in sys.path if p)
    seen = {**clean, "PYTHONPATH": path, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", **environment}
    command = [*PYTHON, *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=seen, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240
    )


@pytest.mark.usefixtures("compiled")
def test_rehearsal_of_the_benchmark(tmp_path: pathlib.Path) -> None:
    files = [BENCH / f"bench_gpu{name}.py" for name in ("", "_kernels", "_nets")]
    options = ["--benchmark-only", "-q", "-p", "no:cacheprovider", f"--benchmark-json={tmp_path / 'bench.json'}"]
    chosen = "not torch.compile and not 6x32 and not photo"
    done = run("-m", "pytest", *files, *options, "-k", chosen, FASTIP_BENCH_DEVICE="cpu")
    assert done.returncode == 0, done.stdout
    page = run(BENCH / "report.py", tmp_path / "bench.json", tmp_path)
    assert page.returncode == 0, page.stdout
    text = (tmp_path / "rehearsal-without-a-gpu.md").read_text()
    for part in (
        "fastip, native",
        "six variables, FFT at full size",
        "CuPy's CG",
        "GPU, tv_prox, float32",
        "network of digits-sr4",
        "did not run",
    ):
        assert part in text, part
    results = json.loads((tmp_path / "rehearsal-without-a-gpu.json").read_text())
    assert not any(promise["met"] for promise in results["promises"])  # no promise is about such sizes


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_every_program_says_so() -> None:
    skipped = run(
        "-m", "pytest", BENCH / "bench_gpu_kernels.py", "--benchmark-only", "-q", "-rs", "-p", "no:cacheprovider"
    )
    assert "no CUDA device" in skipped.stdout and "passed" not in skipped.stdout
    for name in ("sanitize_families", "profile_admm"):
        done = run(BENCH / f"{name}.py")
        assert done.returncode == 3 and "no CUDA device" in done.stdout


@pytest.mark.usefixtures("compiled")
def test_the_checked_families(tmp_path: pathlib.Path) -> None:
    done = run(BENCH / "sanitize_families.py", FASTIP_BENCH_DEVICE="cpu")
    assert done.returncode == 0 and done.stdout.count("largest error") == 22, done.stdout
    wrong = run(BENCH / "sanitize_families.py", "no_such_family", FASTIP_BENCH_DEVICE="cpu")
    assert wrong.returncode == 2 and "strided_conv_adjoint" in wrong.stdout


def test_shares_and_promises() -> None:
    """Two copies of 12 bytes in 10 and 8 ms, the kernel in 10 ms: 80 % of the copy.

    512 images in 30 iterations of 0.1 ms: 170,667 a second.
    """
    code = (
        "import sys; sys.path.insert(0, 'bench'); import gpu_report as g\n"
        "common = {'kind': 'gpu iteration', 'group': g.MANY, 'pixels': 100, 'images': 512, 'iterations': 30, "
        "'min_ms': 1.0}\n"
        "times = {g.COPIES[0]: 10.0, g.COPIES[1]: 8.0, g.SWEEPS: 10.0, g.TRITON: 14.0, g.FASTIP: 0.1, g.FULL: 2.0}\n"
        "found = g.entries([{**common, 'program': p, 'median_ms': t} for p, t in times.items()])\n"
        "at = {e['program']: e for e in found}\n"
        "assert abs(at[g.SWEEPS]['share'] - 0.8) < 1e-12 "
        "and abs(at[g.SWEEPS]['terabytes_per_s'] - 1200 / 10 / 1e9) < 1e-15\n"
        "assert abs(at[g.FASTIP]['images_per_s'] - 512 / 3e-3) < 1e-6 and abs(at[g.FULL]['ratio'] - 20) < 1e-9\n"
        "kept = {(p['group'], p['what']): (p['measured'], p['met']) for p in g.targets(found)}\n"
        "assert kept[g.MANY, f'{g.TRITON} / {g.SWEEPS}, time'] == (1.4, False)\n"
        "assert kept[g.MANY, f'{g.FULL} / {g.FASTIP}, time'][1] "
        "and kept[g.LARGE, f'{g.FULL} / {g.FASTIP}, time'] == (None, False)\n"
        "assert kept[g.MANY, f'{g.SWEEPS}: images a second'][1] is False "
        "and kept[g.MANY, f'{g.FASTIP}: images a second'][1]\n"
        "kernel = {'kind': 'gpu kernel', 'min_ms': 1.0}\n"
        "copies = [{**kernel, 'group': 'GPU, copy of an image', 'program': k, 'bytes': 100, 'median_ms': t} "
        "for k, t in (('a', 4.0), ('b', 2.0))]\n"
        "*_, ours = g.entries([*copies, "
        "{**kernel, 'group': 'GPU, stencil', 'program': 'native', 'bytes': 60, 'median_ms': 2.0}])\n"
        "assert abs(ours['share'] - 0.6) < 1e-12, ours\n"
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stdout
