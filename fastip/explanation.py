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
    """Three lines: the inverse, the loop (fused or visible, and why), the kernels. Nothing is solved, but the inverse is set up."""
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
