"""Denoiser: plug and play, any denoiser as the prox of an unwritten prior."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..arrays import check_number
from ..contracts import LinearOperator
from ..errors import InvalidInput
from .prior import BoundWithout, Prior

LEVELS = ("level", "sigma", "noise_level")  # names of an optional second argument that is taken as the level
AGREEMENT = 1e-3  # relative difference up to which noise, sigma and beta agree


class Denoiser(Prior):
    """prox_{step R}(v) = denoiser(v), or denoiser(v, level), for a denoiser of noise of standard deviation ``level``.

        level = noise sqrt(2 step) where ``noise`` is given (step = 1 / 2 beta in admm, so level = noise / sqrt(beta)), else level = sigma

    denoiser: a callable (v) -> x or (v, level) -> x on tensors b c h w; it gets the level, a float, when it has two required arguments, or an optional
    second one called level, sigma or noise_level. An ``nn.Module`` keeps its gradients: solve under ``torch.no_grad()`` where none are wanted.
    sigma: the level in image units, > 0. noise: the standard deviation of the noise in y, >= 0 (0 is as good as missing). Together they imply
    beta = noise^2 / sigma^2; a solver given another beta is refused.
    Raises InvalidInput for anything that is not callable, for levels that are missing or contradict each other, and for a denoiser that returns
    something else than an image of the shape, dtype and device it was given.
    Source: Venkatakrishnan, Bouman and Wohlberg, Plug-and-play priors for model based reconstruction, 2013.
    """

    def __init__(self, denoiser: Callable[..., Tensor], *, sigma: float | None = None, noise: float | None = None) -> None:
        if not callable(denoiser) or isinstance(denoiser, type):
            raise InvalidInput(f"denoiser is {denoiser!r}; expected a callable (v) -> x or (v, level) -> x")
        self.denoiser = denoiser
        self.sigma = None if sigma is None else check_number(sigma, "sigma", low=0.0, strict=True)
        self.noise = check_number(noise, "noise", low=0.0) if noise is not None else 0.0
        if self.sigma is None and not self.noise:
            raise InvalidInput(f"sigma is {sigma!r} and noise is {noise!r}, so the denoiser's level is unknown: give sigma, in image units, or noise > 0")
        self._takes_level = _takes_level(denoiser)

    def bind(self, y: Tensor, op: LinearOperator) -> BoundDenoiser:
        return BoundDenoiser(self)

    def suggested_beta(self) -> float:
        """noise^2 / sigma^2. Raises InvalidInput where one of them is missing: beta must then be given."""
        if self.sigma is None or not self.noise:
            missing = "sigma" if self.sigma is None else "noise"
            raise InvalidInput(f"beta is not given and the Denoiser cannot imply it without {missing}: pass beta, or Denoiser(denoiser, sigma=..., noise=...)")
        return self.noise**2 / self.sigma**2

    def check_beta(self, beta: float) -> None:
        """Refuse a beta other than noise^2 / sigma^2 where both are given."""
        if self.sigma is not None and self.noise and not math.isclose(beta, self.suggested_beta(), rel_tol=AGREEMENT):
            raise InvalidInput(
                f"noise={self.noise:g} and sigma={self.sigma:g} imply beta = noise^2 / sigma^2 = {self.suggested_beta():g}, but beta is {beta:g} "
                "(for a solver without beta: 1 / (2 step)): leave one of the three out"
            )

    def level(self, step: float) -> float:
        """The level for prox_{step R}: noise sqrt(2 step) where noise is given, else sigma."""
        self.check_beta(1 / (2 * step))
        if self.sigma is not None:
            return self.sigma
        return self.noise * math.sqrt(2 * step)

    def prox(self, v: Tensor, step: float) -> Tensor:
        """denoiser(v) or denoiser(v, level)."""
        level = self.level(step)
        x = self.denoiser(v, level) if self._takes_level else self.denoiser(v)
        if not isinstance(x, Tensor):
            raise InvalidInput(f"the denoiser returned {type(x).__name__}; expected a tensor of shape {tuple(v.shape)}")
        if x.shape != v.shape or x.dtype != v.dtype or x.device != v.device:
            raise InvalidInput(
                f"the denoiser returned {tuple(x.shape)} {x.dtype} on {x.device}; expected {tuple(v.shape)} {v.dtype} on {v.device}, as it was given"
            )
        return x


class BoundDenoiser(BoundWithout):
    """The denoiser in a solve; it keeps no state."""

    def __init__(self, prior: Denoiser) -> None:
        self._prior = prior

    def __call__(self, v: Tensor, step: float) -> Tensor:
        return self._prior.prox(v, step)


def _takes_level(denoiser: Any) -> bool:
    """Whether the denoiser is called with the level too."""
    try:
        parameters = inspect.signature(getattr(denoiser, "forward", denoiser)).parameters.values()
    except (TypeError, ValueError):
        return False  # a built-in without a signature
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in places if p.default is p.empty]
    if len(required) > 2 or any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters) or not (places or _variadic(parameters)):
        raise InvalidInput(f"denoiser {denoiser!r} has the arguments ({', '.join(p.name for p in parameters)}); expected (v) or (v, level)")
    return len(required) == 2 or (len(places) > 1 and places[1].name in LEVELS)


def _variadic(parameters: Any) -> bool:
    return any(p.kind is p.VAR_POSITIONAL for p in parameters)
