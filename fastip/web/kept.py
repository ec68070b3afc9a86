"""The files of each session: one picture, one mask and one result at a time, none of those before."""

from __future__ import annotations

import contextlib
import shutil
import stat
import tempfile
import threading
import time
from pathlib import Path

YOUNG = 60.0  # seconds


class Kept:
    """Knows which files belong to whom, and removes what nobody needs.

    Args:
        folder: Where uploads and results lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._lock = folder, threading.Lock()
        self._results: dict[str, Path] = {}
        self._uploads: dict[str, set[Path]] = {}

    def fresh(self, session: str, *uploads: Path | None) -> Path:
        """A new folder for what is made of these uploads; what the session had before is removed.

        Args:
            session: Its name.
            uploads: The files that it still needs.

        Returns:
            The folder.
        """
        folder = self.apart()
        self._keep(session, folder, {path for path in uploads if path is not None})
        return folder

    def apart(self) -> Path:
        """A new folder for a file that will be as if it was uploaded."""
        return Path(tempfile.mkdtemp(prefix="made-", dir=self.folder))

    def end(self, session: str) -> None:
        """Remove all that a session has.

        Args:
            session: Its name.
        """
        self._keep(session, None, set())

    def _keep(self, session: str, folder: Path | None, uploads: set[Path]) -> None:
        with self._lock:
            before = self._results.pop(session, None)
            gone = self._uploads.pop(session, set())
            if folder is not None:
                self._results[session], self._uploads[session] = folder, uploads
            # The same file has the same path, whoever uploads it.
            for path in gone.difference(*self._uploads.values()):
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    path.parent.rmdir()
            for path in self.folder.glob("tmp*"):
                if _stray(path):
                    path.unlink(missing_ok=True)
        if before is not None:
            shutil.rmtree(before, ignore_errors=True)


def _stray(path: Path) -> bool:
    """Whether it is one of the empty files that the framework makes for each file that it hands over.

    A young one may be an upload that has just begun.
    """
    with contextlib.suppress(FileNotFoundError):
        status = path.stat()
        return stat.S_ISREG(status.st_mode) and not status.st_size and time.time() - status.st_mtime > YOUNG
    return False
