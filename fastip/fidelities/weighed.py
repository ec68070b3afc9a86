"""What fidelities share: a weight for each datum, 0 where it does not count."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..arrays import accumulator
from ..errors import InvalidInput, StrictKeywords
from ..operators.base.real_array import real_array
from ..placement import Constant
from ..terms import Suited
from ..tracing import bare, check_traceable, check_uncaptured
from .one_sided import check_fit

Own = TypeVar("Own", bound="Weighed")


class Weighed(StrictKeywords):
    """A sum over the data whose terms have weights >= 0.

    Args:
        weights: A number, or an array that broadcasts to the data. None: all are 1.

    Raises:
        InvalidInput: For weights that are negative, not finite, or 0 everywhere.
        Unsupported: For weights that require a gradient, and when it is made inside torch.compile.
    """

    plain = False
    quadratic = False
    takes_complex = False
    curvature = 1.0  # D'' / 2 beside its weight

    def __init__(self, weights: Any = None) -> None:
        self.weights: Tensor | None = None
        self.largest = 1.0
        if weights is not None:
            self.weigh(real_array(weights, "weights", range(5), of="a fidelity"))

    def weigh(self, weights: Tensor) -> None:
        """Take these weights, float64 on the CPU."""
        largest = float(weights.max())
        if weights.min() < 0 or largest == 0:
            wrong = "0 everywhere, so that no datum counts" if largest == 0 else "negative at some data"
            raise InvalidInput(f"weights are {wrong}; expected numbers >= 0, and one that is > 0")
        self.weights, self.largest, self._weights = weights, largest, Constant(weights)

    def known(self, y: Tensor) -> Tensor:
        """y, 0 where it does not count."""
        if self.weights is None:
            return y
        check_fit(self.weights.shape, "weights", tuple(y.shape))
        return torch.where(self._weights.like(y) > 0, y, torch.zeros_like(y))

    def check(self, y: Tensor) -> None:
        """Refuse complex data where it has no use for them."""
        if y.is_complex() and not self.takes_complex:
            raise InvalidInput(
                f"y is {y.dtype}, and fidelities.{type(self).__name__} is of real data; expected real ones, or "
                "fidelities.Squares(weights), Absolute() or none, which take complex data"
            )

    def weights_like(self, y: Tensor) -> Tensor | None:
        """The weights in the precision and on the device of y."""
        return None if self.weights is None else self._weights.like(y)

    def suited(self, y: Tensor, norm: float) -> Suited:
        """The largest weight, times the curvature of the terms."""
        return Suited(self.curvature * self.largest)

    def steepest(self, y: Tensor) -> float:
        """The largest D'' / 2 that these data can have; infinite where D' jumps."""
        return self.curvature * self.largest

    def without(self: Own, mask: Tensor) -> Own:
        """The same, data where ``mask`` is true left out."""
        rest, kept = copy.copy(self), (~mask).double()
        rest.weigh(kept if self.weights is None else kept * self.weights)
        return rest


def mean(y: Tensor, name: str) -> float:
    """The mean of data >= 0, 1 where all are 0."""
    advice = "give beta and inverses.Scalar() or Split(data_beta)"
    why = f"a default beta for fidelities.{name}", "it is made for the mean of the data", advice
    check_traceable(*why)
    check_uncaptured(y.device, *why)
    return bare(y.detach()).mean(dtype=accumulator(y.dtype)).item() or 1.0
