"""Denoiser: plug and play, any denoiser as the prox of an unwritten prior."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from ..contracts import LinearOperator
from ..errors import InvalidInput
from ..nets.weights import check_beside
from .levelled import BoundLevelled, Levelled

LEVELS = ("level", "sigma", "noise_level")  # names of an optional second argument that is taken as the level


class Denoiser(Levelled):
    """Plug and play: a denoiser for noise of a known standard deviation as the prox of an unwritten prior.

    ``prox_{step R}(v)`` is denoiser(v) or denoiser(v, level) with::

        level = noise sqrt(2 step)      where noise is given; step = 1 / 2 beta in admm, so level = noise / sqrt(beta)
        level = sigma                   else

    Together sigma and noise imply beta = noise^2 / sigma^2; a solver given another beta is refused. An
    ``nn.Module`` keeps its gradients: solve under ``torch.no_grad()`` where none are wanted. Networks that take the
    level in another form: ``priors.adapters``.

    Args:
        denoiser: A callable (v) -> x or (v, level) -> x on tensors b c h w. It gets the level, a float, when it has
            two required arguments, or an optional second one called level, sigma or noise_level.
        sigma: The level in image units, > 0, or a sequence with one for each iteration (its last is repeated; a solve
            that is resumed from a Solution goes on where that one ended).
        noise: The standard deviation of the noise in y, >= 0 (0 is as good as missing).

    Raises:
        InvalidInput: For anything that is not callable, for levels that are missing or contradict each other, at
            ``bind`` for a network without a weight on the device of y, and for a denoiser that returns something
            else than an image of the shape, dtype and device it was given.

    References:
        Venkatakrishnan, Bouman and Wohlberg, Plug-and-play priors for model based reconstruction, 2013.
    """

    def __init__(
        self,
        denoiser: Callable[..., Tensor],
        *,
        sigma: float | Sequence[float] | None = None,
        noise: float | None = None,
    ) -> None:
        if not callable(denoiser) or isinstance(denoiser, type):
            raise InvalidInput(f"denoiser is {denoiser!r}; expected a callable (v) -> x or (v, level) -> x")
        self.denoiser = denoiser
        self._set_levels(sigma, noise)
        self._require_level()
        self.takes_level = _takes_level(denoiser)

    def bind(self, y: Tensor, op: LinearOperator) -> BoundDenoiser:
        check_beside(getattr(self.denoiser, "net", self.denoiser), y)
        return BoundDenoiser(self)


class BoundDenoiser(BoundLevelled):
    """The denoiser in a solve."""

    def __init__(self, prior: Denoiser) -> None:
        super().__init__(prior)
        self._denoiser, self._takes_level = prior.denoiser, prior.takes_level

    def denoise(self, v: Tensor, level: float | None) -> Any:
        return self._denoiser(v, level) if self._takes_level else self._denoiser(v)


def _takes_level(denoiser: Any) -> bool:
    """Whether the denoiser is called with the level too."""
    try:
        parameters = inspect.signature(getattr(denoiser, "forward", denoiser)).parameters.values()
    except (TypeError, ValueError):
        return False  # a built-in without a signature
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in places if p.default is p.empty]
    if (
        len(required) > 2
        or any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
        or not (places or _variadic(parameters))
    ):
        raise InvalidInput(
            f"denoiser {denoiser!r} has the arguments ({', '.join(p.name for p in parameters)}); "
            "expected (v) or (v, level)"
        )
    return len(required) == 2 or (len(places) > 1 and places[1].name in LEVELS)


def _variadic(parameters: Any) -> bool:
    return any(p.kind is p.VAR_POSITIONAL for p in parameters)
