"""The public names of fastip, face by face: what the reference has a page for, and what its check looks for."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import fastip
from fastip.kernels.family import Family

FACES = ("", *sorted(name for name in fastip.__all__ if isinstance(getattr(fastip, name), ModuleType)))


@dataclass(frozen=True)
class Name:
    """A public name.

    Attributes:
        full: As it is written: ``fastip.priors.TV``.
        kind: "function", "class", "family" (of kernels) or "data".
        value: The object.
        page: The full name under which the object has its page: the first by which it is public.
    """

    full: str
    kind: str
    value: Any
    page: str


def module(face: str) -> ModuleType:
    """The module behind a face; "" is fastip itself."""
    return getattr(fastip, face) if face else fastip


def kind(value: Any) -> str:
    """What a value is."""
    if isinstance(value, Family):
        return "family"
    if isinstance(value, type):
        return "class"
    return "function" if inspect.isroutine(value) else "data"


def written(face: str) -> list[str]:
    """The names that a face has: ``__all__``, else those that it defines or imports ``as`` themselves."""
    here = module(face)
    if hasattr(here, "__all__"):
        return [name for name in here.__all__ if not name.startswith("_")]
    source = inspect.getsource(here)
    found = [name for name in vars(here) if name[0] != "_" and not isinstance(vars(here)[name], ModuleType)]
    own = [name for name in found if getattr(vars(here)[name], "__module__", None) == here.__name__]
    lines = source.splitlines()
    own += [name for name in found if f"import {name} as {name}" in source]
    own += [name for name in found if any(line.startswith((f"{name} = ", f"{name}: ")) for line in lines)]
    own += [name for name in found if isinstance(vars(here)[name], Family)]
    return sorted(set(own), key=str.lower)


def public() -> Iterator[tuple[str, list[Name]]]:
    """(face, its names) for all faces, modules left out: they are faces themselves."""
    pages: dict[int, str] = {}
    for face in FACES:
        names = []
        for name in written(face):
            value = getattr(module(face), name)
            if isinstance(value, ModuleType):
                continue
            full = ".".join(part for part in ("fastip", face, name) if part)
            page = full if kind(value) == "data" else pages.setdefault(id(value), full)
            names.append(Name(full, kind(value), value, page))
        yield face, names


def described(value: Any) -> list[str]:
    """The parameters that its page describes: those of the signature; none of exceptions, protocols and choices."""
    if isinstance(value, type) and (
        issubclass(value, BaseException) or getattr(value, "_is_protocol", False) or hasattr(value, "_member_map_")
    ):
        return []
    if isinstance(value, type) and issubclass(value, dict):  # a TypedDict: keywords of others
        return list(value.__annotations__)
    skip = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = inspect.signature(value).parameters.values()
    return [p.name for p in found if p.kind not in skip and not p.name.startswith("_")]
