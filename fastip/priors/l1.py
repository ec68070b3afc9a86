"""L1: few non-zero pixels."""

from __future__ import annotations

from .prior import Weight, check_weight
from .separable import Separable


class L1(Separable):
    """R(x) = weight ||x||_1; prox_{step R}(v) = soft(v, step weight).

    weight: a number >= 0, or a tensor that broadcasts to b c h w such as 1 c 1 1 (it may require a gradient). Raises InvalidInput otherwise.
    """

    def __init__(self, weight: Weight) -> None:
        super().__init__(l1=check_weight(weight, "weight"))
