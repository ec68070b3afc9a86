"""Projected gradient descent with a learned projector: no inner loop, one pass of two networks an iteration."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..arrays import check_number
from ..contracts import LinearOperator, Prior, Solution
from ..errors import strict_keywords
from .monitor import Callback
from .pgd import BackProjection, Descent, pgd

EPSILON = 1e-6  # of ||A||^2: the data are put back to about this accuracy


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


def descent(step: Any) -> Descent:
    """Back-projection where nothing is asked for, a fixed step for a number."""
    if step is None:
        return BackProjection(epsilon=EPSILON)
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

        w  = x + A^+ (y - A x)      or  x - step A^T (A x - y)
        x' = P(w)

    y: the data, as for ``pgd``. prior: priors.Projector(net), P.
    step: None for back-projection, which needs no tuning; a number, 1 / beta with beta the upper restricted eigenvalue ||A s||^2 / ||s||^2 of the range (not
    the whole space: 1 for Gaussian measurements of variance 1/m, far above what plain descent survives); or an object such as BackProjection(inverse).
    init: x0; by default A^T y for a number, A^+ y for back-projection, before the first projection. tolerance, callback: as for ``pgd``.

    Returns a Solution; every image stands in the range of the projector. Differentiable.
    Raises InvalidInput (a ValueError) for bad values.
    Source: Raj, Li and Bresler, GAN-based projector for faster recovery with convergence guarantees in linear inverse problems, 2019.
    """
    return pgd(y, op, prior, step=descent(step), iterations=iterations, tolerance=tolerance, init=init, callback=callback)
