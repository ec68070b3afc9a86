"""Programs with a limit: interrupted when their time is over, killed soon after with all that they started.

What they printed until then is kept.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import NoReturn

ROOT = pathlib.Path(__file__).resolve().parent.parent
OVER_TIME, NO_COMMAND, CANNOT_START, INTERRUPTED, ENDED = 124, 127, 126, 130, 143
GRACE = 10.0  # seconds from the interrupt to the kill: a program writes then what it has
Show = Callable[[str], None]
DRAIN = 3.0  # seconds for the rest of the output, once the program is gone


def interruptible() -> None:
    """SIGINT raises KeyboardInterrupt here and in children; ignored here, as in a background job, it would be there.

    SIGTERM, which says that the time of the whole session is over, raises SystemExit.
    """

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(ENDED)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, end)


class Programs:
    """Runs programs, several at a time from several threads; each is the first of a process group of its own."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, words: Sequence[str], limit: float, environment: Mapping[str, str], show: Show) -> int:
        """The exit code; ``show`` gets each line as it comes. Nothing of the program's group outlives this call."""
        with self._lock:
            if self._stopped:
                return CANNOT_START
            try:
                process = subprocess.Popen(
                    words,
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                show(f"{words[0]}: {error.strerror}")
                return NO_COMMAND
            self._running.add(process)
        gone = threading.Event()
        reader = threading.Thread(target=_read, args=(process, gone, show), daemon=True)
        reader.start()
        try:
            return _waited(process, limit)
        finally:
            _signal(process, signal.SIGKILL)  # what outlives its parent, as workers of a pool do
            process.wait()
            gone.set()
            reader.join(DRAIN + 1)
            with self._lock:
                self._running.discard(process)

    def stop(self) -> None:
        """Kills all that run, and starts no more until :meth:`resume`: for those that other threads wait for."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _signal(process, signal.SIGKILL)

    def resume(self) -> None:
        """Programs may be started again."""
        with self._lock:
            self._stopped = False


def _waited(process: subprocess.Popen[bytes], limit: float) -> int:
    ended = False
    try:
        code = process.wait(max(limit, 0.1))
        ended = True
        return code
    except subprocess.TimeoutExpired:
        return OVER_TIME
    finally:  # its time is over, or this wait was interrupted itself
        if not ended:
            _signal(process, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _read(process: subprocess.Popen[bytes], gone: threading.Event, show: Show) -> None:
    """Lines until the end of the pipe; once the program is gone, until nothing comes: a stranger may hold the pipe."""
    assert process.stdout is not None
    pipe, rest, latest = process.stdout.fileno(), b"", float("inf")
    while time.monotonic() < latest:
        if gone.is_set() and latest == float("inf"):
            latest = time.monotonic() + DRAIN
        if not select.select([pipe], [], [], 0.1)[0]:
            if gone.is_set():
                break
            continue
        some = os.read(pipe, 1 << 16)
        if not some:
            break
        *lines, rest = (rest + some).split(b"\n")
        for line in lines:
            show(line.decode(errors="replace").rstrip("\r"))
    if rest:
        show(rest.decode(errors="replace"))
