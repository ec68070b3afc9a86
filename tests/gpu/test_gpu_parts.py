"""The parts of the calls on a GPU, without one: what they run, what they make of its output, what they carry."""

from __future__ import annotations

import os
import pathlib
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from cases.programs import PYTHON
from cases.session import BENCH, ROOT, clean
from cases.session import bench_fixture as bench_fixture
from cases.session import session_fixture as session_fixture


def program(folder: pathlib.Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch, session: Any) -> None:
    """A program of this name, first on the path."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!{sys.executable}\nimport pathlib, sys, time\n{text}")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    session.environment["PATH"] = path


CHECKER = """
tool, name = sys.argv[2], sys.argv[-1]
if name == "stencil" and tool == "racecheck":
    print("========= COMPUTE-SANITIZER")
    print("========= Error: Race reported")
    print("========= RACECHECK SUMMARY: 1 hazard displayed")
    sys.exit(int(sys.argv[sys.argv.index("--error-exitcode") + 1]))
if name == "admm":
    time.sleep(60)
print("========= ERROR SUMMARY: 0 errors")
"""


def test_checkers_tell_what_they_found_and_how_far_they_came(
    bench: Callable[[str], Any], session: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkers, part = bench("gpu_checkers"), bench("gpu_part")
    program(tmp_path / "programs", "compute-sanitizer", CHECKER, monkeypatch, session)
    monkeypatch.setattr(checkers, "LISTED", "print('admm stencil strided_conv strided_conv_adjoint')")
    monkeypatch.setattr(bench("gpu_process"), "GRACE", 1.0)
    ending = part.perform(session, part.Part(checkers.sanitize, 8))
    assert ending.code == part.OVER_TIME
    assert "memcheck and racecheck: 5 of 8 ok" in session.results[0], session.results
    wrong = {line.removeprefix("RESULT ") for line in session.results[1:]}
    assert wrong == {"memcheck admm: OVER TIME", "racecheck admm: OVER TIME", "racecheck stencil: FOUND SOMETHING"}
    assert "Error: Race reported" in (session.out / "sanitize.txt").read_text()


PROFILER = """
metrics, log = sys.argv[sys.argv.index("--metrics") + 1], pathlib.Path(sys.argv[sys.argv.index("--log-file") + 1])
rows = [["Kernel Name", "Grid Size", "gpu__time_duration.sum"], ["", "", "us"]]
for blocks, time in ((1, "3.5"), (1, "4.5"), (2, "1.5")):
    rows.append(["void fastip::cuda::entry<Sweep>(int)", f"({blocks}, 1, 1)", time])
unknown = "sm__inst_executed.avg.per_cycle_active" in metrics
lines = [",".join(f'"{cell}"' for cell in row) for row in rows]
log.write_text("==ERROR== Failed to find metric\\n" if unknown else "\\n".join(lines) + "\\n")
sys.exit(unknown)
"""


def test_a_profiler_that_lacks_a_metric_is_asked_for_fewer(
    bench: Callable[[str], Any], session: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, part = bench("gpu_first_call"), bench("gpu_part")
    program(tmp_path / "programs", "ncu", PROFILER, monkeypatch, session)
    ending = part.perform(session, part.Part(first.profile, 50))
    assert ending.code == 0
    assert "Failed to find metric" in (session.out / "session.txt").read_text()
    longest = [line.removeprefix("RESULT profile: Sweep> ").split("; ")[:2] for line in session.results]
    assert longest == [["(1, 1, 1)", "time 4.5 us"], ["(2, 1, 1)", "time 1.5 us"]]


def test_the_extension_is_built_where_the_carried_one_does_not_run(
    bench: Callable[[str], Any],
    session: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = bench("gpu_load")
    states = iter([("facts", "wrong Python"), ("facts", "runs")])
    built: list[pathlib.Path] = []
    monkeypatch.setattr(load, "versions", lambda s: next(states))
    monkeypatch.setattr(load.gpu_build, "build", lambda s, prefix, limit: built.append(prefix))
    monkeypatch.setattr(load, "ASK", "print('cc90')")
    session.environment["PYTHONPATH"] = ""
    assert load.load(session) == 0
    assert built == [ROOT] and session.capability == "90"
    assert session.results[-1] == "RESULT load: extension: built here, runs"


def test_results_come_home_of_a_benchmark_that_is_killed(bench: Callable[[str], Any], tmp_path: pathlib.Path) -> None:
    lines = tmp_path / "bench.jsonl"
    chosen = "(test_copy and 12-driver) or test_eager"
    options = ["--benchmark-only", "-q", "-s", "-p", "no:cacheprovider", "-k", chosen]
    command = [*PYTHON, "-m", "pytest", str(BENCH / "bench_gpu.py"), *options]
    environment = clean(FASTIP_BENCH_DEVICE="cpu", FASTIP_BENCH_LINES=str(lines), FASTIP_BENCH_PATIENCE="0.01")
    with (tmp_path / "printed.txt").open("w") as printed:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=printed, stderr=subprocess.STDOUT)
    end = time.monotonic() + 100
    while process.poll() is None and time.monotonic() < end:
        if lines.exists() and lines.read_text().count("\n") >= 5:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    text = (tmp_path / "printed.txt").read_text()
    assert "RESULT x4 6 planes of 32²; copy of 12 bytes per pixel by driver;" in text
    with lines.open("a") as file:
        file.write('{"group": "cut of')
    run = bench("gpu_lines").read([lines])
    assert len(run["benchmarks"]) >= 4, text
    assert run["machine_info"]["fastip"]["gpu"]["name"] == "rehearsal without a GPU"
    page = [*PYTHON, BENCH / "report.py", lines, lines, tmp_path / "page"]
    done = subprocess.run(page, env=clean(FASTIP_BENCH_DEVICE="cpu"), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    written = (tmp_path / "page" / "rehearsal-without-a-gpu.md").read_text()
    assert written.count("| copy of 12 bytes per pixel by driver |") == 2  # of two shapes, not of two runs


def test_a_result_that_does_not_say_what_it_is_is_left_out(bench: Callable[[str], Any], tmp_path: pathlib.Path) -> None:
    """Of a test that was interrupted between its timing and its record."""
    lines = bench("gpu_lines").Lines(tmp_path / "bench.jsonl", {})
    stats = SimpleNamespace(median=1e-3, min=1e-3, iqr=0.0, rounds=3)
    assert lines.add("GPU, stencil", "name", stats, {}) == ""
    kernel = {"kind": "gpu kernel", "program": "native", "bytes": 60}
    assert lines.add("GPU, stencil", "name", stats, kernel) == "RESULT stencil; native; 1000 us"
    assert len(bench("gpu_lines").read([tmp_path / "bench.jsonl"])["benchmarks"]) == 1


def test_what_was_predicted_stands_beside_what_was_measured(bench: Callable[[str], Any]) -> None:
    predictions, report = bench("gpu_predictions"), bench("gpu_report")
    at = [predictions.beside(report.MANY, report.CHIP, micro) for micro in (309.0, 350.0, 401.0)]
    assert at == [f"predicted 310 to 400: {word}" for word in ("faster", "so it is", "slower")]
    assert predictions.beside("GPU, x4 6 planes of 32²", report.CHIP, 1.0) == ""


def test_what_is_carried_is_counted(bench: Callable[[str], Any], tmp_path: pathlib.Path) -> None:
    carry = bench("gpu_carry")
    ignored = {"build/carry/wheels/w.whl": 30, "build/x": 7}
    for name, size in {"docs/large": 59_000_000, "code/a": 1000, "new": 200, **ignored}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    (tmp_path / ".gitignore").write_text("/build/\n")
    for command in (["init", "-q"], ["add", "docs", "code", ".gitignore"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert carry.report(tmp_path, ["build/carry"], [])[1] == 59_000_000 + 1000 + 200 + 30 + 8
    with (tmp_path / "new").open("wb") as file:
        file.truncate(2_000_000)
    run = [*PYTHON, BENCH / "gpu_carry.py", "--root", tmp_path]
    large = subprocess.run(run, capture_output=True, text=True)
    assert large.returncode == 1 and "TOO LARGE" in large.stdout and "sparse-checkout" in large.stdout
    (tmp_path / "docs" / "large").unlink()  # as a sparse checkout leaves it out
    fits = subprocess.run(run, capture_output=True, text=True)
    assert fits.returncode == 0 and 'carry: ["build/carry"]' in fits.stdout, fits.stdout
    assert carry.report(tmp_path, ["build/carry"], ["new"])[1] == 1000 + 30 + 8
