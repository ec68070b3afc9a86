"""Random Gaussian measurements, the matrix of compressed sensing."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..arrays import check_count
from ..errors import InvalidInput
from ..streams import stream
from .dense import Dense


class GaussianMeasurements(Dense):
    """y = M x, the entries of M independent N(0, 1/m), so that ``E ||M x||^2 = ||x||^2``.

    Args:
        measurements: m, >= 1.
        image_shape: (c, h, w).
        seed: Of the draw in float64, a whole number >= 0; it gives the same matrix on every machine.

    Raises:
        InvalidInput: For other shapes, counts and seeds.
        Unsupported: Inside torch.compile.

    References:
        Candes and Tao, Near-optimal signal recovery from random projections, 2006.
    """

    def __init__(self, measurements: int, image_shape: Sequence[int], *, seed: int = 0) -> None:
        rows = check_count(measurements, "measurements", low=1)
        if not isinstance(image_shape, (tuple, list)) or len(image_shape) != 3:
            raise InvalidInput(f"image_shape is {image_shape!r}; expected (c, h, w), e.g. (1, 28, 28)")
        columns = 1
        for size in image_shape:
            columns *= check_count(size, "a size in image_shape", low=1)
        entries = torch.randn(rows, columns, generator=stream(seed, "measurements"), dtype=torch.float64)
        super().__init__(entries / rows**0.5, image_shape)
