"""A stand-in for torchvision, whose builds hang on one version of PyTorch: deepinv imports it, and needs none here.

Whatever is imported from it is a class that can be derived from, named as a default and called for nothing.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from typing import Any

NAME = "torchvision"


class _Nothing(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


def _quarters(x: Any, angle: float, **_: Any) -> Any:
    """A rotation by quarters of a turn, all that the tests need."""
    assert angle % 90 == 0
    return x.rot90(round(angle / 90), (-2, -1))


class _Module(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "rotate":
            return _quarters
        found = self.__dict__[name] = _Nothing(name, (), {"__init__": lambda self, *_, **__: None})
        return found


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname.partition(".")[0] != NAME:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: Any) -> types.ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def stand_in() -> None:
    """Take the place of torchvision where there is none."""
    if importlib.util.find_spec(NAME) is None:
        sys.meta_path.append(_Finder())
