"""Reading archives: wheels (zip), npm packages (tgz), Debian packages (ar with a tar inside), Qt resource files.

Nothing is written and no name from an archive becomes a path: members are (name, bytes).
"""

from __future__ import annotations

import hashlib
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ..errors import InvalidInput

Members = Iterator[tuple[str, bytes]]
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    UnicodeDecodeError,
    IndexError,
)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex, read in pieces."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            found.update(piece)
    return found.hexdigest()


def files_digest(files: Mapping[str, bytes]) -> str:
    """One SHA-256 for several files: that of the lines "name sha256" in the order of the names."""
    lines = (f"{name} {hashlib.sha256(files[name]).hexdigest()}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def members(path: Path, wanted: Callable[[str], bool]) -> Members:
    """(name, bytes) of the wanted files in a .whl, .zip, .tgz or .deb.

    Raises InvalidInput for another kind and for a damaged archive.
    """
    kinds = {".whl": _zip, ".zip": _zip, ".tgz": _tar, ".deb": _deb}
    if path.suffix not in kinds:
        raise InvalidInput(f"{path.name} has the suffix {path.suffix!r}; expected one of {', '.join(kinds)}")
    try:
        yield from kinds[path.suffix](path, wanted)
    except _DAMAGE as error:
        raise InvalidInput(
            f"{path} cannot be read: {error}; the file is damaged: delete it and fetch it again"
        ) from error


def _zip(path: Path, wanted: Callable[[str], bool]) -> Members:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not name.endswith("/") and wanted(name):
                yield name, archive.read(name)


def _tar(path: Path, wanted: Callable[[str], bool]) -> Members:
    with open(path, "rb") as file:
        yield from _tar_members(file.read(), wanted)


def _tar_members(blob: bytes, wanted: Callable[[str], bool]) -> Members:
    with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if member.isfile() and wanted(name):
                content = archive.extractfile(member)
                assert content is not None
                yield name, content.read()


def _deb(path: Path, wanted: Callable[[str], bool]) -> Members:
    """The members of the tar inside a Debian package, which is an ar archive.

    8 bytes of magic, then headers of 60 bytes (name 16, ..., size 10 at 48), each with its file, padded to even.
    """
    blob = path.read_bytes()
    if blob[:8] != b"!<arch>\n":
        raise ValueError("it does not begin as a Debian package does")
    at = 8
    while at < len(blob):
        name, size = blob[at : at + 16].decode("ascii").strip().rstrip("/"), int(blob[at + 48 : at + 58])
        if at + 60 + size > len(blob):
            raise EOFError(f"{name} is cut off")
        if name.startswith("data.tar"):
            yield from _tar_members(blob[at + 60 : at + 60 + size], wanted)
            return
        at += 60 + size + size % 2
    raise EOFError("it holds no data.tar")


def resources(blob: bytes) -> Members:
    """(path, bytes) of the files in a Qt resource file (.rcc, format versions 1 to 3), those kept without compression.

    Header: "qres", then version and the offsets of tree, data and names, big-endian. Tree nodes: name offset, flags
    (1 zlib, 2 folder, 4 zstd), then (number of children, first child) or (locale, data offset); from version 2 on 8
    bytes of time follow.
    """
    if blob[:4] != b"qres":
        raise InvalidInput(f"a Qt resource file begins with b'qres'; this begins with {blob[:4]!r}")
    version, tree, data, names = struct.unpack_from(">4i", blob, 4)
    width = 14 if version == 1 else 22

    def name(offset: int) -> str:
        (length,) = struct.unpack_from(">H", blob, names + offset)
        return blob[names + offset + 6 : names + offset + 6 + 2 * length].decode("utf-16-be")

    def walk(node: int, parents: tuple[str, ...]) -> Members:
        at = tree + node * width
        label, flags, first, second = struct.unpack_from(">IHII", blob, at)
        path = (*parents, name(label)) if node else parents
        if flags & 2:
            for child in range(second, second + first):
                yield from walk(child, path)
        elif not flags & 5:
            (size,) = struct.unpack_from(">I", blob, data + second)
            yield "/".join(path), blob[data + second + 4 : data + second + 4 + size]

    try:
        yield from walk(0, ())
    except (struct.error, UnicodeDecodeError) as error:
        raise InvalidInput(f"the Qt resource file is damaged: {error}") from error
