"""Solves with one weight after another, each started where the last one ended, and what is measured of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...contracts import Fidelity, Inverse, LinearOperator, Prior, Shape, Solution, Status
from ...errors import InvalidInput, Unsupported
from ...stopping import per_image
from ...streams import stream
from ..admm import admm
from ..arguments import check_prior
from ..defaults import agrees, schedule, settled, suited_to

Make = Callable[[float], Prior]
# The step of the divergence, beside what the residual has at each datum. Ten times less loses digits in float32 where
# there is little noise; ten times more smooths the curve over the weights.
STEP = 0.1
NEIGHBOUR = 2.0  # the factor within which a beta is kept: a smaller one sets up more often
SMALLEST = 1e-3  # of that step beside the data, where they are fitted nearly exactly: float32 keeps three digits


@dataclass(frozen=True)
class Asked:
    """What every solve of a path has.

    Args:
        op: The operator A.
        make_prior: Makes the prior of a weight.
        beta: As admm takes it.
        inverse: As admm takes it.
        fidelity: D, or None for squares.
        iterations: At most.
        tolerance: Of the stop.
    """

    op: LinearOperator
    make_prior: Make
    beta: Any
    inverse: str | Inverse
    fidelity: Fidelity | None
    iterations: int
    tolerance: float

    def prior(self, weight: float) -> Prior:
        """The prior of this weight."""
        return check_prior(self.make_prior(weight))


@dataclass(frozen=True)
class Visit:
    """One solve of a path.

    Attributes:
        weight: Of the prior.
        solution: Its image is a tensor.
        misfit: D(A x) per image, (b,) float64 on the CPU.
        fitted: A x.
    """

    weight: float
    solution: Solution
    misfit: Tensor
    fitted: Tensor


class Path:
    """Solves with the same data and one weight after another.

    Args:
        y: The data, finite.
        asked: What every solve has.
        shape: That of the image.
        spread: What a noise of deviation 1 is at each datum, which broadcasts to y; 0 where nothing is measured.
    """

    def __init__(self, y: Tensor, asked: Asked, shape: Shape, spread: Tensor) -> None:
        self.y, self.asked, self._shape, self.spread = y, asked, shape, spread
        self.sharpness = torch.where(spread > 0, 1 / torch.where(spread > 0, spread, 1), 0)
        self._last: Solution | None = None
        self._twin: Path | None = None
        self._inverse: Inverse | None = None
        self._probe: Tensor | None = None
        self._kept: tuple[list[float], Inverse, float] | None = None
        fidelity = asked.fidelity
        self._bound = None if fidelity is None else fidelity.bind(y, y.dtype)

    def visit(self, weight: float, iterations: int, tolerance: float) -> Visit:
        """Solve with this weight, from where the last solve ended."""
        asked, y = self.asked, self.y
        prior = asked.prior(weight)
        betas, inverse = self._settled(prior)
        init = self._last if self._resumes(inverse) else self._last and self._last.x
        options: Any = {"fidelity": asked.fidelity, "iterations": iterations, "tolerance": tolerance}
        given = inverse if asked.fidelity is None else asked.inverse  # what serves a fidelity is made inside
        found = admm(y, asked.op, prior, beta=betas, inverse=given, init=init, **options)
        self._last, self._inverse = found, inverse
        fitted = asked.op(found.x)
        misfit = per_image(y - fitted).square() if self._bound is None else self._bound.value(fitted).double()
        if found.status is Status.UNSTABLE or not bool(torch.isfinite(misfit).all()):
            raise InvalidInput(
                f"the solve with the weight {weight:.3g} ended with {found.status.name}, so that the weights cannot be "
                "compared; expected solves that settle: give a larger beta, or another inverse"
            )
        return Visit(weight, found, misfit.cpu(), fitted)

    def _settled(self, prior: Prior) -> tuple[list[float], Inverse]:
        """beta and the inverse: those of the last solve while they suit, as a set-up can cost more than a solve."""
        asked, kept = self.asked, self._kept
        free = asked.beta is None
        suited = suited_to(asked.fidelity, asked.op, self.y, self._shape, free, asked.inverse)
        wished = schedule(asked.beta, asked.op, prior, self._shape, suited)[0]
        if kept is not None and 1 / NEIGHBOUR <= wished / kept[2] <= NEIGHBOUR and agrees(prior, kept[0][0]):
            return kept[0], kept[1]
        betas, inverse, _ = settled(
            asked.beta, asked.inverse, asked.fidelity, asked.op, prior, self.y, self._shape, 1.0
        )
        self._kept = betas, inverse, wished
        return betas, inverse

    def _resumes(self, inverse: Inverse) -> bool:
        """Whether the dual of the last solve is one of this inverse: "auto" may choose another for another beta."""
        return self._last is not None and type(inverse) is type(self._inverse)

    def divergence(self, here: Visit) -> Tensor:
        """``Re <b, A x(y + e b) - A x(y)> / e`` per image, b of random signs: the trace of the derivative of A x by y.

        The second solve makes the very iterations that the first one made, from its own last image, so that both are
        one function of the data, settled or not.
        """
        if self._twin is None:
            self._probe = _signs(self.y)
            self._twin = Path(self.y, self.asked, self._shape, self.spread)
        assert self._probe is not None
        twin, count = self._twin, self.counted()
        size = (here.misfit / count).sqrt().clamp(min=SMALLEST * _rms(self.y))
        step = self._each(STEP * size)
        shift = (step * self._probe * self.spread).to(self.y.dtype)
        twin.y = self.y + shift
        moved = twin.visit(here.weight, here.solution.iterations, 0.0).fitted - here.fitted
        probe = (self._probe * self.sharpness).conj()
        product = (probe * moved).real if moved.is_complex() else probe * moved
        return product.double().div(step).flatten(1).sum(dim=1).cpu()

    def _each(self, values: Tensor) -> Tensor:
        """One number for each image, beside the data."""
        return values.to(self.y.device).view(-1, *[1] * (self.y.ndim - 1))

    def counted(self) -> Tensor:
        """How many data each image has that were measured, (b,) float64."""
        return (self.spread > 0).expand(self.y.shape).flatten(1).sum(dim=1).double().cpu()

    def penalty(self, here: Visit) -> float:
        """``R(x) / weight`` of the batch; what is added to R whatever the weight, such as a box, does not count.

        Raises:
            Unsupported: For priors without a value.
        """
        one, two = (self.asked.prior(k * here.weight).value(here.solution.x) for k in (1, 2))
        return float((two - one).double().sum().cpu()) / here.weight

    def started(self, noise: Tensor) -> float:
        """A weight to begin a search with, within a factor of ten of what the noise asks for, mostly.

        A prior works against ``z = A^T n``, and this is the weight at which its penalty of z is the work of the data on
        z: ``2 ||z||^2 / R1(z)``.
        """
        draws = torch.randn(self.y.shape, dtype=torch.float64, generator=stream(0, "start of a selection"))
        shaken = self._each(noise) * self.sharpness * draws.to(self.y.device)
        z = self.asked.op.adjoint(shaken.to(self.y.dtype)).abs()
        squares = float(per_image(z).square().sum().cpu())
        try:
            with torch.no_grad():
                one, two = (float(self.asked.prior(k).value(z).double().sum().cpu()) for k in (1.0, 2.0))
        except Unsupported:
            one, two = 0.0, math.nan
        found = 2 * squares / (two - one) if two > one else math.nan
        if not math.isfinite(found) or found <= 0:
            found = 2 * math.sqrt(squares / z.numel())
        return found or 1.0


def _rms(y: Tensor) -> Tensor:
    return (per_image(y).cpu() / math.sqrt(max(y[0].numel(), 1))).clamp(min=torch.finfo(torch.float32).tiny)


def _signs(y: Tensor) -> Tensor:
    """Random signs of the shape of y; complex: of both parts, of the absolute value 1. The same on every device."""
    draws, parts = stream(0, "probe of a selection"), 2 if y.is_complex() else 1
    signs = torch.randint(0, 2, (parts, *y.shape), generator=draws).double() * 2 - 1
    signs = torch.complex(signs[0], signs[1]) / math.sqrt(2) if y.is_complex() else signs[0]
    return signs.to(y.device, y.dtype)
