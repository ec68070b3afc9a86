"""The second call on a GPU, 290 seconds: the tests, the rest of the benchmark, a build there, and what takes long."""

from __future__ import annotations

import importlib.util
import pathlib
import re
import sys

import gpu_build
from gpu_checkers import synccheck
from gpu_first_call import CORE, benchmark
from gpu_load import EXTENSION, load
from gpu_part import Part, Session
from gpu_process import ROOT

WORKERS = 12
# Each test is in one of the three. Alone: what looks at streams and graphs, at free memory, at an idle device.
LONG = "ten_thousand or one_graph"
TRITON = "triton and not (stream or cuda_graph or test_gpu_cost)"
PARALLEL = f"(test_gpu_families or test_devices or ({TRITON})) and not ({LONG})"
SERIAL = f"not ({PARALLEL}) and not ({LONG})"
# conjugate gradients and deepinv take seconds a solve on many planes, and are compared on the others
REST = f"not ({CORE}) and not ((CG or deepinv) and 1536x256) or (test_fastip and blind and native)"


def tests(s: Session) -> int:
    """Tests of a GPU that may run side by side: families, devices, Triton."""
    return pytest(s, "tests", PARALLEL, WORKERS)


def serial(s: Session) -> int:
    """Tests of a GPU that run alone: streams, graphs, what is waited for."""
    return pytest(s, "serial", SERIAL, 1)


def long(s: Session) -> int:
    """Tests of ten thousand calls, and those of torch.compile."""
    return pytest(s, "long", LONG, 1)


def pytest(s: Session, name: str, chosen: str, workers: int) -> int:
    """Every test is named in the file as it ends, so that those of a run that is cut off are known."""
    files = [p for p in sorted((ROOT / "tests").rglob("test_*.py")) if re.search("mark.gpu|cases.gpu", p.read_text())]
    options = ["-m", "gpu", "-k", chosen]
    if s.rehearsal:
        s.say("REHEARSAL: tests of a GPU need one; all files are collected, and some tests of a pretended GPU run")
        options, workers = ["-k", "test_devices and test_inverses and exact"], min(workers, 2)
    if workers > 1 and importlib.util.find_spec("xdist") is None:
        s.say("pytest-xdist is not there: one process")
        workers = 1
    options += ["-n", str(workers)] if workers > 1 else []
    always = ("-v", "-rfE", "--durations=10", "-p", "no:cacheprovider", "--continue-on-collection-errors")
    command = (sys.executable, "-P", "-m", "pytest", *files, *options, *always)
    code, lines = s.run(s.left, *command, OMP_NUM_THREADS="1" if workers > 1 else "4")
    for line in [line for line in lines if line.startswith(("FAILED", "ERROR"))][:10]:
        s.result(f"{name}: {line[:140]}")
    s.result(f"{name}: {lines[-1].strip('= ') if lines else 'nothing was printed'}")
    return code


def rest(s: Session) -> int:
    """The rest of the benchmark: kernels one by one, conjugate gradients, deepinv, networks, torch.compile last."""
    chosen = f"({REST}) and not photo and not torch.compile and not 6x32" if s.rehearsal else REST
    return benchmark(s, chosen, "bench_gpu_kernels.py", "bench_gpu.py", "bench_gpu_nets.py")


def build(s: Session) -> int:
    """The extension built there, beside the one in use."""
    prefix = gpu_build.FOLDER / "installed"
    code = gpu_build.build(s, prefix, s.left - 5) or gpu_build.loads(s, pathlib.Path(prefix) / "fastip" / EXTENSION)
    s.result(f"build: {'compiled, linked and loaded' if code == 0 else 'FAILED'}")
    return code


PARTS = (
    Part(load, 75, own_file=False),  # 25 where the carried extension runs
    Part(tests, 90, decisive=True),
    Part(serial, 60, decisive=True),
    Part(rest, 60),
    Part(build, 30),
    Part(synccheck, 25, decisive=True),
    Part(long, 60),  # what the others left
)
SECONDS = 290.0
