"""Projected gradient descent with a learned projector: no inner loop, one pass of two networks an iteration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..arrays import as_tensor, check_number
from ..contracts import LinearOperator, Prior, Solution
from ..errors import strict_keywords
from ..tracing import norm, real_dtype
from .arguments import check_data, check_prior
from .monitor import Callback
from .pgd import Descent, pgd

SEEN = 1e-4  # of ||A||^2: a move of which A sees less says nothing
MOVED = 1e-6  # of ||x||^2: near the end the step stays as it is, and rounding does not choose it


class FixedStep:
    """x - size A^T (A x - y), of any size: a projection on a small set can keep in bounds what would diverge on the whole space."""

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
    """x + A^T (y - A x) / beta with beta = ||A s||^2 / ||s||^2, for each image, s its last move; the first is counted from ``reference``, b c h w.

    The moves of a projected descent are differences of images of the range, so this is the range's own curvature, which may be far from ||A||^2: 1 instead of
    (1 + sqrt(n / m))^2 for Gaussian measurements. A move that is tiny, or that A does not see, leaves beta as it was; at first it is ||A||^2.
    """

    def __init__(self, reference: Tensor) -> None:
        self.reference = reference

    def bind(self, op: LinearOperator, y: Tensor) -> _BoundRestricted:
        return _BoundRestricted(op, y, self.reference)


class _BoundRestricted:
    size, limit = 0.5, float("inf")

    def __init__(self, op: LinearOperator, y: Tensor, reference: Tensor) -> None:
        self.op, self.y = op, y
        largest = norm(op, op.input_shape(tuple(y.shape))) ** 2
        self.least = SEEN * largest
        self.beta = reference.new_full((len(reference),), largest)
        self.last = reference.detach(), op(reference.detach())

    def __call__(self, x: Tensor) -> Tensor:
        ax = self.op(x)
        before, before_seen = self.last
        self.last = x.detach(), ax.detach()
        move, seen = _energy(self.last[0] - before), _energy(self.last[1] - before_seen)
        beta = seen / move.clamp_min(torch.finfo(move.dtype).tiny)
        self.beta = torch.where((move > MOVED * _energy(self.last[0])) & (beta > self.least), beta, self.beta)
        moved: Tensor = x + self.op.adjoint(self.y - ax) / self.beta.reshape(-1, *[1] * (x.ndim - 1))
        return moved

    def guess(self) -> Tensor:
        image: Tensor = self.op.adjoint(self.y)
        return image


def _energy(x: Tensor) -> Tensor:
    """||x||^2 for each image."""
    return torch.linalg.vector_norm(x.flatten(1), dim=1).square()


def descent(step: Any) -> Descent:
    """A fixed step for a number, and objects as they are."""
    return step if callable(getattr(step, "bind", None)) and not isinstance(step, type) else FixedStep(step)


@strict_keywords
def npgd(
    y: Any,
    op: LinearOperator,
    prior: Prior,
    *,
    step: float | Descent | None = None,
    iterations: int = 30,
    tolerance: float = 1e-4,
    init: Any = None,
    callback: Callback | None = None,
) -> Solution:
    """Find the image of a generator that gives the data, by projected gradient descent with a trained projector.

        w  = x + step A^T (y - A x)      or  x + A^+ (y - A x)
        x' = P(w)

    y: the data, as for ``pgd``. prior: priors.Projector(net), P.
    step: None needs no tuning: 1 / beta, beta = ||A s||^2 / ||s||^2 of each image's last move s, so that it is the curvature on the range of P and not that of
    the whole space, in which such steps would diverge; a number; or an object such as BackProjection(inverse).
    init: x0; by default P(A^T y) where step is None, A^T y for a number, the step from zero for an object. tolerance, callback: as for ``pgd``.

    Returns a Solution; every image stands in the range of the projector. Differentiable; the default steps are constants in it.
    Raises InvalidInput (a ValueError) for bad values.
    Source: Raj, Li and Bresler, GAN-based projector for faster recovery with convergence guarantees in linear inverse problems, 2019; the step is fastip's own.
    """
    y, restore = as_tensor(y, "y")
    shape = check_data(y, op)
    if step is None:
        project = check_prior(prior).bind(y, op)
        step = RestrictedStep(project(torch.zeros(shape, dtype=real_dtype(y.dtype), device=y.device), 0.5))
        init = project(op.adjoint(y), 0.5) if init is None else init
    solution = pgd(y, op, prior, step=descent(step), iterations=iterations, tolerance=tolerance, init=init, callback=callback)
    return replace(solution, x=restore(solution.x))
