"""The Wiener filter: the regularised least-squares image, with no prior but its energy."""

from __future__ import annotations

from typing import Any

import torch

from ..arrays import as_tensor, check_count, check_normal, check_number
from ..contracts import Inverse, LinearOperator, Solution, Status
from ..errors import strict_keywords
from ..inverses import auto
from ..stopping import StopRule, relative_change
from .arguments import check_data, check_inverse, check_inverts, check_tolerance
from .monitor import ended


@strict_keywords
def wiener(
    y: Any,
    op: LinearOperator,
    constant: float,
    *,
    inverse: str | Inverse = "auto",
    iterations: int = 1000,
    tolerance: float = 1e-5,
) -> Solution:
    """The minimiser of ``||y - A x||^2 + constant ||x||^2``.

    It is::

        x = A^T (A A^T + constant I)^-1 y

    by q' = q + C (y - A A^T q - constant q), x = A^T q, from q = 0: one step when C is the exact inverse, and one
    to see that it was; a few when C only comes near it, the answer being the same. Differentiable in y.

    Args:
        y: The data, of the shape that ``op`` maps to; float32 or float64 (complex for masked Fourier; on GPUs
            float16 and bfloat16 too), a torch tensor on any device, or a NumPy or CuPy array.
        op: The operator A, an object of ``fastip.operators``.
        constant: A number > 0, the noise-to-signal power ratio.
        inverse: "auto" or an object of ``fastip.inverses``.
        iterations: At most, a whole number >= 1.
        tolerance: Stop when ``||y - A x - constant q|| <= tolerance ||y||`` and the relative change of x is <=
            tolerance, for every image, checked at each step; 0 runs exactly ``iterations`` without checks.

    Returns:
        A Solution; ``solution.x`` is of the kind of ``y``, and admm can resume from it.

    Raises:
        InvalidInput: A ValueError, for bad values.
        Unsupported: Where an inverse does not fit the operator, and for a tolerance inside torch.compile or while a
            CUDA graph is captured.

    References:
        Wiener, Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949.
    """
    y, restore = as_tensor(y, "y")
    check_data(y, op)
    constant = check_normal(check_number(constant, "constant", low=0.0, strict=True), "constant", y.dtype)
    rule = StopRule(check_tolerance(tolerance, y), check_count(iterations, "iterations", low=1))
    chosen: Any = (
        auto.choose(op, y, constant, pointwise=False, iterated=False) if inverse == "auto" else check_inverse(inverse)
    )
    step = check_inverts(chosen.bind(op, y, constant), "wiener")
    q = step.start()
    x = step.pull(q)
    done, verdict = 0, None
    while verdict is None and done < rule.iterations:
        q, r = step(x, q)
        x_new = step.pull(q)
        if rule.tolerance > 0:
            data = step.norm(r)
            verdict = rule.judge(torch.stack([data, data.maximum(relative_change(x, x_new))]))
        x, done = x_new, done + 1
    status = ended(verdict or Status.ITERATIONS, x, q)
    return Solution(restore(x), q, status, done, rule.residuals(len(y)), constant)
