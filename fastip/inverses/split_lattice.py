"""The second split where data are left out between pixels: exact on the pixels that are kept."""

from __future__ import annotations

import torch
from torch import Tensor

from ..contracts import Shape
from ..kernels.split_reference import corner


class Lattice:
    """A = S H, S every ``stride``-th pixel of a grid, and its ``(b I + e A^T A)^-1`` in Fourier space.

    With K = A A^T, a circular convolution of the kept pixels::

        c = e (b I + e K)^-1 (s - A w)
        X = (b I + e A^T A)^-1 (b w + e A^T s) = w + A^T c
        A X = A w + K c

    Two real transforms of the grid, and three of 1/stride^2 of it (volumes: stride^3). Data s and A X are images of the
    grid that are 0 beside the kept pixels.

    Args:
        spectrum: H's, of the whole grid, which the stride divides.
        stride: >= 2.
        grid: Its rows and columns; of volumes its slices before them.
        beta: b.
        data_beta: e.
    """

    def __init__(self, spectrum: Tensor, stride: int, grid: Shape, beta: float, data_beta: float) -> None:
        self.spectrum, self.stride, self.grid = spectrum, stride, grid
        self.kept, self.dims = tuple(n // stride for n in grid), tuple(range(-len(grid), 0))
        self.places = corner(self.kept, stride)
        power = spectrum.real.square() + spectrum.imag.square()
        taps = torch.fft.irfftn(power, s=grid, dim=self.dims)[self.places]
        self.gram = torch.fft.rfftn(taps, dim=self.dims).real.clamp_min(0.0)
        self.inverse = data_beta / (beta + data_beta * self.gram)

    def spread(self, kept: Tensor) -> Tensor:
        """S^T."""
        wide = kept.new_zeros(*kept.shape[:2], *self.grid)
        wide[self.places] = kept
        return wide

    def _taken(self, spectra: Tensor) -> Tensor:
        """S of an image with these spectra: rows that fall together are added before they are transformed."""
        for dim, kept in zip(self.dims[:-1], self.kept[:-1], strict=True):
            spectra = spectra.unflatten(dim, (self.stride, kept)).mean(dim=dim - 1)
        rows = torch.fft.irfftn(spectra, s=(*self.kept[:-1], self.grid[-1]), dim=self.dims)
        return rows[..., :: self.stride]

    def convolved(self, x: Tensor) -> Tensor:
        """S^T A x."""
        return self.spread(self._taken(self.spectrum * torch.fft.rfftn(x, dim=self.dims)))

    def mixed(self, w: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """X and S^T A X."""
        spectra = torch.fft.rfftn(w, dim=self.dims)
        seen = self._taken(self.spectrum * spectra)
        change = self.inverse * torch.fft.rfftn(s[self.places] - seen, dim=self.dims)  # c
        blurred = seen + torch.fft.irfftn(self.gram * change, s=self.kept, dim=self.dims)
        whole = torch.fft.fftn(torch.fft.irfftn(change, s=self.kept, dim=self.dims), dim=self.dims)
        columns = self.grid[-1] // 2 + 1
        pulled = whole.repeat(1, 1, *(self.stride,) * len(self.grid))[..., :columns]
        image = torch.addcmul(spectra, self.spectrum.conj(), pulled)
        return torch.fft.irfftn(image, s=self.grid, dim=self.dims), self.spread(blurred)
