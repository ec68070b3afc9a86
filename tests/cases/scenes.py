"""Random scenes with the spectrum of photographs, and what a camera sees of them."""

from __future__ import annotations

import math

import torch

from fastip import data, psf
from fastip.operators import Blur

NOISE = 2.55 / 255


def scene(
    height: int, width: int, seed: int, channels: int = 1, power: float = 2.0, lines: float = 0.0, along: float = 0.0
) -> torch.Tensor:
    """1 c h w of mean 0.5 and standard deviation 0.15, the middle of noise with the spectrum |w|^-power.

    Times exp(lines cos 2t), t between w and the normal of ``along`` (degrees, as of ``psf.motion``): details lie so.
    """
    h, w = 2 * height, 2 * width
    white = torch.randn(1, channels, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows, columns = torch.fft.fftfreq(h)[:, None], torch.fft.rfftfreq(w)
    radius = (rows.square() + columns.square()).sqrt().clamp_min(1 / h)
    turn = torch.atan2(rows, columns) - math.radians(along + 90)
    shape = radius ** (-power / 2) * (lines / 2 * (2 * turn).cos()).exp()
    x = torch.fft.irfft2(torch.fft.rfft2(white) * shape, s=(h, w))[..., :height, :width]
    return 0.5 + 0.15 * (x - x.mean()) / x.std()


def seen(x: torch.Tensor, taps: torch.Tensor | None, noise: float = NOISE, seed: int = 0) -> torch.Tensor:
    """A blur of the scene that continues beyond the picture, noise, 8 bits."""
    y = x if taps is None else Blur(taps, boundary="valid")(x)
    y = data.degrade(y, Blur(psf.delta(1)), noise, generator=seed)
    return (255 * y.clamp(0, 1)).round() / 255
