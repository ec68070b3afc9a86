"""Everything that needs a GPU, in two calls. Each part has its own time; whether one fails is no matter to the others.

    python bench/gpu_session.py OUT --call 1      390 s: load, families, the benchmark's core, profile, checkers, page
    python bench/gpu_session.py OUT --call 2      290 s: load, tests, the rest of the benchmark, a build, long tests
    python bench/gpu_session.py OUT --rehearse    every part of both on a CPU, on small sizes, in some minutes

The extension and the wheels of build/carry are used (gpu_carry.py); an extension that is not there, or does not run, is
built: CMake, ninja, pybind11 and nvcc must be there. OUT gets at most 8 files: session.txt, which is what was on the
screen, one of each part, and bench.jsonl, the benchmark's results as they came. The last 60 lines repeat the results.
SIGINT ends a part, SIGTERM the session: both leave what there is.

Exits with 0 where the decisive parts are green (1: families and sanitize; 2: tests, serial and synccheck), with 3 where
there is no CUDA device, else with 1.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import time
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # python -P leaves it out

import gpu_first_call
import gpu_second_call
from gpu_carry import CARRIED
from gpu_part import NO_DEVICE, Ending, Part, Session, perform
from gpu_process import ROOT, interruptible

CALLS = {1: (gpu_first_call.PARTS, gpu_first_call.SECONDS), 2: (gpu_second_call.PARTS, gpu_second_call.SECONDS)}
REHEARSED = 10.0  # times longer: a slow machine with two cores
LAST = 60  # lines that repeat the results
MOST_FILES = 8
# what a session writes, and no other file, is removed before it begins
OWN = {"session.txt", "bench.jsonl", "profile.csv", "page.md"} | {
    f"{part.name}.txt" for parts, _ in CALLS.values() for part in parts
}


def session(s: Session, parts: Sequence[Part]) -> int:
    """All parts, whatever becomes of them, then the results; the exit code."""
    endings: list[Ending] = []
    try:
        for part in parts:
            endings.append(perform(s, part))
            if endings[-1].code == NO_DEVICE and part is parts[0]:
                break
    except (SystemExit, KeyboardInterrupt):
        s.say("\nthe session is ended; what there is follows")
    s.begin(None, float("inf"))
    return summary(s, parts, endings)


def summary(s: Session, parts: Sequence[Part], endings: list[Ending]) -> int:
    """The results once more, at most 60 lines with the table of the parts."""
    files = sorted(path.name for path in s.out.glob("*") if path.is_file())
    table = [ending.line for ending in endings] + [f"{part.name:10} NOT STARTED" for part in parts[len(endings) :]]
    table += [f"{len(files)} files: {' '.join(files)}" + ("" if len(files) <= MOST_FILES else "  TOO MANY")]
    room = LAST - len(table) - 2
    more = len(s.results) - room
    shown = s.results if more <= 0 else [*s.results[: room - 1], f"... and {more + 1} more results above"]
    s.say("\n".join(["\n==== results", *(line[:180] for line in shown), "==== parts", *table]))
    codes = [ending.code for ending in endings if ending.part.decisive]
    if endings and endings[0].code == NO_DEVICE:
        return NO_DEVICE
    return int(any(codes) or len(codes) < sum(part.decisive for part in parts))


def prepared(out: pathlib.Path, seconds: float, carried: pathlib.Path, rehearsal: bool) -> Session:
    """A session that ends in so many seconds; files of an earlier one are removed."""
    out.mkdir(parents=True, exist_ok=True)
    for name in OWN:
        (out / name).unlink(missing_ok=True)
    fixed = {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    fixed |= {"FASTIP_BENCH_DEVICE": "cpu"} if rehearsal else {}
    return Session(out, time.monotonic() + seconds, rehearsal, carried, {**os.environ, **fixed})


def rehearse(out: pathlib.Path, carried: pathlib.Path, chosen: Sequence[str]) -> int:
    """Both calls on a CPU; green where every part is."""
    codes = []
    for number, (parts, seconds) in CALLS.items():
        s = prepared(out / f"call{number}", REHEARSED * seconds, carried, rehearsal=True)
        s.say(f"REHEARSAL of call {number} without a GPU: no time below means anything")
        wanted = [part for part in parts if not chosen or part.name in chosen]
        taken = [Part(part.work, REHEARSED * part.limit, True, part.own_file) for part in wanted]
        codes.append(session(s, taken))
    return max(codes)


def main() -> int:
    """One call, or the rehearsal of both."""
    names = list(dict.fromkeys(part.name for parts, _ in CALLS.values() for part in parts))
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=pathlib.Path, help="folder for the results")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--call", type=int, choices=sorted(CALLS), help="which of the two")
    what.add_argument("--rehearse", action="store_true", help="every part of both calls on this CPU")
    parser.add_argument("--seconds", type=float, help="time for the call, if not its own")
    parser.add_argument("--parts", default="", help="only some of " + ",".join(names))
    parser.add_argument(
        "--carried",
        type=pathlib.Path,
        default=ROOT / CARRIED,
        help="folder with the extension and wheels/; build/carry by default",
    )
    given = parser.parse_args()
    chosen = [name for name in given.parts.split(",") if name]
    unknown = [name for name in chosen if name not in names]
    if unknown:
        parser.error(f"unknown parts {', '.join(unknown)}; expected some of {', '.join(names)}")
    interruptible()
    if given.rehearse:
        return rehearse(given.out.resolve(), given.carried.resolve(), chosen)
    parts, seconds = CALLS[given.call]
    s = prepared(given.out.resolve(), given.seconds or seconds, given.carried.resolve(), rehearsal=False)
    return session(s, [part for part in parts if not chosen or part.name in chosen])


if __name__ == "__main__":
    sys.exit(main())
