"""Squares with weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .one_sided import OneSided
from .weighed import Weighed


class Squares(Weighed):
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

    quadratic = True
    takes_complex = True

    def __init__(self, weights: Any = None) -> None:
        super().__init__(weights)

    @property
    def plain(self) -> bool:  # type: ignore[override]
        """Whether it is ``||y - v||^2``."""
        return self.weights is None

    def bind(self, y: Tensor, dtype: torch.dtype) -> OneSided:
        y = y if y.is_complex() else y.to(dtype)
        return OneSided(y, self.weights_like(y))

    def describe(self) -> str:
        return "squares" if self.weights is None else f"squares with weights up to {self.largest:.3g}"

    def __repr__(self) -> str:
        return f"Squares({'' if self.weights is None else f'<{tuple(self.weights.shape)}>'})"
