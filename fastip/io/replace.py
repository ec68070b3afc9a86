"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ..errors import InvalidInput


def replace_file(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write beside the target under a name of its own, then rename.

    A reader sees the old file, the new file, never half of one.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())  # or a lost machine could leave the new name on an empty file
        os.replace(temporary, path)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written: {error.strerror or error}; check free space and permissions"
        ) from error
    finally:  # also on Ctrl-C
        temporary.unlink(missing_ok=True)
