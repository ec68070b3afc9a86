"""C from a bound of A A^T alone: a number, or a number for each datum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...arrays import accumulator
from ...contracts import LinearOperator, Shape, StencilStep
from ...errors import StrictKeywords, Unsupported
from ...placement import placed
from ...tracing import check_traceable, constant, fixed, norm, real_dtype
from ..certificate import LIMIT, weights
from ..steps import DataStep


class Scalar(StrictKeywords):
    """C = 0.98 / (a beta / 2 + (a - a^2 / 4) ||A||^2): a number, certified for every operator, kappa = 0.98.

    It is the step of Chambolle and Pock, a little longer. With it an iteration is the two products with A and A^T.

    References:
        Chambolle and Pock, A first-order primal-dual algorithm for convex problems with applications to imaging, 2011;
        He, Ma and Yuan, Optimally linearizing the alternating direction method of multipliers for convex programming,
        2020, for the longer step.
    """

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> DataStep:
        own, gram = weights(beta, relaxation)
        value = LIMIT / (own + gram * self.bound(op, y))
        convolution = op.convolution()
        stencil = None
        if convolution is not None:
            stencil = StencilStep(convolution, torch.full((1, 1), value, dtype=torch.float64), beta)
        text = f"a number by the norm of A, kappa = {LIMIT:g}"
        return DataStep(op, y, beta, lambda r: value * r, text, stencil)

    def bound(self, op: LinearOperator, y: Tensor) -> float:
        """``||A||^2``, which A A^T is below."""
        return norm(op, op.input_shape(tuple(y.shape))) ** 2


class Diagonal(StrictKeywords):
    """C = 0.98 / (a beta / 2 + (a - a^2 / 4) D), ``D = |A| |A|^T 1``: a number for each datum, kappa <= 0.98.

    D bounds A A^T for every matrix, so that data which see little of the image step further than :class:`Scalar` lets
    them. It suits matrices whose rows differ and have few entries (tomography, holes, weights of data); where rows are
    long and of mixed sign (samples of Fourier space) the number is better, or a diagonal that the operator states
    (``operators.NonUniformFourier``), which is taken in its place.

    Raises:
        Unsupported: At ``bind``, for operators whose entries are not known: functions, modules, Fourier samples.

    References:
        Pock and Chambolle, Diagonal preconditioning for first order primal-dual algorithms in convex optimization,
        2011.
    """

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> DataStep:
        own, gram = weights(beta, relaxation)
        values = (LIMIT / (own + gram * self._sums(op, y))).to(accumulator(real_dtype(y.dtype)))
        return DataStep(op, y, beta, lambda r: (values * r).to(r.dtype), f"a number for each datum, kappa <= {LIMIT:g}")

    def bound(self, op: LinearOperator, y: Tensor) -> Tensor:
        """``|A| |A|^T 1``, which A A^T is below, in the precision of y."""
        return self._sums(op, y).to(accumulator(real_dtype(y.dtype)))

    def _sums(self, op: LinearOperator, y: Tensor) -> Tensor:
        check_traceable("inverses.Diagonal", "it makes the operator |A|", "use inverses.Scalar()")
        return placed(*_row_sums(op, fixed(y.shape, op)), y.device)


@constant
def _row_sums(op: LinearOperator, shape: Shape) -> tuple[Tensor]:
    """``|A| |A|^T 1``, for one image where all are alike."""
    return (row_sums(op, shape),)


def stated(op: Any) -> Tensor | None:
    """The diagonal above A A^T that the operator states (``LinearMap.majorant``)."""
    known: Tensor | None = getattr(op, "majorant", lambda: None)()
    return known


def row_sums(op: Any, shape: Shape) -> Tensor:
    """``|A| |A|^T 1`` on data of ``shape``, or what A states, float64 on the CPU.

    Raises Unsupported where entries of A are not known.
    """
    known = stated(op)
    if known is not None:
        return known
    absolute = getattr(op, "absolute", lambda: None)()
    if absolute is None:
        raise Unsupported(
            f"inverses.Diagonal needs |A|, and {type(op).__name__} does not state it: use inverses.Scalar(), or a "
            "matrix, operators.Sparse or operators.Dense"
        )
    sums: Tensor = absolute(absolute.adjoint(torch.ones(shape, dtype=torch.float64)))
    return sums
