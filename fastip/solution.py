"""What a solver returns, and how it is saved."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import InvalidInput

_SHARED = ("float16", "float32", "float64", "complex64", "complex128")  # types of images that NumPy and torch have


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
    after torch or any name of fastip was used. That default refuses what holds other objects than tensors: an image of
    CuPy, one of NumPy that is not plain (contiguous, writeable, in the machine's byte order: what solvers return is),
    and subclasses. ``numpy.array(x, "float32", order="C")`` is plain; ``torch.load(path, weights_only=False)`` reads
    all of them.

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
        held, array = dict(vars(self)), _is_plain(self.x)
        if array:  # its strides along axes of one element may be anything
            held["x"] = torch.from_numpy(self.x.reshape(-1)).reshape(self.x.shape)
        return _solution, (held, array, type(self))


@dataclass(frozen=True)
class Selection:
    """What :func:`fastip.select` returns: the weight of a prior, and how it was chosen.

    ``torch.save`` and ``torch.load`` take it as they take a :class:`Solution`.

    Attributes:
        weight: The one that was chosen.
        solution: The solve with it.
        weights: All that were tried, ascending; one twice where a loose solve was followed by one in full.
        scores: As many, by the rule: of "discrepancy" the misfit beside that of the noise, which should be 1; of "sure"
            the estimated mean of ``|A x - A x0|^2``; of "gcv" that beside a constant; of "lcurve" the curvature, NaN at
            both ends.
        rule: Its name.
        misfits: As many, D(A x) of the batch.
        penalties: As many, ``R(x) / weight`` of the batch, for "lcurve"; else None.
        noise: The deviation that was given or estimated, in the root mean square of the batch; None where the rule
            needs none.
    """

    weight: float
    solution: Solution
    weights: tuple[float, ...]
    scores: tuple[float, ...]
    rule: str
    misfits: tuple[float, ...]
    penalties: tuple[float, ...] | None = None
    noise: float | None = None


def _status(name: str) -> Status:
    return Status[name]


def _is_plain(x: Any) -> bool:
    """Whether x is an array of NumPy that a tensor can share its memory with."""
    return type(x) is np.ndarray and x.flags.carray and x.dtype.isnative and x.dtype.name in _SHARED


def _solution(held: dict[str, Any], array: bool, kind: type[Solution] = Solution) -> Solution:
    """A solution from its attributes; the image of NumPy, which torch.load refuses, is kept as a tensor."""
    if not issubclass(kind, Solution):
        raise InvalidInput(f"a saved solution is of {kind}; expected a fastip.Solution: the file may be damaged")
    solution = kind.__new__(kind)
    vars(solution).update(held | {"x": held["x"].numpy()} if array else held)
    return solution


# torch.load(path) makes no other objects than those it knows: of a saved solution these, and tensors.
torch.serialization.add_safe_globals([_solution, _status, Solution, Selection])
