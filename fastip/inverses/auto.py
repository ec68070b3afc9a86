"""inverse="auto": the fastest inverse that is certified for this operator, data and prior."""

from __future__ import annotations

from torch import Tensor

from ..contracts import Convolution, Diagonal, Inverse, LinearOperator, Scalar
from ..errors import FastipError
from .certificate import Certificate
from .conjugate_gradient import ConjugateGradient
from .exact import LARGEST_FACTOR, Exact
from .stencil import Stencil, fitted

SLOWEST = 0.1  # rho up to which a stencil takes as many iterations as the exact inverse
WIDEST = 256  # psf taps per pixel up to which direct convolution beats the FFT


def choose(op: LinearOperator, y: Tensor, beta: float, *, pointwise: bool, relaxation: float = 1.0) -> Inverse:
    """A scalar or diagonal; else, for a pointwise prior and stride > 1, the smallest certified stencil (half-width <= 4, rho <= 0.1), which runs
    fused; else FFT or DCT; else the certified stencil of least work; else Cholesky (up to 4096 rows); else conjugate gradients."""
    convolution = op.convolution()
    if isinstance(op.cogram(tuple(y.shape)), (Scalar, Diagonal)):
        return Exact()
    if pointwise and convolution is not None and convolution.stride > 1 and int((convolution.psf != 0).sum()) <= WIDEST * convolution.stride**2:
        for half_width in (1, 2, 3, 4):
            certificate = _certificate(convolution, y, beta, relaxation, half_width)
            if certificate is not None and certificate.rho <= SLOWEST:
                return Stencil(half_width)
    if Exact().structure(op, y) is not None:
        return Exact()
    if convolution is not None:
        best = _least_work(convolution, y, beta, relaxation, pointwise)
        if best is not None:
            return Stencil(best)
    rows = y[0, 0].numel() if convolution is not None else y[0].numel()
    return Exact() if rows <= LARGEST_FACTOR and not y.is_complex() else ConjugateGradient()


def _certificate(convolution: Convolution, y: Tensor, beta: float, relaxation: float, half_width: int) -> Certificate | None:
    """That of the certified stencil on this grid; None when it is refused."""
    try:
        return fitted(convolution, (y.shape[-2], y.shape[-1]), beta, relaxation, half_width)[1].scaled()
    except FastipError:
        return None


def _least_work(convolution: Convolution, y: Tensor, beta: float, relaxation: float, pointwise: bool) -> int | None:
    """The half-width that minimises work per iteration times iterations, None where none is certified.

    Iterations grow like 1 / lambda_min(C B^-1). Work: the products of A, A^T and C on a data point where those are all there is (a pointwise prior);
    with any other prior an iteration costs much the same whatever C is.
    """
    taps = int((convolution.psf != 0).sum())
    work = {}
    for half_width in (1, 2, 3, 4) if convolution.stride > 1 else (1, 2, 3, 6):
        certificate = _certificate(convolution, y, beta, relaxation, half_width)
        if certificate is not None and 0 < certificate.low and certificate.rho < 1:
            work[half_width] = (2 * taps + (2 * half_width + 1) ** 2 if pointwise else 1) / certificate.low
    return min(work, key=work.__getitem__) if work else None
