"""What a solve is left to choose: beta, and the inverse."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ..arrays import check_normal, check_number
from ..contracts import BoundPrior, Fidelity, Inverse, LinearOperator, Prior, Shape, Suited
from ..errors import InvalidInput
from ..inverses import auto
from ..operators.linear import Operator, Scaled
from ..terms import SQUARES
from ..tracing import constant, fixed, norm
from .arguments import check_exact, check_inverse, check_prior, check_seen

# Times ||A||^2, for priors that suggest none: a box alone, a prior of the user's. docs/mathematics.md measures it.
DEFAULT_BETA = 0.02


def settled(
    beta: float | Sequence[float] | None,
    inverse: Any,
    fidelity: Fidelity | None,
    op: LinearOperator,
    prior: Prior,
    y: Tensor,
    shape: Shape,
    relaxation: float,
) -> tuple[list[float], Inverse, BoundPrior]:
    """The betas, the inverse and the bound prior of a solve, with what was left to fastip filled in."""
    suited = suited_to(fidelity, op, y, shape, beta is None, inverse)
    betas = [check_normal(value, "beta", y.dtype) for value in schedule(beta, op, prior, shape, suited)]
    prox = prior.bind(y, op)
    check_exact(relaxation, prox, prior)
    if fidelity is not None:
        given = inverse if inverse == "auto" else check_inverse(inverse)
        asked = wanted(prox, beta)
        serving = auto.serving(fidelity, given, op, y, betas[0] / suited.curvature, relaxation, suited, asked)
        if beta is None and isinstance(serving, auto.FidelityDual):
            betas = _raised(betas, prior, suited.curvature * auto.least_beta(op, norm(op, shape) ** 2), y)
        return betas, serving, prox
    if inverse == "auto":
        inverse = auto.choose(op, y, betas[0], relaxation=relaxation, **wanted(prox, beta)._asdict())
    if beta is None and isinstance(check_inverse(inverse), auto.GENERAL):
        betas = _raised(betas, prior, auto.least_beta(op, norm(op, shape) ** 2), y)
    return betas, check_inverse(inverse), prox


def _raised(betas: list[float], prior: Prior, least: float, y: Tensor) -> list[float]:
    """Not below ``least``, where the prior is the same then."""
    return [check_normal(least, "beta", y.dtype)] if betas[0] < least and agrees(prior, least) else betas


def suited_to(
    fidelity: Fidelity | None, op: LinearOperator, y: Tensor, shape: Shape, free: bool, inverse: Any
) -> Suited:
    """What D is at the data, asked only where a penalty is left to fastip: it can need the values of the data."""
    if fidelity is None or not (free or inverse == "auto" or getattr(inverse, "data_beta", 0.0) is None):
        return SQUARES
    return fidelity.suited(y, norm(op, shape))


def wanted(prox: BoundPrior, beta: Any) -> auto.Wanted:
    """What a solve with this prior and this argument ``beta`` asks of its inverse."""
    few = bool(getattr(prox, "several", False))  # which priors without levels need not have
    return auto.Wanted(prox.pointwise() is not None, prox.exact, few, free=beta is None)


def agrees(prior: Prior, beta: float) -> bool:
    """Whether the prior is the same with another beta; a denoiser of a given level is not."""
    try:
        prior.check_beta(beta)
    except InvalidInput:
        return False
    return True


def schedule(
    beta: float | Sequence[float] | None,
    op: LinearOperator,
    prior: Prior,
    shape: Shape,
    suited: Suited = SQUARES,
) -> list[float]:
    """beta as a list: one number, or one per iteration. None: what suits the prior, else ``0.02 ||A||^2``."""
    check_prior(prior)
    if beta is None:
        if suited != SQUARES and isinstance(op, Operator):
            value = _weighed(prior, op, fixed(shape, op), suited.curvature * suited.size) / suited.size
            if not agrees(prior, value):
                raise InvalidInput(
                    f"beta is not given, and the noise and sigma of the {type(prior).__name__} imply it for squares of "
                    "differences alone; expected beta, and sigma in units of the image without noise: for counts "
                    "beta = 1 / (2 sigma^2)"
                )
            return [value]
        implied = _suggested(prior, op, shape)
        implied = DEFAULT_BETA * norm(op, shape) ** 2 if implied is None else implied
        return [implied or check_seen(norm(op, shape), op)]
    given = beta.tolist() if isinstance(beta, (Tensor, np.ndarray)) else beta
    given = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    betas = [check_number(b, "beta", low=0.0, strict=True) for b in given]
    if not betas:
        raise InvalidInput("beta is an empty sequence; expected a number > 0 or one number per iteration")
    for value in betas:
        prior.check_beta(value)
    return betas if len(set(betas)) > 1 else betas[:1]


def _suggested(prior: Prior, op: LinearOperator, shape: Shape) -> float | None:
    """What the prior suggests; a method of another signature is told from a TypeError inside of it."""
    try:
        return prior.suggested_beta(op, shape)
    except TypeError as error:
        try:
            inspect.signature(prior.suggested_beta).bind(op, shape)
        except TypeError:
            raise InvalidInput(
                f"{type(prior).__name__}.suggested_beta does not take (op, shape); expected "
                "suggested_beta(self, op, shape), a number > 0 or None: define it so, or give beta"
            ) from error
        raise


@constant
def _weighed(prior: Prior, op: Operator, shape: Shape, weight: float) -> float:
    """The beta of squares with this weight, which are those of A times its root."""
    return schedule(None, Scaled(math.sqrt(weight), op), prior, shape)[0]
