"""The first call on a GPU, 390 seconds: is it right, how fast, why, is it clean. What matters most comes first."""

from __future__ import annotations

import pathlib
import re
import shutil
import sys
import tempfile

from gpu_checkers import families, sanitize
from gpu_load import load
from gpu_part import Part, Session
from gpu_process import NO_COMMAND, ROOT

BENCH = ROOT / "bench"
# of the names of benchmarks: 12-driver is a copy of 12 bytes a pixel by the driver
COPIES, OURS = "test_copy and (12-driver or 12-kernel)", "test_fastip and blind and not reference"
CORE = f"({COPIES}) or test_kernel or ({OURS}) or (test_eager and FFT)"
PATIENCE = "0.3"  # of a second for each program
LISTED = """
import sys
sys.path.insert(0, "bench")
import profile_admm
print(*(",".join(metrics) for metrics in (profile_admm.METRICS, profile_admm.FEW)), sep="\\n")
"""


def bench(s: Session) -> int:
    """The benchmark's core: copies, admm in every way and as a user calls it, eager PyTorch."""
    return benchmark(s, CORE, "bench_gpu.py")


def benchmark(s: Session, chosen: str, *files: str) -> int:
    """A result a line into bench.jsonl, as it comes; what does not fit into the time is left out."""
    options = (
        "--benchmark-only",
        "--benchmark-disable-gc",
        "-q",
        "-s",
        "-rfE",
        "-p",
        "no:cacheprovider",
        "--benchmark-columns=median,min,rounds",
        "-k",
        chosen,
    )
    environment = {
        "FASTIP_BENCH_LINES": str(s.out / "bench.jsonl"),
        "FASTIP_BENCH_SECONDS": str(int(max(5.0, s.left - 15))),
        "FASTIP_BENCH_PATIENCE": "0.05" if s.rehearsal else PATIENCE,
    }
    paths = [BENCH / name for name in files]
    return s.python(s.left, "-m", "pytest", *paths, *options, shown=failure, **environment)


def failure(line: str) -> bool:
    """What a person must see of the output of pytest: failures, and the last line."""
    return re.search(r"^(FAILED|ERROR)|(passed|failed|errors?|skipped)\b.* in [\d.]+s", line) is not None


def profile(s: Session) -> int:
    """ncu on the forms of admm: time, instructions, issue, shared memory, bytes."""
    code, lines = s.run(30, sys.executable, "-P", "-c", LISTED)
    if code or len(lines) < 2:
        return code or 1
    script, file = BENCH / "profile_admm.py", s.out / "profile.csv"
    if s.rehearsal:
        return pretended(s, lines[-2].split(","), script, file)
    if shutil.which("ncu") is None:
        s.say("ncu is not there")
        return NO_COMMAND
    for metrics in lines[-2:]:  # where one of them is unknown there is no table: then those that all versions have
        options = (
            "--profile-from-start",
            "off",
            "--clock-control",
            "none",
            "--csv",
            "--page",
            "raw",
            "--metrics",
            metrics,
            "--log-file",
            file,
        )
        code, said = s.run(s.left - 5, "ncu", "-f", *options, sys.executable, "-P", script)
        if file.exists() and any(line.startswith('"') for line in file.read_text(errors="replace").splitlines()[1:]):
            break
        s.say(
            "\n".join(
                [
                    "ncu wrote no table:",
                    *said[-3:],
                    *(file.read_text(errors="replace").splitlines()[-3:] if file.exists() else []),
                ]
            )
        )
    return s.python(20, script, "table", file) or code


def pretended(s: Session, metrics: list[str], script: pathlib.Path, file: pathlib.Path) -> int:
    """What can be rehearsed: the script that ncu would look at, and the table of invented numbers."""
    code = s.python(60, script)
    s.say("REHEARSAL: no ncu; the table is of invented numbers")
    rows = [
        ["Kernel Name", "Grid Size", *metrics],
        ["", "", *(["us"] * len(metrics))],
        ["an invented kernel", "(1, 1, 1)", *(["1.5"] * len(metrics))],
    ]
    file.write_text("\n".join(",".join(f'"{cell}"' for cell in row) for row in rows) + "\n")
    return s.python(20, script, "table", file) or code


def page(s: Session) -> int:
    """The page of the benchmark, and what was promised."""
    results = s.out / "bench.jsonl"
    if not results.exists():
        s.say("there is no bench.jsonl: the benchmark wrote no results")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        code = s.python(60, BENCH / "report.py", results, folder, shown=lambda line: "did not run" not in line)
        for written in pathlib.Path(folder).glob("*.md"):
            shutil.copyfile(written, s.out / "page.md")
    return code


PARTS = (
    Part(load, 75, own_file=False),  # 25 where the carried extension runs
    Part(families, 40, decisive=True),
    Part(bench, 150),
    Part(profile, 60),
    Part(sanitize, 90, decisive=True),
    Part(page, 15, own_file=False),
)
SECONDS = 390.0
