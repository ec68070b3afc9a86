"""L2: small energy (Tikhonov)."""

from __future__ import annotations

from .prior import Weight, check_weight
from .separable import Separable


class L2(Separable):
    """R(x) = weight ||x||^2; prox_{step R}(v) = v / (1 + 2 step weight).

    weight: a number >= 0, or a tensor that broadcasts to b c h w such as 1 c 1 1 (it may require a gradient). Raises InvalidInput otherwise.
    """

    def __init__(self, weight: Weight) -> None:
        super().__init__(l2=check_weight(weight, "weight"))
