"""Filters of whole images that are diagonal under the FFT or, where the image is mirrored, under the DCT-II."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from ...arrays import HALF
from ...contracts import Shape

GRIDS = ("circular", "reflect")  # which the FFT and the DCT-II diagonalise
KNOWN = ("white", "gradient", "laplacian", "power")


@functools.lru_cache(maxsize=32)  # more hold arrays of images long gone; fewer are made, and placed on a GPU, again
def penalty(
    name: str, size: Shape, boundary: str, exponent: float = 2.0, spacing: tuple[float, ...] | None = None
) -> Tensor:
    """What a squared filter does to each frequency, one over the power spectrum of the images that suit it.

    With w1 and w2 the angles of a frequency, radians a pixel: white 1, gradient ``s = 4 sin^2(w1 / 2) + 4 sin^2(w2 /
    2)``, laplacian s^2, power ``(w1^2 + w2^2)^(exponent / 2)``; of volumes with the third angle. The terms of an axis
    are divided by the square of its spacing.

    Args:
        name: One of these.
        size: Of the image, h w, or d h w.
        boundary: "circular", or "reflect" (half-sample).
        exponent: Of power.
        spacing: The distance of neighbours along each axis; None: 1.

    Returns:
        Float64 on the CPU, in rfftn layout h (w // 2 + 1), for reflect h w.
    """
    if boundary == "circular":
        angles = [2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64) for n in size[:-1]]
        angles.append(2 * math.pi * torch.fft.rfftfreq(size[-1], dtype=torch.float64))
    else:
        angles = [math.pi / n * torch.arange(n, dtype=torch.float64) for n in size]
    if name == "white":
        return torch.ones(*map(len, angles), dtype=torch.float64)
    sines = angles if name == "power" else [2 * (w / 2).sin() for w in angles]
    parts = [w.square() / h**2 for w, h in zip(sines, spacing or (1.0,) * len(size), strict=True)]
    total = functools.reduce(lambda one, other: one[..., None] + other, parts)
    if name == "power":
        return total ** (exponent / 2)
    return total if name == "gradient" else total.square()


def response(gain: Tensor, boundary: str, axes: int = 2) -> Tensor:
    """``gain``, ... in the layout of :func:`penalty`, as :func:`filtered` takes it.

    The DCT-II of a signal is the DFT of its mirror image: the gain of that. Frequencies h and w carry no energy of a
    mirrored signal, so that index 0 stands there.
    """
    if boundary == "circular":
        return gain
    for dim in range(-axes, -1):
        first = gain.narrow(dim, 0, 1)
        gain = torch.cat([gain, first, gain.narrow(dim, 1, gain.shape[dim] - 1).flip(dim)], dim=dim)
    return torch.cat([gain, gain[..., :1]], dim=-1)


def filtered(v: Tensor, response: Tensor, boundary: str) -> Tensor:
    """The images v, b c h w or b c d h w, filtered by what :func:`response` gives; half precision by way of float32."""
    if v.dtype in HALF:
        return filtered(v.float(), response, boundary).to(v.dtype)
    wide, dims = v, tuple(range(2 - v.ndim, 0))
    if boundary != "circular":
        for dim in dims:
            wide = torch.cat([wide, wide.flip(dim)], dim=dim)
    whole = torch.fft.irfftn(torch.fft.rfftn(wide, dim=dims) * response, s=wide.shape[2:], dim=dims)
    return whole[(..., *(slice(n) for n in v.shape[2:]))]
