"""Whole ADMM solves at once: the loop of ``fastip.solvers.admm`` where the data step is a stencil, or pointwise in Fourier space, and the prior pointwise."""

from __future__ import annotations

from torch import Tensor

from ..contracts import BoundInverse, BoundPrior, SpectralStep, Status, StencilStep
from ..stopping import StopRule
from ..tracing import check_uncaptured
from . import backends, spectral

STENCIL_BOUNDARIES = ("circular", "valid", "zero")


def why_unfused(step: BoundInverse, prior: BoundPrior, x: Tensor, q: Tensor, y: Tensor, tolerance: float = 0.0) -> str | None:
    """None where :func:`admm` can run this solve, else the reason in words."""
    if prior.pointwise() is None:
        return "the prior is not pointwise with fixed weights, as L1, L2, ElasticNet, NonNegative, Box and their sums are"
    description = step.fused()
    if description is None:
        return f"the data step is not a stencil, a scalar or an FFT on the image grid (it is: {step.describe()})"
    if isinstance(description, SpectralStep):
        return backends.why_reference((x, description.guess), (q, y))
    return backends.why_no_solve((x, q, y), tolerance) or _limits(description, q)


def _limits(step: StencilStep, q: Tensor) -> str | None:
    c = step.convolution
    if c.boundary not in STENCIL_BOUNDARIES:
        return f"boundary {c.boundary!r}; the fused kernel runs {', '.join(STENCIL_BOUNDARIES)}"
    h, w = q.shape[-2:]
    reach = max(step.taps.shape[0] // 2, -(-max(c.psf.shape) // c.stride))
    if c.boundary == "circular" and reach > min(h, w):
        return f"the data are {h} x {w} and the stencils reach {reach}"
    return None


def admm(
    step: BoundInverse, prior: BoundPrior, x: Tensor, q: Tensor, y: Tensor, rule: StopRule, relaxation: float
) -> tuple[Tensor, Tensor, int, Status, Tensor]:
    """(x, q, iterations done, status, residuals checks x 2 x b): what the visible loop gives, to rounding.

    x: b c H W, the start; its memory is used for the result. q: the dual to start from, kept.
    Raises Unsupported for a tolerance while a CUDA graph is captured.
    """
    if rule.tolerance > 0:
        check_uncaptured(y.device, f"a solve with tolerance={rule.tolerance:g}", "when it stops depends on the data", "pass tolerance=0")
    description, prox = step.fused(), prior.pointwise()
    assert description is not None and prox is not None
    if isinstance(description, StencilStep):
        return backends.select((x, q, y)).admm(description, prox, x, q, y, rule, relaxation)
    result = spectral.admm(description, prox, x, q, step.size, rule, relaxation)
    return *result, rule.residuals(x.shape[0])
