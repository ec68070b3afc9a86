"""The one error family: every message says what was given, what was expected, and what to do."""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Set
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


class FastipDeprecationWarning(FutureWarning):
    """What is used here is going to change or leave, after two minor versions at the earliest.

    The message names the version and what to use instead. Python shows it by default, in code of libraries too.
    """


def brief(value: object) -> str:
    """What was given, for a message: its repr where that is short, else its type (a network, a large array)."""
    text = repr(value)
    return text if len(text) <= 80 and "\n" not in text else f"a {type(value).__name__}"


def closest(given: str, known: Iterable[str], what: str) -> str:
    """``given`` where it is known, else InvalidInput with the closest name, or all of them.

    A name that differs in its number alone (sr3, sr4) is another thing and no misspelling.
    """
    names = list(known)
    if given in names:
        return given
    close = difflib.get_close_matches(str(given).lower(), names, 1)
    close = [name for name in close if re.sub(r"\d", "", name) != re.sub(r"\d", "", str(given).lower())]
    advice = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(names)}"
    raise InvalidInput(f"there is no {what} {given!r}: {advice}")


def check_keywords(given: Iterable[str], known: Set[str], owner: str) -> None:
    """Refuse a keyword that ``owner`` does not have with :class:`UnknownKeyword` and a suggestion."""
    for name in given:
        if name not in known:
            public = sorted(known - {"self"})
            close = difflib.get_close_matches(name, public, 1)
            advice = f"did you mean {close[0]!r}?" if close else f"the keywords are {', '.join(public)}"
            raise UnknownKeyword(f"{owner} has no keyword {name!r}: {advice}")


def strict_keywords(function: Function, *, also: Set[str] = frozenset()) -> Function:
    """Turn a misspelt keyword into :class:`UnknownKeyword` with a suggestion, before any work is done.

    Args:
        function: Whose signature has the keywords.
        also: The names of those that it takes as ``**keywords``.

    Returns:
        The function with that check before it.
    """
    parameters = inspect.signature(function).parameters.values()
    names = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} | also
    owner = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def checked(*args: Any, **keywords: Any) -> Any:
        if not keywords.keys() <= names:
            check_keywords(keywords, names, owner)
        return function(*args, **keywords)

    return checked  # type: ignore[return-value]


class StrictKeywords:
    """Base class whose subclasses refuse misspelt constructor keywords with :class:`UnknownKeyword`."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "__init__" in cls.__dict__:
            cls.__init__ = strict_keywords(cls.__init__)  # type: ignore[method-assign]
