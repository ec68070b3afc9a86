"""Symmetric maps of the data grid along one edge: what they do to waves of one frequency along it.

Far from corners C and A A^T do not see where they are along an edge, so they map a wave along it to a wave along it:
what is left is a matrix on the ``n`` rows across, one for each frequency. They are applied to many frequencies at once,
to tensors (frequencies, n), complex128, by FFTs across.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..contracts import Apply, Convolution
from ..kernels import reference

# frequencies, (m,), in radians a data pixel -> the map for them
Across = Callable[[Tensor], Apply]


def _size(least: int) -> int:
    """An FFT's size of at least so many: multiples of 16 have small factors."""
    return -(-least // 16) * 16


def spectrum(taps: Tensor, shape: tuple[int, int]) -> Tensor:
    """Eigenvalues of a symmetric stencil on a circular grid, rfft2 layout; taps that reach past the grid wrap."""
    (th, tw), (h, w) = taps.shape, shape
    rows = (torch.arange(th) - th // 2) % h
    columns = (torch.arange(tw) - tw // 2) % w
    grid = torch.zeros(h, w, dtype=torch.float64)
    grid.index_put_((rows[:, None].expand(th, tw), columns.expand(th, tw)), taps.double(), accumulate=True)
    return torch.fft.rfft2(grid).real


def waves(taps: Tensor, frequencies: Tensor) -> Tensor:
    """The sum over columns of taps times ``exp(i frequency column)``, (frequencies, rows), complex128."""
    columns = torch.arange(taps.shape[1], dtype=torch.float64)
    return torch.exp(1j * frequencies[:, None] * columns) @ taps.T.to(torch.complex128)


def inside(taps: Tensor, n: int, *, wraps: bool = False) -> Across:
    """A stencil across ``n`` rows, outside which it sees zeros or, where it ``wraps``, the other side."""
    rows, columns = taps.shape
    size = n if wraps else _size(n + rows // 2)

    def at(frequencies: Tensor) -> Apply:
        lines = waves(taps, frequencies) * torch.exp(-1j * frequencies[:, None] * (columns // 2))
        kernel = lines.new_zeros(len(frequencies), size)
        kernel.index_add_(1, (rows // 2 - torch.arange(rows)) % size, lines)
        symbol = torch.fft.fft(kernel)
        return lambda v: torch.fft.ifft(torch.fft.fft(v, n=size) * symbol)[:, :n]

    return at


def cogram(convolution: Convolution, taps: Tensor, n: int) -> Across:
    """A A^T across ``n`` rows; ``taps`` are what it is away from borders."""
    if convolution.boundary == "valid":
        return inside(taps, n)
    psf, s, boundary = convolution.psf, convolution.stride, convolution.boundary
    k = psf.shape[0]
    size = _size(n * s + k - 1)

    def at(frequencies: Tensor) -> Apply:
        # A wave on the data grid is the sum of s waves on the image grid.
        aliases = (frequencies[:, None] + 2 * torch.pi * torch.arange(s, dtype=torch.float64)) / s
        symbol = torch.fft.fft(waves(psf, -aliases.flatten()).unflatten(0, aliases.shape), n=size) / s**0.5

        def apply(v: Tensor) -> Tensor:
            spread = v.new_zeros(len(v), size)
            spread[:, k - 1 : n * s + k - 1 : s] = v
            image = torch.fft.ifft(torch.fft.fft(spread)[:, None] * symbol.conj())[..., : n * s + k - 1]
            image = reference.extend(reference.fold(image, 2, k, n * s, boundary), 2, k, boundary)
            data = torch.fft.ifft((torch.fft.fft(image, n=size) * symbol).sum(1))
            return data[:, k - 1 : n * s + k - 1 : s]

        return apply

    return at


def by_transforms(convolution: Convolution, taps: Tensor, shape: tuple[int, int]) -> Apply:
    """A A^T on a whole grid of ``shape``, (1, 1, h, w), by FFTs; not for circular boundaries. As :func:`cogram`."""
    h, w = shape
    s, boundary = convolution.stride, convolution.boundary
    if boundary == "valid":
        sizes = _size(h + taps.shape[0] // 2), _size(w + taps.shape[1] // 2)
        stencil = spectrum(taps, sizes)
        return lambda v: torch.fft.irfft2(torch.fft.rfft2(v, s=sizes) * stencil, s=sizes)[..., :h, :w]
    (kh, kw), (height, width) = convolution.psf.shape, (h * s, w * s)
    sizes = _size(height + kh - 1), _size(width + kw - 1)
    symbol = torch.fft.rfft2(convolution.psf, s=sizes)

    def apply(v: Tensor) -> Tensor:
        spread = v.new_zeros(1, 1, *sizes)
        spread[..., kh - 1 : height + kh - 1 : s, kw - 1 : width + kw - 1 : s] = v
        image = torch.fft.irfft2(torch.fft.rfft2(spread) * symbol.conj(), s=sizes)
        image = image[..., : height + kh - 1, : width + kw - 1]
        for axis, k, size in ((2, kh, height), (3, kw, width)):
            image = reference.extend(reference.fold(image, axis, k, size, boundary), axis, k, boundary)
        data = torch.fft.irfft2(torch.fft.rfft2(image, s=sizes) * symbol, s=sizes)
        return data[..., kh - 1 : height + kh - 1 : s, kw - 1 : width + kw - 1 : s]

    return apply


def bordered(middle: Across, first: Tensor, last: Tensor) -> Across:
    """A stencil with rows of its own at the two edges.

    Args:
        middle: The stencil.
        first: Its first rows: (band, rows that they see, columns), correlated with the grid.
        last: Its last rows, likewise.

    Returns:
        The map.
    """
    band, depth, columns = first.shape

    def at(frequencies: Tensor) -> Apply:
        apply, shift = middle(frequencies), torch.exp(-1j * frequencies * (columns // 2))[:, None, None]
        top, bottom = (waves(e.flatten(0, 1), frequencies).unflatten(1, (band, depth)) * shift for e in (first, last))

        def whole(v: Tensor) -> Tensor:
            w = apply(v).clone()
            w[:, :band] = (top @ v[:, :depth, None])[..., 0]
            w[:, -band:] = (bottom @ v[:, -depth:, None])[..., 0]
            return w

        return whole

    return at


def matrix(rows: Tensor) -> Across:
    """A map by all its rows: ``rows`` is (n, n, columns), correlated with the grid."""
    n, _, columns = rows.shape

    def at(frequencies: Tensor) -> Apply:
        shift = torch.exp(-1j * frequencies * (columns // 2))[:, None, None]
        whole = waves(rows.flatten(0, 1), frequencies).unflatten(1, (n, n)) * shift
        return lambda v: (whole @ v[..., None])[..., 0]

    return at


def extremes(c: Apply, m: Apply, frequencies: int, n: int, steps: int) -> tuple[Tensor, Tensor]:
    """(smallest, largest) eigenvalue of c(m(.)) for each frequency, by Lanczos as in ``certificate.lanczos``.

    Without reorthogonalisation: only the ends count, and those it does not move. The estimates lie inside the spectrum.
    """
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(frequencies, n, generator=generator, dtype=torch.complex128)
    before, off = torch.zeros_like(v), v.new_zeros(frequencies, 1, dtype=torch.float64)
    mv = m(v)
    size = (v.conj() * mv).real.sum(-1, keepdim=True).sqrt()
    v, mv = v / size, mv / size
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    alive = torch.ones_like(off, dtype=torch.bool)
    for _ in range(min(steps, 2 * n)):
        w = c(mv)
        a = (w.conj() * mv).real.sum(-1, keepdim=True)
        # Where the space is exhausted to rounding the first number, which lies inside, is repeated.
        diagonal.append(torch.where(alive, a, diagonal[0] if diagonal else a))
        w = w - a * v - off * before
        mw = m(w)
        square = (w.conj() * mw).real.sum(-1, keepdim=True)
        alive = alive & (square > 1e-18 * diagonal[0].square())
        off = torch.where(alive, square.clamp_min(0).sqrt(), 0.0)
        beside.append(off)
        inverse = torch.where(alive, 1 / off, 0.0)
        before, v, mv = v, w * inverse, mw * inverse
    t = torch.cat(diagonal, 1).diag_embed()
    if len(diagonal) > 1:
        between = torch.cat(beside[:-1], 1)
        t = t + between.diag_embed(1) + between.diag_embed(-1)
    values = torch.linalg.eigvalsh(t)
    return values[:, 0], values[:, -1]
