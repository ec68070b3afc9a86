"""What an operator says of itself on a grid, kept for the last grid.

A solve asks for it several times, and solves on one grid follow each other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from ...contracts import Shape
from ...tracing import untransformed

Answer = TypeVar("Answer")
PREFIX = "_last_"  # of the attributes that hold them: they are left out when an operator is pickled


def last(method: Callable[[Any, Shape], Answer]) -> Callable[[Any, Shape], Answer]:
    """A method of an operator and a shape that is computed once as long as the shape stays the same.

    Of channelwise operators only the height and width count. The answer must depend on the operator's parameters and
    the shape alone, and must not be changed.
    """
    name = PREFIX + method.__name__
    found = untransformed(method)

    @functools.wraps(method)
    def remembered(self: Any, shape: Shape) -> Answer:
        key = (len(shape), *(shape[2:] if self.channelwise else shape))
        kept = self.__dict__.get(name)
        if kept is None or kept[0] != key:
            kept = self.__dict__[name] = (key, found(self, shape))
        answer: Answer = kept[1]
        return answer

    return remembered
