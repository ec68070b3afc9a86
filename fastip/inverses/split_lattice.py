"""The second split where data are left out between pixels: exact on the pixels that are kept."""

from __future__ import annotations

import torch
from torch import Tensor

Size = tuple[int, int]


class Lattice:
    """A = S H, S every ``stride``-th pixel of a grid, and its ``(b I + e A^T A)^-1`` in Fourier space.

    With K = A A^T, a circular convolution of the kept pixels::

        c = e (b I + e K)^-1 (s - A w)
        X = (b I + e A^T A)^-1 (b w + e A^T s) = w + A^T c
        A X = A w + K c

    Two real transforms of the grid, and three of 1/stride^2 of it. Data s and A X are images of the grid that are 0
    beside the kept pixels.

    Args:
        spectrum: H's, of the whole grid, which the stride divides.
        stride: >= 2.
        grid: Its rows and columns.
        beta: b.
        data_beta: e.
    """

    def __init__(self, spectrum: Tensor, stride: int, grid: Size, beta: float, data_beta: float) -> None:
        self.spectrum, self.stride, self.grid = spectrum, stride, grid
        self.kept = (grid[0] // stride, grid[1] // stride)
        power = spectrum.real.square() + spectrum.imag.square()
        taps = torch.fft.irfft2(power, s=grid)[..., ::stride, ::stride]
        self.gram = torch.fft.rfft2(taps).real.clamp_min(0.0)
        self.inverse = data_beta / (beta + data_beta * self.gram)

    def spread(self, kept: Tensor) -> Tensor:
        """S^T."""
        wide = kept.new_zeros(*kept.shape[:-2], *self.grid)
        wide[..., :: self.stride, :: self.stride] = kept
        return wide

    def _taken(self, spectra: Tensor) -> Tensor:
        """S of an image with these spectra: rows that fall together are added before they are transformed."""
        rows = spectra.unflatten(-2, (self.stride, self.kept[0])).mean(dim=-3)
        return torch.fft.irfft2(rows, s=(self.kept[0], self.grid[1]))[..., :: self.stride]

    def convolved(self, x: Tensor) -> Tensor:
        """S^T A x."""
        return self.spread(self._taken(self.spectrum * torch.fft.rfft2(x)))

    def mixed(self, w: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """X and S^T A X."""
        spectra = torch.fft.rfft2(w)
        seen = self._taken(self.spectrum * spectra)
        change = self.inverse * torch.fft.rfft2(s[..., :: self.stride, :: self.stride] - seen)  # c
        blurred = seen + torch.fft.irfft2(self.gram * change, s=self.kept)
        whole = torch.fft.fft2(torch.fft.irfft2(change, s=self.kept))
        columns = self.grid[1] // 2 + 1
        pulled = whole.repeat(*(1,) * (w.ndim - 2), self.stride, self.stride)[..., :columns]
        return torch.fft.irfft2(torch.addcmul(spectra, self.spectrum.conj(), pulled), s=self.grid), self.spread(blurred)
