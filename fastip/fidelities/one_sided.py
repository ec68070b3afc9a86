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
    """``D(v) = sum a r^2`` in one solve, r what counts of y - v: where ``least`` only what is above 0.

    Where ``most``, only what is below.

    Attributes:
        y: The data, finite everywhere.
        weights: a, which broadcasts to y; None: 1.
        least: Where a datum says "at least this"; None: nowhere.
        most: Where it says "at most this"; None: nowhere.
    """

    y: Tensor
    weights: Tensor | None = None
    least: Tensor | None = None
    most: Tensor | None = None

    def prox(self, v: Tensor, scale: Tensor, penalty: float) -> Tensor:
        """The u that minimises ``D(scale u) + penalty (u - v)^2``.

        A side that is free stays free on the way from v to u, as ``scale u`` lies between ``scale v`` and y.
        """
        pull = scale if self.weights is None else scale * self.weights
        return torch.addcmul(v, self._left(self.y - scale * v), pull / (scale * pull + penalty))

    def slope(self, v: Tensor) -> Tensor:
        """``-D'(v) / 2``."""
        left = self._left(self.y - v)
        return left if self.weights is None else self.weights * left

    def value(self, v: Tensor) -> Tensor:
        """D(v) for each image, shape (b,), in float64 where the device has it."""
        left = self._left(self.y - v)
        left = left if left.device.type == "mps" else left.double()
        return (left * self.slope(v)).flatten(1).sum(dim=1)

    def _left(self, r: Tensor) -> Tensor:
        r = r if self.least is None else torch.where(self.least, r.clamp_min(0.0), r)
        return r if self.most is None else torch.where(self.most, r.clamp_max(0.0), r)


def check_fit(shape: Sequence[int], name: str, data: Shape) -> None:
    """Refuse what does not broadcast to the data."""
    padded = (1,) * (len(data) - len(shape)) + tuple(shape)
    if len(shape) > len(data) or any(n not in (1, m) for n, m in zip(padded, data, strict=True)):
        raise InvalidInput(
            f"{name} has shape {tuple(shape)}, which does not broadcast to the data of shape {tuple(data)}; "
            "expected h w, c h w or b c h w, with the data's own sizes or 1"
        )
