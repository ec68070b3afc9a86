"""Problems with operators of one's own: what they are made of anew, data in float32, total variation with x >= 0."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

import fastip
from fastip import operators, priors, psf


@dataclasses.dataclass
class Problem:
    """How to make an operator anew, the data, the weight of TV, and what it is, in words."""

    make: Callable[[], Any]
    y: Tensor
    weight: float
    told: str = ""

    @property
    def prior(self) -> Any:
        return priors.TV(self.weight) + priors.NonNegative()

    def objective(self, x: Tensor, op: Any) -> float:
        x = x.double()
        r = op(x) - self.y.to(torch.complex128 if self.y.is_complex() else torch.float64)
        return float(r.abs().square().sum() + self.prior.value(x).sum())


def phantom(n: int) -> Tensor:
    """An image of ellipses in [0, 1]."""
    yy, xx = torch.meshgrid(*(torch.linspace(-1, 1, n, dtype=torch.float64),) * 2, indexing="ij")
    image = torch.zeros(n, n, dtype=torch.float64)
    for v, a, b, x0, y0 in (
        (1, 0.9, 0.7, 0, 0),
        (-0.8, 0.85, 0.65, 0, 0),
        (0.3, 0.3, 0.12, 0.25, 0.1),
        (0.4, 0.1, 0.2, -0.3, 0.3),
    ):
        image += v * (((yy - y0) / a) ** 2 + ((xx - x0) / b) ** 2 <= 1)
    return image[None, None]


def noisy(op: Any, x: Tensor, level: float) -> Tensor:
    y = op(x)
    noise = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(0))
    return (y + level * noise).to(torch.complex64 if y.is_complex() else torch.float32)


def radon(n: int, angles: int) -> Any:
    """The matrix of parallel projections of an n x n image at so many angles, n bins each, by linear interpolation."""
    import scipy.sparse

    centre = (n - 1) / 2
    yy, xx = (grid.ravel() - centre for grid in np.mgrid[:n, :n])
    rows, places, values = [], [], []
    for i, angle in enumerate(np.linspace(0, np.pi, angles, endpoint=False)):
        at = np.cos(angle) * xx + np.sin(angle) * yy + centre
        low = np.floor(at).astype(int)
        for bins, share in ((low, 1 - (at - low)), (low + 1, at - low)):
            seen = np.flatnonzero((bins >= 0) & (bins < n))
            rows.append(i * n + bins[seen])
            places.append(seen)
            values.append(share[seen])
    triple = (np.concatenate(values), (np.concatenate(rows), np.concatenate(places)))
    return scipy.sparse.csr_matrix(triple, shape=(angles * n, n * n))


def sense() -> Problem:
    """Eight coils of a real image 128 x 128, every fourth line and sixteen in the middle."""
    n = 128
    yy, xx = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) / n,) * 2, indexing="ij")
    turns = torch.arange(8, dtype=torch.float64) * math.tau / 8
    size = [torch.exp(-((xx - 0.5 - 0.6 * t.cos()) ** 2 + (yy - 0.5 - 0.6 * t.sin()) ** 2) / 0.35) for t in turns]
    coils = torch.stack(
        [s * torch.exp(1j * (t + math.tau * 0.6 * (xx + yy**2))) for s, t in zip(size, turns, strict=True)]
    )
    coils = coils / coils.abs().square().sum(0).sqrt()
    mask = torch.zeros(n, n, dtype=torch.float64)
    mask[::4] = mask[n // 2 - 8 : n // 2 + 8] = 1
    mask = torch.fft.ifftshift(mask)

    def forward(x: Tensor) -> Tensor:
        dtype = x.dtype.to_complex()
        return torch.fft.fft2(x * coils.to(dtype), norm="ortho") * mask.to(x.dtype)

    def adjoint(y: Tensor) -> Tensor:
        found = torch.fft.ifft2(y * mask.to(y.real.dtype), norm="ortho") * coils.conj().to(y.dtype)
        return found.sum(1, keepdim=True).real

    def make() -> Any:
        return operators.Function(forward, adjoint, (1, n, n), (8, n, n), complex_data=True)

    return Problem(make, noisy(make(), phantom(n), 0.01), 5e-3)


def ct() -> Problem:
    """60 angles of 128 bins, an image of 128 x 128: a sparse matrix of 7680 x 16384."""
    matrix = radon(128, 60)

    def make() -> Any:
        return operators.Sparse(matrix, (1, 128, 128))

    clean = make()(phantom(128))
    return Problem(make, noisy(make(), phantom(128), 0.01 * float(clean.max())), 2.0)


def lensless() -> Problem:
    """Eight bands behind one wide psf on one sensor of 64 x 64, each pixel with weights of its own."""
    bands, n, k = 8, 64, 31
    g = torch.Generator().manual_seed(0)
    h = (torch.rand(k, k, generator=g) < 0.03).double()
    h = h / h.sum()
    code = torch.rand(1, bands, n, n, generator=g)

    def make() -> Any:
        return operators.ToGray([1.0] * bands) @ operators.Mask(code) @ operators.Blur(h, boundary="valid")

    x = torch.zeros(1, bands, n + k - 1, n + k - 1, dtype=torch.float64)
    x[:, 2, 40:60, 40:60], x[:, 5, 20:30, 30:70] = 1, 0.6
    return Problem(make, noisy(make(), x, 0.005), 1e-3)


def wide(boundary: str) -> Callable[[], Problem]:
    """A psf of 63 x 63 with far tails and a border that does not wrap."""

    def problem() -> Problem:
        k = 63
        yy, xx = torch.meshgrid(*(torch.arange(k, dtype=torch.float64) - k // 2,) * 2, indexing="ij")
        r = xx.square() + yy.square()
        h = torch.exp(-r / 8) + 0.02 / (1 + r / 50) ** 1.5
        h = h * (1 + 0.2 * torch.rand(k, k, generator=torch.Generator().manual_seed(0)).double())
        h = h / h.sum()

        def make() -> Any:
            return operators.Blur(h, boundary=boundary)

        return Problem(make, noisy(make(), phantom(318), 0.005), 2e-3)

    return problem


def opaque() -> Problem:
    """A function of which nothing is known, with 4096 rows: 32 angles of 128 bins."""
    matrix = radon(128, 32).astype(np.float32)
    back = matrix.T.tocsr()

    def forward(v: Tensor) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray((matrix @ v.flatten(1).float().numpy().T).T)).to(v.dtype)

    def adjoint(v: Tensor) -> Tensor:
        found = torch.from_numpy(np.ascontiguousarray((back @ v.float().numpy().T).T)).to(v.dtype)
        return found.reshape(-1, 1, 128, 128)

    def make() -> Any:
        return operators.Function(forward, adjoint, (1, 128, 128), (4096,))

    clean = make()(phantom(128))
    return Problem(make, noisy(make(), phantom(128), 0.01 * float(clean.max())), 2.0)


def varying() -> Problem:
    """A blur that varies over the image: nine Gaussian psfs, 0.8 to 3 pixels, mixed smoothly."""
    n = 128
    sigmas = torch.linspace(0.8, 3, 9)
    psfs = [psf.gaussian(13, sigma=float(s)) for s in sigmas]
    yy, xx = torch.meshgrid(*(torch.linspace(0, 2, n, dtype=torch.float64),) * 2, indexing="ij")
    hat = lambda t, i: (1 - (t - i).abs()).clamp_min(0)  # noqa: E731
    weights = torch.stack([hat(yy, i) * hat(xx, j) for i in range(3) for j in range(3)])

    def make() -> Any:
        return operators.Varying(psfs, weights)

    return Problem(make, noisy(make(), phantom(n), 0.005), 2e-3)


def holes() -> Problem:
    """A photograph of 192 x 192 behind a Gaussian of 9 x 9, of which 40 % of the pixels are missing."""
    (picture,) = fastip.data.held_out_photographs(("astronaut",)).values()
    mask = (torch.rand(192, 192, generator=torch.Generator().manual_seed(0)) > 0.4).double()

    def make() -> Any:
        return operators.Mask(mask) @ operators.Blur(psf.gaussian(9, sigma=1.6))

    return Problem(make, noisy(make(), picture[:, :1, :192, 100:292].double(), 0.01), 1e-2)


def shake(boundary: str) -> Callable[[], Problem]:
    """A photograph of 192 x 192 behind a camera shake of 25 x 25; its border is seen, or black beside the image."""

    def problem() -> Problem:
        (picture,) = fastip.data.held_out_photographs(("astronaut",)).values()
        h = psf.shake(25, 1)

        def make() -> Any:
            return operators.Blur(h, boundary=boundary)

        return Problem(make, noisy(make(), picture[:, :1, :216, 100:316].double(), 0.01), 1e-2)

    return problem


MAKERS: dict[str, Callable[[], Problem]] = {
    "sense": sense,
    "ct": ct,
    "lensless": lensless,
    "wide-valid": wide("valid"),
    "wide-zero": wide("zero"),
    "holes": holes,
    "shake-valid": shake("valid"),
    "shake-zero": shake("zero"),
    "opaque": opaque,
    "varying": varying,
}

TOLD = {
    "sense": "Eight coils of a real image of 128 x 128, every fourth line and 16 in the middle: a pair of functions.",
    "ct": "60 angles of 128 bins, an image of 128 x 128: a sparse matrix of 7680 x 16384.",
    "lensless": "Eight bands behind one wide psf on one sensor of 64 x 64, each pixel with weights of its own.",
    "wide-valid": "A psf of 63 x 63 with far tails, an image of 318 x 318, borders not seen.",
    "wide-zero": "The same psf, black beside the image.",
    "holes": "A photograph of 192 x 192 behind a Gaussian of 9 x 9, 40 % of the pixels missing.",
    "shake-valid": "A photograph behind a camera shake of 25 x 25, borders not seen.",
    "shake-zero": "The same, black beside the image.",
    "opaque": "A pair of functions of which nothing is known, with 4096 rows: 32 angles of 128 bins.",
    "varying": "A blur that varies over an image of 128 x 128: nine Gaussian psfs, mixed smoothly.",
}


def named(name: str) -> Problem:
    """The problem of this name."""
    made = MAKERS[name]()
    return dataclasses.replace(made, told=TOLD[name])
