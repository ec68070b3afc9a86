"""What fidelities of ``|v - y|`` share in one solve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .one_sided import wide


@dataclass(frozen=True)
class Distances:
    """``D(v) = sum a h(|v - y|)`` in one solve, the modulus that of complex data.

    Attributes:
        y: The data, finite everywhere.
        weights: a, which broadcasts to y; None: 1.
    """

    y: Tensor
    weights: Tensor | None = None

    @property
    def least(self) -> Tensor:
        return self.y

    def _a(self, times: Any = 1.0) -> Tensor:
        """The weights times a number or a tensor, as a tensor."""
        one = torch.ones((), dtype=self.y.real.dtype, device=self.y.device) if self.weights is None else self.weights
        return one * times

    def _h(self, size: Tensor) -> Tensor:
        """h of moduli."""
        return size

    def value(self, v: Tensor) -> Tensor:
        """D(v) for each image, shape (b,), in float64 where the device has it."""
        return (self._a() * self._h(wide((v - self.y).abs()))).flatten(1).sum(dim=1)

    def whole(self) -> Tensor:
        """D(0) for each image."""
        return self.value(torch.zeros_like(self.y))


def limited(values: Tensor, most: Tensor) -> Tensor:
    """``values`` with moduli of at most ``most``."""
    if values.is_complex():
        size = values.abs()
        return values * torch.where(size > most, most / torch.where(size > 0, size, torch.ones_like(size)), 1.0)
    return torch.minimum(torch.maximum(values, -most), most)
