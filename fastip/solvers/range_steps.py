"""Steps of projected gradient descent on the range of a generator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..arrays import check_number, energy
from ..contracts import LinearOperator
from ..tracing import norm
from .arguments import check_seen
from .pgd import Descent

# Of ||A||^2: a move of which A sees less says nothing. Smaller allows steps longer than 1e4 / ||A||^2, larger shortens
# those on a range that A sees little of.
SEEN = 1e-4
# Of ||x||^2: near the end the step stays as it is, and rounding does not choose it. Larger stops adapting earlier.
MOVED = 1e-6


class FixedStep:
    """x - size A^T (A x - y), of any size.

    A projection on a small set can keep in bounds what would diverge on the whole space.
    """

    def __init__(self, size: float) -> None:
        self.size = check_number(size, "step", low=0.0, strict=True)

    def bind(self, op: LinearOperator, y: Tensor) -> _BoundFixed:
        return _BoundFixed(op, y, self.size)


class _BoundFixed:
    limit = float("inf")

    def __init__(self, op: LinearOperator, y: Tensor, eta: float) -> None:
        self.op, self.y, self.eta, self.size = op, y, eta, eta / 2  # pgd counts steps of the gradient 2 A^T (A x - y)

    def __call__(self, x: Tensor) -> Tensor:
        moved: Tensor = x + self.eta * self.op.adjoint(self.y - self.op(x))
        return moved

    def guess(self) -> Tensor:
        image: Tensor = self.op.adjoint(self.y)
        return image


class RestrictedStep:
    """x + A^T (y - A x) / beta with beta the curvature along each image's last move s.

    It is ``beta = ||A s||^2 / ||s||^2``; the first s is counted from ``reference``, b c h w. The moves of a
    projected descent are differences of images of the range, so this is the range's own curvature, which may be far
    from ``||A||^2``: 1 instead of (1 + sqrt(n / m))^2 for Gaussian measurements. A move that is tiny, or that A
    does not see, leaves beta as it was; at first it is ``||A||^2``.

    References:
        Barzilai and Borwein, Two-point step size gradient methods, 1988; under projections Birgin, Martinez and
        Raydan, 2000; here for each image alone.
    """

    def __init__(self, reference: Tensor) -> None:
        self.reference = reference

    def bind(self, op: LinearOperator, y: Tensor) -> _BoundRestricted:
        return _BoundRestricted(op, y, self.reference)


class _BoundRestricted:
    size, limit = 0.5, float("inf")

    def __init__(self, op: LinearOperator, y: Tensor, reference: Tensor) -> None:
        self.op, self.y = op, y
        largest = check_seen(norm(op, op.input_shape(tuple(y.shape))), op) ** 2
        self.least = SEEN * largest
        self.beta = torch.full_like(energy(reference), largest)
        self.last = reference.detach(), op(reference.detach())

    def __call__(self, x: Tensor) -> Tensor:
        ax = self.op(x)
        before, before_seen = self.last
        self.last = x.detach(), ax.detach()
        move, seen = energy(self.last[0] - before), energy(self.last[1] - before_seen)
        beta = seen / move.clamp_min(torch.finfo(move.dtype).tiny)
        self.beta = torch.where((move > MOVED * energy(self.last[0])) & (beta > self.least), beta, self.beta)
        moved: Tensor = x + self.op.adjoint(self.y - ax) / self.beta.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        return moved

    def guess(self) -> Tensor:
        image: Tensor = self.op.adjoint(self.y)
        return image


def descent(step: Any) -> Descent:
    """A fixed step for a number, and objects as they are."""
    return step if callable(getattr(step, "bind", None)) and not isinstance(step, type) else FixedStep(step)
