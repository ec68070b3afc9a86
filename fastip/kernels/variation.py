"""Total variation of kinds that no fused kernel runs: on a grid that wraps, of channels together, Huber's.

In plain torch: differentiable, any device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..arrays import accumulator
from ..contracts import Pointwise
from . import reference


class Kind(NamedTuple):
    """Which sum of lengths of differences it is.

    Attributes:
        boundary: "reflect", no difference across the border, or "circular".
        over: The dimensions of a field 2 b c h w that a length is taken over: (0,) those of a pixel, (0, 2) of all its
            channels together, () none, each entry alone.
        threshold: Lengths below it count by their squares, as Huber's function has them; 0: none do.
    """

    boundary: str
    over: tuple[int, ...]
    threshold: float = 0.0


def differences(x: Tensor, boundary: str) -> Tensor:
    """D x: forward differences along rows and columns; ... h w -> 2 ... h w."""
    if boundary == "reflect":
        return reference.differences(x)
    return torch.stack([x.roll(-1, dims=-2) - x, x.roll(-1, dims=-1) - x])


def differences_adjoint(u: Tensor, boundary: str) -> Tensor:
    """D^T u, 2 ... h w -> ... h w; for reflect with the last row of u[0] and the last column of u[1] zero."""
    if boundary == "reflect":
        return reference.differences_adjoint(u)
    return u[0].roll(1, dims=-2) - u[0] + u[1].roll(1, dims=-1) - u[1]


def limit(g: Tensor, weight: float | Tensor, over: tuple[int, ...]) -> Tensor:
    """The nearest field whose lengths over these dimensions are <= weight."""
    if not over:
        return torch.clamp(g, -weight, weight)  # type: ignore[arg-type]  # two numbers or two tensors
    # In units of the largest entry: the squares neither overflow nor vanish, and a weight of 0 has its gradient.
    unit = g.detach().abs().amax(dim=over, keepdim=True)
    direction = g / torch.where(unit > 0, unit, torch.ones_like(unit))
    length = direction.square().sum(dim=over, keepdim=True).clamp(min=1).sqrt()  # below 1 only where g is 0
    return torch.where(unit * length > weight, direction * (weight / length), g)


def variation_prox(
    v: Tensor,
    u: Tensor,
    r: Tensor,
    step: float,
    weight: float | Tensor,
    momentum: float,
    steps: int,
    kind: Kind,
    prox: Pointwise | Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Projected dual steps as those of :func:`reference.tv_prox`.

    u' is shrunk before it is limited where the kind has a threshold t::

        u' = project((r + D prox(v - step D^T r) / (8 step)) weight / (weight + t / (8 step)))

    Args:
        v: Images, b c h w.
        u: The dual field, 2 b c h w: differences along rows, then along columns.
        r: Its extrapolation, likewise.
        step: That of the prox, > 0.
        weight: Of total variation, >= 0; a tensor broadcasts.
        momentum: Of the extrapolation, 0 to 1.
        steps: How many are taken, >= 0.
        kind: Which lengths are limited.
        prox: That of step f, a function, or the numbers of f.

    Returns:
        (x, u, r) after the steps, x of the shape and dtype of v.
    """
    wide = accumulator(v.dtype)
    dtype, v, u, r = v.dtype, v.to(wide), u.to(wide), r.to(wide)
    apply = reference.pointwise(prox, step) if isinstance(prox, Pointwise) else prox
    boundary, over, threshold = kind
    for _ in range(steps):
        new = r + differences(apply(v - step * differences_adjoint(r, boundary)), boundary) / (8 * step)
        if threshold > 0:
            new = new * (weight / (weight + threshold / (8 * step)))
        new = limit(new, weight, over)
        u, r = new, new + momentum * (new - u)
    return apply(v - step * differences_adjoint(u, boundary)).to(dtype), u, r
