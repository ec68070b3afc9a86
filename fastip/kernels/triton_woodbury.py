"""The data step in Triton: r = y - A x - beta q and q + C r, each one pass with its sums inside the convolution."""

from __future__ import annotations

from torch import Tensor

from .shapes import check_dtypes, measured, wrap
from .triton_strided_conv import convolve


def woodbury(x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """As :func:`fastip.kernels.reference.woodbury`."""
    measured(x, q, y, psf, stride, boundary, taps)
    check_dtypes((("x", x), ("q", q), ("y", y)))
    r = convolve(x, psf, stride, boundary, -1.0, y, 1.0, q, -float(beta))
    return convolve(r, taps, 1, wrap(boundary), 1.0, q, 1.0), r
