"""Denoiser: plug and play, any denoiser as the prox of an unwritten prior."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from inspect import Parameter
from typing import Any

from torch import Tensor

from ..contracts import LinearOperator
from ..errors import InvalidInput, brief
from ..nets.weights import check_beside, precision
from .levelled import BoundLevelled, Levelled

LEVELS = ("level", "sigma", "noise_level")  # names of an optional argument that is taken as the level
SECOND = 1  # the place of the level where it is no keyword


class Denoiser(Levelled):
    """Plug and play: a denoiser for noise of a known standard deviation as the prox of an unwritten prior.

    ``prox_{step R}(v)`` is denoiser(v) or denoiser(v, level) with::

        level = noise sqrt(2 step)      where noise is given; step = 1 / 2 beta in admm, so level = noise / sqrt(beta)
        level = sigma                   else

    Together sigma and noise imply beta = noise^2 / sigma^2; a solver given another beta is refused. An
    ``nn.Module`` keeps its gradients: solve under ``torch.no_grad()`` where none are wanted. Networks that take the
    level in another form: ``priors.adapters``. A network whose weights have another precision than v is given v in
    its own, and x comes back in that of v. Of complex images b c h w it gets the parts, b 2c h w, the real and the
    imaginary part of a channel beside each other, and levels are those of each part.

    Args:
        denoiser: A callable (v) -> x or (v, level) -> x on tensors b c h w. It gets the level, a float, as the second
            of two required arguments, or as an optional one called level, sigma or noise_level.
        sigma: The level in image units, > 0, or a sequence with one for each iteration (its last is repeated; a solve
            that is resumed from a Solution goes on where that one ended).
        noise: The standard deviation of the noise in y, >= 0 (0 is as good as missing).
        level_keyword: The name of the argument that takes the level, where it has another name.

    Raises:
        InvalidInput: For anything that is not callable, for optional arguments of which none is known to take the
            level, for levels that are missing or contradict each other, at ``bind`` for a network without a weight on
            the device of y, and for a denoiser that returns something else than an image of the shape, dtype and
            device it was given.

    References:
        Venkatakrishnan, Bouman and Wohlberg, Plug-and-play priors for model based reconstruction, 2013.
    """

    def __init__(
        self,
        denoiser: Callable[..., Tensor],
        *,
        sigma: float | Sequence[float] | None = None,
        noise: float | None = None,
        level_keyword: str | None = None,
    ) -> None:
        if not callable(denoiser) or isinstance(denoiser, type):
            raise InvalidInput(f"denoiser is {brief(denoiser)}; expected a callable (v) -> x or (v, level) -> x")
        self.denoiser = denoiser
        self._set_levels(sigma, noise)
        self._require_level()
        self.place = _place_of_level(denoiser, level_keyword)

    def of_parts(self) -> Denoiser:
        return self

    def bind(self, y: Tensor, op: LinearOperator) -> BoundDenoiser:
        check_beside(getattr(self.denoiser, "net", self.denoiser), y)
        return BoundDenoiser(self)


class BoundDenoiser(BoundLevelled):
    """The denoiser in a solve."""

    def __init__(self, prior: Denoiser) -> None:
        super().__init__(prior)
        self._denoiser, self._place, self._dtype = prior.denoiser, prior.place, precision(prior.denoiser)

    def denoise(self, v: Tensor, level: float | None) -> Any:
        given = v.to(self._dtype or v.dtype)
        if isinstance(self._place, str):
            x = self._denoiser(given, **{self._place: level})
        else:
            x = self._denoiser(given) if self._place is None else self._denoiser(given, level)
        cast = given.dtype != v.dtype and isinstance(x, Tensor) and x.is_floating_point()
        return x.to(v.dtype) if cast else x


# ---- where the level goes --------------------------------------------------------------------------------------------


def _place_of_level(denoiser: Any, keyword: Any) -> int | str | None:
    """Where the denoiser takes the level: SECOND, the name of an argument, or None where it takes none."""
    parameters = _parameters(denoiser)
    if parameters is None:  # a built-in without a signature
        return _checked_keyword(denoiser, keyword, None) if keyword is not None else None
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    others = [p for p in parameters if p not in places[:1] and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    required = [p for p in others if p.default is p.empty]
    if not (places or any(p.kind is p.VAR_POSITIONAL for p in parameters)) or len(required) > 1:
        raise InvalidInput(f"{_told(denoiser, parameters)}; expected (v) or (v, level)")
    if keyword is not None:
        return _checked_keyword(denoiser, keyword, parameters)
    known = required or [p for p in others if p.name in LEVELS]
    if known:
        return _place(denoiser, known[0], places, parameters)
    if others:
        names = " or ".join(f"level_keyword={p.name!r}" for p in others if p.kind is not p.POSITIONAL_ONLY)
        raise InvalidInput(
            f"{_told(denoiser, parameters)}, and none but the image is known to fastip; expected (v) or (v, level): "
            f"{names or 'lambda v, level: ...'} passes the level there, lambda v: denoiser(v) takes the image alone"
        )
    return None


def _place(denoiser: Any, level: Parameter, places: list[Parameter], parameters: list[Parameter]) -> int | str:
    """The place of the argument that takes the level, which is required or has a known name."""
    if level in places[1:2]:
        return SECOND
    if level.kind is level.POSITIONAL_ONLY or level.name not in LEVELS:
        raise InvalidInput(
            f"{_told(denoiser, parameters)}; expected (v) or (v, level): "
            f"if {level.name} is the level, pass level_keyword={level.name!r}"
        )
    return level.name


def _checked_keyword(denoiser: Any, keyword: Any, parameters: list[Parameter] | None) -> str:
    """``level_keyword``, refused where the denoiser has no such argument."""
    names = [p.name for p in parameters or () if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    free = parameters is None or any(p.kind is p.VAR_KEYWORD for p in parameters)
    first = parameters[0].name if parameters else None
    required = [p.name for p in parameters or () if p.default is p.empty and p.name in names]
    missed = [name for name in required if name not in (first, keyword)]
    if not isinstance(keyword, str) or keyword == first or not (keyword in names or free) or missed:
        told = f"the denoiser {_name(denoiser)}" if parameters is None else _told(denoiser, parameters)
        raise InvalidInput(
            f"level_keyword is {keyword!r} and {told}; expected the name of the argument that takes the level, "
            "all others but the image optional"
        )
    return keyword


def _parameters(denoiser: Any) -> list[Parameter] | None:
    """The arguments of the denoiser but for those that functools.partial has fixed; None where it tells none."""
    fixed = denoiser.keywords if isinstance(denoiser, functools.partial) else {}
    called = getattr(denoiser, "_orig_mod", denoiser)  # the network behind torch.compile, which shows (*args, **kwargs)
    try:
        found = inspect.signature(getattr(called, "forward", called)).parameters.values()
    except (TypeError, ValueError):
        return None
    return [p for p in found if p.name not in fixed]


def _told(denoiser: Any, parameters: list[Parameter]) -> str:
    listed = ", ".join(str(p.replace(annotation=p.empty)) for p in parameters)
    return f"the denoiser {_name(denoiser)} has the arguments ({listed})"


def _name(denoiser: Any) -> str:
    return getattr(denoiser, "__name__", type(denoiser).__name__)  # a repr has layers, or an address
