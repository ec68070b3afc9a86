"""What a solver returns, and how it is saved."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Status(enum.Enum):
    """How a solve ended; the value is advice."""

    CONVERGED = "converged: the tolerance is met"
    ITERATIONS = (
        "the iterations were used up before the tolerance was met: raise iterations, loosen tolerance, "
        "or, where there is one, try another beta"
    )
    UNSTABLE = (
        "the residual grew or became non-finite: use a smaller step, a larger beta, "
        "a better inverse (inverses.Exact()), or a prior that does not expand"
    )
    STOPPED = "stopped by the callback"

    def __str__(self) -> str:
        return self.value

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _status, (self.name,)  # the advice may be worded anew


@dataclass(frozen=True)
class Solution:
    """What a solver returns.

    ``torch.save`` writes it and ``torch.load`` reads it, with its default of weights alone, once fastip was imported
    after torch or any name of fastip was used.

    Attributes:
        x: The image, b c h w, of the kind of the data: a tensor, a NumPy or a CuPy array.
        q: The dual in the step's own shape, for resuming; None where a solver has none.
        status: How the solve ended.
        iterations: How many were run.
        residuals: Checks x 2 x b, the two ratios of the stop rule: ``||y - A x - beta q|| / ||y||``, and how far x is
            from a minimiser, which is <= tolerance when the solve has converged (``fastip.stopping``).
        beta: The last one used; None where a solver has none.
        prior_state: What the prior keeps between iterations, for resuming (TV: its dual fields; denoisers: their place
            in the levels); None where it keeps nothing.
    """

    x: Any
    q: Any
    status: Status
    iterations: int
    residuals: Tensor
    beta: float | None = None
    prior_state: tuple[Tensor, ...] | None = None

    def __reduce__(self) -> Any:
        held = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        array = isinstance(self.x, np.ndarray)
        return _solution, (held | {"x": torch.from_numpy(self.x)} if array else held, array)


def _status(name: str) -> Status:
    return Status[name]


def _solution(held: dict[str, Any], array: bool) -> Solution:
    """A solution from its fields; the image of NumPy, which torch.load refuses, is kept as a tensor."""
    return Solution(**(held | {"x": held["x"].numpy()} if array else held))


# torch.load(path) makes no other objects than those it knows: of a saved solution these, and tensors.
torch.serialization.add_safe_globals([_solution, _status])
