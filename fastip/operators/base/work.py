"""What the steps of operators cost, counted as multiply-adds of a direct convolution.

Each is what it took beside such products in one process, on one core that makes 2e10 of them a second.
"""

from __future__ import annotations

from collections.abc import Iterable

PASS = 8.0  # a number of a pass over memory that computes next to nothing
ENTRY = 30.0  # an entry of a sparse matrix in compressed rows
TRANSFORM = 50.0  # a number of a complex FFT; one of a real FFT is half of it
SECOND = 2e10  # products of a second


def added(parts: Iterable[float | None]) -> float | None:
    """Their sum; None where one is not known."""
    total = 0.0
    for part in parts:
        if part is None:
            return None
        total += part
    return total
