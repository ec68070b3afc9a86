"""A A^T of weighted pixels of a circular convolution, and a circulant that is nearly its inverse."""

from __future__ import annotations

import torch
from torch import Tensor

from ..arrays import accumulator
from ..contracts import LinearOperator
from ..errors import Unsupported
from ..kernels.split_reference import corner
from .split import planned


class Circulant:
    """``A A^T = M K M^T`` and, nearly, ``(b I + A A^T)^-1``, each in two real transforms of the grid of the data.

    M are the weights of the data, which lie in the corner of a grid that is a little larger, and K is a circular
    convolution of that grid. The circulant is ``(b I + m K)^-1`` with m the mean of the squared weights, cut to the
    data: it is symmetric positive definite, and differs from the inverse where the grid wraps and the weights vary.

    Args:
        op: A, which states ``op.window()``.
        y: The data, real.
        beta: b.

    Raises:
        Unsupported: For an operator that is not of this kind, and for complex data.
    """

    def __init__(self, op: LinearOperator, y: Tensor, beta: float) -> None:
        if y.is_complex():
            raise Unsupported(
                f"preconditioner='circulant' takes real data, these are {y.dtype}; use ConjugateGradient()"
            )
        dtype = accumulator(y.dtype)
        _, stride, (spectrum, _, weights, seen, _) = planned(op, y.to(dtype), None)
        grid, self.dims = seen.shape[2:], tuple(range(2 - seen.ndim, 0))
        self.grid = tuple(n // stride for n in grid)
        power = spectrum.real.square() + spectrum.imag.square()
        if stride > 1:  # what is left of the autocorrelation
            taps = torch.fft.irfftn(power, s=grid, dim=self.dims)[corner(self.grid, stride)]
            power = torch.fft.rfftn(taps, dim=self.dims).real.clamp_min(0.0)
        self.power, self.weights = power, weights
        self.nearly = 1 / (beta + weights.square().mean() * power)

    def _filtered(self, response: Tensor, v: Tensor) -> Tensor:
        spectrum = response * torch.fft.rfftn(v, s=self.grid, dim=self.dims)
        return torch.fft.irfftn(spectrum, s=self.grid, dim=self.dims)[corner(v.shape[2:])]

    def gram(self, v: Tensor) -> Tensor:
        """``A A^T v``."""
        return self.weights * self._filtered(self.power, self.weights * v)

    def inverse(self, v: Tensor) -> Tensor:
        """Nearly ``(b I + A A^T)^-1 v``."""
        return self._filtered(self.nearly, v)
