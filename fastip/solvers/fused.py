"""Whole ADMM solves at once: a pointwise prior, and a data step that is a stencil or pointwise in Fourier space."""

from __future__ import annotations

from torch import Tensor

from .. import kernels
from ..contracts import BoundInverse, BoundPrior, SpectralStep, Status, StencilStep
from ..kernels import choose
from ..kernels.whole_solve import why_unsolved
from ..stopping import StopRule
from ..tracing import check_uncaptured
from . import spectral


def why_unfused(
    step: BoundInverse, prior: BoundPrior, x: Tensor, q: Tensor, y: Tensor, tolerance: float = 0.0
) -> str | None:
    """None where :func:`admm` can run this solve, else the reason in words."""
    reason = prior.why_unfused() or step.why_unfused()
    if reason is not None:
        return reason
    description = step.fused()
    assert description is not None
    if isinstance(description, SpectralStep):
        return kernels.why_reference((x, description.guess), (q, y))
    return choose.why_no_solve((x, q, y), tolerance) or why_unsolved(description, q)


def admm(
    step: BoundInverse, prior: BoundPrior, x: Tensor, q: Tensor, y: Tensor, rule: StopRule, relaxation: float
) -> tuple[Tensor, Tensor, int, Status, Tensor]:
    """What the visible loop gives, to rounding.

    Args:
        step: The data step; it has a fused description.
        prior: The prior; it is pointwise.
        x: b c H W, the start; its memory is used for the result.
        q: The dual to start from, kept.
        y: The data.
        rule: The stop rule.
        relaxation: 0 < a < 2.

    Returns:
        (x, q, iterations done, status, residuals checks x 2 x b).

    Raises:
        Unsupported: For a tolerance while a CUDA graph is captured.
    """
    if rule.tolerance > 0:
        given = f"a solve with tolerance={rule.tolerance:g}"
        check_uncaptured(y.device, given, "when it stops depends on the data", "pass tolerance=0")
    description, prox = step.fused(), prior.pointwise()
    assert description is not None and prox is not None
    rule.scales = step.scales() if rule.tolerance > 0 else None
    if isinstance(description, StencilStep):
        return kernels.solve(description, prox, x, q, y, rule, relaxation)
    result = spectral.admm(description, prox, x, q, rule, relaxation)
    return *result, rule.residuals(x.shape[0])
