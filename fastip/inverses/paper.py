"""The updates without memory, for comparison.

The residual form with an inexact C left uncorrected, and the form printed in the 2017 paper.
"""

from __future__ import annotations

from torch import Tensor

from ..contracts import Inverse, LinearOperator
from ..errors import StrictKeywords, Unsupported
from .steps import DataStep


def _bound(inverse: Inverse, op: LinearOperator, y: Tensor, beta: float, relaxation: float, name: str) -> DataStep:
    step = inverse.bind(op, y, beta, relaxation)
    if not isinstance(step, DataStep):
        raise Unsupported(
            f"inverses.{name} needs an inverse that works on the data side, and {type(inverse).__name__} works on the "
            f"image side here: write e.g. inverses.{name}(inverses.Exact(side='data'))"
        )
    return step


class _OtherStep(DataStep):
    """A data step with another update than the solver's."""

    def why_unfused(self) -> str:
        return f"the update is not q + C (y - A x - beta q), which fused solves make (it is: {self.describe()})"


class _UncorrectedStep(_OtherStep):
    def __call__(self, x: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        w = x - self.op.adjoint(q)
        return self.apply(self.y - self.op(w)), self.residual(x, q)


class _PrintedStep(_OtherStep):
    def __call__(self, x: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        w = x - self.op.adjoint(q)
        c, op, y = self.apply, self.op, self.y
        return (y - c(op(op.adjoint(y)))) / self.beta - c(op(w)), self.residual(x, q)


class Uncorrected(StrictKeywords):
    """q' = C (y - A w), w = x - A^T q: exact when C = B; an inexact C solves a re-weighted problem or diverges.

    Args:
        inverse: C, an object of ``fastip.inverses`` that works on the data side, such as ``Exact(side="data")``.

    Raises:
        Unsupported: At ``bind``, for an inverse that works on the image side.
    """

    def __init__(self, inverse: Inverse) -> None:
        self.inverse = inverse

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> DataStep:
        inner = _bound(self.inverse, op, y, beta, relaxation, "Uncorrected")
        return _UncorrectedStep(op, y, beta, inner.apply, f"uncorrected residual form of: {inner.describe()}")


class Printed(StrictKeywords):
    """q' = (y - C A A^T y) / beta - C A w, w = x - A^T q: the update as printed in the 2017 paper.

    It subtracts nearly equal terms and divides by beta, so an error of C is amplified by 1 / beta.

    Args:
        inverse: C, an object of ``fastip.inverses`` that works on the data side, such as ``Exact(side="data")``.

    Raises:
        Unsupported: At ``bind``, for an inverse that works on the image side.

    References:
        Fan, Wei, Carin and Heller, An inner-loop free solution to inverse problems using deep neural networks, NIPS
        2017, equation (11).
    """

    def __init__(self, inverse: Inverse) -> None:
        self.inverse = inverse

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> DataStep:
        inner = _bound(self.inverse, op, y, beta, relaxation, "Printed")
        return _PrintedStep(op, y, beta, inner.apply, f"printed form of: {inner.describe()}")
