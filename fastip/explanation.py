"""Which code a solve will run, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from . import kernels
from .arrays import as_tensor
from .contracts import Fidelity, Inverse, LinearOperator, Prior
from .errors import strict_keywords
from .inverses import auto
from .priors import L1, TV
from .solvers import fused
from .solvers.arguments import (
    check_data,
    check_fidelity,
    check_relaxation,
    check_tolerance,
    initial,
    unmasked,
)
from .solvers.defaults import settled, wanted
from .solvers.whole import real_problem


@strict_keywords
def explain(
    op: LinearOperator,
    prior: Prior,
    y: Any,
    *,
    inverse: str | Inverse = "auto",
    fidelity: Fidelity | None = None,
    beta: float | Sequence[float] | None = None,
    tolerance: float = 1e-3,
    relaxation: float = 1.0,
) -> str:
    """Say which code :func:`fastip.admm` will run for a problem: nothing is solved, but the inverse is set up.

    Args:
        op: The operator A.
        prior: An object of ``fastip.priors``.
        y: The data, of the shape that ``op`` maps to, as for a solve: a torch tensor, a NumPy or a CuPy array.
        inverse: "auto" or an object of ``fastip.inverses``.
        fidelity: An object of ``fastip.fidelities``, or None.
        beta: The penalty, > 0, or one for each iteration. None: what suits the prior, else ``0.02 ||A||^2``.
        tolerance: As for the solve.
        relaxation: As for the solve.

    Returns:
        Three lines: the inverse and beta, the loop (fused or visible, and why), the kernels. Where "auto" counted, a
        fourth: what it considered, the least work first.

    Raises:
        InvalidInput: For data that ``op`` cannot have given, NaN, Inf, a bad operator, prior, inverse or number.
        Unsupported: Where an inverse does not fit the operator or the fidelity.
    """
    y, fidelity = unmasked(y, check_fidelity(fidelity))
    y, _ = as_tensor(y, "y")
    shape = check_data(y, op, fidelity)
    y = y if fidelity is None else fidelity.known(y)
    tolerance, relaxation = check_tolerance(tolerance, y), check_relaxation(relaxation)
    y, op, prior, _, shape, *_ = real_problem(y, op, prior, shape, fidelity=fidelity)
    betas, unbound, prox = settled(beta, inverse, fidelity, op, prior, y, shape, relaxation)
    step = unbound.bind(op, y, betas[0], relaxation)
    x, q = initial(None, step, shape, y)
    several = len(betas) > 1
    why = "beta changes between iterations" if several else fused.why_unfused(step, prox, x, q, y, tolerance)
    counted = (
        auto.considered(op, y, betas[0], relaxation, wanted(prox, beta)) if inverse == "auto" and not fidelity else []
    )
    return "\n".join(
        [
            f"inverse: {step.describe()}, beta = {betas[0]:.3g}" + (f", the first of {len(betas)}" if several else ""),
            "loop: fused, whole iterations in one call"
            if why is None
            else f"loop: visible, one call a step, because: {why}",
            f"kernels: {kernels.describe((x,))}",
            *_considered(counted),
        ]
    )


def usual(op: LinearOperator, y: Any) -> str:
    """What :func:`explain` says of a first try: total variation, or for images that are no pictures, L1."""
    shape = op.input_shape(tuple(y.shape))
    return explain(op, TV(1e-3) if len(shape) == 4 else L1(1e-3), y)


def _considered(found: Sequence[auto.Candidate]) -> Iterator[str]:
    if found:
        yield "considered: in 1e9 multiply-adds to a gap of 1e-4, " + ", ".join(map(_told, found))


def _told(candidate: auto.Candidate) -> str:
    inverse, total = candidate.inverse, candidate.total / 1e9
    numbers = ", ".join(str(n) for n in (getattr(inverse, "degree", None), getattr(inverse, "rank", None)) if n)
    setup = f", {candidate.setup / 1e9:.2g} of it once" if candidate.setup > 0.1 * candidate.total else ""
    return f"{type(inverse).__name__}({numbers}) {total:.3g} ({candidate.iterations:.0f} iterations{setup})"
