"""The tasks that projectors are shown on: compressed sensing, a hole, super-resolution.

How their data look, and the best of the classical priors for each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ... import operators, priors
from ...errors import InvalidInput, strict_keywords
from ...nets import Generator
from ...operators import Operator
from ...solvers import admm
from . import lasso
from .compressed_sensing import errors

GAUSSIAN, DESIGNED, HOLE = "Gaussian measurements", "designed measurements", "inpainting"
MEASUREMENTS = {28: 100, 64: 1000}  # by the side of the image
HOLES = {28: 8, 64: 32}  # pixels a side, in the middle
FACTORS = {28: (2,), 64: (2, 4)}  # of super-resolution
# wide enough for the best to lie inside: each more is another solve of TV_ITERATIONS
TV_WEIGHTS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)
# beta in units of the weight: on digits and avatars the objective ends within 1e-4 of its minimum
TV_ITERATIONS, TV_BETA = 1000, 10
HIDDEN = 0.5  # grey, in place of pixels that are not seen

Restore = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """One operator without noise. ``seen``: the data as an image, for the eye alone."""

    title: str
    op: Operator
    seen: Restore


@strict_keywords
def tasks(generator: Generator, measurements: int, designed_from: int, *, seed: int = 0) -> list[Task]:
    """The tasks for images of this generator; ``measurements`` 0: as many as MEASUREMENTS has.

    Raises InvalidInput for sides that are not 28 or 64.
    """
    from ... import train

    channels, side, _ = generator.shape
    if side not in MEASUREMENTS:
        raise InvalidInput(
            f"the images have {side} pixels a side; the tasks are for {' and '.join(map(str, MEASUREMENTS))}"
        )
    m = measurements or MEASUREMENTS[side]
    gaussian = operators.GaussianMeasurements(m, generator.shape, seed=seed)
    designed = train.measurements(generator, m, pairs=max(designed_from, m), seed=seed)
    found = [
        Task(f"{GAUSSIAN}, m = {m}", gaussian, gaussian.adjoint),
        Task(f"{DESIGNED}, m = {m}", designed, designed.adjoint),
        hole(side, HOLES[side]),
    ]
    return [*found, *(smaller(factor) for factor in FACTORS[side])]


@strict_keywords
def hole(side: int, size: int) -> Task:
    """A square in the middle is not seen."""
    mask = torch.ones(side, side)
    first = (side - size) // 2
    mask[first : first + size, first : first + size] = 0
    return Task(f"{HOLE}, {size} × {size} hidden", operators.Mask(mask), lambda y: y + HIDDEN * (1 - mask.to(y)))


@strict_keywords
def smaller(factor: int) -> Task:
    """Means of factor x factor pixels."""
    return Task(
        f"super-resolution × {factor}",
        operators.Downsample(factor),
        lambda y: F.interpolate(y, scale_factor=factor, mode="nearest"),
    )


# ---- classical priors ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Classical:
    """A classical restoration with its settings, in words."""

    words: str
    restore: Restore


@strict_keywords
def classical(op: Operator, truth: Tensor) -> Classical:
    """The classical prior of least error on pictures whose truth is known.

    The Lasso for measurements by a matrix, else total variation.
    """
    y = op(truth)
    if isinstance(op, operators.Dense):
        kinds = [basis for kind in lasso.bases(truth.shape[-1]).values() for basis in kind]
        chosen = lasso.choose(op, kinds, y, truth)
        return Classical(f"Lasso, {chosen.basis.title}", chosen.images)
    tried = [(float(errors(variation(y, op, weight), truth).mean()), weight) for weight in TV_WEIGHTS]
    best = min(tried)[1]
    return Classical(f"TV, weight {best:g}", lambda y: variation(y, op, best))


@strict_keywords
def variation(y: Tensor, op: Operator, weight: float) -> Tensor:
    """``argmin ||y - A x||^2 + weight TV(x)`` over 0 <= x <= 1, by ADMM, whose beta follows the weight.

    A hole fills slowly where it is much larger.
    """
    x: Tensor = admm(
        y, op, priors.TV(weight) + priors.Box(0, 1), beta=TV_BETA * weight, iterations=TV_ITERATIONS, tolerance=0
    ).x
    return x
