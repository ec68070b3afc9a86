"""What is known in closed form of a strided convolution A.

A A^T, A^T A, a bound of its norm, and the product of two of them.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from ...contracts import Circulant, Convolution, Cosine, Diagonal, Scalar, Shape, Structure
from ...kernels import reference
from . import structures
from .banded import Banded, gathered

# Data rows and columns up to which the factors of A A^T of a separable psf are stated. Their eigenvectors take 0.4 s at
# 1024 and 4 s at 2048, once, and each application 2 (h + w) products a data point.
SEPARATED = 2048


def cogram(a: Convolution, h: int, w: int) -> Structure | None:
    """A A^T on an h x w data grid, or None where no structure is known.

    - Psf no wider than the stride: the rows of A are disjoint, so ``||psf||^2 I`` (circular, valid) or a diagonal whose
      first row and column differ.
    - Circular: Circulant with the mean of the s x s aliases of ``|psf_hat|^2``.
    - Reflect, stride 1, odd symmetric psf: Cosine.
    - Any other border, psf of rank one, h and w up to 2048: Kronecker.
    """
    return commuting(a, h, w) or _separated(a, h, w)


def commuting(a: Convolution, h: int, w: int) -> Structure | None:
    """A A^T where it is A^T A, too, without a stride."""
    kh, kw = a.psf.shape
    if max(kh, kw) <= a.stride:
        if a.boundary in ("circular", "valid") or max(kh, kw) <= 2:  # a 2-wide psf reaches no pixel before the first
            return Scalar(a.psf.square().sum().item())
        return Diagonal(_border_norms(a, h, w))
    if a.boundary == "circular":
        return Circulant(_aliased_power(a, h, w) if a.stride > 1 else _power(a.psf, h, w))
    return _cosine(a, h, w)


def gram(a: Convolution, height: int, width: int) -> Structure | None:
    """A^T A on a height x width image grid, or None where no structure is known.

    A stride-1 A commutes with A^T where its cogram has a structure other than Kronecker.
    """
    return commuting(a, height, width) if a.stride == 1 and (a.boundary != "valid" or a.psf.numel() == 1) else None


def fold(values: Tensor, first: Shape, *grid: int) -> Tensor:
    """Add ``values``, whose corner belongs at ``first``, onto a periodic grid: as many last axes as it has."""
    for dim, (start, n) in enumerate(zip(first, grid, strict=True), -len(grid)):
        places = (torch.arange(values.shape[dim]) + start) % n
        shape = list(values.shape)
        shape[dim] = n
        values = values.new_zeros(shape).index_add(dim, places, values)
    return values


def _power(psf: Tensor, h: int, w: int) -> Tensor:
    return torch.fft.rfft2(fold(psf, (0, 0), h, w)).abs().square()


def autocorrelation(psf: Tensor, stride: int) -> Tensor:
    """The stencil of A A^T, lag 0 in the middle.

    ``r[d] = sum_t psf[t] psf[t + stride d]`` for ``|d| <= (k - 1) // stride``.
    """
    size = [2 * k - 1 for k in psf.shape]
    full = torch.fft.irfft2(torch.fft.rfft2(psf, s=size).abs().square(), s=size)
    lags = [
        stride * torch.arange(-((k - 1) // stride), (k - 1) // stride + 1) % n
        for k, n in zip(psf.shape, size, strict=True)
    ]
    return full[lags[0]][:, lags[1]]


def _aliased_power(a: Convolution, h: int, w: int) -> Tensor:
    """The mean of the aliases, computed as the spectrum of the folded stencil: memory of the small grid only."""
    r = autocorrelation(a.psf, a.stride)
    return torch.fft.rfft2(fold(r, (-(r.shape[0] // 2), -(r.shape[1] // 2)), h, w)).real.clamp_min(0.0)


def _border_fold(k: int, boundary: str) -> Tensor:
    """F with F psf = the first row of A along one axis.

    Taps before the first pixel are dropped (zero) or mirrored (reflect).
    """
    centre = k // 2
    fold = torch.zeros(centre + 1, k, dtype=torch.float64)
    for t in range(k):
        position = centre - t
        if position >= 0:
            fold[position, t] = 1
        elif boundary == "reflect":
            fold[-1 - position, t] = 1
    return fold


def _border_norms(a: Convolution, h: int, w: int) -> Tensor:
    """Squared norms of the rows of A, 1 1 h w; only those of the first row and column reach over the border."""
    rows, columns = (_border_fold(k, a.boundary) for k in a.psf.shape)
    values = torch.full((1, 1, h, w), a.psf.square().sum().item(), dtype=torch.float64)
    values[..., 0, :] = (rows @ a.psf).square().sum()
    values[..., :, 0] = (a.psf @ columns.T).square().sum()
    values[..., 0, 0] = (rows @ a.psf @ columns.T).square().sum()
    return values


def _cosine(a: Convolution, h: int, w: int) -> Cosine | None:
    known = cosine(a.psf, (h, w)) if a.boundary == "reflect" and a.stride == 1 else None
    return None if known is None else Cosine(known.square())


def cosine(psf: Tensor, size: Shape) -> Tensor | None:
    """What a psf of odd sides, symmetric about each axis, does to the frequencies of the DCT-II; else None.

    It is ``lambda[u, v] = sum_t psf[t] cos(pi u (t1 - c1) / h) cos(pi v (t2 - c2) / w)``, of volumes with a third one.
    """
    scale = 1e-12 * psf.abs().max()  # above the rounding of a computed psf; more would call skew ones symmetric
    symmetric = all((psf - psf.flip(axis)).abs().max() <= scale for axis in range(psf.ndim))
    if not symmetric or any(k % 2 == 0 for k in psf.shape):
        return None
    found = psf
    for k, n in zip(psf.shape, size, strict=True):
        frequency, offset = torch.arange(n, dtype=torch.float64), torch.arange(k, dtype=torch.float64) - k // 2
        waves = torch.cos(math.pi / n * frequency[:, None] * offset)
        found = torch.tensordot(found, waves, dims=([0], [1]))  # the axis goes to the end: after all of them, in place
    return found


def split(psf: Tensor) -> tuple[Tensor, Tensor] | None:
    """(column, row) with psf = column row^T to rounding, float64, or None if the rank is above one."""
    u, s, v = torch.linalg.svd(psf, full_matrices=False)
    # 1e-12 is above the rounding of float64; more would split psfs that are only nearly of rank one.
    if len(s) > 1 and s[1] > 1e-12 * s[0]:
        return None
    root = s[0].sqrt()
    sign = torch.sign(u[:, 0].sum()) or torch.ones((), dtype=torch.float64)
    return sign * root * u[:, 0], sign * root * v[0]


def _separated(a: Convolution, h: int, w: int) -> Structure | None:
    parts = split(a.psf) if max(h, w) <= SEPARATED else None
    if parts is None:
        return None
    down, across = (_along_axis(taps, a.stride, a.boundary, m) for taps, m in zip(parts, (h, w), strict=True))
    return structures.kronecker(down.gram(), across.gram())


def _along_axis(taps: Tensor, stride: int, boundary: str, m: int) -> Banded:
    """The m-row matrix of a convolution along one axis, on any border but the circular one."""
    k = len(taps)
    n = (m - 1) * stride + k if boundary == "valid" else m * stride
    first = k - 1 if boundary == "valid" else k // 2
    columns = stride * torch.arange(m)[:, None] + first - torch.arange(k)
    inside = (columns >= 0) & (columns < n)
    weights = taps.expand(m, k) * (inside if boundary != "reflect" else 1)
    mirrored = torch.where(columns < 0, -1 - columns, torch.where(columns >= n, 2 * n - 1 - columns, columns))
    return gathered(mirrored.clamp(0, n - 1), weights, n)


_bounds: Any = WeakTensorKeyDictionary()  # psf -> {(stride, boundary): the bound}


def norm_bound(a: Convolution) -> float:
    """An upper bound of ``||A||`` that holds on every grid, worked out once for a psf.

    The smaller of ``sqrt(||A||_1 ||A||_inf)`` and, unless the boundary reflects, ``sqrt(max r_hat)``: the stencil's
    frequency response on a fine grid, with the Ehlich-Zeller factor ``1 / cos(pi d / N)`` for each axis that bounds a
    trigonometric polynomial of degree d between N equidistant samples.
    """
    known, key = _bounds.setdefault(a.psf, {}), (a.stride, a.boundary)
    if key not in known:
        known[key] = _norm_bound(a)
    bound: float = known[key]
    return bound


def _norm_bound(a: Convolution) -> float:
    bound = _schur(a)
    if a.boundary == "reflect":
        return math.sqrt(bound)
    r = autocorrelation(a.psf, a.stride)
    degrees = [n // 2 for n in r.shape]
    # About 1024 an axis, 8 to 64 a degree: the factor is 1.08 at 8 and 1.001 at 64; more cost a larger transform.
    samples = [d * min(max(1024 // d, 8), 64) if d else 1 for d in degrees]
    peak = torch.fft.rfft2(fold(r, (-degrees[0], -degrees[1]), *samples)).real.max().item()
    for d, n in zip(degrees, samples, strict=True):
        peak /= math.cos(math.pi * d / n)
    return math.sqrt(min(bound, peak))


def _schur(a: Convolution) -> float:
    """``||A||_1 ||A||_inf``: largest column sum times largest row sum of ``|A|``."""
    magnitude = a.psf.abs()
    if a.boundary == "reflect":
        # A pixel meets at most one border of each axis, so a grid of three psfs shows every column.
        size = [-(-3 * k // a.stride) for k in magnitude.shape]
        columns = (
            reference.strided_conv_adjoint(torch.ones(1, 1, *size, dtype=torch.float64), magnitude, a.stride, "reflect")
            .max()
            .item()
        )
    else:
        columns = max(
            magnitude[i :: a.stride, j :: a.stride].sum().item() for i in range(a.stride) for j in range(a.stride)
        )
    return magnitude.sum().item() * columns


def added(a: Convolution | None, b: Convolution | None) -> Convolution | None:
    """A + B as one convolution, where both are and see the image alike."""
    if a is None or b is None or a.stride != b.stride:
        return None
    boundary = _common_boundary(a, b)
    if boundary is None or (boundary == "valid" and a.psf.shape != b.psf.shape):
        return None
    centre = [max(k // 2, m // 2) for k, m in zip(a.psf.shape, b.psf.shape, strict=True)]
    after = [max(k - k // 2, m - m // 2) for k, m in zip(a.psf.shape, b.psf.shape, strict=True)]
    psf = a.psf.new_zeros([c + d for c, d in zip(centre, after, strict=True)])
    for part in (a.psf, b.psf):
        top, left = (c - k // 2 for c, k in zip(centre, part.shape, strict=True))
        psf[top : top + part.shape[0], left : left + part.shape[1]] += part
    return Convolution(psf, a.stride, boundary)


def _common_boundary(a: Convolution, b: Convolution) -> str | None:
    """The boundary of both; a psf of one pixel that keeps every pixel has any, where all have the same shapes."""
    if a.boundary == b.boundary:
        return a.boundary
    for one, other in ((a, b), (b, a)):
        if one.psf.numel() == 1 and one.stride == 1 and other.boundary != "valid":
            return other.boundary
    return None


def merge(left: Convolution | None, right: Convolution | None) -> Convolution | None:
    """left right as one strided convolution, or None where it is none.

    Circular after circular and valid after valid always; valid after circular when the psf is as wide as the stride (a
    box average): it never wraps. Stride 1 with a 1 x 1 psf is a multiple of the identity and merges with anything.
    """
    if left is None or right is None:
        return None
    if right.psf.numel() == 1 and right.stride == 1:
        return dataclasses.replace(left, psf=right.psf * left.psf)
    if left.psf.numel() == 1 and left.stride == 1:
        return dataclasses.replace(right, psf=left.psf * right.psf)
    if left.psf.ndim > 2 or right.psf.ndim > 2:  # several psfs, and volumes
        return None
    tiles = left.boundary == "valid" and all(k == left.stride for k in left.psf.shape)
    if not (
        right.boundary == left.boundary == "valid"
        or (right.boundary == "circular" and (left.boundary == "circular" or tiles))
    ):
        return None
    spread = [right.stride * (k - 1) + 1 for k in left.psf.shape]
    wide = torch.zeros(spread, dtype=torch.float64)
    wide[:: right.stride, :: right.stride] = left.psf
    size = [n + k - 1 for n, k in zip(spread, right.psf.shape, strict=True)]
    psf = torch.fft.irfft2(torch.fft.rfft2(wide, s=size) * torch.fft.rfft2(right.psf, s=size), s=size)
    if right.boundary == "circular":
        psf = centred(psf, _read(left, right))
    return Convolution(psf, left.stride * right.stride, right.boundary)


def _read(left: Convolution, right: Convolution) -> tuple[int, int]:
    """The tap of left right, circular, that reads the pixel at stride * i."""
    first = [k - 1 if left.boundary == "valid" else k // 2 for k in left.psf.shape]
    row, column = (right.stride * at + k // 2 for at, k in zip(first, right.psf.shape, strict=True))
    return row, column


def centred(psf: Tensor, centre: Shape) -> Tensor:
    """The psf with as many zeros around it as it takes until its pixel ``centre`` lies at k // 2."""
    around = [_around(k, at) for k, at in zip(psf.shape[-len(centre) :], centre, strict=True)]
    return torch.nn.functional.pad(psf, [n for pair in reversed(around) for n in pair])


def _around(k: int, centre: int) -> tuple[int, int]:
    """Zeros (before, after) k taps: (before + k + after) // 2 = before + centre."""
    surplus = 2 * centre - k  # taps before the centre less those from it on: 0 or -1 where it is at k // 2
    return max(0, -1 - surplus), max(0, surplus)
