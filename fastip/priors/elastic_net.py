"""ElasticNet: few non-zero pixels, none of them large."""

from __future__ import annotations

from .prior import Weight, check_weight
from .separable import Separable


class ElasticNet(Separable):
    """R(x) = l1 ||x||_1 + l2 ||x||^2; prox_{step R}(v) = soft(v, step l1) / (1 + 2 step l2).

    l1, l2: numbers >= 0, or tensors that broadcast to b c h w such as 1 c 1 1 (they may require a gradient). Raises InvalidInput otherwise.
    Source: Zou and Hastie, Regularization and variable selection via the elastic net, 2005.
    """

    def __init__(self, l1: Weight, l2: Weight) -> None:
        super().__init__(l1=check_weight(l1, "l1"), l2=check_weight(l2, "l2"))
