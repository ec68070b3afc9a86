"""The problems that every program solves: data, psf, weights.

They minimise ||y - A x||^2 + weight ||x||_1 with penalty beta, in float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fastip import operators, psf


@dataclass(frozen=True)
class Problem:
    """A problem, and how ADMM is to solve it.

    A blur and stride, the shape of the image (b c h w), the weight of the L1 prior, the penalty beta and the
    relaxation.
    """

    name: str
    psf: Tensor
    stride: int
    boundary: str
    shape: tuple[int, int, int, int]
    weight: float
    beta: float
    relaxation: float = 1.0

    @property
    def op(self) -> operators.Blur:
        """A as fastip knows it."""
        return operators.Blur(self.psf, stride=self.stride, boundary=self.boundary)

    @property
    def pixels(self) -> int:
        """Pixels of the image, all planes together."""
        b, c, h, w = self.shape
        return b * c * h * w

    def data(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """A x + 0.01 n for an image x of 5 % spikes, uniform in [0, 1]; the same for every caller."""
        g = torch.Generator().manual_seed(0)
        x = torch.rand(self.shape, generator=g) * (torch.rand(self.shape, generator=g) < 0.05)
        y = self.op(x)
        return (y + 0.01 * torch.randn(y.shape, generator=g)).to(dtype)


GAUSSIAN = psf.gaussian(9, sigma=1.6)
MOTION = psf.motion(9, angle=45)


def super_resolution(shape: tuple[int, int, int, int]) -> Problem:
    """x4 with a 9 x 9 Gaussian of sigma 1.6, circular."""
    return Problem(f"x4 {label(shape)}", GAUSSIAN, 4, "circular", shape, weight=1e-4, beta=1e-2)


def deblurring(shape: tuple[int, int, int, int], boundary: str, beta: float = 1e-1) -> Problem:
    """A 9 x 9 motion blur at 45 degrees, stride 1."""
    return Problem(f"{boundary} motion deblurring {label(shape)}", MOTION, 1, boundary, shape, weight=1e-2, beta=beta)


def identifier(shape: tuple[int, int, int, int]) -> str:
    """24x256 for 8 x 3 x 256 x 256: a name for a test."""
    return f"{shape[0] * shape[1]}x{shape[2]}"


def label(shape: tuple[int, int, int, int]) -> str:
    """24 x 256^2 for 8 x 3 x 256 x 256."""
    b, c, h, w = shape
    return f"{b * c} planes of {h}²" if h == w else f"{b * c} planes of {h} x {w}"


SMALL_PLANES = (8, 3, 256, 256)
LARGE_PLANES = (1, 3, 1024, 1024)
