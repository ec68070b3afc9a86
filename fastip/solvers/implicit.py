"""The gradient of a solve at its fixed point, in the memory of one iteration however many were run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..contracts import BoundInverse, BoundPrior, Solution, Status
from ..errors import InvalidInput, Unsupported, brief
from ..stopping import per_image

UNROLLED, IMPLICIT = GRADIENTS = ("unrolled", "implicit")
# What may be missing of x and q in the sum, beside it, where images are float64 and where not. Total variation of a
# 256 x 256 photograph in float32: a solve to 1e-4 takes 1120 terms to 3e-4; its gradient in the data is 6e-3 off that
# of a solve to 1e-5, whose sum takes 5120 terms to 3e-5.
MISSING, ROUGHLY = 1e-5, 3e-4
# Terms of the sum at most, and between two looks at it.
MOST, EVERY = 10_000, 10

State = tuple[Tensor, ...]  # x, q, and what the prior keeps and differentiates


def check_gradient(value: Any, tolerance: float, callback: Any) -> str:
    """One of ``GRADIENTS``, with what it needs."""
    if value not in GRADIENTS:
        raise InvalidInput(f"gradient is {brief(value)}; expected 'unrolled' or 'implicit'")
    if value == IMPLICIT and callback is not None:
        raise Unsupported(
            "gradient='implicit' is that of a solve that came to rest, and a callback may stop it before; leave the "
            "callback out, or use gradient='unrolled'"
        )
    if value == IMPLICIT and tolerance == 0:
        raise Unsupported(
            "gradient='implicit' is that of a solve that came to rest, and tolerance=0 runs a number of iterations "
            "without looking; give a tolerance such as 1e-4, or use gradient='unrolled'"
        )
    return str(value)


def solved(
    solve: Callable[[], Solution],
    step: BoundInverse,
    bind: Callable[[float], BoundInverse],
    prox: BoundPrior,
    relaxation: float,
) -> Solution:
    """A solve that is run without a graph, and whose image has the gradient of its fixed point.

    With z = (x, q, the prior's fields), ``z* = f(z*, theta)`` and J the derivative of f by z at z*, the gradient of a
    loss of x* is::

        (df / dtheta)^T lambda,      lambda = (g, 0, 0) + J^T lambda = (1 + J^T + J^T J^T + ...) (g, 0, 0)

    Args:
        solve: Runs it; its image is a tensor.
        step: The data step that it begins with, bound where gradients are on.
        bind: Makes one for another beta.
        prox: The prior, bound likewise; the solve leaves its state in it.
        relaxation: That of the solve.

    Returns:
        The Solution; its dual and the prior's state have no gradient.

    Raises:
        Unsupported: Where a gradient is asked for and the solve did not converge, or the prior keeps what cannot be
            differentiated.
    """
    if not torch.is_grad_enabled():
        return solve()
    with torch.no_grad():
        solution = solve()
    step = step if solution.beta in (None, step.beta) else bind(float(solution.beta or 0))
    fields, rest = _kept(prox)
    state: State = tuple(t.detach() for t in (solution.x, solution.q, *fields))
    if not any(t.requires_grad for t in _iterated(step, prox, state, rest, relaxation)):
        return solution
    if solution.status is not Status.CONVERGED:
        raise Unsupported(
            f"gradient='implicit' is that of a solve that came to rest, and this one did not: {solution.status}; or "
            "use gradient='unrolled'"
        )
    given = tuple(t.clone().requires_grad_() for t in state)
    out = _iterated(step, prox, given, rest, relaxation)
    x: Tensor = _FixedPoint.apply(_Equation(given, out), solution.x, *out)
    return dataclasses.replace(solution, x=x)


def _kept(prox: BoundPrior) -> tuple[State, State]:
    """What the prior keeps: that which it differentiates, and the rest."""
    kept = prox.state()
    fields = len(getattr(prox, "fields", tuple)())
    if any(t.is_floating_point() for t in kept) and not fields:
        raise Unsupported(
            f"gradient='implicit' needs the derivative of what {type(prox).__name__} keeps between iterations, and it "
            "gives none; define fields(self), the first tensors of its state() with their graph, or use "
            "gradient='unrolled'"
        )
    return kept[:fields], kept[fields:]


def _iterated(step: BoundInverse, prox: BoundPrior, state: State, rest: State, relaxation: float) -> State:
    """One iteration of ADMM as a function of all that it changes."""
    x, q, *fields = state
    if fields or rest:
        prox.resume((*fields, *rest))
    q_new, _ = step(x, q)
    x_new = prox(x + step.ahead(q, q_new), 1 / (2 * step.beta))
    if relaxation != 1.0:
        x_new, q_new = x + relaxation * (x_new - x), q + relaxation * (q_new - q)
    return (x_new, q_new, *(getattr(prox, "fields", tuple)()))


class _Equation:
    """``lambda = (g, 0, 0) + J^T lambda`` for an iteration from ``given`` to ``out``, its graph kept."""

    def __init__(self, given: State, out: State) -> None:
        self.given = given
        self.parts = [i for i, t in enumerate(out) if t.requires_grad]
        self.out = [out[i] for i in self.parts]

    def transposed(self, d: Sequence[Tensor]) -> State:
        """J^T d."""
        chosen = [d[i] for i in self.parts]
        return torch.autograd.grad(self.out, self.given, chosen, retain_graph=True, materialize_grads=True)

    def solution(self, g: Tensor) -> State:
        """Lambda, to ``MISSING`` or ``ROUGHLY``."""
        missing = MISSING if g.dtype == torch.float64 else ROUGHLY
        d: State = (g, *(torch.zeros_like(t) for t in self.given[1:]))
        total, history = tuple(t.clone() for t in d), [_sizes(d)]
        for k in range(1, MOST + 1):
            d = self.transposed(d)
            total = tuple(t.add_(new) for t, new in zip(total, d, strict=True))
            if k % EVERY == 0:
                history.append(_sizes(d))
                if settled(history, _sizes(total), missing):
                    return total
        raise Unsupported(
            f"the gradient of the solve did not settle in {MOST} terms, as where its iterations hardly converge; "
            "try another beta or a tighter tolerance, or use gradient='unrolled'"
        )


def _sizes(parts: State) -> Tensor:
    """The norms of x and q of each image. What a field keeps where x does not see it may take very long."""
    return torch.cat([per_image(t) for t in parts[:2]])


def settled(history: list[Tensor], total: Tensor, missing: float) -> bool:
    """Whether what is left of a sum, by the rate of the second half of its terms, is less than this part of it."""
    last, half = history[-1], (len(history) - 1) // 2
    terms = EVERY * (len(history) - 1 - half)
    if not bool(torch.isfinite(last).all()):
        return False
    rate = (last / history[half].clamp_min(torch.finfo(last.dtype).tiny)) ** (1 / terms)
    left = last * rate / (1 - rate).clamp_min(1e-12)
    return bool((left <= missing * total).all())


class _FixedPoint(torch.autograd.Function):
    """The image of a solve, as a function of the iteration from it to itself."""

    @staticmethod
    def forward(ctx: Any, equation: _Equation, x: Tensor, *out: Tensor) -> Tensor:
        ctx.equation = equation
        return x.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return (None, None, *ctx.equation.solution(g))
