"""Proximal gradient descent, with a gradient or a back-projection step, and with Nesterov's momentum."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from ..arrays import accumulator, as_tensor, check_count, check_number
from ..contracts import Fidelity, Inverse, LinearOperator, Prior, Solution, Status
from ..errors import InvalidInput, StrictKeywords, Unsupported, strict_keywords
from ..inverses import auto
from ..stopping import StopRule, per_image, relative_change
from ..tracing import norm, real_dtype
from .arguments import (
    check_data,
    check_fidelity,
    check_inverse,
    check_inverts,
    check_prior,
    check_seen,
    check_tolerance,
    start,
    unmasked,
)
from .monitor import Callback, ended, look
from .whole import real_problem


class BoundDescent(Protocol):
    """A descent step bound to an operator and the data."""

    size: float
    """The step of the prox that follows."""
    limit: float
    """``size`` must be smaller for plain descent to converge, and at most half of it under momentum."""

    def __call__(self, x: Tensor) -> Tensor:
        """x moved down the data term."""
        ...

    def guess(self) -> Tensor:
        """The step from zero: the default x0."""
        ...


class Descent(Protocol):
    """How x moves down the data term."""

    def bind(self, op: LinearOperator, y: Tensor) -> BoundDescent: ...


class GradientStep(StrictKeywords):
    """``x - size * 2 A^T (A x - y)``, a step down the gradient of ``||y - A x||^2``.

    Args:
        size: Less than ``1 / ||A||^2``; None is ``1 / (2 ||A||^2)``.

    Raises:
        InvalidInput: For a size that is not > 0, for one that is too large when a solve begins, and at ``bind`` for
            an operator that is zero.
    """

    def __init__(self, size: float | None = None) -> None:
        self.size = None if size is None else check_number(size, "size", low=0.0, strict=True)

    def bind(self, op: LinearOperator, y: Tensor) -> BoundDescent:
        largest = check_seen(norm(op, op.input_shape(tuple(y.shape))), op)
        return _BoundGradient(op, y, 1 / (2 * largest**2) if self.size is None else self.size, 1 / largest**2)

    def of(self, op: LinearOperator, y: Tensor, fidelity: Fidelity) -> BoundDescent:
        """The same down the gradient of ``D(A x)``: less than ``1 / (c ||A||^2)``, c the largest D'' / 2."""
        largest = check_seen(norm(op, op.input_shape(tuple(y.shape))), op)
        steepest = fidelity.steepest(y)
        if not 0 < steepest < float("inf"):
            raise Unsupported(
                f"pgd needs a gradient that changes by bounded steps, and that of {fidelity.describe()} does not: use "
                "fastip.admm, or fidelities.Huber(width), or Poisson with a background > 0 wherever there are counts"
            )
        limit = 1 / (steepest * largest**2)
        return _BoundTerm(op, y, limit / 2 if self.size is None else self.size, limit, fidelity)


class _BoundTerm:
    def __init__(self, op: LinearOperator, y: Tensor, size: float, limit: float, fidelity: Fidelity) -> None:
        self.op, self.size, self.limit = op, size, limit
        self.term, self.dtype = fidelity.bind(y, accumulator(real_dtype(y.dtype))), y.dtype

    def __call__(self, x: Tensor) -> Tensor:
        return torch.add(x, self._pulled(self.op(x).to(self.term.y.dtype)), alpha=2 * self.size)

    def guess(self) -> Tensor:
        return 2 * self.size * self._pulled(torch.zeros_like(self.term.y))

    def _pulled(self, v: Tensor) -> Tensor:
        return self.op.adjoint(self.term.slope(v).to(self.dtype))


class _BoundGradient:
    def __init__(self, op: LinearOperator, y: Tensor, size: float, limit: float) -> None:
        self.op, self.y, self.size, self.limit = op, y, size, limit

    def __call__(self, x: Tensor) -> Tensor:
        return torch.add(x, self.op.adjoint(self.y - self.op(x)), alpha=2 * self.size)

    def guess(self) -> Tensor:
        return 2 * self.size * self.op.adjoint(self.y)


class BackProjection(StrictKeywords):
    """``x + A^T C (y - A x)`` with ``C = (epsilon ||A||^2 I + A A^T)^-1``: a step that puts the data back.

    It is a gradient step for the data term <y - A x, C (y - A x)>, prox step 1/2. As epsilon goes to 0 this is
    ``x + A^+ (y - A x)``: it puts the data back exactly. The data term is weighted by C, so the minimiser differs
    from that of ``||y - A x||^2 + R``, and depends on C.

    Args:
        inverse: "auto" or an object of ``fastip.inverses``.
        epsilon: > 0, relative to ``||A||^2``. Larger leaves more of y - A x, smaller amplifies noise where A
            sees little.

    Raises:
        InvalidInput: For another inverse, an epsilon that is not > 0, and at ``bind`` for an operator that is zero.
        Unsupported: At ``bind``, where the inverse does not fit the operator.

    References:
        Tirer and Giryes, Image restoration by iterative denoising and backward projections, 2019.
    """

    def __init__(self, inverse: str | Inverse = "auto", *, epsilon: float = 1e-3) -> None:
        self.inverse = inverse if inverse == "auto" else check_inverse(inverse)
        self.epsilon = check_number(epsilon, "epsilon", low=0.0, strict=True)

    def bind(self, op: LinearOperator, y: Tensor) -> BoundDescent:
        beta = self.epsilon * check_seen(norm(op, op.input_shape(tuple(y.shape))), op) ** 2
        inverse: Any = (
            auto.choose(op, y, beta, pointwise=False, relaxation=SAFE, iterated=False)
            if self.inverse == "auto"
            else self.inverse
        )
        return _BoundBackProjection(check_inverts(inverse.bind(op, y, beta, SAFE), type(self).__name__))


SAFE = 2.0  # the certificate of this relaxation is lambda_max(C (epsilon I + A A^T)) < 1: the step never overshoots


class _BoundBackProjection:
    size, limit = 0.5, 1.0

    def __init__(self, step: Any) -> None:
        self.step, self.zero = step, step.start()

    def __call__(self, x: Tensor) -> Tensor:
        return x + self.step.pull(self.step(x, self.zero)[0])

    def guess(self) -> Tensor:
        return self.step.guess()


class BoundMomentum(Protocol):
    """Momentum in one solve."""

    def __call__(self, x: Tensor, x_new: Tensor, point: Tensor) -> Tensor:
        """The point of the next step, from the last two images and the point that the last step was taken from."""
        ...


class Momentum(Protocol):
    """Where the next step is taken from."""

    def start(self, x: Tensor) -> BoundMomentum: ...


class Nesterov(StrictKeywords):
    """FISTA: the momentum of Beck and Teboulle, begun anew where the last move went uphill.

    The next step starts from x' + (t - 1) / t' (x' - x) with t' = (1 + sqrt(1 + 4 t^2)) / 2, and t back to 1 where
    <point - x', x' - x> > 0, for each image alone.

    References:
        Beck and Teboulle, A fast iterative shrinkage-thresholding algorithm, 2009.
        The restart: O'Donoghue and Candes, 2015.
    """

    def start(self, x: Tensor) -> BoundMomentum:
        return _BoundNesterov(x.new_ones(len(x), *[1] * (x.ndim - 1)))


class _BoundNesterov:
    def __init__(self, t: Tensor) -> None:
        self.t = t

    def __call__(self, x: Tensor, x_new: Tensor, point: Tensor) -> Tensor:
        move = x_new - x
        uphill = ((point - x_new).detach() * move.detach()).flatten(1).sum(dim=1).reshape(self.t.shape) > 0
        t = torch.where(uphill, torch.ones_like(self.t), self.t)
        self.t = (1 + (1 + 4 * t.square()).sqrt()) / 2
        return x_new + (t - 1) / self.t * move


@strict_keywords
def pgd(
    y: Any,
    op: LinearOperator,
    prior: Prior,
    *,
    step: float | Descent | None = None,
    momentum: Momentum | None = None,
    fidelity: Fidelity | None = None,
    iterations: int = 100,
    tolerance: float = 1e-4,
    init: Any = None,
    callback: Callback | None = None,
) -> Solution:
    """Minimise ``||y - A x||^2 + R(x)`` by proximal gradient descent.

    An iteration is::

        x' = prox_{step R}(x - step * 2 A^T (A x - y))

    Differentiable in y, the prior's weights and its network's parameters.

    Args:
        y: The data, of the shape that ``op`` maps to; float32 or float64 (complex for masked Fourier; on GPUs
            float16 and bfloat16 too), a torch tensor on any device, or a NumPy or CuPy array.
        op: The operator A, an object of ``fastip.operators``.
        prior: An object of ``fastip.priors``; its weight is part of R.
        step: None (``1 / (2 ||A||^2)``), a number below ``1 / ||A||^2``, GradientStep(size), or
            BackProjection(inverse), which weighs the data term.
        momentum: None, or Nesterov() for FISTA (steps up to ``1 / (2 ||A||^2)``).
        fidelity: D of ``fastip.fidelities``, which is minimised in the place of ``||y - A x||^2``: Squares, Clipped,
            Huber, and Poisson with a background, whose step is as short as ``b^2 / max y`` and which goes on below
            A x = 0 along its tangent. Steps are then below ``1 / (c ||A||^2)``, c the largest D'' / 2.
        iterations: At most, a whole number >= 1.
        tolerance: Stop when ``||point - x'|| <= tolerance ||step from zero||`` (the generalised gradient, relative
            to the gradient at zero) and the relative change of x is <= tolerance, for every image; checked every
            five iterations and at the last. 0 runs exactly ``iterations`` without checks.
        init: An image x0 or a Solution (default: the step from zero).
        callback: Called after each iteration with a State; returning False stops.

    Returns:
        A Solution without a dual; ``solution.x`` is of the kind of ``y``, and complex where the images of ``op`` are.

    Raises:
        InvalidInput: A ValueError, for bad values.
        Unsupported: For a tolerance inside torch.compile or while a CUDA graph is captured, where the inverse of a
            BackProjection does not fit the operator, for one with a fidelity, and for a fidelity without a bounded
            curvature.

    References:
        Parikh and Boyd, Proximal Algorithms, 2014, section 4.2.
    """
    y, fidelity = unmasked(y, check_fidelity(fidelity))
    y, restore = as_tensor(y, "y")
    shape = check_data(y, op, fidelity)
    y = y if fidelity is None else fidelity.known(y)
    rule = StopRule(check_tolerance(tolerance, y), check_count(iterations, "iterations", low=1))
    given = {"init": init, "fidelity": fidelity, "callback": callback}
    y, op, prior, init, shape, callback, whole = real_problem(y, op, prior, shape, **given)
    descend = _descent(step).bind(op, y) if fidelity is None else _of_term(_descent(step), op, y, fidelity)
    _check_size(descend, momentum)
    check_prior(prior).check_beta(1 / (2 * descend.size))
    prox = prior.bind(y, op)
    guess = descend.guess()
    x = start(init, guess, shape)
    scale = per_image(guess)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    point, extrapolate = x, None if momentum is None else momentum.start(x)

    for k in range(rule.iterations):
        x_new = prox(descend(point), descend.size)
        verdict = look(rule, callback, k + 1, x_new, partial(_ratios, x, x_new, point, scale))
        point = x_new if extrapolate is None else extrapolate(x, x_new, point)
        x = x_new
        if verdict is not None:
            break
    status = ended(verdict or Status.ITERATIONS, x, point)
    return Solution(restore(whole(x)), None, status, k + 1, rule.residuals(len(y)))


def _ratios(x: Tensor, x_new: Tensor, point: Tensor, scale: Tensor) -> Tensor:
    """The move of a step beside the first guess; the larger of it and the relative change of x."""
    moved = per_image(point - x_new) / scale
    return torch.stack([moved, moved.maximum(relative_change(x, x_new))])


def _descent(step: Any) -> Descent:
    if step is None:
        return GradientStep()
    if callable(getattr(step, "bind", None)) and not isinstance(step, type):
        return step
    return GradientStep(check_number(step, "step", low=0.0, strict=True))


def _of_term(step: Descent, op: LinearOperator, y: Tensor, fidelity: Fidelity) -> BoundDescent:
    if not isinstance(step, GradientStep):
        raise Unsupported(
            f"{type(step).__name__} is a step for ||y - A x||^2, not for {fidelity.describe()}; expected a number, "
            "None or GradientStep(size)"
        )
    return step.of(op, y, fidelity)


def _check_size(descend: BoundDescent, momentum: Any) -> None:
    """Refuse steps that overshoot."""
    if momentum is not None and (not callable(getattr(momentum, "start", None)) or isinstance(momentum, type)):
        raise InvalidInput(f"momentum is {momentum!r}; expected None or an object such as Nesterov()")
    largest = descend.limit if momentum is None else descend.limit / 2
    # Without momentum the limit itself diverges; with it half of the limit is fine, and may be rounded up.
    if descend.size >= largest * (1 if momentum is None else 1 + 1e-6):
        why = "1 / ||A||^2" if momentum is None else "1 / (2 ||A||^2) under momentum"
        raise InvalidInput(
            f"step is {descend.size:g}, which diverges; expected less than {why} = {largest:g}, "
            "or None for the safe default"
        )
