"""NPY files, of which the header is looked at before the numbers are read."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np


def read_array(path: Path, check: Callable[[tuple[int, ...], np.dtype], None]) -> np.ndarray:
    """The array in an NPY file (no archive, no Python objects).

    Args:
        path: The file.
        check: Is given shape and dtype before any memory is taken, and raises what it likes.

    Returns:
        The array.

    Raises:
        ValueError: For other files, and those that are shorter than their header says.
        OSError: Where the file cannot be read.
    """
    with open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):  # (3, 0) is for names of fields, which no image has
            raise ValueError(f"version {version} of the format")
        read_header = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        check(shape, dtype)
        needed, there = math.prod(shape) * dtype.itemsize, os.fstat(file.fileno()).st_size - file.tell()
        if min(shape, default=1) < 0 or needed > there:
            raise ValueError(f"the header announces shape {shape}, {needed} bytes, and {there} are there")
        file.seek(0)
        found: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        return found
