"""Data of a sensor or a file that has limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arrays import check_number, check_unmasked, from_dlpack
from ..errors import InvalidInput, brief
from ..placement import placed
from .one_sided import OneSided, check_fit
from .weighed import Weighed


class Clipped(Weighed):
    """Squares for data that were cut off at limits: a datum at a limit says only "at least this", or "at most this".

    ``D(v)`` is a sum over the data of::

        (v - y)^2            for an ordinary one
        max(y - v, 0)^2      where y >= high
        max(v - y, 0)^2      where y <= low

    It is convex and differentiable. The image may go beyond the limits: let the prior's box allow it. Where pixels at
    the limit are ordinary white ones, too, give the mask of those that are not: ``Clipped(high=saturated(y))`` of
    ``fastip.fidelities``.

    Args:
        high: The upper limit, a number; or a boolean array, true where a datum says "at least this", that broadcasts to
            the data (``y >= limits`` for a limit of each channel). None: there is none.
        low: The lower limit, or where a datum says "at most this"; likewise. A datum at both limits is an ordinary one.
        weights: >= 0, what the data count beside each other, which broadcasts to them; 0: not at all. None: 1.

    Raises:
        InvalidInput: Without a limit, for other arrays, for low >= high, and for masks that do not broadcast to the
            data.
    """

    # Where no datum holds it the picture has far to go. Below 1 it goes there in fewer iterations and other pixels take
    # more: 15 % clipped, total variation, 1 / 0.25 / 0.1: 11.8 / 12.9 / 13.5 dB after 100 iterations (rocket, motion
    # 15, at rest 14), 27.39 / 27.62 / 27.73 (coffee, disk 11), gap after 50: 3e-4 / 3e-3 / 2e-2.
    curvature = 0.25

    def __init__(self, high: Any = None, low: Any = None, weights: Any = None) -> None:
        super().__init__(weights)
        if high is None and low is None:
            raise InvalidInput("neither high nor low is given; expected a limit, e.g. fidelities.Clipped(high=1.0)")
        self.high, self.low = _limit(high, "high"), _limit(low, "low")
        if isinstance(self.high, float) and isinstance(self.low, float) and self.low >= self.high:
            raise InvalidInput(f"low is {self.low:g} and high is {self.high:g}; expected low < high")

    def known(self, y: Tensor) -> Tensor:
        """y, 0 where it does not count."""
        for name, limit in (("high", self.high), ("low", self.low)):
            if isinstance(limit, Tensor):
                check_fit(limit.shape, name, tuple(y.shape))
        return super().known(y)

    def steepest(self, y: Tensor) -> float:
        """The largest D'' / 2."""
        return self.largest

    def bind(self, y: Tensor, dtype: torch.dtype) -> OneSided:
        # compared in the precision of y itself: 0.9 in float16 is at the limit 0.9, in float32 it is not any more
        high, low = self.high, self.low
        least = placed(high, y.device) if isinstance(high, Tensor) else None if high is None else y >= high
        most = placed(low, y.device) if isinstance(low, Tensor) else None if low is None else y <= low
        if least is not None and most is not None:
            least, most = least > most, most > least
        y = y.to(dtype)
        return OneSided(y, self.weights_like(y), least, most)

    def describe(self) -> str:
        told = (("above", self.high), ("below", self.low))
        return "clipped " + " and ".join(f"{side} {_told(limit)}" for side, limit in told if limit is not None)

    def __repr__(self) -> str:
        return f"Clipped({_told(self.high)}, {_told(self.low)})"


def _limit(value: Any, name: str) -> Tensor | float | None:
    """A number, or a copy of a mask."""
    if value is None:
        return None
    array = isinstance(value, (Tensor, np.ndarray)) or hasattr(value, "__dlpack__")
    if array and value.ndim > 0:
        if str(value.dtype).rpartition(".")[2] == "bool":
            return _mask(value, name)
        raise InvalidInput(
            f"{name} is an array of {value.dtype}; expected a number or a boolean mask of the data at the limit, "
            f"e.g. {'y >= limits' if name == 'high' else 'y <= limits'}"
        )
    if isinstance(value, (bool, np.bool_)):
        raise InvalidInput(f"{name} is {brief(value)}; expected a number such as 1.0, or a boolean mask of the data")
    return check_number(value, name)


def _mask(value: Any, name: str) -> Tensor:
    if isinstance(value, np.ndarray):
        check_unmasked(value, name)
        return torch.from_numpy(np.array(value))
    tensor = value if isinstance(value, Tensor) else from_dlpack(value, name)
    return tensor.detach().to_dense().clone() if tensor.layout != torch.strided else tensor.detach().clone()


def _told(limit: Tensor | float | None) -> str:
    return "where a mask says" if isinstance(limit, Tensor) else "None" if limit is None else f"{limit:g}"
