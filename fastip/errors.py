"""The one error family: every message says what was given, what was expected, and what to do."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class FastipError(Exception):
    """Anything fastip refuses. Catch this to catch them all."""


class InvalidInput(FastipError, ValueError):
    """A value that the caller passed is wrong: shape, size, sign, dtype, device, NaN."""


class UnknownKeyword(FastipError, TypeError):
    """A keyword that the function does not have, with the closest one it has."""


class Unsupported(FastipError, NotImplementedError):
    """The request is meaningful but this combination cannot do it; the message names one that can."""


class DeviceError(FastipError, RuntimeError):
    """A GPU, or its driver, failed; the message has what CUDA says."""


def strict_keywords(function: Function) -> Function:
    """Turn a misspelt keyword into :class:`UnknownKeyword` with a suggestion, before any work is done."""
    names = set(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*args: Any, **keywords: Any) -> Any:
        for given in keywords:
            if given not in names:
                public = sorted(names - {"self"})
                close = difflib.get_close_matches(given, public, 1)
                advice = f"did you mean {close[0]!r}?" if close else f"the keywords are {', '.join(public)}"
                owner = function.__qualname__.removesuffix(".__init__")
                raise UnknownKeyword(f"{owner} has no keyword {given!r}: {advice}")
        return function(*args, **keywords)

    return checked  # type: ignore[return-value]


class StrictKeywords:
    """Base class whose subclasses refuse misspelt constructor keywords with :class:`UnknownKeyword`."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "__init__" in cls.__dict__:
            cls.__init__ = strict_keywords(cls.__init__)  # type: ignore[method-assign]
