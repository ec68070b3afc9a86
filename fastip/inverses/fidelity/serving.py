"""Which data step serves another data term than ``||y - A x||^2``."""

from __future__ import annotations

from torch import Tensor

from ... import contracts
from ...contracts import Fidelity, Inverse, LinearOperator, Shape
from ...errors import Unsupported, brief
from ...tracing import constant, fixed
from ..exact import Exact
from ..general.bounded import Diagonal, Scalar
from ..general.counted import diagonal_pays
from ..split import Split
from .dual import FidelityDual
from .split import FidelitySplit


def serving(
    fidelity: Fidelity,
    inverse: str | Inverse,
    op: LinearOperator,
    y: Tensor,
    beta: float,
    relaxation: float,
    curvature: float,
) -> Inverse:
    """The data step of another data term: the second split, or line one as a prox.

    "auto": the split where A states a window, real data; else the better of Scalar and Diagonal.

    Args:
        fidelity: D.
        inverse: "auto", a Split, Scalar, Diagonal, or for squares with weights Exact.
        op: The operator A.
        y: The data.
        beta: The penalty beside D's curvature.
        relaxation: 0 < a < 2.
        curvature: That of D at the data, beside that of squares.

    Returns:
        An inverse that is not bound yet.

    Raises:
        Unsupported: For another inverse, with those that are possible.
    """
    window = not y.is_complex() and _has_window(op)
    if isinstance(inverse, str) and inverse == "auto":
        general: Inverse = Diagonal() if not window and diagonal_pays(op, y, beta, relaxation) else Scalar()
        inverse = Split() if window else general
    exact = fidelity.quadratic and _on_diagonal(op, fixed(y.shape, op))
    if isinstance(inverse, Split) and window:
        return FidelitySplit(inverse, fidelity, curvature)
    if isinstance(inverse, (Scalar, Diagonal)) or (isinstance(inverse, Exact) and exact):
        return FidelityDual(inverse, fidelity)
    possible = ["inverses.Scalar()"]
    possible += ["inverses.Diagonal()"] if getattr(op, "absolute", lambda: None)() is not None else []
    possible += ["inverses.Split()"] if window else []
    possible += ["inverses.Exact()"] if exact else []
    raise Unsupported(
        f"inverse is {_told(inverse)}, which has no step for fidelities.{type(fidelity).__name__} and "
        f"{type(op).__name__}; expected inverse='auto' or one of {', '.join(possible)}"
    )


def _told(inverse: object) -> str:
    name = type(inverse).__name__
    return f"inverses.{name}" if callable(getattr(inverse, "bind", None)) else brief(inverse)


@constant
def _has_window(op: LinearOperator) -> bool:
    return op.window() is not None


@constant
def _on_diagonal(op: LinearOperator, shape: Shape) -> bool:
    """Whether A A^T is known to be a number or a diagonal."""
    return isinstance(op.cogram(shape), (contracts.Scalar, contracts.Diagonal))
