"""Which data step serves another data term than ``||y - A x||^2``."""

from __future__ import annotations

from torch import Tensor

from ... import contracts
from ...contracts import Fidelity, Inverse, LinearOperator, Shape
from ...errors import Unsupported, brief
from ...tracing import constant, fixed
from ..exact import Exact
from ..general.bounded import Diagonal, Scalar
from ..general.counted import Wanted, diagonal_pays
from ..split import Split
from .dual import FidelityDual
from .split import FidelitySplit

# Pixels of the psf's frame, for each that the stride keeps, from which the split takes less time. An iteration of it
# costs four transforms whatever the psf is, 1.5 to 2.7 times the one of a number for 5 x 5 to 25 x 25, 0.6 for a disk
# of 31 (total variation), and it makes 0.6 as many. Time over that of a number, geometric means of squares, clipped,
# Huber's and counts to 1e-3: total variation 1.6 at 9 x 9, 1.1 at 25 x 25, 0.5 at 31 x 31,
# 1.5 to 3 with a stride or holes alone; l1 0.8 at 9 x 9, 0.6 at 25 x 25. A network costs more than either step.
STEPS, POINTWISE, NETWORK = 300, 64, 2


def serving(
    fidelity: Fidelity,
    inverse: str | Inverse,
    op: LinearOperator,
    y: Tensor,
    beta: float,
    relaxation: float,
    curvature: float,
    wanted: Wanted,
) -> Inverse:
    """The data step of another data term: the second split, or line one as a prox.

    "auto": the split where A states a window of real data and a psf so large that it takes less time; else Exact for
    squares where A A^T is a number or a diagonal, and the better of Scalar and Diagonal.

    Args:
        fidelity: D.
        inverse: "auto", a Split, Scalar, Diagonal, or for squares with weights Exact.
        op: The operator A.
        y: The data.
        beta: The penalty beside D's curvature.
        relaxation: 0 < a < 2.
        curvature: That of D at the data, beside that of squares.
        wanted: What the prior asks.

    Returns:
        An inverse that is not bound yet.

    Raises:
        Unsupported: For another inverse, with those that are possible.
    """
    window = not y.is_complex() and _has_window(op)
    exact = fidelity.quadratic and _on_diagonal(op, fixed(y.shape, op))
    if isinstance(inverse, str) and inverse == "auto":
        least = POINTWISE if wanted.pointwise else NETWORK if wanted.exact else STEPS
        if window and _frame(op) >= least:
            inverse = Split()
        elif exact:
            inverse = Exact()
        else:
            inverse = Diagonal() if diagonal_pays(op, y, beta, relaxation) else Scalar()
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
def _frame(op: LinearOperator) -> float:
    """Pixels of the psf's frame for each that is kept."""
    window = op.window()
    assert window is not None
    a = window.convolution
    sides = a.psf.shape[-getattr(a, "axes", 2) :]
    return float(sides.numel() / a.stride ** len(sides))


@constant
def _on_diagonal(op: LinearOperator, shape: Shape) -> bool:
    """Whether A A^T is known to be a number or a diagonal."""
    return isinstance(op.cogram(shape), (contracts.Scalar, contracts.Diagonal))
