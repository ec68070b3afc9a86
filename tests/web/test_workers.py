"""Workers: their answers, their limits, and that one that is gone is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from cases.programs import PYTHON
from fastip.errors import InvalidInput
from fastip.web.workers import Limits, Refused, Workers

LOADED = "__import__('os').getpid()"  # the job is eval: a request is an expression
MB = 2**20


@pytest.fixture(scope="module")
def workers():
    with Workers(eval, Limits(seconds=5, memory=200 * MB, waiting=2), "'hello'") as some:
        yield some


def test_an_answer_comes_from_another_process(workers):
    assert workers.greeting == "hello"
    pid = workers.ask(LOADED)
    assert pid != os.getpid() and workers.ask(LOADED) == pid


def test_errors_are_sentences_and_an_unforeseen_one_costs_the_worker(workers):
    pid = workers.ask(LOADED)
    with pytest.raises(Refused, match="there is no thing 'a': expected one of b"):
        workers.ask("__import__('fastip.errors').errors.closest('a', ['b'], 'thing')")
    assert workers.ask(LOADED) == pid
    with pytest.raises(Refused, match="by an error of fastip or of this picture: ZeroDivisionError"):
        workers.ask("1 / 0")
    assert workers.ask(LOADED) != pid


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not hold the limit of memory that may be written to")
@pytest.mark.parametrize("request_", ["len(bytearray(400 * 2**20))", "len(b'a' * (400 * 2**20))"])
def test_more_memory_than_granted_is_refused_and_not_taken(workers, request_):
    begun = time.monotonic()
    with pytest.raises(Refused, match="more memory than is granted"):
        workers.ask(request_)
    assert time.monotonic() - begun < 5
    assert workers.ask("len(bytearray(100 * 2**20))") == 100 * MB


def test_what_is_kept_costs_the_worker(workers):
    pid = workers.ask(LOADED)
    workers.ask("__import__('sys').modules.setdefault('kept', bytearray(100 * 2**20)) and None")
    assert workers.ask(LOADED) != pid


def test_a_system_without_proc_has_workers_too():
    with Workers(eval, Limits(), "globals().update(STATUS=Path('/nowhere'))") as some:
        pid = some.ask(LOADED)
        assert some.ask("_taken()") > 5 * MB and some.ask(LOADED) == pid


def test_a_worker_that_takes_too_long_is_replaced():
    with Workers(eval, Limits(seconds=0.5), "0") as some:
        pid = some.ask(LOADED)
        with pytest.raises(Refused, match=r"longer than the 0\.5 s"):
            some.ask("__import__('time').sleep(60)")
        assert some.ask(LOADED) != pid
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("busy", [True, False])
def test_a_worker_that_is_killed_is_replaced(workers, busy):
    pid = workers.ask(LOADED)
    if busy:
        killer = threading.Timer(0.5, os.kill, (pid, signal.SIGKILL))
        killer.start()
        with pytest.raises(Refused, match="stopped by SIGKILL"):
            workers.ask("__import__('time').sleep(60)")
    else:
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    assert workers.ask(LOADED) not in (pid, os.getpid())


def test_an_answer_of_nothing_is_told(workers):
    with pytest.raises(Refused, match="exit code 3"):
        workers.ask("__import__('os')._exit(3)")


def test_the_line_is_as_long_as_it_may_be_and_in_order(workers):
    """One is served, two wait, the fourth is told."""
    ended, threads = [], []
    for name in "abc":
        threads.append(
            threading.Thread(
                target=lambda name=name: ended.append(workers.ask(f"__import__('time').sleep(0.7) or {name!r}"))
            )
        )
        threads[-1].start()
        time.sleep(0.1)
    with pytest.raises(Refused, match="2 others are waiting already; try again in a minute"):
        workers.ask("'d'")
    for thread in threads:
        thread.join()
    assert ended == ["a", "b", "c"] and workers.ask("'d'") == "d"


def test_two_workers_work_at_once():
    with Workers(eval, Limits(workers=2), "0") as some:
        pids = set()
        ask = lambda: pids.add(some.ask(f"__import__('time').sleep(0.5) or {LOADED}"))  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(pids) == 2


def test_none_is_left_behind_where_the_parent_is_killed(tmp_path):
    folder = tmp_path / "left"
    folder.mkdir()
    code = (
        "import os, sys; from pathlib import Path; from fastip.web.workers import *\n"
        "if __name__ == '__main__':\n"
        "    some = Workers(eval, Limits(), '0', folder=Path(sys.argv[1]))\n"
        f"    print(some.ask({LOADED!r}), flush=True); os.kill(os.getpid(), 9)"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    ran = subprocess.run([*PYTHON, script, folder], capture_output=True, text=True, timeout=60)
    pid = int(ran.stdout)
    until = time.monotonic() + 10
    while time.monotonic() < until and (
        folder.exists() or os.path.exists(f"/proc/{pid}/cmdline") and open(f"/proc/{pid}/cmdline").read()
    ):
        time.sleep(0.05)
    assert not folder.exists()


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"seconds": 0}, {"memory": 0}, {"waiting": -1}])
def test_limits_of_nothing_are_refused(wrong):
    with pytest.raises(InvalidInput, match="at least one worker"):
        Limits(**wrong)
