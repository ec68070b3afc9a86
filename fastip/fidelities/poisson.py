"""Counts: photons, electrons, decays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import InvalidInput
from ..operators.base.real_array import real_array
from ..placement import Constant
from ..terms import Suited
from ..tracing import bare
from .one_sided import check_fit, wide
from .weighed import Weighed, mean


class Poisson(Weighed):
    """``D(v) = sum v + b - y log(v + b)``: minus the logarithm of the likelihood of counts y of mean v + b.

    y are the counts themselves (not divided by a gain), so that the weight of the prior is beside a probability:
    ``exp(-D(A x) - R(x))`` is that of x. D is finite for ``v + b > 0`` (>= 0 where y is 0), so that A x + b cannot go
    below 0; where x is an intensity add ``priors.NonNegative()``.

    Args:
        background: b >= 0: what is counted without any signal, a number or an array that broadcasts to the data.
        weights: >= 0, what the data count beside each other, an array that broadcasts to them; where it is 0 y may be
            anything. None: 1.

    Raises:
        InvalidInput: For a background that is negative or not finite, for weights that are negative, not finite or 0
            everywhere, for either where it does not broadcast to the data, and at a solve for data < 0.
        Unsupported: For arrays that require a gradient, and when it is made inside torch.compile.

    References:
        Shepp and Vardi, Maximum likelihood reconstruction for emission tomography, 1982.
    """

    def __init__(self, background: Any = 0.0, weights: Any = None) -> None:
        super().__init__(weights)
        self.background = real_array(background, "background", range(5), of="a fidelity")
        self.brightest = float(self.background.max())
        if self.background.min() < 0:
            raise InvalidInput("background is negative at some data; expected numbers >= 0, what is counted unlit")
        self._background = Constant(self.background)

    def check(self, y: Tensor) -> None:
        """Refuse negative counts, where there are values to look at."""
        super().check(y)
        captured = y.is_cuda and torch.cuda.is_current_stream_capturing()
        if torch.compiler.is_compiling() or captured:
            return
        lowest = bare(self.known(y)).detach().min().item()
        if lowest < 0:
            raise InvalidInput(
                f"y has values down to {lowest:.3g}, and fidelities.Poisson is of counts; expected numbers >= 0: give "
                "them before a background is subtracted, and that as background=, or use y.clamp(min=0)"
            )

    def known(self, y: Tensor) -> Tensor:
        """y, 0 where it does not count."""
        check_fit(self.background.shape, "background", tuple(y.shape))
        return super().known(y)

    def suited(self, y: Tensor, norm: float) -> Suited:
        """By the mean count m: D'' / 2 is 1 / 2 m there."""
        counts = mean(self.known(y), "Poisson")
        return Suited(self.largest / (2 * counts), 2 * counts / (norm or 1.0))

    def bind(self, y: Tensor, dtype: torch.dtype) -> BoundPoisson:
        y = y.to(dtype)
        return BoundPoisson(y, self._background.like(y), self.weights_like(y))

    def steepest(self, y: Tensor) -> float:
        """The largest D'' / 2 for v >= 0, ``y / 2 b^2``; infinite without a background."""
        y = self.known(y)
        b = self._background.like(y)
        bound = torch.where(y > 0, self.largest * y / (2 * b * b), torch.zeros_like(y)).max()
        return bare(bound.detach()).item()

    def describe(self) -> str:
        return "counts (Poisson)" + (f" with a background up to {self.brightest:.3g}" if self.brightest else "")

    def __repr__(self) -> str:
        b = self.background
        return f"Poisson({f'{b.item():g}' if b.numel() == 1 else f'<{tuple(b.shape)}>'})"


@dataclass(frozen=True)
class BoundPoisson:
    """``D(v) = sum a (v + b - y log(v + b))`` in one solve.

    Attributes:
        y: The counts, finite and >= 0.
        background: b, which broadcasts to y.
        weights: a, which broadcasts to y; None: 1.
    """

    y: Tensor
    background: Tensor
    weights: Tensor | None = None

    smooth = False

    def _a(self) -> Tensor:
        return torch.ones_like(self.y) if self.weights is None else self.weights.expand_as(self.y)

    @property
    def least(self) -> Tensor:
        return (self.y - self.background).clamp_min(0.0)

    @property
    def pulled(self) -> Tensor:
        return 0.5 * self._a()

    def prox(self, v: Tensor, scale: Tensor, penalty: float) -> Tensor:
        """The u that minimises ``D(scale u) + penalty (u - v)^2``: ``t = scale u + b`` solves a quadratic equation."""
        a, e = self._a(), penalty
        p = a * scale * scale
        m = 0.5 * (scale * v + self.background) - p / (4 * e)
        t, counted = _root(m, p * self.y / (2 * e)), p > 0
        inside = t > 0
        t = torch.where(inside, t, torch.ones_like(t))
        signed = torch.where(scale == 0, torch.ones_like(scale), scale)
        u = torch.where(inside, v + a * scale * (self.y - t) / (2 * e * t), -self.background / signed)
        return torch.where(counted, u, v)

    def conjugate(self, w: Tensor, sigma: Tensor | float) -> Tensor:
        """``prox_{sigma D*}(w) = a (1 - y / t)``, ``t = v + b`` being where D has that slope."""
        a = self._a()
        h = 0.5 * (w + sigma * self.background - a)
        c = sigma * a * self.y
        t = _root(h, c)
        u = torch.where(h > 0, a - c / torch.where(h > 0, t, torch.ones_like(t)), a + 2 * h - t)
        return torch.where(a > 0, u, torch.zeros_like(u))

    def slope(self, v: Tensor) -> Tensor:
        """``-D'(v) / 2``, below 0 that at 0."""
        t = v.clamp_min(0.0) + self.background
        away = t > 0
        t = torch.where(away, t, torch.ones_like(t))
        return 0.5 * self._a() * (torch.where(away & (self.y > 0), self.y / t, torch.zeros_like(t)) - 1)

    def apart(self, v: Tensor, nu: Tensor) -> Tensor:
        """``D(v) + D*(nu) - nu v`` of each datum; what lies below 0 where y is 0 counts by how far it does."""
        y, a = wide(self.y), self._a()
        t = wide(v) + self.background
        rest = (a - wide(nu)) / torch.where(a > 0, a, torch.ones_like(a))
        return torch.where(a > 0, a * _deviance(t * rest, y, (t * rest).abs() + t.clamp_max(0).abs()), 0.0)

    def value(self, v: Tensor) -> Tensor:
        """D(v) for each image beyond its least, shape (b,)."""
        t = wide(v) + self.background
        return (self._a() * _deviance(t, wide(self.y), t.abs())).flatten(1).sum(dim=1)

    def whole(self) -> Tensor:
        return (self._a() * wide(self.y)).flatten(1).sum(dim=1)


def _root(m: Tensor, c: Tensor) -> Tensor:
    """``m + sqrt(m^2 + c)`` for c >= 0, without cancellation."""
    s = (m * m + c).sqrt()
    below = m < 0
    return torch.where(below, c / torch.where(below, s - m, torch.ones_like(s)), m + s)


FAR = 1e12  # in the place of infinity, which a stop rule takes for divergence


def _deviance(t: Tensor, y: Tensor, dark: Tensor) -> Tensor:
    """``t - y - y log(t / y)``, ``dark`` where y is 0."""
    counted = y > 0
    z = torch.where(counted & (t > 0), t / torch.where(counted, y, torch.ones_like(y)), torch.ones_like(t))
    return torch.where(counted, torch.where(t > 0, y * (z - 1 - z.log()), FAR * (1 + y)), dark)
