"""The strided convolution through the FFT, for psfs so large that direct taps would be slow.

Same formula as the kernel ``strided_conv``.
"""

from __future__ import annotations

import operator

import torch
from torch import Tensor

from ...kernels import reference
from ...placement import borrowed
from ...tracing import constant
from .convolutions import fold


class FourierConvolution:
    """A x and A^T y by rfft2 on the image grid (circular) or on the extended image.

    The psf is kh kw, or 1 or b, 1 or c, kh kw. The spectrum is kept for the last grid seen. Computes in float32 or
    float64; half precision goes through float32.
    """

    def __init__(self, psf: Tensor, stride: int, boundary: str) -> None:
        self.psf, self.stride, self.boundary = psf, stride, boundary
        self.plan: tuple[tuple[object, ...], Tensor] | None = None

    def _grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """The FFT grid: the image itself where it wraps, else one with small prime factors.

        Long enough that no wrapped value reaches a kept pixel.
        """
        if self.boundary == "circular":
            return size
        h, w = (n + sum(reference.margins(k, self.boundary)) for n, k in zip(size, self.psf.shape[-2:], strict=True))
        return fast_length(h), fast_length(w)

    def _spectrum(self, grid: tuple[int, int], data: Tensor) -> Tensor:
        return borrowed(*_spectrum(self, (operator.index(grid[0]), operator.index(grid[1])), data.dtype, data.device))

    def _first(self) -> tuple[int, int]:
        """Where the output for pixel 0 lies in the full convolution."""
        kh, kw = self.psf.shape[-2:]
        return (kh // 2, kw // 2) if self.boundary == "circular" else (kh - 1, kw - 1)

    def forward(self, x: Tensor) -> Tensor:
        """A x; x: b c H W, y: b c h w."""
        data = x if x.dtype in (torch.float32, torch.float64) else x.float()
        size = (x.shape[2], x.shape[3])
        grid = self._grid(size)
        for dim in (2, 3):
            data = self._extend(data, dim)
        full = torch.fft.irfft2(torch.fft.rfft2(data, s=grid) * self._spectrum(grid, data), s=grid)
        for dim, first, n in zip((2, 3), self._first(), size, strict=True):
            if self.boundary == "circular":
                full = full.roll(-first, dim)
                first = 0
            kept = n - self.psf.shape[dim - 4] + 1 if self.boundary == "valid" else n
            full = full.narrow(dim, first, kept)
        return full[..., :: self.stride, :: self.stride].to(x.dtype).contiguous()

    def adjoint(self, y: Tensor, size: tuple[int, int]) -> Tensor:
        """A^T y for an image grid of ``size``, every step of :meth:`forward` transposed in reverse."""
        data = y if y.dtype in (torch.float32, torch.float64) else y.float()
        grid = self._grid(size)
        spread = data.new_zeros(*y.shape[:2], *grid)
        first = self._first()
        corner = (0, 0) if self.boundary == "circular" else first
        stop = [c + (n - 1) * self.stride + 1 for c, n in zip(corner, y.shape[2:], strict=True)]
        spread[..., corner[0] : stop[0] : self.stride, corner[1] : stop[1] : self.stride] = data
        if self.boundary == "circular":
            spread = spread.roll(first, (2, 3))
        full = torch.fft.irfft2(torch.fft.rfft2(spread) * self._spectrum(grid, data).conj(), s=grid)
        for dim in (2, 3):
            full = self._fold(full, dim, size[dim - 2])
        return full.to(y.dtype).contiguous()

    def _extend(self, x: Tensor, dim: int) -> Tensor:
        before, after = reference.margins(self.psf.shape[dim - 4], self.boundary)
        if self.boundary == "zero":
            return torch.nn.functional.pad(x, [0, 0] * (3 - dim) + [before, 0])
        if self.boundary != "reflect":
            return x
        size = x.shape[dim]  # at least that of the psf, so a margin is mirrored once
        return torch.cat([x.narrow(dim, 0, before).flip(dim), x, x.narrow(dim, size - after, after).flip(dim)], dim=dim)

    def _fold(self, full: Tensor, dim: int, size: int) -> Tensor:
        """The adjoint of :meth:`_extend` and of the zeros that rfft2 adds behind it; each sum in a fixed order."""
        before, after = (
            reference.margins(self.psf.shape[dim - 4], self.boundary)
            if self.boundary in ("zero", "reflect")
            else (0, 0)
        )
        kept = full.narrow(dim, before, size)
        if self.boundary != "reflect":
            return kept
        kept = kept.clone()
        kept.narrow(dim, 0, before).add_(full.narrow(dim, 0, before).flip(dim))
        kept.narrow(dim, size - after, after).add_(full.narrow(dim, before + size, after).flip(dim))
        return kept


@constant
def _spectrum(
    convolution: FourierConvolution, grid: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor]:
    key = (grid, dtype, device)
    plan = convolution.plan
    if plan is None or plan[0] != key:
        taps = convolution.psf  # which a centre, or a product of blurs, can make larger than an image that wraps
        taps = fold(taps, (0, 0), *grid) if convolution.boundary == "circular" else taps
        plan = (key, torch.fft.rfft2(taps, s=grid).to(dtype=dtype.to_complex(), device=device))
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
