"""Squares with weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import InvalidInput, StrictKeywords
from ..operators.base.real_array import real_array
from ..placement import Constant
from .one_sided import OneSided, check_fit


class Squares(StrictKeywords):
    """``D(v) = sum a_i (v_i - y_i)^2``: the squares of ``fastip.admm``, each datum with a weight of its own.

    For white noise of another deviation at each datum, ``a = (deviation / that of the datum)^2``. Where a is 0 the
    datum does not count, and y may be anything there, NaN and Inf too. ``Squares(a)`` for A and y is the problem of
    ``operators.Mask(a.sqrt()) @ A`` and ``a.sqrt() * y``.

    Args:
        weights: a >= 0: a number, or an array that broadcasts to the data (h w, c h w, b c h w). None: all are 1, which
            is what a solve without a fidelity has, with every inverse.

    Raises:
        InvalidInput: For weights that are negative, not finite, 0 everywhere, or that do not broadcast to the data.
        Unsupported: For weights that require a gradient, and when it is made inside torch.compile.
    """

    def __init__(self, weights: Any = None) -> None:
        self.weights: Tensor | None = None
        self.curvature = 1.0  # the largest of the weights
        if weights is None:
            return
        self.weights = real_array(weights, "weights", range(5), of="a fidelity")
        self.curvature = float(self.weights.max())
        if self.weights.min() < 0 or self.curvature == 0:
            wrong = "0 everywhere, so that no datum counts" if self.curvature == 0 else "negative at some data"
            raise InvalidInput(f"weights are {wrong}; expected numbers >= 0, and one that is > 0")
        self._weights = Constant(self.weights)

    @property
    def plain(self) -> bool:
        """Whether it is ``||y - v||^2``."""
        return self.weights is None

    def known(self, y: Tensor) -> Tensor:
        """y, 0 where it does not count."""
        if self.weights is None:
            return y
        check_fit(self.weights.shape, "weights", tuple(y.shape))
        return torch.where(self._weights.like(y) > 0, y, torch.zeros_like(y))

    def bind(self, y: Tensor, dtype: torch.dtype) -> OneSided:
        y = y.to(dtype)
        return OneSided(y, None if self.weights is None else self._weights.like(y))

    def describe(self) -> str:
        return "squares" if self.weights is None else f"squares with weights up to {self.curvature:.3g}"

    def __repr__(self) -> str:
        return f"Squares({'' if self.weights is None else f'<{tuple(self.weights.shape)}>'})"
