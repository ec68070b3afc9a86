"""Absolute differences: data of which some are far off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..terms import Suited
from .distances import Distances, limited
from .weighed import Weighed, mean


class Absolute(Weighed):
    """``D(v) = sum a |v - y|``: each datum pulls alike however far off it is, so that outliers do not count more.

    For impulse noise (salt and pepper, dead pixels, cosmic rays), and for noise of a Laplace distribution. Complex
    data: the modulus.

    Args:
        weights: a >= 0: a number, or an array that broadcasts to the data; where it is 0 y may be anything. None: 1.

    Raises:
        InvalidInput: For weights that are negative, not finite, 0 everywhere, or that do not broadcast to the data.
        Unsupported: For weights that require a gradient, and when it is made inside torch.compile.

    References:
        Nikolova, A variational approach to remove outliers and impulse noise, 2004.
    """

    takes_complex = True
    # D'' / 2 times the size of the data: that of squares through |v - y| = size / 4.
    curvature = 2.0
    # Most data end at y itself, which the second split reaches the sooner the larger data_beta is: by these times
    # others' (bench/results/fidelities.md).
    stiffness = 5.0

    def __init__(self, weights: Any = None) -> None:
        super().__init__(weights)

    def suited(self, y: Tensor, norm: float) -> Suited:
        """By the mean of the data, which is half of their size in images."""
        size = 2 * mean(self.known(y).abs(), "Absolute")
        return Suited(self.curvature * self.largest / size, size / (norm or 1.0), self.stiffness)

    def steepest(self, y: Tensor) -> float:
        """D' jumps."""
        return math.inf

    def bind(self, y: Tensor, dtype: torch.dtype) -> BoundAbsolute:
        y = y if y.is_complex() else y.to(dtype)
        return BoundAbsolute(y, self.weights_like(y))

    def describe(self) -> str:
        return "absolute differences" + ("" if self.weights is None else f" with weights up to {self.largest:.3g}")

    def __repr__(self) -> str:
        return f"Absolute({'' if self.weights is None else f'<{tuple(self.weights.shape)}>'})"


@dataclass(frozen=True)
class BoundAbsolute(Distances):
    """``D(v) = sum a |v - y|`` in one solve."""

    smooth = False

    @property
    def pulled(self) -> Tensor:
        near = self.y * (4 / self.y.abs().amax().clamp_min(1e-30))
        return self._a(0.25) * limited(near, torch.ones_like(near.real))

    def prox(self, v: Tensor, scale: Tensor, penalty: float) -> Tensor:
        """The u that minimises ``D(scale u) + penalty (u - v)^2``."""
        r = self.y - scale * v
        # a step of the dual, limited to a: ``scale u`` reaches y where that is near
        p = scale * scale
        near = torch.where(p > 0, 2 * penalty * r / torch.where(p > 0, p, torch.ones_like(p)), torch.zeros_like(r))
        return v + scale * limited(near, self._a()) / (2 * penalty)

    def conjugate(self, w: Tensor, sigma: Tensor | float) -> Tensor:
        """``prox_{sigma D*}(w)``: a difference, limited to a."""
        return limited(w - sigma * self.y, self._a())

    def slope(self, v: Tensor) -> Tensor:
        """``-D'(v) / 2``, 0 at y."""
        r = self.y - v
        return 0.5 * self._a() * (r.sgn() if r.is_complex() else r.sign())

    def apart(self, v: Tensor, nu: Tensor) -> Tensor:
        """``D(v) + D*(nu) - nu v`` of each datum."""
        r = v - self.y
        return self._a() * r.abs() - (nu * r.conj()).real if r.is_complex() else self._a() * r.abs() - nu * r
