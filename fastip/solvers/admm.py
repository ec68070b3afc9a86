"""ADMM without an inner loop: two lines, the data step and the prior step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from ..arrays import as_tensor, check_count, check_normal
from ..contracts import BoundInverse, BoundPrior, Fidelity, Inverse, LinearOperator, Prior, Shape, Solution, Status
from ..errors import strict_keywords
from ..stopping import StopRule
from . import fused, implicit
from .arguments import (
    check_data,
    check_fidelity,
    check_relaxation,
    check_tolerance,
    initial,
    unmasked,
)
from .defaults import settled
from .monitor import Callback, Iteration, ended, look
from .whole import real_problem


@strict_keywords
def admm(
    y: Any,
    op: LinearOperator,
    prior: Prior,
    *,
    beta: float | Sequence[float] | None = None,
    inverse: str | Inverse = "auto",
    fidelity: Fidelity | None = None,
    iterations: int = 100,
    tolerance: float = 1e-3,
    relaxation: float = 1.0,
    init: Any = None,
    callback: Callback | None = None,
    gradient: str = "unrolled",
) -> Solution:
    """Minimise ``||y - A x||^2 + R(x)`` without an inner loop: a data step and a prior step.

    An iteration is, with C = (beta I + A A^T)^-1, exact or approximate::

        q' = q + C (y - A x - beta q)
        x' = prox_{R / 2 beta}(x + A^T (2 q' - q))

    Every fixed point is an exact minimiser whatever C is; a certified C converges for every convex R.
    Differentiable in y, the prior's weights and its network's parameters, through all iterations or at the fixed point.

    Args:
        y: The data, of the shape that ``op`` maps to; float32 or float64 (complex for masked Fourier; on GPUs
            float16 and bfloat16 too), a torch tensor on any device, or a NumPy or CuPy array. What a masked array of
            NumPy masks does not count.
        op: The operator A, an object of ``fastip.operators``.
        prior: An object of ``fastip.priors``; its weight is part of R.
        beta: The penalty, a number > 0, or a sequence with one number per iteration (its last value is repeated).
            None: what suits the prior and A (its ``suggested_beta``; for images in [0, 1] that of a weight, for
            denoisers noise^2 / sigma^2), else ``0.02 ||A||^2`` (docs/mathematics.md has the measurements); not below
            ``0.04 ||A||^2`` where the inverse is Scalar, Diagonal, Nystrom or Polynomial and A no blur alone.
        inverse: "auto" or an object of ``fastip.inverses``.
        fidelity: An object of ``fastip.fidelities``, D: ``D(A x) + R(x)`` is minimised. It needs ``inverses.Split``,
            for weighted pixels of a circular convolution, or for any A Scalar or Diagonal (docs/mathematics.md);
            "auto" chooses among these. beta is then beside the curvature of D, and so is its default. None:
            ``||y - A x||^2``.
        iterations: At most, a whole number >= 1.
        tolerance: Stop when x is known to be close to a minimiser, for every image (``fastip.stopping`` has the
            test): with a convex prior the relative gap of the objective is then below ten times the tolerance, in
            practice below the tolerance. Checked every five iterations and at the last. 0 runs exactly
            ``iterations`` and looks only at the end, for NaN and Inf. A batch runs until its last image has converged,
            and each image of it then has as many iterations. torch.compile traces such a solve, with fullgraph=True
            too: one graph for each operator and size of the image, and for any number of images.
        relaxation: 0 < a < 2, over-relaxation when > 1, which needs an exact prox: TV is refused.
        init: An image x0 (then q0 = 0; default x0 = A^T C y), or a Solution to resume with the same inverse and
            prior: without relaxation the result is that of one uninterrupted solve.
        callback: Called after each iteration with a State; returning False stops. It selects the unfused loop.
        gradient: "unrolled": that of the iterations that were run, in memory that grows with them. "implicit": that of
            the fixed point, in the memory of one: the solve runs as where no gradient is asked for, and the backward
            pass sums the derivatives of one more iteration until 1e-5 of the sum is left (float32: 3e-4). It is as near
            the gradient of the minimiser as the solve is to it, so it wants a small tolerance, and needs a solve that
            converges. The start and the dual have no gradient then.

    Returns:
        A Solution; ``solution.x`` is of the kind of ``y``, and complex where the images of ``op`` are.

    Raises:
        InvalidInput: A ValueError, for bad values: data that ``op`` cannot have produced or that hold NaN or Inf,
            numbers out of range, a beta that contradicts the prior or that it cannot imply, an ``init`` of
            another shape.
        Unsupported: Where an inverse does not fit the operator or the fidelity, for priors that take real images alone
            where they are complex, and for a tolerance inside
            torch.compile or while a CUDA graph is captured. With gradient="implicit" for a callback, for tolerance=0,
            for a solve that did not converge, and, in the backward pass, for a sum that does not.

    References:
        Fan, Wei, Carin and Heller, An inner-loop free solution to inverse problems using deep neural networks, NIPS
        2017, in residual two-line form. Bai, Kolter and Koltun, Deep equilibrium models, NeurIPS 2019, for the gradient
        of a fixed point.
    """
    y, fidelity = unmasked(y, check_fidelity(fidelity))
    y, restore = as_tensor(y, "y")
    shape = check_data(y, op, fidelity)
    y = y if fidelity is None else fidelity.known(y)
    iterations = check_count(iterations, "iterations", low=1)
    tolerance = check_tolerance(tolerance, y)
    gradient = implicit.check_gradient(gradient, tolerance, callback)
    relaxation = check_normal(check_relaxation(relaxation), "relaxation", y.dtype, "1 is none, which suits every prior")
    given = {"init": init, "fidelity": fidelity, "callback": callback}
    y, op, prior, init, shape, callback, whole = real_problem(y, op, prior, shape, **given)
    betas, unbound, prox = settled(beta, inverse, fidelity, op, prior, y, shape, relaxation)

    def bind(value: float) -> BoundInverse:
        return unbound.bind(op, y, value, relaxation)

    step = bind(betas[0])
    rule = StopRule(tolerance, iterations)
    run = partial(_run, step, bind, betas, prox, y, (init, shape), rule, relaxation, callback)
    found = run() if gradient == implicit.UNROLLED else implicit.solved(run, step, bind, prox, relaxation)
    return replace(found, x=restore(whole(found.x)))


def _run(
    step: BoundInverse,
    bind: Callable[[float], BoundInverse],
    betas: list[float],
    prox: BoundPrior,
    y: Tensor,
    start: tuple[Any, Shape],
    rule: StopRule,
    relaxation: float,
    callback: Callback | None,
) -> Solution:
    """The iterations; the image of the Solution is a tensor."""
    init, shape = start
    x, q = initial(init, step, shape, y)
    if isinstance(init, Solution) and init.prior_state is not None:
        prox.resume(init.prior_state)
    tolerance = rule.tolerance
    if callback is None and len(betas) == 1 and fused.why_unfused(step, prox, x, q, y, tolerance) is None:
        x, q, done, status, residuals = fused.admm(step, prox, x, q, y, rule, relaxation)
        return Solution(x, q, ended(status, x, q), done, residuals, betas[0])

    for k in range(rule.iterations):
        if betas[min(k, len(betas) - 1)] != step.beta:
            old, step = step.beta, bind(betas[k])
            q = step.rescaled(q, old)
        q_new, r = step(x, q)
        pulled = step.ahead(q, q_new)
        x_new = prox(x + pulled, 1 / (2 * step.beta))
        told = Iteration(step, prox, (x, x_new), (q, q_new), r, pulled)
        verdict = look(rule, callback, k + 1, x_new, partial(told.ratios, tolerance))
        if relaxation == 1.0:
            x, q = x_new, q_new
        else:
            x, q = x + relaxation * (x_new - x), q + relaxation * (q_new - q)
        if verdict is not None:
            break
    residuals, kept = rule.residuals(len(y)), prox.state() or None
    status = ended(verdict or Status.ITERATIONS, x_new, q)
    return Solution(x_new, q, status, k + 1, residuals, step.beta, kept)
