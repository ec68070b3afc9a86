"""The one registry of named tasks. A task is operator + prior + inverse + beta + iterations; filled in with what the caller chose it is a Problem to solve."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from . import inverses, io, operators, priors
from .arrays import check_count, check_number
from .contracts import Inverse, LinearOperator, Prior, Solution, Status
from .errors import InvalidInput, strict_keywords
from .operators import psf as point_spread
from .solvers import admm
from .solvers.monitor import State

PRIORS: dict[str, Callable[[float], Prior]] = {"tv": priors.TV, "wavelet": priors.Wavelet, "l1": priors.L1, "l2": priors.L2}
BOXED = ("tv", "l1", "l2")  # priors that keep an exact prox when a box is added
INVERSES: dict[str, Callable[[], str | Inverse]] = {
    "auto": lambda: "auto",
    "exact": inverses.Exact,
    "stencil": inverses.Stencil,
    "cg": inverses.ConjugateGradient,
}
CHUNK = 50  # iterations between two reports of a fused solve: ten checks of the stop rule, so no divergence goes unseen

Report = Callable[[int], None]


def _closest(given: str, known: Iterable[str], what: str) -> str:
    """``given`` when it is known, else InvalidInput with the closest name."""
    known = list(known)
    if given in known:
        return given
    close = difflib.get_close_matches(str(given).lower(), known, 1)
    advice = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"
    raise InvalidInput(f"there is no {what} {given!r}: {advice}")


# ---- what is solved --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """Everything ``fastip.admm`` needs but the data."""

    op: LinearOperator
    prior: Prior
    inverse: str | Inverse
    beta: float
    iterations: int
    tolerance: float

    def solve(self, y: Tensor, *, report: Report | None = None) -> Solution:
        """``fastip.admm(y, op, prior)`` with these settings; ``report`` is told the number of iterations done, now and then.

        A fused solve is resumed every 50 iterations to report; the iterates are those of one solve. Other solves report each iteration.
        """
        if report is None:
            return self._admm(y)
        if self.prior.bind(y, self.op).pointwise() is not None:
            return self._in_chunks(y, report)

        def look(state: State) -> None:
            report(state.iteration)

        return admm(y, self.op, self.prior, beta=self.beta, inverse=self.inverse, iterations=self.iterations, tolerance=self.tolerance, callback=look)

    def _admm(self, y: Tensor, iterations: int | None = None, init: Solution | None = None) -> Solution:
        return admm(y, self.op, self.prior, beta=self.beta, inverse=self.inverse, iterations=iterations or self.iterations, tolerance=self.tolerance, init=init)

    def _in_chunks(self, y: Tensor, report: Report) -> Solution:
        solution, done, residuals = None, 0, []
        while done < self.iterations:
            solution = self._admm(y, min(CHUNK, self.iterations - done), solution)
            done += solution.iterations
            residuals.append(solution.residuals)
            report(done)
            if solution.status is not Status.ITERATIONS:
                break
        assert solution is not None
        return dataclasses.replace(solution, iterations=done, residuals=torch.cat(residuals))


# ---- tasks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A named restoration: y = (psf * x) kept at 0::stride, plus noise, and settings that suit photographs in [0, 1].

    ``psf``: a text as in ``operators.psf.parse``, or None where only the user can know it. ``weights``: the default weight of each prior.
    """

    name: str
    summary: str
    stride: int
    psf: str | None
    weights: Mapping[str, float] = field(hash=False)
    beta: float
    boundary: str = "circular"
    prior: str = "tv"
    inverse: str = "auto"
    iterations: int = 100
    tolerance: float = 1e-3

    @strict_keywords
    def problem(
        self,
        *,
        psf: str | Tensor | None = None,
        boundary: str | None = None,
        prior: str | None = None,
        weight: float | None = None,
        beta: float | None = None,
        inverse: str | None = None,
        iterations: int | None = None,
        tolerance: float | None = None,
        bounded: bool = True,
    ) -> Problem:
        """The problem to solve, with None standing for the task's own choice.

        ``psf``: a tensor kh x kw or a text for :func:`read_psf`. ``bounded`` adds 0 <= x <= 1 to the priors that can hold it (all but wavelet).
        Raises InvalidInput for unknown names, bad numbers, and a missing psf.
        """
        chosen = psf if psf is not None else self.psf
        if chosen is None:
            raise InvalidInput(f"task {self.name!r} needs the psf that blurred the image; give one, e.g. motion:9:45, gaussian:9:1.6 or an image file")
        taps = read_psf(chosen) if isinstance(chosen, str) else chosen
        name = _closest(prior or self.prior, PRIORS, "prior")
        strength = check_number(self.weights[name] if weight is None else weight, "weight", low=0.0)
        regulariser = PRIORS[name](strength)
        if bounded and name in BOXED:
            regulariser = regulariser + priors.Box(0.0, 1.0)  # type: ignore[operator]
        return Problem(
            op=operators.Blur(taps, stride=self.stride, boundary=boundary or self.boundary),
            prior=regulariser,
            inverse=INVERSES[_closest(inverse or self.inverse, INVERSES, "inverse")](),
            beta=check_number(self.beta if beta is None else beta, "beta", low=0.0, strict=True),
            iterations=check_count(self.iterations if iterations is None else iterations, "iterations", low=1),
            tolerance=check_number(self.tolerance if tolerance is None else tolerance, "tolerance", low=0.0),
        )


@strict_keywords
def read_psf(text: str) -> Tensor:
    """The psf in a text form (gaussian:9:1.6, motion:9:45, ...) or in an image or .npy file; a file is averaged over its channels and scaled to sum 1.

    Returns float64 kh x kw. Raises InvalidInput for anything else, and for a file that sums to zero.
    """
    if Path(text).suffix.lower() not in io.SUFFIXES:
        return point_spread.parse(text)
    taps = io.read_image(text)[0][0].double().mean(dim=0)
    total = float(taps.sum())
    if not abs(total) > 1e-12 * float(taps.abs().sum()):
        raise InvalidInput(f"the psf in {text} sums to {total:g}; expected a sum that is not zero, so that it can be scaled to 1")
    return taps / total


@strict_keywords
def crop_valid(x: Tensor, op: LinearOperator, size: tuple[int, int]) -> Tensor:
    """The part of a restored image that lies under the data: pixel 0 of the data at pixel 0 of the result, at most ``size`` = stride times the data.

    Only a valid boundary restores more than that: x: b c (h - 1) stride + k ... -> b c (h stride) (w stride), or what there is of it.
    """
    convolution = op.convolution()
    if convolution is None or convolution.boundary != "valid":
        return x
    top, left = (k - 1 - k // 2 for k in convolution.psf.shape)
    return x[..., top : top + size[0], left : left + size[1]]


# The weights and beta were chosen by PSNR on five photographs (scikit-image: chelsea, astronaut, coffee; scikit-learn: china, flower; crops of about
# 256 x 256), degraded by the task's own operator; super-resolution as a compromise between no noise and noise of 0.01, deblurring (motion:9:45) for noise
# of 0.01. Mean PSNR in dB, bicubic (deblurring: the input) -> tv: sr4 24.1 -> 25.5 without and 24.0 -> 25.1 with noise, sr2 25.1 -> 28.1 and 25.0 -> 27.0,
# deblur 24.4 -> 29.3, after 10 to 25 iterations. A tolerance of 1e-4 takes 20 to 110 iterations and changes these means by -0.15 to 0 dB.
# The l1 weights suit sparse images (2 % bright points).
_TASKS = {
    task.name: task
    for task in (
        Task("sr4", "super-resolution × 4", 4, "gaussian:9:1.6", {"tv": 5e-4, "wavelet": 1e-3, "l1": 1e-4, "l2": 1e-4}, 1e-2),
        Task("sr2", "super-resolution × 2", 2, "gaussian:9:1.6", {"tv": 6e-4, "wavelet": 2e-3, "l1": 2e-3, "l2": 1e-2}, 3e-2),
        Task("deblur", "remove a known blur", 1, None, {"tv": 1.5e-3, "wavelet": 4e-3, "l1": 5e-3, "l2": 2e-2}, 3e-2),
    )
}


def names() -> list[str]:
    """The names of all tasks."""
    return list(_TASKS)


def get(name: str) -> Task:
    """The task of that name. Raises InvalidInput with the closest name."""
    return _TASKS[_closest(name, _TASKS, "task")]
