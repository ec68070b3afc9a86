"""The two terms of the objective in one solve: what fidelities promise the data step, and priors their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor


class Suited(NamedTuple):
    """What the default penalties are made for.

    Attributes:
        curvature: D'' / 2 at the data, which of ``||y - v||^2`` is 1.
        size: Of the data, beside those of images in [0, 1].
        stiffness: What the second split's data_beta is beside that of squares with this curvature.
    """

    curvature: float
    size: float = 1.0
    stiffness: float = 1.0


SQUARES = Suited(1.0)


class BoundFidelity(Protocol):
    """D in one solve: convex, a sum over the data, v of their shape."""

    smooth: bool  # whether D' is continuous, so that slope tells how far a solve is from its end

    @property
    def y(self) -> Tensor:
        """The data, finite everywhere, in the precision of the solve."""
        ...

    @property
    def weights(self) -> Tensor | None:
        """What the data count beside each other, which broadcasts to y; None: alike."""
        ...

    @property
    def least(self) -> Tensor:
        """The v of the least D."""
        ...

    @property
    def pulled(self) -> Tensor:
        """``-D'(0) / 2``, or its size elsewhere where that is infinite."""
        ...

    def prox(self, v: Tensor, scale: Tensor, penalty: float) -> Tensor:
        """``argmin_u D(scale u) + penalty ||u - v||^2``, for penalty > 0 and any scale."""
        ...

    def conjugate(self, w: Tensor, sigma: Tensor | float) -> Tensor:
        """``prox_{sigma D*}(w) = argmin_u sigma D*(u) + 1/2 ||u - w||^2``, sigma > 0, one for each datum or all."""
        ...

    def slope(self, v: Tensor) -> Tensor:
        """``-D'(v) / 2``, which of ``||y - v||^2`` is y - v."""
        ...

    def apart(self, v: Tensor, nu: Tensor) -> Tensor:
        """``D(v) + D*(nu) - nu v`` of each datum, >= 0, and 0 where nu is a slope of D at v."""
        ...

    def value(self, v: Tensor) -> Tensor:
        """D(v) per image beyond its least, shape (b,)."""
        ...

    def whole(self) -> Tensor:
        """What D comes to where nothing is seen, per image, shape (b,)."""
        ...


@runtime_checkable
class Fidelity(Protocol):
    """What stands for ``||y - v||^2``, v = A x."""

    @property
    def plain(self) -> bool:
        """Whether it is just that."""
        ...

    quadratic: bool  # whether it is that with a weight for each datum

    def check(self, y: Tensor) -> None:
        """Refuse, with InvalidInput, data that it does not take."""
        ...

    def known(self, y: Tensor) -> Tensor:
        """y, with zeros in the place of what does not count.

        Raises:
            InvalidInput: Where the fidelity does not fit the shape of y.
        """
        ...

    def bind(self, y: Tensor, dtype: torch.dtype) -> BoundFidelity:
        """D for these data, in this precision."""
        ...

    def suited(self, y: Tensor, norm: float) -> Suited:
        """What the default penalties are made for, given ``||A||``."""
        ...

    def steepest(self, y: Tensor) -> float:
        """The largest D'' / 2, infinite where D' jumps or grows without a bound."""
        ...

    def without(self, mask: Tensor) -> Fidelity:
        """The same where data of a mask do not count."""
        ...

    def describe(self) -> str:
        """A few words for people."""
        ...


# ---- the prior -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pointwise:
    """``R(x) = l1 ||x||_1 + l2 ||x||^2 + indicator(low <= x <= high)``.

    ``prox_{step R}(v) = clip(soft(v, step l1) / (1 + 2 step l2), low, high)``.
    """

    l1: float = 0.0
    l2: float = 0.0
    low: float = float("-inf")
    high: float = float("inf")

    def at(self, step: float) -> dict[str, float]:
        """The numbers of ``prox_{step R}(v) = clip(soft(v, threshold) shrink, low, high)``."""
        shrink = 1 / (1 + 2 * step * self.l2)
        return {"threshold": step * self.l1, "shrink": shrink, "low": float(self.low), "high": float(self.high)}


class BoundPrior(Protocol):
    """A prior bound to one solve; state kept between iterations (a dual field) lives here."""

    exact: bool  # whether a call gives the prox itself, not steps towards it: over-relaxation needs that

    def __call__(self, v: Tensor, step: float) -> Tensor:
        """``prox_{step R}(v) = argmin_x step R(x) + 1/2 ||x - v||^2``."""
        ...

    def pointwise(self) -> Pointwise | None:
        """The pointwise form of R, where it has one and its numbers need no gradient."""
        ...

    def slack(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """``(R(x) + R*(g) - <g, x>, R(x))`` per image, x being the last result and g the slope that the prox ended at.

        None where the prox is exact, or R unknown.
        """
        ...

    def state(self) -> tuple[Tensor, ...]:
        """What is kept between iterations (a dual field, a place in a sequence of levels); empty where nothing is."""
        ...

    def resume(self, state: tuple[Tensor, ...]) -> None:
        """Go on from a state that a prior of the same kind left.

        Raises:
            InvalidInput: For a state of other shapes.
        """
        ...

    def why_unfused(self) -> str | None:
        """None where there is such a form, else what stands in its way, in words."""
        ...
