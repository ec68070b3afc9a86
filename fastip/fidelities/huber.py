"""Squares of small differences, absolute values of large ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..arrays import check_number
from .distances import Distances, limited
from .weighed import Weighed


class Huber(Weighed):
    """``D(v) = sum a h(v - y)``: squares up to a width, and a line beyond.

    With::

        h(r) = r^2                          |r| <= width
               2 width |r| - width^2        beyond

    For white noise with outliers: width about 1.5 times the deviation of the noise. Complex data: the modulus.

    Args:
        width: > 0, in units of the data.
        weights: a >= 0: a number, or an array that broadcasts to the data; where it is 0 y may be anything. None: 1.

    Raises:
        InvalidInput: For a width that is not > 0, and for weights that are negative, not finite, 0 everywhere, or that
            do not broadcast to the data.
        Unsupported: For weights that require a gradient, and when it is made inside torch.compile.

    References:
        Huber, Robust estimation of a location parameter, 1964.
    """

    takes_complex = True

    def __init__(self, width: float, weights: Any = None) -> None:
        super().__init__(weights)
        self.width = check_number(width, "width", low=0.0, strict=True)

    def bind(self, y: Tensor, dtype: torch.dtype) -> BoundHuber:
        y = y if y.is_complex() else y.to(dtype)
        return BoundHuber(y, self.weights_like(y), width=self.width)

    def describe(self) -> str:
        return f"Huber's of width {self.width:.3g}"

    def __repr__(self) -> str:
        return f"Huber({self.width:g}{'' if self.weights is None else f', <{tuple(self.weights.shape)}>'})"


@dataclass(frozen=True)
class BoundHuber(Distances):
    """``D(v) = sum a h(v - y)`` in one solve.

    Attributes:
        width: Up to which h is a square.
    """

    width: float = field(kw_only=True)

    smooth = True

    @property
    def pulled(self) -> Tensor:
        return self.slope(torch.zeros_like(self.y))

    def prox(self, v: Tensor, scale: Tensor, penalty: float) -> Tensor:
        """The u that minimises ``D(scale u) + penalty (u - v)^2``: a step of squares, limited."""
        a, r = self._a(), self.y - scale * v
        return v + scale * limited(a * r / (a * scale * scale / penalty + 1), a * self.width) / penalty

    def conjugate(self, w: Tensor, sigma: Tensor | float) -> Tensor:
        """``prox_{sigma D*}(w)``: that of squares, limited to 2 a width."""
        a = self._a()
        return limited(a * (w - sigma * self.y) / (a + 0.5 * sigma), 2 * self.width * a)

    def slope(self, v: Tensor) -> Tensor:
        """``-D'(v) / 2``."""
        return self._a() * limited(self.y - v, self._a(0.0) + self.width)

    def apart(self, v: Tensor, nu: Tensor) -> Tensor:
        """``D(v) + D*(nu) - nu v`` of each datum."""
        r, a = v - self.y, self._a()
        product = (nu * r.conj()).real if r.is_complex() else nu * r
        own = torch.where(a > 0, nu.abs().square() / (4 * torch.where(a > 0, a, torch.ones_like(a))), 0.0)
        return a * self._h(r.abs()) + own - product

    def _h(self, size: Tensor) -> Tensor:
        inside = size.clamp_max(self.width)
        return inside * (2 * size - inside)
