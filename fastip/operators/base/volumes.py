"""What is known in closed form of a strided convolution of volumes: A A^T, A^T A, a bound of its norm."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...contracts import Circulant, Diagonal, Scalar, Shape, Structure
from .convolutions import fold
from .fourier import FourierConvolution


def cogram(psf: Tensor, stride: int, boundary: str, size: Shape) -> Structure | None:
    """A A^T on data of these sizes, or None where no structure is known.

    - Psf no wider than the stride: the rows of A are disjoint, so ``||psf||^2 I`` (circular, valid).
    - Circular: Circulant with the mean of the aliases of ``|psf_hat|^2``.

    Args:
        psf: kd kh kw, or 1 or b, 1 or c, kd kh kw.
        stride: That of A.
        boundary: Likewise.
        size: d h w.
    """
    axes = len(size)
    if boundary in ("circular", "valid") and max(psf.shape[-axes:]) <= stride:
        energy = psf.square().sum(dim=tuple(range(-axes, 0)), keepdim=True)
        return Scalar(energy.item()) if psf.ndim == axes else Diagonal(energy)
    if boundary != "circular":
        return None
    dims, wide = tuple(range(-axes, 0)), [n * stride for n in size]
    power = torch.fft.rfftn(fold(psf, (0,) * axes, *wide), dim=dims).abs().square()
    if stride > 1:  # what is left of the autocorrelation
        kept = torch.fft.irfftn(power, s=wide, dim=dims)[(..., *(slice(None, None, stride),) * axes)]
        power = torch.fft.rfftn(kept, dim=dims).real.clamp_min(0.0)
    return Circulant(power, axes)


def gram(psf: Tensor, stride: int, boundary: str, size: Shape) -> Structure | None:
    """A^T A on images of these sizes, which is A A^T without a stride; or None."""
    whole = boundary != "valid" or max(psf.shape[-len(size) :]) == 1
    return cogram(psf, stride, boundary, size) if stride == 1 and whole else None


def norm_bound(psf: Tensor, stride: int, boundary: str, axes: int) -> float:
    """``sqrt(||A||_1 ||A||_inf)``, an upper bound of ``||A||`` on every grid: of one psf that is >= 0 nearly itself."""
    planes = psf.abs().reshape(-1, *psf.shape[-axes:])
    return max(math.sqrt(one.sum().item() * _columns(one, stride, boundary)) for one in planes)


def _columns(magnitude: Tensor, stride: int, boundary: str) -> float:
    """The largest column sum of A without its signs."""
    axes = magnitude.ndim
    if boundary != "reflect":
        starts = torch.cartesian_prod(*[torch.arange(stride)] * axes).reshape(-1, axes).tolist()
        return max(magnitude[tuple(slice(at, None, stride) for at in start)].sum().item() for start in starts)
    # A voxel meets at most one border of each axis, so a grid of three psfs shows every column.
    size = [-(-3 * k // stride) for k in magnitude.shape]
    seen = FourierConvolution(magnitude, stride, boundary, axes)
    ones = torch.ones(1, 1, *size, dtype=torch.float64)
    rounding = 1 + 1e-12  # of the transforms
    return rounding * seen.adjoint(ones, tuple(n * stride for n in size)).max().item()
