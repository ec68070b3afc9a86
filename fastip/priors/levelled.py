"""What priors have in common that are a denoiser for noise of a known level.

Where the level comes from, and what beta it implies.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..arrays import check_number
from ..contracts import LinearOperator, Shape
from ..errors import InvalidInput
from .prior import BoundWithout, Prior, check_state

# Relative difference up to which noise, sigma and beta agree: smaller refuses numbers written with few digits, larger
# lets a mistake pass.
AGREEMENT = 1e-3


class Levelled(Prior):
    """``prox_{step R}(v)`` = a denoiser of v for noise of standard deviation ``level``.

    The level is::

        level = noise sqrt(2 step)      where noise is given; step = 1 / 2 beta in admm, so level = noise / sqrt(beta)
        level = sigma                   else

    Together sigma and noise imply beta = noise^2 / sigma^2; a solver given another beta is refused.

    Attributes:
        sigma: The level in image units, > 0, or a sequence with one for each iteration (its last is repeated; a solve
            that is resumed from a Solution goes on where that one ended).
        noise: The standard deviation of the noise in y, >= 0 (0 is as good as missing).
    """

    sigma: float | tuple[float, ...] | None
    noise: float

    def _set_levels(self, sigma: Any, noise: float | None) -> None:
        several = isinstance(sigma, Sequence) and not isinstance(sigma, str)
        self.sigma = (
            _levels(sigma) if several else None if sigma is None else check_number(sigma, "sigma", low=0.0, strict=True)
        )
        self.noise = check_number(noise, "noise", low=0.0) if noise is not None else 0.0
        if several and self.noise:
            raise InvalidInput(
                f"noise is {noise!r} and sigma a sequence; expected one of them: "
                "with a sequence of levels pass beta to the solver"
            )

    def _require_level(self) -> None:
        """Refuse a prior that needs a level and has none."""
        if self.sigma is None and not self.noise:
            given = (
                f"sigma is {self.sigma!r} and noise is {self.noise!r}, "
                f"so the level of the {type(self).__name__} is unknown"
            )
            raise InvalidInput(f"{given}: give sigma, in image units, or noise > 0")

    def suggested_beta(self, op: LinearOperator, shape: Shape) -> float:
        """noise^2 / sigma^2, whatever the operator is.

        Raises:
            InvalidInput: Where one of them is missing: beta must then be given.
        """
        if not isinstance(self.sigma, float) or not self.noise:
            name, missing = type(self).__name__, "noise" if self.sigma is not None else "sigma"
            raise InvalidInput(
                f"beta is not given and the {name} cannot imply it without {missing}: "
                f"pass beta, or {name}(..., sigma=..., noise=...)"
            )
        return self._implied()

    def _implied(self) -> float:
        assert isinstance(self.sigma, float)
        return self.noise**2 / self.sigma**2

    def check_beta(self, beta: float) -> None:
        """Refuse a beta other than noise^2 / sigma^2 where both are given."""
        if self.sigma is not None and self.noise and not math.isclose(beta, self._implied(), rel_tol=AGREEMENT):
            raise InvalidInput(
                f"noise={self.noise:g} and sigma={self.sigma:g} imply beta = noise^2 / sigma^2 = "
                f"{self._implied():g}, but beta is {beta:g} (for a solver without beta: 1 / (2 step)): "
                "leave one of the three out"
            )

    def level(self, step: float, iteration: int = 0) -> float | None:
        """The level for ``prox_{step R}`` at this iteration (from 0).

        noise sqrt(2 step) where noise is given, else sigma; None where neither is.
        """
        self.check_beta(1 / (2 * step))
        if isinstance(self.sigma, tuple):
            return self.sigma[min(iteration, len(self.sigma) - 1)]
        if self.sigma is not None:
            return self.sigma
        return self.noise * math.sqrt(2 * step) if self.noise else None


class BoundLevelled(BoundWithout, abc.ABC):
    """A denoiser in a solve: it counts the iterations, and refuses answers that are no image."""

    def __init__(self, prior: Levelled) -> None:
        self._prior, self._iteration = prior, 0

    @property
    def several(self) -> bool:
        """Whether it has a level for each iteration."""
        return isinstance(self._prior.sigma, tuple)

    def state(self) -> tuple[Tensor, ...]:
        """The number of calls so far."""
        return (torch.tensor(self._iteration),)

    def resume(self, state: tuple[Tensor, ...]) -> None:
        """Go on at this place in the levels."""
        check_state(state, self.state(), type(self._prior).__name__)
        self._iteration = int(state[0])

    @abc.abstractmethod
    def denoise(self, v: Tensor, level: float | None) -> Any:
        """The estimate of the image behind v."""

    def __call__(self, v: Tensor, step: float) -> Tensor:
        level = self._prior.level(step, self._iteration)
        self._iteration += 1
        return _checked(self.denoise(v, level), v)


def _levels(sigma: Sequence[Any]) -> tuple[float, ...]:
    levels = tuple(check_number(s, "sigma", low=0.0, strict=True) for s in sigma)
    if not levels:
        raise InvalidInput("sigma is an empty sequence; expected one level for each iteration")
    return levels


def _checked(x: Any, v: Tensor) -> Tensor:
    if not isinstance(x, Tensor):
        raise InvalidInput(f"the denoiser returned {type(x).__name__}; expected a tensor of shape {tuple(v.shape)}")
    if x.shape != v.shape or x.dtype != v.dtype or x.device != v.device:
        raise InvalidInput(
            f"the denoiser returned {tuple(x.shape)} {x.dtype} on {x.device}; "
            f"expected {tuple(v.shape)} {v.dtype} on {v.device}, as it was given"
        )
    return x
