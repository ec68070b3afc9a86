"""What the steps of operators cost, counted as multiply-adds of a direct convolution.

Round numbers, to compare inverses by. On one core with AVX2, beside direct convolutions of 9 x 9 (1.1e10 products a
second) and 25 x 25 (1.5e10): a pass over 512 x 512 took 6, an entry of a sparse matrix 37, a number of a complex FFT
101, a blur by two real FFTs 200 a pixel.
"""

from __future__ import annotations

from collections.abc import Iterable

PASS = 8.0  # a number of a pass over memory that computes next to nothing
ENTRY = 30.0  # an entry of a sparse matrix in compressed rows
TRANSFORM = 100.0  # a number of a complex FFT; one of a real FFT, what is done to its result included, the same
SECOND = 2e10  # products of a second


def added(parts: Iterable[float | None]) -> float | None:
    """Their sum; None where one is not known."""
    total = 0.0
    for part in parts:
        if part is None:
            return None
        total += part
    return total
