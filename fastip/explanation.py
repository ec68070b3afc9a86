"""Which code a solve will run, in words."""

from __future__ import annotations

from typing import Any

from . import kernels
from .arrays import as_tensor
from .contracts import Inverse, LinearOperator, Prior
from .inverses import auto
from .solvers import fused
from .solvers.arguments import check_data, check_inverse, initial, schedule


def explain(
    op: LinearOperator, prior: Prior, y: Any, *, inverse: str | Inverse = "auto", beta: float | None = None
) -> str:
    """Say which code :func:`fastip.admm` will run for a problem: nothing is solved, but the inverse is set up.

    Args:
        op: The operator A.
        prior: An object of ``fastip.priors``.
        y: The data, of the shape that ``op`` maps to, as for a solve: a torch tensor, a NumPy or a CuPy array.
        inverse: "auto" or an object of ``fastip.inverses``.
        beta: The penalty, > 0. None: what the prior implies, else ``0.02 ||A||^2``.

    Returns:
        Three lines: the inverse and beta, the loop (fused or visible, and why), the kernels.

    Raises:
        InvalidInput: For data that ``op`` cannot have given, NaN, Inf, or a bad operator, prior, inverse or beta.
        Unsupported: Where an inverse does not fit the operator.
    """
    y, _ = as_tensor(y, "y")
    shape = check_data(y, op)
    value = schedule(beta, op, prior, shape)[0]
    prox = prior.bind(y, op)
    if inverse == "auto":
        inverse = auto.choose(op, y, value, pointwise=prox.pointwise() is not None)
    step = check_inverse(inverse).bind(op, y, value)
    x, q = initial(None, step, shape, y)
    why = fused.why_unfused(step, prox, x, q, y)
    return "\n".join(
        [
            f"inverse: {step.describe()}, beta = {value:.3g}",
            "loop: fused, whole iterations in one call"
            if why is None
            else f"loop: visible, one call a step, because: {why}",
            f"kernels: {kernels.describe((x,))}",
        ]
    )
