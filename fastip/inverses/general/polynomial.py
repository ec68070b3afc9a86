"""C as a polynomial of beta I + A A^T: a fixed number of Chebyshev steps, which is linear and certified."""

from __future__ import annotations

import math

from torch import Tensor

from ...arrays import accumulator, check_count
from ...contracts import LinearOperator
from ...errors import StrictKeywords
from ...tracing import norm
from ..certificate import LIMIT, weights
from ..steps import DataStep


class Polynomial(StrictKeywords):
    """C = c p(beta I + A A^T) with the polynomial p of ``degree`` d for which t p(t) is nearest to 1.

    On [beta, beta + ||A||^2] it is::

        t p(t) = 1 - (-1)^(d + 1) T_(d+1)((2 t - 2 beta - L) / L) / T_(d+1)(1 + 2 beta / L),    L = ||A||^2

    Each application takes d products with A A^T. It is a fixed linear map, so that, other than conjugate gradients, it
    is certified: ``|1 - t p(t)| <= 1 / T_(d+1)(1 + 2 beta / L)``, and c brings kappa to 0.98.

    Args:
        degree: d, 0 (a number) or more.

    Raises:
        InvalidInput: For a degree that is no whole number >= 0.

    References:
        Saad, Iterative Methods for Sparse Linear Systems, 2003, chapter 12.
    """

    def __init__(self, degree: int = 3) -> None:
        self.degree = check_count(degree, "degree", low=0)

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> DataStep:
        largest = norm(op, op.input_shape(tuple(y.shape))) ** 2
        centre, half = beta + largest / 2, largest / 2
        error = chebyshev_error(self.degree, beta, largest)
        size = LIMIT / (max(weights(1.0, relaxation)) * (1 + error))

        def apply(r: Tensor) -> Tensor:
            stored, r = r.dtype, r.to(accumulator(r.dtype))
            step = r / centre
            found, rho = step, half / centre
            for _ in range(self.degree):
                r = r - beta * step - op(op.adjoint(step))
                new = 1 / (2 * centre / half - rho)
                step = new * rho * step + 2 * new / half * r
                found, rho = found + step, new
            return (size * found).to(stored)

        text = f"a polynomial of degree {self.degree} of beta I + A A^T, {error:.1e} off, kappa <= {LIMIT:g}"
        return DataStep(op, y, beta, apply, text)


def chebyshev_error(degree: int, beta: float, largest: float) -> float:
    """``max |1 - t p(t)| = 1 / T_(degree+1)(1 + 2 beta / L)``."""
    return 1 / math.cosh(min((degree + 1) * math.acosh(1 + 2 * beta / largest), 700.0))
