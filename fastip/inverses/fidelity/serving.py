"""Which data step serves another data term than ``||y - A x||^2``."""

from __future__ import annotations

from torch import Tensor

from ... import contracts
from ...contracts import Fidelity, Inverse, LinearOperator, Shape
from ...errors import Unsupported, brief
from ...operators.base.convolutions import split
from ...terms import Suited
from ...tracing import constant, fixed
from ..exact import Exact
from ..general.bounded import Diagonal, Scalar
from ..general.counted import Wanted, diagonal_pays
from ..split import Split
from .dual import FidelityDual
from .split import FidelitySplit

# From which size of the psf on, for each pixel that the stride keeps, the split takes less time
# (bench/results/fidelities.md). Total variation: by the weights that are not zero, k + k of a separable k x k, which an
# iteration of a number costs; four transforms of the split cost as much as 300, and it makes 0.6 to 1 times as many.
# Priors of each pixel alone: by the frame, as the split makes a third as many. A network costs more than either step.
STEPS, POINTWISE, NETWORK = 300, 64, 2


def serving(
    fidelity: Fidelity,
    inverse: str | Inverse,
    op: LinearOperator,
    y: Tensor,
    beta: float,
    relaxation: float,
    suited: Suited,
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
        suited: What D is at the data, beside squares.
        wanted: What the prior asks.

    Returns:
        An inverse that is not bound yet.

    Raises:
        Unsupported: For another inverse, with those that are possible.
    """
    window = not y.is_complex() and _has_window(op)
    exact = fidelity.quadratic and _on_diagonal(op, fixed(y.shape, op))
    if isinstance(inverse, str) and inverse == "auto":
        if window and _large(op, wanted.pointwise, wanted.exact):
            inverse = Split()
        elif exact:
            inverse = Exact()
        else:
            inverse = Diagonal() if diagonal_pays(op, y, beta, relaxation) else Scalar()
    if isinstance(inverse, Split) and window:
        return FidelitySplit(inverse, fidelity, suited.curvature * suited.stiffness)
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
def _large(op: LinearOperator, pointwise: bool, exact: bool) -> bool:
    """Whether the psf is so large that the split takes less time."""
    window = op.window()
    assert window is not None
    a = window.convolution
    sides = a.psf.shape[-a.axes :]
    frame, weights = sides.numel(), int((a.psf != 0).flatten(-a.axes).sum(-1).max())
    kept: int = a.stride ** len(sides)
    if pointwise or exact:
        return frame >= kept * (POINTWISE if pointwise else NETWORK)
    if a.psf.ndim == a.axes == 2 and split(a.psf) is not None:
        weights = min(weights, sum(sides))
    return weights >= kept * STEPS


@constant
def _on_diagonal(op: LinearOperator, shape: Shape) -> bool:
    """Whether A A^T is known to be a number or a diagonal."""
    return isinstance(op.cogram(shape), (contracts.Scalar, contracts.Diagonal))
