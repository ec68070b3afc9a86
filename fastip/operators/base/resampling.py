"""The matrix of one axis that programs make a picture smaller with, from n pixels to m <= n.

Centre-aligned: pixel i of the small picture stands at ``(i + 1/2) n / m - 1/2``. The arithmetic, and its order, is that
of each program, because a box ends at a pixel or one further by the last bit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .banded import Banded, gathered

Kernel = Callable[[Tensor], Tensor]
Axis = Callable[[int, int], Banded]  # (n, m) -> the m x n matrix


# ---- kernels ---------------------------------------------------------------------------------------------------------


def _box(t: Tensor) -> Tensor:
    return ((t > -0.5) & (t <= 0.5)).double()


def _box_from_left(t: Tensor) -> Tensor:
    return ((t >= -0.5) & (t < 0.5)).double()


def _triangle(t: Tensor) -> Tensor:
    return (1 - t.abs()).clamp_min(0)


def _cubic(a: float) -> Kernel:
    """Keys' cubic convolution."""

    def kernel(t: Tensor) -> Tensor:
        t = t.abs()
        near = ((a + 2) * t - (a + 3)) * t * t + 1
        far = (((t - 5) * t + 8) * t - 4) * a
        return torch.where(t < 1, near, torch.where(t < 2, far, torch.zeros_like(t)))

    return kernel


def _lanczos(a: int) -> Kernel:
    def kernel(t: Tensor) -> Tensor:
        return torch.where(t.abs() < a, torch.sinc(t) * torch.sinc(t / a), torch.zeros_like(t))

    return kernel


# ---- borders and supports --------------------------------------------------------------------------------------------


def _renormalised(kernel: Kernel, reach: float) -> Axis:
    """The kernel as wide as the factor, cut off at the border, each row then divided by its sum (Pillow)."""

    def axis(n: int, m: int) -> Banded:
        scale = n / m
        centre = ((torch.arange(m, dtype=torch.float64) + 0.5) * scale)[:, None]
        low = (centre - reach * scale + 0.5).trunc().clamp_min(0)
        high = (centre + reach * scale + 0.5).trunc().clamp_max(n)
        columns = low + torch.arange(int((high - low).max()))
        weights = kernel((columns - centre + 0.5) * (1 / scale)) * (columns < high)
        return gathered(columns.long().clamp_max(n - 1), weights / weights.sum(1, keepdim=True), n)

    return axis


def _interpolated(kernel: Kernel, taps: int) -> Axis:
    """The kernel as wide as it is, whatever the factor; beyond the border stands the last pixel."""

    def axis(n: int, m: int) -> Banded:
        position = ((torch.arange(m, dtype=torch.float64) + 0.5) * (n / m) - 0.5)[:, None]
        columns = position.floor() + torch.arange(1 - taps // 2, 1 + taps // 2)
        weights = kernel(position - columns)
        return gathered(columns.long().clamp(0, n - 1), weights / weights.sum(1, keepdim=True), n)

    return axis


def _mirrored(kernel: Kernel, reach: float) -> Axis:
    """The kernel as wide as the factor; beyond the border stands the mirror image (MATLAB's imresize)."""

    def axis(n: int, m: int) -> Banded:
        scale = m / n
        position = torch.arange(1, m + 1, dtype=torch.float64)[:, None] / scale + 0.5 * (1 - 1 / scale)
        width = 2 * reach / scale
        columns = (position - width / 2).floor() + torch.arange(torch.tensor(width).ceil().int().item() + 2)
        weights = scale * kernel(scale * (position - columns))
        mirror = torch.cat([torch.arange(n), torch.arange(n - 1, -1, -1)])
        return gathered(mirror[(columns.long() - 1) % (2 * n)], weights / weights.sum(1, keepdim=True), n)

    return axis


def _overlaps(n: int, m: int) -> Banded:
    """The mean over the cell of each small pixel, pixels that it covers in part counting in part (OpenCV)."""
    scale = n / m
    start = (torch.arange(m, dtype=torch.float64) * scale)[:, None]
    end = (start + scale).clamp_max(n)
    columns = start.floor() + torch.arange(int(scale) + 2)
    covered = torch.minimum(columns + 1, end) - torch.maximum(columns, start)
    covered = torch.where(covered > 1e-3, covered, torch.zeros_like(covered))  # less is left out there
    return gathered(columns.long().clamp_max(n - 1), covered / (end - start), n)


def _windows(n: int, m: int) -> Banded:
    """The mean over all pixels that the cell of each small pixel touches (torch's adaptive average)."""
    i = torch.arange(m)[:, None]
    start, end = i * n // m, -(-(i + 1) * n // m)
    columns = start + torch.arange(int((end - start).max()))
    weights = (columns < end) / (end - start).double()
    return gathered(columns.clamp_max(n - 1), weights, n)


PROGRAMS: dict[str, dict[str, Axis]] = {
    "pillow": {
        "area": _renormalised(_box, 0.5),
        "bilinear": _renormalised(_triangle, 1),
        "bicubic": _renormalised(_cubic(-0.5), 2),
        "lanczos": _renormalised(_lanczos(3), 3),
    },
    "opencv": {
        "area": _overlaps,
        "bilinear": _interpolated(_triangle, 2),
        "bicubic": _interpolated(_cubic(-0.75), 4),
        "lanczos": _interpolated(_lanczos(4), 8),
    },
    "torch": {
        "area": _windows,
        "bilinear": _interpolated(_triangle, 2),
        "bicubic": _interpolated(_cubic(-0.75), 4),
    },
    "torch-antialias": {
        "bilinear": _renormalised(_triangle, 1),
        "bicubic": _renormalised(_cubic(-0.5), 2),
        "lanczos": _renormalised(_lanczos(3), 3),
    },
    "matlab": {
        "area": _mirrored(_box_from_left, 0.5),
        "bilinear": _mirrored(_triangle, 1),
        "bicubic": _mirrored(_cubic(-0.5), 2),
        "lanczos": _mirrored(_lanczos(3), 3),
    },
}
