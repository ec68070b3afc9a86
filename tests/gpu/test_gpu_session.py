"""The two calls on a GPU, without one: whatever a part does, the others' results come home, in time."""

from __future__ import annotations

import json
import pathlib
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from cases.programs import PYTHON
from cases.session import BENCH, ROOT, clean
from cases.session import bench_fixture as bench_fixture
from cases.session import session_fixture as session_fixture

START = """
import os, pathlib, signal, sys, threading, time
sys.path.insert(0, "bench")
import gpu_process, gpu_session
from gpu_part import Part, Session
gpu_process.GRACE = 1.5
gpu_process.interruptible()
s = Session(pathlib.Path(sys.argv[1]), time.monotonic() + 100, environment=dict(os.environ))
"""
PARTS = '''
SLEEPS = "print('RESULT begun', flush=True)\\nimport time\\ntime.sleep(60)"
SAVES = f"import time\\ntry:\\n    time.sleep(60)\\nexcept KeyboardInterrupt:\\n    print('RESULT saved at the end')"
STAYS = f"""import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
chatter = "import time; [print(time.sleep(0.05), flush=True) for _ in range(900)]"
subprocess.Popen([sys.executable, "-c", chatter], start_new_session=True)
{SLEEPS}"""

def first(s):
    """One."""
    s.result("from the first")
    return 0

def crashes(s):
    """Two."""
    return s.python(20, "-c", "import os\\nprint('RESULT before the crash', flush=True)\\nos.abort()")

def raises(s):
    """Three."""
    raise RuntimeError("boom")

def stays(s):
    """Four: deaf, and with a stranger that holds its pipe and goes on talking."""
    return s.python(20, "-c", STAYS)

def late(s):
    """Five: writes what it has when it is interrupted."""
    return s.python(20, "-c", SAVES)

def stopped(s):
    """Six."""
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    return s.python(20, "-c", SLEEPS)

def missing(s):
    """Seven."""
    return s.run(5, "no-such-program")[0]

def last(s):
    """Eight."""
    s.result("from the last")
    return 0

parts = [Part(w, 5) for w in (first, crashes, raises, stays, late, stopped, missing)] + [Part(last, 5, decisive=True)]
sys.exit(gpu_session.session(s, parts))
'''
ENDED = '''
def first(s):
    """One."""
    s.result("from the first")
    return 0

def second(s):
    """Two."""
    return s.python(60, "-c", "print('RESULT begun', flush=True)\\nimport time\\ntime.sleep(60)")

def third(s):
    """Three."""
    return 0

sys.exit(gpu_session.session(s, [Part(w, 60, decisive=True) for w in (first, second, third)]))
'''


def started(code: str, out: pathlib.Path) -> subprocess.Popen[str]:
    """A session in a process that ignores SIGINT, as a background job of a shell does."""

    def deaf() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    command = [*PYTHON, "-c", START + code, str(out)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, preexec_fn=deaf, **pipes)


def test_what_a_part_does_is_no_matter_to_the_others(tmp_path: pathlib.Path) -> None:
    start = time.monotonic()
    process = started(PARTS, tmp_path)
    printed = process.communicate(timeout=90)[0]
    assert process.returncode == 0 and time.monotonic() - start < 40, printed
    table = {line.split()[0]: line for line in printed.split("==== parts")[1].splitlines() if line}
    said = {"first": "ok", "crashes": "FAILED (-6)", "raises": "FAILED (1)", "stays": "OVER TIME", "late": "OVER TIME"}
    for name, word in {**said, "stopped": "INTERRUPTED", "missing": "A PROGRAM IS MISSING", "last": "ok"}.items():
        assert word in table[name], table[name]
        assert (tmp_path / f"{name}.txt").exists()
    repeated = printed.split("==== results")[1]
    for result in ("from the first", "before the crash", "begun", "saved at the end", "from the last"):
        assert f"RESULT {result}" in repeated, result
    assert "RuntimeError: boom" in (tmp_path / "raises.txt").read_text()
    assert repeated in (tmp_path / "session.txt").read_text()


def test_the_end_of_the_session_leaves_what_there_is(tmp_path: pathlib.Path) -> None:
    process = started(ENDED, tmp_path)
    file, end = tmp_path / "second.txt", time.monotonic() + 30
    while time.monotonic() < end and not (file.exists() and "begun" in file.read_text()):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    printed = process.communicate(timeout=30)[0]
    assert process.returncode == 1, printed
    assert "RESULT from the first" in printed.split("==== results")[1] and "third      NOT STARTED" in printed


def test_parts_in_order_of_what_they_tell_and_within_the_time(bench: Callable[[str], Any]) -> None:
    calls = bench("gpu_session").CALLS
    names = {number: [part.name for part in parts] for number, (parts, _) in calls.items()}
    assert names == {
        1: ["load", "families", "bench", "profile", "sanitize", "page"],
        2: ["load", "tests", "serial", "rest", "build", "synccheck", "long"],
    }
    decisive = {number: [part.name for part in parts if part.decisive] for number, (parts, _) in calls.items()}
    assert decisive == {1: ["families", "sanitize"], 2: ["tests", "serial", "synccheck"]}
    assert {number: seconds for number, (_, seconds) in calls.items()} == {1: 390, 2: 290}
    for parts, seconds in calls.values():  # 25: where the carried extension runs; the long tests get what is left
        assert 25 + sum(part.limit for part in parts[1:] if part.name != "long") <= seconds
    others = {1: {"session.txt", "bench.jsonl", "profile.csv", "page.md"}, 2: {"session.txt", "bench.jsonl"}}
    for number, (parts, _) in calls.items():
        assert len(others[number] | {f"{part.name}.txt" for part in parts if part.own_file}) <= 8


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("call", ["1", "2"])
def test_without_a_device_it_says_so_and_changes_nothing(call: str, tmp_path: pathlib.Path) -> None:
    carried = tmp_path / "carried"
    carried.mkdir()
    name = f"_C{sysconfig.get_config_var('EXT_SUFFIX')}"
    (carried / name).write_text("no extension")
    command = [*PYTHON, BENCH / "gpu_session.py", tmp_path / "out", "--call", call, "--carried", carried]
    done = subprocess.run(command, env=clean(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 3 and "NO CUDA DEVICE" in done.stdout, done.stdout + done.stderr
    there = ROOT / "fastip" / name
    assert not there.exists() or there.read_bytes()[:4] == b"\x7fELF"


def test_a_file_that_grows_too_large_is_cut_off(
    bench: Callable[[str], Any],
    session: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    part = bench("gpu_part")
    monkeypatch.setattr(part, "LARGEST", 100)
    session.begin(session.out / "noisy.txt", 10)
    for k in range(100):
        session.keep(f"line {k:04}")
    text = (session.out / "noisy.txt").read_text()
    assert text.count("line") == 10 and text.count("\n") == 11
    assert text.endswith("the rest is left out: more than 100 bytes\n")


def test_the_lines_of_the_end_are_sixty_at_most(bench: Callable[[str], Any], session: Any) -> None:
    part = bench("gpu_part")

    def many(s: Any) -> int:
        """Says much."""
        for k in range(100):
            s.result(json.dumps({"number": k}))
        return 0

    assert bench("gpu_session").session(session, [part.Part(many, 10, decisive=True)]) == 0
    end = (session.out / "session.txt").read_text().split("\n==== results")[1].splitlines()
    assert len(end) <= 60 and "more results above" in end[-5] + end[-4] + end[-3]
