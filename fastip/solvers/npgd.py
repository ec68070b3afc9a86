"""Projected gradient descent with a learned projector: no inner loop, one projection by networks an iteration."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..arrays import as_tensor, check_count, energy
from ..contracts import LinearOperator, Prior, Solution, Status
from ..errors import InvalidInput, strict_keywords
from ..stopping import EVERY, relative_change
from ..tracing import real_dtype
from .arguments import check_data, check_prior, check_tolerance, start
from .monitor import Callback, State, ended
from .pgd import Descent
from .range_steps import RestrictedStep, descent
from .whole import check_real_images

# Times the least misfit: an iterate that wanders about its limit stays below. Larger takes one for settled that still
# moves, smaller runs on for those that wander more.
NEAR = 1.5
# Times the least misfit: an iterate that is driven away. Larger spends iterations on lost images, smaller gives up some
# that would come back.
FAR = 10.0


class _Nearest:
    """For each image the iterate of least ``||y - A x||`` so far, until its own rule says that it is enough.

    An approximate projector wanders about its limit. An image that has settled, or is lost because its iterates are
    driven away, is not touched again, so that it does not depend on its neighbours.
    """

    def __init__(self, y: Tensor, op: LinearOperator, tolerance: float) -> None:
        self.y, self.op, self.tolerance = y.detach(), op, tolerance
        size = energy(self.y).sqrt()
        self.size = torch.where(size > 0, size, torch.ones_like(size))
        self.x: Tensor | None = None
        self.misfit = self.least = self.last = torch.full_like(size, float("inf"))
        self.settled = self.lost = torch.zeros_like(size, dtype=torch.bool)
        self.looks: list[Tensor] = []

    def see(self, x: Tensor) -> None:
        """The image after an iteration."""
        self.misfit = energy(self.y - self.op(x.detach())).sqrt()
        nearer = (self.misfit < self.least) & torch.logical_not(self.settled | self.lost)
        if self.x is None:
            self.x = x
        # An iterate that nobody keeps has no part in the gradient, where its NaN would be felt.
        elif not x.requires_grad or bool(nearer.any()):
            self.x = torch.where(nearer.reshape(-1, *[1] * (x.ndim - 1)), x, self.x)
        self.least = torch.where(nearer, self.misfit, self.least)

    def ratios(self, before: Tensor, x: Tensor) -> Tensor:
        """``||y - A x|| / ||y||`` of the nearest, and the change of x: 2 x b."""
        return torch.stack([self.least / self.size, relative_change(before, x)])

    def judge(self, ratios: Tensor, whole: bool) -> Status | None:
        """Record the ratios and return a status when the solve is over.

        ``whole``: five iterations have passed since the last look. An image has settled when its least misfit is at
        most ``tolerance ||y||``, or has fallen by at most the tolerance while x stays near it.
        """
        stalled = (self.least >= (1 - self.tolerance) * self.last) & (self.misfit <= NEAR * self.least)
        self.settled = self.settled | torch.logical_not(self.lost) & (
            (self.least <= self.tolerance * self.size) | (stalled & whole)
        )
        self.lost = self.lost | torch.logical_not(self.settled | (self.misfit <= FAR * self.least))  # NaN is far, too
        self.last = self.least
        self.looks.append(ratios.double().cpu())
        return self.status() if bool((self.settled | self.lost).all()) else None

    def status(self) -> Status:
        """How the solve ends now."""
        lost = self.lost | torch.logical_not(torch.isfinite(self.least))
        return (
            Status.UNSTABLE if bool(lost.any()) else Status.CONVERGED if bool(self.settled.all()) else Status.ITERATIONS
        )

    def residuals(self) -> Tensor:
        return torch.stack(self.looks) if self.looks else torch.zeros(0, 2, len(self.y), dtype=torch.float64)


def _weighted(prior: Prior) -> bool:
    """Whether what the prior does depends on the step."""
    weights = (getattr(prior, name, None) for name in ("weight", "l1", "l2"))
    return any(weight is not None and bool(torch.as_tensor(weight).any()) for weight in weights)


@strict_keywords
def npgd(
    y: Any,
    op: LinearOperator,
    prior: Prior,
    *,
    step: float | Descent | None = None,
    iterations: int = 30,
    tolerance: float = 1e-3,
    init: Any = None,
    callback: Callback | None = None,
) -> Solution:
    """Find the image of a generator that gives the data, by projected gradient descent with a trained projector.

    An iteration is::

        w  = x + step A^T (y - A x)      or  x + A^+ (y - A x)
        x' = P(w)

    Differentiable; the default steps are constants in it. :func:`consistent` takes one step more, out of the range,
    to an image that gives the data.

    Args:
        y: The data, as for ``pgd``.
        op: The operator A.
        prior: P, ``priors.Projector(net)``.
        step: None needs no tuning: 1 / beta, ``beta = ||A s||^2 / ||s||^2`` of each image's last move s, so that it
            is the curvature on the range of P and not that of the whole space, in which such steps would diverge,
            for priors that are projections; a number; or an object such as BackProjection(inverse).
        iterations: At most, >= 1.
        tolerance: An image has settled, and keeps what it has, when its ``||y - A x||`` is at most
            ``tolerance ||y||``, or has fallen by at most that part in five iterations; looked at every five
            iterations. The solve ends when all have. 0 runs exactly ``iterations``.
        init: x0, an image or a Solution; by default P(A^T y) where step is None, A^T y for a number, the step from
            zero for an object.
        callback: Called after each iteration with a State (its residuals: ``||y - A x|| / ||y||`` of the nearest
            image so far, the change of x); False stops.

    Returns:
        A Solution: for each image the iterate of least ``||y - A x||``, which stands in the range of the projector.

    Raises:
        InvalidInput: A ValueError, for bad values.
        Unsupported: For a tolerance inside torch.compile or while a CUDA graph is captured, and where an inverse
            does not fit the operator.

    References:
        Raj, Li and Bresler, GAN-based projector for faster recovery with convergence guarantees in linear inverse
        problems, 2019.
        The default step: Barzilai and Borwein, 1988, as in the spectral projected gradient of Birgin, Martinez and
        Raydan, 2000.
    """
    y, restore = as_tensor(y, "y")
    shape, first = check_data(y, op), None
    check_real_images(op, "npgd")
    tolerance = check_tolerance(tolerance, y)
    nearest, count = _Nearest(y, op, tolerance), check_count(iterations, "iterations", low=1)
    project = check_prior(prior).bind(y, op)
    if step is None and _weighted(prior):
        raise InvalidInput(
            f"step is None, which is for projections, and {type(prior).__name__} has a weight that the step scales: "
            "give step=1 / ||A||^2"
        )
    if step is None:
        step = RestrictedStep(project(torch.zeros(shape, dtype=real_dtype(y.dtype), device=y.device), 0.5))
        first = project(op.adjoint(y), 0.5) if init is None else None
    descend = descent(step).bind(op, y)
    prior.check_beta(1 / (2 * descend.size))
    x, verdict = start(init, descend.guess(), shape) if first is None else first, None
    for k in range(count):
        before, x = x, project(descend(x), descend.size)
        nearest.see(x)
        due = tolerance > 0 and ((k + 1) % EVERY == 0 or k + 1 == count)
        if due or callback is not None:
            ratios = nearest.ratios(before, x)
            verdict = nearest.judge(ratios, (k + 1) % EVERY == 0) if due else None
            if callback is not None and callback(State.of(k + 1, x, ratios)) is False:
                verdict = verdict or Status.STOPPED
        if verdict is not None:
            break
    assert nearest.x is not None
    status = ended(verdict or (nearest.status() if tolerance > 0 else Status.ITERATIONS), x)
    return Solution(restore(nearest.x), None, status, k + 1, nearest.residuals())
