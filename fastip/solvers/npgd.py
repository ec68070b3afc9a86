"""Projected gradient descent with a learned projector: no inner loop, one pass of two networks an iteration."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..arrays import as_tensor, check_count, check_number
from ..contracts import LinearOperator, Prior, Solution, Status
from ..errors import strict_keywords
from ..stopping import EVERY, relative_change
from ..tracing import norm, real_dtype
from .arguments import check_data, check_prior, check_tolerance, start
from .monitor import Callback, State
from .pgd import Descent

SEEN = 1e-4  # of ||A||^2: a move of which A sees less says nothing
MOVED = 1e-6  # of ||x||^2: near the end the step stays as it is, and rounding does not choose it


class FixedStep:
    """x - size A^T (A x - y), of any size: a projection on a small set can keep in bounds what would diverge on the whole space."""

    def __init__(self, size: float) -> None:
        self.size = check_number(size, "step", low=0.0, strict=True)

    def bind(self, op: LinearOperator, y: Tensor) -> _BoundFixed:
        return _BoundFixed(op, y, self.size)


class _BoundFixed:
    limit = float("inf")

    def __init__(self, op: LinearOperator, y: Tensor, eta: float) -> None:
        self.op, self.y, self.eta, self.size = op, y, eta, eta / 2  # pgd counts steps of the gradient 2 A^T (A x - y)

    def __call__(self, x: Tensor) -> Tensor:
        moved: Tensor = x + self.eta * self.op.adjoint(self.y - self.op(x))
        return moved

    def guess(self) -> Tensor:
        image: Tensor = self.op.adjoint(self.y)
        return image


class RestrictedStep:
    """x + A^T (y - A x) / beta with beta = ||A s||^2 / ||s||^2, for each image, s its last move; the first is counted from ``reference``, b c h w.

    The moves of a projected descent are differences of images of the range, so this is the range's own curvature, which may be far from ||A||^2: 1 instead of
    (1 + sqrt(n / m))^2 for Gaussian measurements. A move that is tiny, or that A does not see, leaves beta as it was; at first it is ||A||^2.
    """

    def __init__(self, reference: Tensor) -> None:
        self.reference = reference

    def bind(self, op: LinearOperator, y: Tensor) -> _BoundRestricted:
        return _BoundRestricted(op, y, self.reference)


class _BoundRestricted:
    size, limit = 0.5, float("inf")

    def __init__(self, op: LinearOperator, y: Tensor, reference: Tensor) -> None:
        self.op, self.y = op, y
        largest = norm(op, op.input_shape(tuple(y.shape))) ** 2
        self.least = SEEN * largest
        self.beta = reference.new_full((len(reference),), largest)
        self.last = reference.detach(), op(reference.detach())

    def __call__(self, x: Tensor) -> Tensor:
        ax = self.op(x)
        before, before_seen = self.last
        self.last = x.detach(), ax.detach()
        move, seen = _energy(self.last[0] - before), _energy(self.last[1] - before_seen)
        beta = seen / move.clamp_min(torch.finfo(move.dtype).tiny)
        self.beta = torch.where((move > MOVED * _energy(self.last[0])) & (beta > self.least), beta, self.beta)
        moved: Tensor = x + self.op.adjoint(self.y - ax) / self.beta.reshape(-1, *[1] * (x.ndim - 1))
        return moved

    def guess(self) -> Tensor:
        image: Tensor = self.op.adjoint(self.y)
        return image


def _energy(x: Tensor) -> Tensor:
    """||x||^2 for each image."""
    return torch.linalg.vector_norm(x.flatten(1), dim=1).square()


def descent(step: Any) -> Descent:
    """A fixed step for a number, and objects as they are."""
    return step if callable(getattr(step, "bind", None)) and not isinstance(step, type) else FixedStep(step)


class _Nearest:
    """For each image the iterate of least ||y - A x|| so far, and whether looking further is worth it: an approximate projector wanders about its limit."""

    def __init__(self, y: Tensor, op: LinearOperator, tolerance: float) -> None:
        self.y, self.op, self.tolerance = y, op, tolerance
        self.size = _energy(y.detach()).sqrt()
        self.x: Tensor | None = None
        self.misfit = self.last = torch.full_like(self.size, float("inf"))
        self.looks: list[Tensor] = []

    def see(self, x: Tensor) -> None:
        misfit = _energy(self.y.detach() - self.op(x.detach())).sqrt()
        nearer = misfit < self.misfit
        self.x = x if self.x is None else torch.where(nearer.reshape(-1, *[1] * (x.ndim - 1)), x, self.x)
        self.misfit = torch.where(nearer, misfit, self.misfit)

    def ratios(self, before: Tensor, x: Tensor) -> Tensor:
        """||y - A x|| / ||y|| of the nearest, and the change of x: 2 x b."""
        return torch.stack([self.misfit / torch.where(self.size > 0, self.size, torch.ones_like(self.size)), relative_change(before, x)])

    def judge(self, ratios: Tensor) -> Status | None:
        """Converged when for every image the misfit is at most tolerance ||y||, or has fallen by at most the tolerance since the last look."""
        ratios, last = ratios.double().cpu(), self.last
        self.looks.append(ratios)
        if not bool(torch.isfinite(ratios).all()):
            return Status.UNSTABLE
        self.last = ratios[0]
        done = (ratios[0] <= self.tolerance) | (ratios[0] >= (1 - self.tolerance) * last.to(ratios[0]))
        return Status.CONVERGED if bool(done.all()) else None

    def residuals(self) -> Tensor:
        return torch.stack(self.looks) if self.looks else torch.zeros(0, 2, len(self.y), dtype=torch.float64)


@strict_keywords
def npgd(
    y: Any,
    op: LinearOperator,
    prior: Prior,
    *,
    step: float | Descent | None = None,
    iterations: int = 30,
    tolerance: float = 1e-2,
    init: Any = None,
    callback: Callback | None = None,
) -> Solution:
    """Find the image of a generator that gives the data, by projected gradient descent with a trained projector.

        w  = x + step A^T (y - A x)      or  x + A^+ (y - A x)
        x' = P(w)

    y: the data, as for ``pgd``. prior: priors.Projector(net), P.
    step: None needs no tuning: 1 / beta, beta = ||A s||^2 / ||s||^2 of each image's last move s, so that it is the curvature on the range of P and not that of
    the whole space, in which such steps would diverge; a number; or an object such as BackProjection(inverse).
    init: x0, an image or a Solution; by default P(A^T y) where step is None, A^T y for a number, the step from zero for an object.
    tolerance: stop when for every image ||y - A x|| is at most tolerance ||y||, or has fallen by at most that part in five iterations; looked at every five
    iterations and at the last. 0 runs exactly ``iterations``.
    callback: called after each iteration with a State (its residuals: ||y - A x|| / ||y|| of the nearest image so far, the change of x); False stops.

    Returns a Solution: for each image the iterate of least ||y - A x||, which stands in the range of the projector. Differentiable; the default steps are
    constants in it. :func:`consistent` takes one step more, out of the range, to an image that gives the data.
    Raises InvalidInput (a ValueError) for bad values.
    Source: Raj, Li and Bresler, GAN-based projector for faster recovery with convergence guarantees in linear inverse problems, 2019; the default
    step: Barzilai and Borwein, Two-point step size gradient methods, 1988, as in the spectral projected gradient of Birgin, Martinez and Raydan, 2000.
    """
    y, restore = as_tensor(y, "y")
    shape = check_data(y, op)
    nearest, count = _Nearest(y, op, check_tolerance(tolerance, y)), check_count(iterations, "iterations", low=1)
    project = check_prior(prior).bind(y, op)
    if step is None:
        step = RestrictedStep(project(torch.zeros(shape, dtype=real_dtype(y.dtype), device=y.device), 0.5))
        init = project(op.adjoint(y), 0.5) if init is None else init
    descend = descent(step).bind(op, y)
    prior.check_beta(1 / (2 * descend.size))
    x, verdict = start(init, descend.guess(), shape), None
    for k in range(count):
        before, x = x, project(descend(x), descend.size)
        nearest.see(x)
        due = tolerance > 0 and ((k + 1) % EVERY == 0 or k + 1 == count)
        if due or callback is not None:
            ratios = nearest.ratios(before, x)
            verdict = nearest.judge(ratios) if due else None
            if callback is not None and callback(State(k + 1, x, ratios)) is False:
                verdict = verdict or Status.STOPPED
        if verdict is not None:
            break
    assert nearest.x is not None
    return Solution(restore(nearest.x), None, verdict or Status.ITERATIONS, k + 1, nearest.residuals())
