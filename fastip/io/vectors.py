"""Measurements in NPY files: vectors of numbers that are no image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..arrays import check_finite
from ..errors import InvalidInput, strict_keywords
from .images import check_write
from .npy import read_array
from .replace import replace_file
from .source import check_source

SUFFIX = ".npy"


@strict_keywords
def read_vector(path: str | Path, length: int) -> Tensor:
    """The numbers in an NPY file.

    Args:
        path: A file with floating-point numbers of shape m or 1 m.
        length: How many it must hold, m.

    Returns:
        A float32 tensor 1 m.

    Raises:
        InvalidInput: For a file that is missing, damaged or no NPY, and for another number of numbers, other types,
            and NaN.
    """
    path = Path(path)
    what = f"expected {length} numbers of measurements in an NPY file: numpy.save('y.npy', y)"
    if path.suffix.lower() != SUFFIX or path.is_dir():
        raise InvalidInput(f"{path} is no file with measurements; {what}")
    check_source(path)

    def check(shape: tuple[int, ...], dtype: np.dtype) -> None:
        if dtype.kind != "f" or shape not in ((length,), (1, length)):
            several = ", one image a file" if len(shape) == 2 and shape[1] == length else ""
            raise InvalidInput(f"{path} holds {dtype} of shape {shape}; {what}{several}")

    try:
        found = read_array(path, check)
    except InvalidInput:
        raise
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise InvalidInput(f"{path} cannot be read as NPY: {error}; {what}") from error
    y = torch.from_numpy(found.astype(np.float32).reshape(1, length))
    check_finite(y, str(path))
    return y


@strict_keywords
def write_vector(path: str | Path, y: Tensor) -> None:
    """Write numbers to an NPY file, which appears whole or not at all.

    Args:
        path: The ``.npy`` file to write.
        y: The numbers, 1 m; written as float32 of shape m.

    Raises:
        InvalidInput: For other suffixes and shapes, complex numbers and NaN, and where the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        raise InvalidInput(
            f"measurements are written to NPY files, and {path.name} is none; choose a name that ends in {SUFFIX}"
        )
    if not isinstance(y, Tensor) or y.ndim != 2 or len(y) != 1 or not y.is_floating_point():
        given = f"of shape {tuple(y.shape)} and {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
        raise InvalidInput(
            f"the measurements are {given}; expected a tensor of real numbers 1 m: write them one by one"
        )
    check_finite(y, "the measurements")
    check_write(path)
    array = y[0].detach().cpu().to(torch.float32).numpy()
    replace_file(path, lambda file: np.save(file, array))
