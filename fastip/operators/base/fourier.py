"""The strided convolution through the FFT, for psfs so large that direct taps would be slow.

Same formula as the kernel ``strided_conv``.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor

from ...contracts import Shape
from ...kernels import reference
from ...placement import borrowed
from ...tracing import constant
from .convolutions import fold


class FourierConvolution:
    """A x and A^T y by rfftn on the image grid (circular) or on the extended image.

    The psf is kh kw, or 1 or b, 1 or c, kh kw; of volumes with kd in front. The spectrum is kept for the last grid
    seen. Computes in float32 or float64; half precision goes through float32.
    """

    def __init__(self, psf: Tensor, stride: int, boundary: str, axes: int = 2) -> None:
        self.psf, self.stride, self.boundary, self.axes = psf, stride, boundary, axes
        self.plan: tuple[tuple[object, ...], Tensor] | None = None
        self._size = tuple(psf.shape[-axes:])
        self._dims = tuple(range(-axes, 0))
        self._kept: Any = (..., *(slice(None, None, stride),) * axes)

    def _grid(self, size: Shape) -> Shape:
        """The FFT grid: the image itself where it wraps, else one with small prime factors.

        Long enough that no wrapped value reaches a kept pixel.
        """
        if self.boundary == "circular":
            return size
        wide = (n + sum(reference.margins(k, self.boundary)) for n, k in zip(size, self._size, strict=True))
        return tuple(fast_length(n) for n in wide)

    def _spectrum(self, grid: Shape, data: Tensor) -> Tensor:
        return borrowed(*_spectrum(self, tuple(operator.index(n) for n in grid), data.dtype, data.device))

    def _first(self) -> Shape:
        """Where the output for pixel 0 lies in the full convolution."""
        return tuple(k // 2 if self.boundary == "circular" else k - 1 for k in self._size)

    def forward(self, x: Tensor) -> Tensor:
        """A x; x: b c H W, y: b c h w."""
        data = x if x.dtype in (torch.float32, torch.float64) else x.float()
        size = tuple(x.shape[2:])
        grid, dims = self._grid(size), self._dims
        for axis in range(self.axes):
            data = self._extend(data, axis)
        seen = torch.fft.rfftn(data, s=grid, dim=dims) * self._spectrum(grid, data)
        full = torch.fft.irfftn(seen, s=grid, dim=dims)
        for dim, first, n, k in zip(dims, self._first(), size, self._size, strict=True):
            if self.boundary == "circular":
                full = full.roll(-first, dim)
                first = 0
            full = full.narrow(dim, first, n - k + 1 if self.boundary == "valid" else n)
        return full[self._kept].to(x.dtype).contiguous()

    def adjoint(self, y: Tensor, size: Shape) -> Tensor:
        """A^T y for an image grid of ``size``, every step of :meth:`forward` transposed in reverse."""
        data = y if y.dtype in (torch.float32, torch.float64) else y.float()
        grid, dims = self._grid(size), self._dims
        spread = data.new_zeros(*y.shape[:2], *grid)
        first = self._first()
        corner = (0,) * self.axes if self.boundary == "circular" else first
        places: Any = [
            slice(c, c + (n - 1) * self.stride + 1, self.stride) for c, n in zip(corner, y.shape[2:], strict=True)
        ]
        spread[(..., *places)] = data
        if self.boundary == "circular":
            spread = spread.roll(first, dims)
        seen = torch.fft.rfftn(spread, dim=dims) * self._spectrum(grid, data).conj()
        full = torch.fft.irfftn(seen, s=grid, dim=dims)
        for axis in range(self.axes):
            full = self._fold(full, axis, size[axis])
        return full.to(y.dtype).contiguous()

    def _extend(self, x: Tensor, axis: int) -> Tensor:
        before, after = reference.margins(self._size[axis], self.boundary)
        if self.boundary == "zero":
            return torch.nn.functional.pad(x, [0, 0] * (self.axes - 1 - axis) + [before, 0])
        if self.boundary != "reflect":
            return x
        dim = axis + 2
        size = x.shape[dim]  # at least that of the psf, so a margin is mirrored once
        return torch.cat([x.narrow(dim, 0, before).flip(dim), x, x.narrow(dim, size - after, after).flip(dim)], dim=dim)

    def _fold(self, full: Tensor, axis: int, size: int) -> Tensor:
        """The adjoint of :meth:`_extend` and of the zeros that rfftn adds behind it; each sum in a fixed order."""
        before, after = (
            reference.margins(self._size[axis], self.boundary) if self.boundary in ("zero", "reflect") else (0, 0)
        )
        dim = axis + 2
        kept = full.narrow(dim, before, size)
        if self.boundary != "reflect":
            return kept
        kept = kept.clone()
        kept.narrow(dim, 0, before).add_(full.narrow(dim, 0, before).flip(dim))
        kept.narrow(dim, size - after, after).add_(full.narrow(dim, before + size, after).flip(dim))
        return kept


@constant
def _spectrum(convolution: FourierConvolution, grid: Shape, dtype: torch.dtype, device: torch.device) -> tuple[Tensor]:
    key = (grid, dtype, device)
    plan = convolution.plan
    if plan is None or plan[0] != key:
        taps = convolution.psf  # which a centre, or a product of blurs, can make larger than an image that wraps
        taps = fold(taps, (0,) * len(grid), *grid) if convolution.boundary == "circular" else taps
        spectrum = torch.fft.rfftn(taps, s=grid, dim=tuple(range(-len(grid), 0)))
        plan = (key, spectrum.to(dtype=dtype.to_complex(), device=device))
        convolution.plan = plan
    return (plan[1],)


def fast_length(n: int) -> int:
    """The smallest length >= n whose prime factors are 2, 3 and 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1
