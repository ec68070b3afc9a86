"""The kernel families under the checkers of compute-sanitizer, many at a time; and without one, against float64."""

from __future__ import annotations

import concurrent.futures
import pathlib
import re
import shutil
import sys

from gpu_part import NO_DEVICE, WORDS, Session
from gpu_process import CANNOT_START, INTERRUPTED, NO_COMMAND, ROOT

SCRIPT = ROOT / "bench" / "sanitize_families.py"
AT_A_TIME = 12  # of 16 cores
FIRST = ("admm", "strided_conv", "strided_conv_adjoint")  # the largest kernels
WRONG = 9  # the exit code of a checker that found something
PROGRAM = "compute-sanitizer"
ERROR = "largest error"  # in each line of SCRIPT
LISTED = "import sys; sys.path.insert(0, 'bench'); import sanitize_families as s; print(*s.FAMILIES)"
REFUSED = ("Device not supported", "No supported device", "no device supported")  # some virtual machines


def families(s: Session) -> int:
    """Each kernel family in four precisions, admm in every way, against float64."""
    code, lines = s.run(s.left, sys.executable, "-P", SCRIPT, shown=lambda line: ERROR in line or "WRONG" in line)
    rows = [line for line in lines if ERROR in line]
    worst = ", ".join(f"{kind} {largest(rows, kind):.1e}" for kind in ("float32", "float64"))
    s.result(f"families: {sum(row.endswith('ok') for row in rows)} of {len(rows)} ok; {ERROR} {worst}")
    for line in [line.strip() for line in lines if "WRONG" in line][:8]:
        s.result(f"families: {line[:140]}")
    return code or (0 if rows else 1)


def largest(rows: list[str], kind: str) -> float:
    """Over the families in this precision."""
    return max((float(row.split(ERROR)[1].split(",")[0]) for row in rows if kind in row), default=0.0)


def sanitize(s: Session) -> int:
    """Memory and races: every family under memcheck and racecheck."""
    return check(s, "memcheck", "racecheck")


def synccheck(s: Session) -> int:
    """Barriers: every family under synccheck."""
    return check(s, "synccheck")


def check(s: Session, *tools: str) -> int:
    """The exit code of the worst job; a line for each as it ends. In a rehearsal three families, without a checker."""
    code, names = s.run(30, sys.executable, "-P", "-c", LISTED)
    if code or not names:
        return code or 1
    found = names[-1].split()
    order = [*FIRST, *(name for name in found if name not in FIRST)]
    jobs = [(tool, name) for name in order for tool in tools]
    checker = program()
    if s.rehearsal:
        s.say(f"REHEARSAL: instead of {len(jobs)} jobs under {' and '.join(tools)}, three families without a checker")
        jobs, checker = [("unchecked", name) for name in ("pixel_shuffle", "soft_threshold", "stencil")], ""
    elif not checker:
        s.say(f"{PROGRAM} is not there")
        return NO_COMMAND
    codes = pooled(s, checker, jobs)
    green = sum(code == 0 for code in codes.values())
    s.result(f"{' and '.join(tools)}: {green} of {len(jobs)} ok" + (" (rehearsed, no checker)" if s.rehearsal else ""))
    codes = {job: codes.get(job, CANNOT_START) for job in jobs}
    for tool, name in [job for job in jobs if codes[job]][:8]:
        s.result(f"{tool} {name}: {word(codes[tool, name])}")
    return max(codes.values())


def word(code: int) -> str:
    return "FOUND SOMETHING" if code == WRONG else WORDS.get(code, f"FAILED ({code})")


def pooled(s: Session, checker: str, jobs: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Exit codes of the jobs that ended. An interrupt kills those that run and keeps what is known."""
    codes: dict[tuple[str, str], int] = {}
    pool = concurrent.futures.ThreadPoolExecutor(2 if s.rehearsal else AT_A_TIME)
    try:
        waiting = {pool.submit(one, s, checker, *job): job for job in jobs}
        for future in concurrent.futures.as_completed(waiting):
            (tool, name), (code, summary, lines) = waiting[future], future.result()
            codes[tool, name] = code
            s.say(f"{tool:10} {name:22} {word(code):16} {summary}")
            if code not in (0, CANNOT_START):
                s.say("\n".join(f"    {line[:150]}" for line in telling(lines)))
    except KeyboardInterrupt:
        s.say("interrupted: the jobs that run are killed")
        codes |= {job: INTERRUPTED for job in jobs if job not in codes}
    finally:
        s.programs.stop()
        pool.shutdown(cancel_futures=True)
    return codes


def one(s: Session, checker: str, tool: str, name: str) -> tuple[int, str, list[str]]:
    """(exit code, the checker's summary, all lines) of one family.

    Its allocations are made one by one: a step past the end of one is then a step out of memory.
    """
    if s.left < 1:
        return CANNOT_START, "", []
    checked = (checker, "--tool", tool, "--error-exitcode", str(WRONG), "--print-limit", "10") if checker else ()
    alone = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1", "OMP_NUM_THREADS": "1"}
    code, lines = s.run(s.left, *checked, sys.executable, "-P", SCRIPT, name, **alone)
    if any(refusal in line for line in lines for refusal in REFUSED):
        return NO_DEVICE, "the checker refuses this device", lines
    return code, " ".join(re.sub(r"=+", "", line).strip() for line in lines if "SUMMARY" in line), lines


def telling(lines: list[str]) -> list[str]:
    """Five lines: what the checker says, else the last ones; the file has them all."""
    said = [line for line in lines if line.startswith("========= ") and not re.search("SUMMARY|COMPUTE-SAN", line)]
    return said[:5] or lines[-5:]


def program() -> str:
    """The checker, or an empty text."""
    usual = pathlib.Path("/usr/local/cuda/bin") / PROGRAM
    return shutil.which(PROGRAM) or (str(usual) if usual.exists() else "")
