"""A part of a session on a GPU: its limit, its file, its exit code. None can hang the session or depends on another."""

from __future__ import annotations

import contextlib
import pathlib
import shlex
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gpu_process import CANNOT_START, ENDED, INTERRUPTED, NO_COMMAND, OVER_TIME, Programs

RESULT = "RESULT"  # what a line that is repeated at the end begins with
NO_DEVICE = 3
LARGEST = 12 << 20  # bytes of a file; larger ones may not be brought back
LEAST = 4.0  # seconds that a part is started with
WORDS = {
    0: "ok",
    NO_DEVICE: "NO CUDA DEVICE",
    OVER_TIME: "OVER TIME",
    NO_COMMAND: "A PROGRAM IS MISSING",
    CANNOT_START: "NOT STARTED",
    INTERRUPTED: "INTERRUPTED",
    ENDED: "ENDED",
}


@dataclass
class Session:
    """Where the output goes, when time is over, and what the programs see."""

    out: pathlib.Path
    end: float
    rehearsal: bool = False
    carried: pathlib.Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    capability: str = ""  # of the GPU: 90
    results: list[str] = field(default_factory=list)
    programs: Programs = field(default_factory=Programs)
    _file: pathlib.Path | None = None
    _sizes: dict[pathlib.Path, int] = field(default_factory=dict)
    _until: float = float("inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def left(self) -> float:
        """Seconds that this part has."""
        return min(self.end, self._until) - time.monotonic()

    def say(self, text: str) -> None:
        """To the screen, to session.txt and to the file of the part."""
        with self._lock:
            print(text, flush=True)
            self._write(self.out / "session.txt", text)
            if self._file:
                self._write(self._file, text)

    def keep(self, text: str) -> None:
        """To the file of the part, or to session.txt where it has none."""
        with self._lock:
            self._write(self._file or self.out / "session.txt", text)

    def result(self, text: str) -> None:
        """A line that is said now and once more at the end."""
        text = text if text.startswith(RESULT) else f"{RESULT} {text}"
        self.results.append(text)
        self.say(text)

    def _write(self, path: pathlib.Path, text: str) -> None:
        """A full disk, or a folder that was taken away, must not end the session: the screen has the text, too."""
        size = self._sizes.get(path, 0)
        self._sizes[path] = size + len(text.encode(errors="replace")) + 1
        if size > LARGEST:
            return
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", errors="replace") as file:
                whole = self._sizes[path] <= LARGEST
                file.write(f"{text}\n" if whole else f"the rest is left out: more than {LARGEST} bytes\n")

    def run(
        self,
        limit: float,
        *command: str | pathlib.Path,
        shown: Callable[[str], bool] = lambda line: False,
        **environment: str,
    ) -> tuple[int, list[str]]:
        """(exit code, lines) of a program. Lines are kept as they come; results, and what ``shown`` picks, are said."""
        words, lines = [str(word) for word in command], list[str]()

        def take(line: str) -> None:
            lines.append(line)
            if line.startswith(RESULT):
                self.result(line)
            else:
                (self.say if shown(line) else self.keep)(line)

        self.keep("$ " + shlex.join(words))
        return self.programs.run(words, min(limit, self.left), self.environment | environment, take), lines

    def python(
        self,
        limit: float,
        *arguments: str | pathlib.Path,
        shown: Callable[[str], bool] = lambda line: False,
        **environment: str,
    ) -> int:
        """The exit code of this Python on a file or module of the repository."""
        return self.run(limit, sys.executable, "-P", *arguments, shown=shown, **environment)[0]

    def begin(self, file: pathlib.Path | None, limit: float) -> None:
        """The next part."""
        self._file, self._until = file, time.monotonic() + limit
        self.programs.resume()


@dataclass(frozen=True)
class Part:
    """``work`` says what it does in its docstring and returns an exit code. Decisive: the session fails with it."""

    work: Callable[[Session], int]
    limit: float
    decisive: bool = False
    own_file: bool = True

    @property
    def name(self) -> str:
        return self.work.__name__


@dataclass(frozen=True)
class Ending:
    """How a part went."""

    part: Part
    code: int
    seconds: float

    @property
    def word(self) -> str:
        return WORDS.get(self.code, f"FAILED ({self.code})")

    @property
    def line(self) -> str:
        return f"{self.part.name:10} {self.word:22} {self.seconds:6.1f} of {self.part.limit:g} s"


def perform(s: Session, part: Part) -> Ending:
    """One part. A fault in it, or an interrupt, ends it alone; SystemExit ends the session."""
    start = time.monotonic()
    s.begin(s.out / f"{part.name}.txt" if part.own_file else None, part.limit)
    s.say(f"\n==== {part.name}: {(part.work.__doc__ or '').splitlines()[0]} ({min(part.limit, s.left):.0f} s)")
    try:
        code = part.work(s) if s.left >= LEAST else CANNOT_START
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        s.say(f"{type(error).__name__}: {error}")
        code = 1
    finally:
        s.programs.stop()
    ending = Ending(part, code, time.monotonic() - start)
    s.say(f"==== {ending.line}")
    return ending
