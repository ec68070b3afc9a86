"""inverse="auto": the fastest inverse that is certified for this operator, data and prior."""

from __future__ import annotations

from torch import Tensor

from ..contracts import Diagonal, Inverse, LinearOperator, Scalar
from ..errors import FastipError
from .conjugate_gradient import ConjugateGradient
from .exact import LARGEST_FACTOR, Exact
from .stencil import Stencil, fitted

SLOWEST = 0.1  # rho up to which a stencil takes as many iterations as the exact inverse
WIDEST = 256  # psf taps per pixel up to which direct convolution beats the FFT


def choose(op: LinearOperator, y: Tensor, beta: float, *, pointwise: bool, relaxation: float = 1.0) -> Inverse:
    """A scalar or diagonal; else, for a pointwise prior and stride > 1, the smallest certified stencil (half-width <= 4, rho <= 0.1), which runs
    fused; else FFT or DCT; else a certified stencil; else Cholesky (up to 4096 rows); else conjugate gradients."""
    convolution = op.convolution()
    if isinstance(op.cogram(tuple(y.shape)), (Scalar, Diagonal)):
        return Exact()
    if pointwise and convolution is not None and convolution.stride > 1 and int((convolution.psf != 0).sum()) <= WIDEST * convolution.stride**2:
        for half_width in (1, 2, 3, 4):
            if _rho(op, y, beta, relaxation, half_width) <= SLOWEST:
                return Stencil(half_width)
    if Exact().structure(op, y) is not None:
        return Exact()
    if convolution is not None:
        half_width = 4 if convolution.stride > 1 else 6
        if _rho(op, y, beta, relaxation, half_width) < 1:
            return Stencil(half_width)
    rows = y[0, 0].numel() if convolution is not None else y[0].numel()
    return Exact() if rows <= LARGEST_FACTOR and not y.is_complex() else ConjugateGradient()


def _rho(op: LinearOperator, y: Tensor, beta: float, relaxation: float, half_width: int) -> float:
    """rho of the certified stencil on this grid; infinite when it is refused."""
    convolution = op.convolution()
    assert convolution is not None
    try:
        return fitted(convolution, (y.shape[-2], y.shape[-1]), beta, relaxation, half_width)[1].scaled().rho
    except FastipError:
        return float("inf")
