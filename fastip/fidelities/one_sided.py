"""Squares that a solve can weigh, and of which a side can be free: the closed forms that all fidelities here share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import Shape
from ..errors import InvalidInput


@dataclass(frozen=True)
class OneSided:
    """``D(v) = sum a r^2`` in one solve, r what counts of y - v: where ``above`` only what is above 0.

    Where ``below``, only what is below.

    Attributes:
        y: The data, finite everywhere.
        weights: a, which broadcasts to y; None: 1.
        above: Where a datum says "at least this"; None: nowhere.
        below: Where it says "at most this"; None: nowhere.
    """

    y: Tensor
    weights: Tensor | None = None
    above: Tensor | None = None
    below: Tensor | None = None

    smooth = True

    @property
    def least(self) -> Tensor:
        return self.y

    def prox(self, v: Tensor, scale: Tensor, penalty: float) -> Tensor:
        """The u that minimises ``D(scale u) + penalty (u - v)^2``.

        A side that is free stays free on the way from v to u, as ``scale u`` lies between ``scale v`` and y.
        """
        pull = scale if self.weights is None else scale * self.weights
        return torch.addcmul(v, self._left(self.y - scale * v), pull / (scale * pull + penalty))

    def conjugate(self, w: Tensor, sigma: Tensor | float) -> Tensor:
        """``prox_{sigma D*}(w)``, of one sign where a side is free."""
        a = 1.0 if self.weights is None else self.weights
        u = a * (w - sigma * self.y) / (a + 0.5 * sigma)
        u = u if self.above is None else torch.where(self.above, u.clamp_max(0.0), u)
        return u if self.below is None else torch.where(self.below, u.clamp_min(0.0), u)

    def slope(self, v: Tensor) -> Tensor:
        """``-D'(v) / 2``."""
        left = self._left(self.y - v)
        return left if self.weights is None else self.weights * left

    def value(self, v: Tensor) -> Tensor:
        """D(v) for each image, shape (b,), in float64 where the device has it."""
        left = self._left(self.y - v)
        size = wide(left.abs()).square()
        return (size if self.weights is None else self.weights * size).flatten(1).sum(dim=1)

    @property
    def pulled(self) -> Tensor:
        return self.slope(torch.zeros_like(self.y))

    def apart(self, v: Tensor, nu: Tensor) -> Tensor:
        """``D(v) + D*(nu) - nu v`` of each datum."""
        a = 1.0 if self.weights is None else self.weights
        left, r, size = self._left(self.y - v).abs(), self.y - v, 0.5 * nu.abs()
        own = torch.where(size == 0, torch.zeros_like(size), size * size / a)
        return a * left * left + own + ((nu * r.conj()).real if r.is_complex() else nu * r)

    def whole(self) -> Tensor:
        return self.value(torch.zeros_like(self.y))

    def _left(self, r: Tensor) -> Tensor:
        r = r if self.above is None else torch.where(self.above, r.clamp_min(0.0), r)
        return r if self.below is None else torch.where(self.below, r.clamp_max(0.0), r)


def wide(values: Tensor) -> Tensor:
    """In float64 where the device has it."""
    return values if values.device.type == "mps" else values.double()


def check_fit(shape: Sequence[int], name: str, data: Shape) -> None:
    """Refuse what does not broadcast to the data."""
    padded = (1,) * (len(data) - len(shape)) + tuple(shape)
    if len(shape) > len(data) or any(n not in (1, m) for n, m in zip(padded, data, strict=True)):
        raise InvalidInput(
            f"{name} has shape {tuple(shape)}, which does not broadcast to the data of shape {tuple(data)}; "
            "expected h w, c h w or b c h w, with the data's own sizes or 1"
        )
