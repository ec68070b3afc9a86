"""Filters of whole images that are diagonal under the FFT or, where the image is mirrored, under the DCT-II."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from ...arrays import HALF

GRIDS = ("circular", "reflect")  # which the FFT and the DCT-II diagonalise
KNOWN = ("white", "gradient", "laplacian", "power")


@functools.lru_cache(maxsize=32)  # more hold arrays of images long gone; fewer are made, and placed on a GPU, again
def penalty(name: str, h: int, w: int, boundary: str, exponent: float = 2.0) -> Tensor:
    """What a squared filter does to each frequency, one over the power spectrum of the images that suit it.

    With w1 and w2 the angles of a frequency, radians a pixel: white 1, gradient ``s = 4 sin^2(w1 / 2) + 4 sin^2(w2 /
    2)``, laplacian s^2, power ``(w1^2 + w2^2)^(exponent / 2)``.

    Args:
        name: One of these.
        h: Rows of the image.
        w: Columns.
        boundary: "circular", or "reflect" (half-sample).
        exponent: Of power.

    Returns:
        Float64 on the CPU, in rfft2 layout h (w // 2 + 1), for reflect h w.
    """
    if boundary == "circular":
        down = 2 * math.pi * torch.fft.fftfreq(h, dtype=torch.float64)
        across = 2 * math.pi * torch.fft.rfftfreq(w, dtype=torch.float64)
    else:
        down, across = (math.pi / n * torch.arange(n, dtype=torch.float64) for n in (h, w))
    if name == "white":
        return torch.ones(len(down), len(across), dtype=torch.float64)
    if name == "power":
        return (down.square()[:, None] + across.square()) ** (exponent / 2)
    gradient = 4 * ((down / 2).sin().square()[:, None] + (across / 2).sin().square())
    return gradient if name == "gradient" else gradient.square()


def response(gain: Tensor, boundary: str) -> Tensor:
    """``gain``, ... in the layout of :func:`penalty`, as :func:`filtered` takes it.

    The DCT-II of a signal is the DFT of its mirror image: the gain of that. Frequencies h and w carry no energy of a
    mirrored signal, so that index 0 stands there.
    """
    if boundary == "circular":
        return gain
    gain = torch.cat([gain, gain[..., :1, :], gain[..., 1:, :].flip(-2)], dim=-2)
    return torch.cat([gain, gain[..., :1]], dim=-1)


def filtered(v: Tensor, response: Tensor, boundary: str) -> Tensor:
    """The images v, b c h w, filtered by what :func:`response` gives; half precision goes through float32."""
    if v.dtype in HALF:
        return filtered(v.float(), response, boundary).to(v.dtype)
    h, w = v.shape[-2:]
    wide = v
    if boundary != "circular":
        wide = torch.cat([v, v.flip(-2)], dim=-2)
        wide = torch.cat([wide, wide.flip(-1)], dim=-1)
    return torch.fft.irfft2(torch.fft.rfft2(wide) * response, s=wide.shape[-2:])[..., :h, :w]
