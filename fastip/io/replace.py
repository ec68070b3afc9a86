"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import InvalidInput

_LONGEST = 200  # bytes of a stem: with what is put around it a name stays below the 255 that file systems allow


def replace_file(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write beside the target under a name of its own, then rename.

    A reader sees the old file, the new file, never half of one. A link at ``path`` is replaced, not followed.

    Args:
        path: The file to write.
        write: Puts the content into an open file.

    Raises:
        InvalidInput: Where the file cannot be written.
    """
    prefix, suffix = _around(path)
    temporary = path.with_name(f"{prefix}{secrets.token_hex(4)}{suffix}")
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())  # or a lost machine could leave the new name on an empty file
        os.replace(temporary, path)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written: {error.strerror or error}; check free space, permissions and the name's length"
        ) from error
    finally:  # also on Ctrl-C; what goes wrong here must not hide what went wrong before
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def leftovers(path: Path) -> Iterator[Path]:
    """What calls of :func:`replace_file` for this path that were killed have left behind."""
    prefix, suffix = _around(path)
    return path.parent.glob(f"{glob.escape(prefix)}{'[0-9a-f]' * 8}{glob.escape(suffix)}")


def _around(path: Path) -> tuple[str, str]:
    """What stands before and behind the random part of a temporary name: the stem, or its digest where it is long."""
    long = len(os.fsencode(path.name)) > _LONGEST
    suffix = ".part" if long else path.suffix
    return f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16] if long else path.stem}.", suffix
