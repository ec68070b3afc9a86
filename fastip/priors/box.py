"""Box and NonNegative: every pixel inside an interval."""

from __future__ import annotations

from .separable import Separable


class Box(Separable):
    """R(x) = 0 where low <= x <= high, infinite elsewhere; prox(v) = clip(v, low, high).

    low, high: numbers, low <= high; infinity for no bound. Raises InvalidInput otherwise.
    """

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__(low=low, high=high)


class NonNegative(Separable):
    """R(x) = 0 where x >= 0, infinite elsewhere; prox(v) = max(v, 0)."""

    def __init__(self) -> None:
        super().__init__(low=0.0)
