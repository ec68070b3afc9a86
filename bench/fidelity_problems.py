"""Problems with other data terms than squares: the operators, what spoils their data, and the prior beside them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import fastip
from fastip import data, fidelities, operators, priors, psf

PHOTONS, DARK = 100.0, 5.0  # counts of a white pixel, and of a black one


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def holes(shape: tuple[int, ...], share: float) -> Tensor:
    return (torch.rand(shape, generator=generator(5), dtype=torch.float64) > share).double()


def behind_holes(blur: operators.Blur, size: int) -> operators.Operator:
    return operators.Mask(holes(tuple(blur.output_shape((1, 1, size, size))[2:]), 0.3)) @ blur


BLURS: dict[str, Callable[[int], operators.Operator]] = {  # of an image size x size
    "gaussian 5, circular": lambda n: operators.Blur(psf.gaussian(5, sigma=1.0)),
    "gaussian 9": lambda n: operators.Blur(psf.gaussian(9, sigma=2.0), boundary="valid"),
    "shake 25": lambda n: operators.Blur(psf.shake(25, 1), boundary="valid"),
    "disk 31": lambda n: operators.Blur(psf.disk(31, 13), boundary="valid"),
    "holes": lambda n: operators.Mask(holes((n, n), 0.3)),
    "holes, gaussian 9": lambda n: behind_holes(operators.Blur(psf.gaussian(9, sigma=2.0), boundary="valid"), n),
    "holes, shake 25": lambda n: behind_holes(operators.Blur(psf.shake(25, 1), boundary="valid"), n),
    "x2": lambda n: operators.Blur(psf.gaussian(7, sigma=1.2), 2, "valid"),
    "x4": lambda n: operators.Blur(psf.gaussian(13, sigma=2.0), 4, "valid"),
    "x2, shake 25": lambda n: operators.Blur(psf.shake(25, 1), 2, "valid"),
    "x4, shake 25": lambda n: operators.Blur(psf.shake(25, 1), 4, "valid"),
}
TERMS = ("squares", "clipped", "huber", "absolute", "counts")
PRIORS = ("tv", "l1")


@dataclasses.dataclass
class Problem:
    """How to make the operator anew, the data in float32, and what is minimised."""

    make: Callable[[], operators.Operator]
    y: Tensor
    fidelity: Any
    prior: Any

    def objective(self, x: Tensor, op: Any) -> float:
        """``D(A x) + R(x)``, D counted from its least."""
        x = x.double()
        term = self.fidelity.bind(self.fidelity.known(self.y.double()), torch.float64)
        return float(term.value(op(x)).sum() + self.prior.value(x).sum())


def fits(blur: str, size: int) -> bool:
    """Whether the stride divides an image of this size."""
    try:
        return bool(BLURS[blur](size).output_shape((1, 1, size, size)))
    except fastip.errors.InvalidInput:
        return False


def problem(blur: str, name: str, prior: str, size: int, weight: float = 1e-2) -> Problem:
    """A grey photograph behind this operator; the weight is that of squares and an image in [0, 1]."""
    while not fits(blur, size):
        size -= 1
    op = BLURS[blur](size)
    (picture,) = data.held_out_photographs(("astronaut",)).values()
    image = picture.double().mean(1, keepdim=True)[..., 20 : 20 + size, 120 : 120 + size]
    y, noise = op(image), generator(1)
    y = y + 0.01 * torch.randn(y.shape, dtype=y.dtype, generator=noise)
    spoilt = torch.rand(y.shape, dtype=y.dtype, generator=noise)
    fidelity: Any
    if name == "squares":
        fidelity = fidelities.Squares(torch.where(spoilt < 0.1, 0.0, 0.2 + 0.8 * spoilt))
    elif name == "clipped":
        y = (y / y.quantile(0.85)).clamp(max=1)
        fidelity = fidelities.Clipped(high=1.0)
    elif name == "counts":
        y = torch.poisson((PHOTONS * op(image)).clamp_min(0) + DARK, generator=noise)
        fidelity = fidelities.Poisson(DARK)
    else:
        y = torch.where(spoilt < 0.05, (spoilt < 0.025).double(), y)
        fidelity = fidelities.Absolute() if name == "absolute" else fidelities.Huber(0.02)
    suited = fidelity.suited(y, op.norm((1, 1, size, size)))
    weight *= suited.curvature * suited.size
    beside = priors.TV(weight) if prior == "tv" else priors.L1(weight)
    most = float("inf") if name == "clipped" else 1.2 * (PHOTONS if name == "counts" else 1.0)
    return Problem(functools.partial(BLURS[blur], size), y.float(), fidelity, beside + priors.Box(0.0, most))
