"""Tone curves: from the values that a file holds to light, and back. Both ways rise, so that each undoes the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInput

# Exponents at which the darkest of 16 bits is still a number of float32, with room; screens and cameras have 1 to 3.
GAMMAS = (0.2, 5.0)
# Half a step of 16 bits: by so much a curve of whole numbers, or one that is flat, may rise without being another one.
_HALF = 0.5 / 65535
# Where its two pieces meet a curve may fall: rounded constants do (BT.709 by 6e-5). More is no curve of light, and less
# would refuse those.
_FALL = 1e-3
_LARGEST = 1e5  # of the numbers of a curve; those of profiles are below 32768
_NOWHERE = 1e-6  # below it are no values of 16 bits but 0


def _check_ends(black: float, white: float) -> None:
    if not (-0.1 <= black <= 0.5 < white <= 1.5):
        raise InvalidInput(f"a tone curve goes from {black:g} to {white:g}; expected from about 0 to about 1")


@dataclass(frozen=True)
class Parametric:
    """``(a x + b)^g + e`` above d, ``c x + f`` up to it: the most general form of ICC profiles, which has all others.

    Where rounded constants let the curve fall at d, the line goes on to where the two meet; where it is flat there, it
    rises by less than half a step of 16 bits. Values below 0 are taken for 0, those above 1 follow the curve; the curve
    of light itself changes nothing.

    Args:
        g: The exponent.
        a: Of x above d.
        b: Added to it.
        c: The slope below d.
        d: Where the power begins.
        e: Added to the power.
        f: The value at 0, where d is above.

    Raises:
        InvalidInput: Where this does not rise from about 0 to about 1.
    """

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0

    def __post_init__(self) -> None:
        if not GAMMAS[0] <= self.g <= GAMMAS[1]:
            raise InvalidInput(f"a tone curve has the exponent {self.g:g}; expected {GAMMAS[0]:g} to {GAMMAS[1]:g}")
        numbers = (self.a, self.b, self.c, self.d, self.e, self.f)
        if not (all(abs(number) < _LARGEST for number in numbers) and self.c >= 0 < self.a):
            raise InvalidInput(
                f"a tone curve has the numbers {numbers}; expected some below {_LARGEST:g}, a above 0, c not below it"
            )
        if self.a * max(self.d, 0.0) + self.b < -_FALL:
            raise InvalidInput(f"a tone curve has powers of negative numbers, {self}; expected a d + b of at least 0")
        join, c, f = self._join
        _check_ends(f, c + f if join >= 1 else self._power(1.0))

    def decode(self, x: Tensor) -> Tensor:
        """Light of what a file holds."""
        if self == LINEAR:
            return x
        join, c, f = self._join
        low = x <= join  # which is at least 0
        power = (self.a * torch.where(low, 1.0, x) + self.b).clamp(min=0) ** self.g + self.e
        return torch.where(low, c * x.clamp(min=0) + f, power)

    def encode(self, y: Tensor) -> Tensor:
        """What a file holds of light."""
        if self == LINEAR:
            return y
        join, c, f = self._join
        start = max(c * join + f, self._power(join))
        low = ~(y > start)
        root = ((torch.where(low, 1.0 + self.e, y) - self.e) ** (1 / self.g) - self.b) / self.a
        line = ((y - f) / c).clamp(0, join) if c else y * 0
        return torch.where(low, line, root)

    def _power(self, x: float) -> float:
        return max(self.a * x + self.b, 0.0) ** self.g + self.e

    @cached_property
    def _join(self) -> tuple[float, float, float]:
        """Where the power begins, and slope and value at 0 of the line below."""
        if self.d <= _NOWHERE:
            return 0.0, 0.0, self._power(0.0)
        c = self.c or _HALF / self.d

        def over(x: float) -> float:
            return self._power(x) - (c * x + self.f)

        if self.d >= 1 or over(self.d) >= 0:
            return self.d, c, self.f
        low, high = self.d, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if over(middle) < 0 else (low, middle)
        if over(1.0) <= 0 or min(map(over, np.linspace(self.d, high, 65))) < -_FALL:
            raise InvalidInput(f"a tone curve falls where its line meets its power, {self}; expected one that rises")
        return high, c, self.f


LINEAR = Parametric(1.0)
# IEC 61966-2-1.
SRGB = Parametric(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


@dataclass(frozen=True)
class Table:
    """Straight lines between the values at 0, 1 / (n - 1), ... 1; below 0 as at 0, above 1 the last line goes on.

    Args:
        values: Two or more, each above the one before: :func:`table` makes them of whole numbers.
    """

    values: tuple[float, ...]

    def decode(self, x: Tensor) -> Tensor:
        """Light of what a file holds."""
        v, last = self._on(x)
        at = x.double().clamp(min=0) * last
        i = at.detach().nan_to_num().clamp(0, last - 1).long()
        inside = v[i] + (at - i) * (v[i + 1] - v[i])
        return torch.where(x > 1, v[-1] + (at / last - 1) * self._slope, inside).to(x.dtype)

    def encode(self, y: Tensor) -> Tensor:
        """What a file holds of light."""
        v, last = self._on(y)
        light = y.double()
        i = (torch.searchsorted(v, light.detach().contiguous(), right=True) - 1).clamp(0, last - 1)
        inside = (i + (light - v[i]) / (v[i + 1] - v[i])).clamp(min=0) / last
        return torch.where(light > v[-1], 1 + (light - v[-1]) / self._slope, inside).to(y.dtype)

    def _on(self, x: Tensor) -> tuple[Tensor, int]:
        return torch.tensor(self.values, dtype=torch.float64, device=x.device), len(self.values) - 1

    @property
    def _slope(self) -> float:
        """Above 1: where a table ends flat, light a little above white would be values of thousands."""
        return max((self.values[-1] - self.values[-2]) * (len(self.values) - 1), 1.0)


def table(numbers: np.ndarray) -> Table:
    """The curve through whole numbers of 16 bits, among equal ones of which it rises by less than they are rounded.

    Args:
        numbers: Two or more uint16.

    Returns:
        The curve.

    Raises:
        InvalidInput: Where they fall, or do not go from about 0 to about 65535.
    """
    if (np.diff(numbers.astype(np.int64)) < 0).any():
        raise InvalidInput("a tone curve is a table that falls; expected one that rises")
    _, first, run, count = np.unique(numbers, return_index=True, return_inverse=True, return_counts=True)
    at, size = np.arange(len(numbers)) - first[run], count[run]
    within = (at - (size - 1) / 2) / size
    within[run == 0] = (at / size / 2)[run == 0]  # 0 stays 0, and below it is nothing
    within[run == len(count) - 1] = ((at + 1 - size) / size / 2)[run == len(count) - 1]
    values = (numbers + within) / 65535
    _check_ends(values[0], values[-1])
    return Table(tuple(map(float, values)))


Curve = Parametric | Table
