"""Processes that do what the page asks for, each within its memory and its time; one that fails is replaced."""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import resource
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from ..errors import FastipError, InvalidInput

Job = Callable[[Any], Any]
START = 300.0  # seconds until a worker must be ready: it loads torch, which takes two, and forty on a machine at work
KEPT = 0.25  # of the memory of a request: a worker that holds more of it afterwards is replaced
STATUS = Path("/proc/self/status")
SHORT = ("can't allocate memory", "not enough memory", "bad_alloc", "bad allocation")  # as torch and C++ say it


class Refused(FastipError):
    """What is told in a sentence in place of an answer."""


@dataclass(frozen=True)
class Limits:
    """What is granted.

    Args:
        workers: Processes, each of which does one thing at a time.
        waiting: Requests that may wait for one of them; the next one is refused.
        seconds: For a request, from when a worker begins with it.
        memory: Bytes that a request may take beyond those of a worker at rest.

    Raises:
        InvalidInput: For numbers that are too small.
    """

    workers: int = 1
    waiting: int = 8
    seconds: float = 300.0
    memory: int = 4 * 2**30

    def __post_init__(self) -> None:
        if self.workers < 1 or self.waiting < 0 or not self.seconds > 0 or self.memory < 1:
            raise InvalidInput(
                f"the limits are {self}; expected at least one worker, and time and memory above 0: choose larger ones"
            )


class Workers:
    """Answers requests in processes of their own, in the order of their arrival.

    Args:
        job: A function of a module: the answer to a request, both picklable. A :class:`FastipError` passes as
            :class:`Refused` with its text.
        limits: What a request is granted, and how many may wait.
        first: A request that each worker answers before all others, without limits: it loads what is needed.
        folder: What a worker removes when it finds that this process is gone, killed perhaps.

    Attributes:
        greeting: The answer to the first request.
    """

    def __init__(self, job: Job, limits: Limits, first: Any = None, folder: Path | None = None) -> None:
        self.limits, self._start = limits, (job, first, limits.memory, folder)
        self._idle: queue.Queue[_Worker] = queue.Queue()
        self._places = threading.Semaphore(limits.workers + limits.waiting)
        self._all: set[_Worker] = set()
        self._closed = False
        for _ in range(limits.workers):
            self._idle.put(self._new())
        with contextlib.ExitStack() as failed:
            failed.callback(self.close)
            self.greeting = self._idle.queue[0].ready()
            failed.pop_all()

    def ask(self, request: Any) -> Any:
        """The answer to a request, after those that wait already.

        Args:
            request: For the job.

        Returns:
            What the job returns.

        Raises:
            Refused: Where too many wait, the job refuses, or its worker dies, takes too long or too much memory.
        """
        if not self._places.acquire(blocking=False):
            raise Refused(f"{self.limits.waiting} others are waiting already; try again in a minute")
        try:
            worker = self._idle.get()
            try:
                if not worker.process.is_alive():  # it died while nobody asked
                    worker = self._replaced(worker)
                worker.ready()
                return worker.ask(request, self.limits.seconds)
            finally:
                self._idle.put(self._replaced(worker) if worker.spent else worker)
        finally:
            self._places.release()

    def _new(self) -> _Worker:
        worker = _Worker(*self._start)
        self._all.add(worker)
        return worker

    def _replaced(self, worker: _Worker) -> _Worker:
        worker.end()
        self._all.discard(worker)
        return worker if self._closed else self._new()

    def close(self) -> None:
        """End all of them."""
        self._closed = True
        for worker in list(self._all):
            worker.end()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Worker:
    """One process, and what is said to it."""

    def __init__(self, job: Job, first: Any, memory: int, folder: Path | None) -> None:
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
        self._here, there = context.Pipe()
        arguments = (job, first, memory, there, folder)
        self.process = context.Process(target=_serve, args=arguments, name="fastip worker", daemon=True)
        self.process.start()
        there.close()  # or the death of the process would not be seen
        self.spent = False
        self._greeting: list[Any] = []

    def ready(self) -> Any:
        """Wait until it is; returns its answer to the first request."""
        if not self._greeting:
            self._greeting.append(self._answer(START, "the worker did not get ready"))
        return self._greeting[0]

    def ask(self, request: Any, seconds: float) -> Any:
        with contextlib.suppress(OSError):  # it died: its answer tells
            self._here.send(request)
        return self._answer(seconds, "this took longer")

    def _answer(self, seconds: float, late: str) -> Any:
        self.spent = True  # unless an answer comes
        if not wait([self._here, self.process.sentinel], seconds):
            raise Refused(f"{late} than the {seconds:g} s that it may take, and was stopped; try a smaller picture")
        try:
            kind, answer, self.spent = self._here.recv()
        except (EOFError, OSError):
            self.process.join(5)
            raise Refused(
                f"the worker process ended before it was done ({_told(self.process.exitcode)}) and is replaced; "
                "try again, or a smaller picture"
            ) from None
        if kind == "refused":
            raise Refused(answer)
        return answer

    def end(self) -> None:
        self.process.kill()
        self.process.join(5)
        self._here.close()


def _told(code: int | None) -> str:
    if code is not None and code < 0:
        return f"stopped by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _serve(job: Job, first: Any, memory: int, pipe: Connection, folder: Path | None) -> None:
    """The life of a worker: an answer for each request, until its parent is gone or it is spent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the parent ends its workers
    kind, answer, spent = _done(job, first)
    rest = _taken()
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    # Memory that a process may write to. Not that of addresses (RLIMIT_AS), of which torch reserves gigabytes that it
    # never touches, more with CUDA; nor what is resident, which nobody limits and which is seen when it is too late.
    # An allocation beyond it fails at once, so the picture is refused in words and the worker lives.
    resource.setrlimit(resource.RLIMIT_DATA, (rest + memory, most))
    try:
        while True:
            pipe.send((kind, answer, spent))
            if spent:
                return
            kind, answer, spent = _done(job, pipe.recv())
            spent = spent or _taken() > rest + KEPT * memory
    except (EOFError, OSError):  # the parent is gone without a word
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _done(job: Job, request: Any) -> tuple[str, Any, bool]:
    """("done", answer, False), or ("refused", why, whether the worker is of no more use)."""
    try:
        return "done", job(request), False
    except FastipError as error:
        return "refused", str(error), isinstance(error.__context__, MemoryError)
    except MemoryError:
        return _too_much()
    except Exception as error:
        if any(words in str(error) for words in SHORT):
            return _too_much()
        return (
            "refused",
            f"this failed, by an error of fastip or of this picture: {type(error).__name__}: {error}",
            True,
        )


def _too_much() -> tuple[str, str, bool]:
    return "refused", "this takes more memory than is granted to a picture; try a smaller one", True


def _taken() -> int:
    """Bytes of memory that this process may write to; where no file tells, as on macOS, the most that were resident."""
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
