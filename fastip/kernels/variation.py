"""Total variation of kinds that no fused kernel runs.

On a grid that wraps, of volumes, with a spacing, of channels, Huber's, of second order.

In plain torch: differentiable, any device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..arrays import accumulator
from ..contracts import Pointwise
from . import reference

PIXELS = (1.0, 1.0)  # the spacing of images


class Kind(NamedTuple):
    """Which sum of lengths of differences it is.

    Attributes:
        boundary: "reflect", no difference across the border, or "circular".
        over: The dimensions of a field 2 b c h w that a length is taken over: (0,) those of a pixel, (0, 2) of all its
            channels together, () none, each entry alone.
        threshold: Lengths below it count by their squares, as Huber's function has them; 0: none do.
        spacing: The distance of neighbours along each of the last axes, which differences are divided by: two of
            images, three of volumes, whose fields are 3 b c d h w.
    """

    boundary: str
    over: tuple[int, ...]
    threshold: float = 0.0
    spacing: tuple[float, ...] = PIXELS

    @property
    def bound(self) -> float:
        """Of ``||D||^2``: 4 for each axis, in units of its spacing."""
        return sum(4 / h**2 for h in self.spacing)


def differences(x: Tensor, boundary: str, spacing: tuple[float, ...] = PIXELS) -> Tensor:
    """D x: forward differences along the last axes, over the spacing; ... h w -> 2 ... h w."""
    if boundary == "reflect" and spacing == PIXELS:
        return reference.differences(x)
    parts = []
    for dim, h in enumerate(spacing, -len(spacing)):
        wraps = boundary == "circular"
        part = x.roll(-1, dims=dim) - x if wraps else pad(x.diff(dim=dim), [0, 0] * (-dim - 1) + [0, 1])
        parts.append(part if h == 1 else part / h)
    return torch.stack(parts)


def differences_adjoint(u: Tensor, boundary: str, spacing: tuple[float, ...] = PIXELS) -> Tensor:
    """D^T u, 2 ... h w -> ... h w; for reflect with the last row of u[0] and the last column of u[1] zero."""
    if boundary == "reflect" and spacing == PIXELS:
        return reference.differences_adjoint(u)
    total = torch.zeros_like(u[0])
    for part, dim, h in zip(u, range(-len(spacing), 0), spacing, strict=True):
        # on a border that mirrors the last slice is 0, so that what wraps is 0
        found = part.roll(1, dims=dim) - part
        total = total + (found if h == 1 else found / h)
    return total


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

    u' is shrunk before it is limited where the kind has a threshold t, N being the bound of ``||D||^2``, 8 of images::

        u' = project((r + D prox(v - step D^T r) / (N step)) weight / (weight + t / (N step)))

    Args:
        v: Images, b c h w, or volumes, b c d h w.
        u: The dual field, 2 b c h w: differences along rows, then along columns; 3 b c d h w of volumes.
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
    boundary, over, threshold, spacing = kind
    size = kind.bound * step
    for _ in range(steps):
        new = r + differences(apply(v - step * differences_adjoint(r, boundary, spacing)), boundary, spacing) / size
        if threshold > 0:
            new = new * (weight / (weight + threshold / size))
        new = limit(new, weight, over)
        u, r = new, new + momentum * (new - u)
    return apply(v - step * differences_adjoint(u, boundary, spacing)).to(dtype), u, r


Slopes = tuple[Tensor, Tensor, Tensor]  # p, q and w of total generalised variation: 2, 3 and 2 images


def slopes(w: Tensor) -> Tensor:
    """E w: the symmetrised backward differences of 2 ... h w -> 3 ... h w, the last, which counts twice, by sqrt(2).

    Differences across the border, and those with the last row of w[0] and the last column of w[1], which no difference
    of an image reaches, are zero: E D x = 0 for images of one slope.
    """
    mixed = _back(w[0], -1) + _back(w[1], -2)
    return torch.stack([_inside(_back(w[0], -2), -2), _inside(_back(w[1], -1), -1), mixed / math.sqrt(2)])


def slopes_adjoint(q: Tensor) -> Tensor:
    """E^T q, 3 ... h w -> 2 ... h w, on fields w whose last row of w[0] and last column of w[1] are zero."""
    mixed = q[2] / math.sqrt(2)
    down = _back_adjoint(_inside(q[0], -2), -2) + _back_adjoint(mixed, -1)
    across = _back_adjoint(_inside(q[1], -1), -1) + _back_adjoint(mixed, -2)
    return torch.stack([_inside(down, -2), _inside(across, -1)])


def _inside(a: Tensor, dim: int) -> Tensor:
    """``a`` with zeros in its last row (dim -2) or column (dim -1)."""
    return _extended(a.narrow(dim, 0, a.shape[dim] - 1), dim, 0, 1)


def _back(a: Tensor, dim: int) -> Tensor:
    """``a[i] - a[i - 1]``, the first one 0."""
    return _extended(a.diff(dim=dim), dim, 1, 0)


def _back_adjoint(b: Tensor, dim: int) -> Tensor:
    b = b.narrow(dim, 1, b.shape[dim] - 1)
    return _extended(b, dim, 1, 0) - _extended(b, dim, 0, 1)


def _extended(a: Tensor, dim: int, before: int, after: int) -> Tensor:
    return pad(a, (before, after) if dim == -1 else (0, 0, before, after))


def slope_steps(
    d: Tensor, fields: Slopes, weight: float | Tensor, ratio: float, s: float, of_p: float, of_q: float
) -> Slopes:
    """One primal-dual step on ``min_w weight (sum |d - w| + ratio |E w|)``, d being differences, 2 b c h w.

    Args:
        d: The differences.
        fields: p, q and w.
        weight: >= 0; a tensor broadcasts.
        ratio: > 0.
        s: The step of w.
        of_p: That of p.
        of_q: That of q.
    """
    p, q, w = fields
    new = w + s * (p - slopes_adjoint(q))
    ahead = 2 * new - w
    p = limit(p + of_p * (d - ahead), weight, (0,))
    q = limit(q + of_q * slopes(ahead), ratio * weight, (0,))
    return p, q, new


def generalised_prox(
    v: Tensor,
    fields: Slopes,
    step: float,
    weight: float | Tensor,
    ratio: float,
    steps: int,
    prox: Pointwise | Callable[[Tensor], Tensor],
) -> tuple[Tensor, Slopes]:
    """Primal-dual steps towards the prox of step (weight TGV + f).

    The dual of x has a derivative with a Lipschitz number of 8 step, and (I, E) a square norm of 9 at most, shared as 2
    and 16: steps s = step / 2, 1 / (5 step) and 1 / (8 step) are as long as convergence allows.

    Args:
        v: Images, b c h w.
        fields: p, q and w.
        step: That of the prox, > 0.
        weight: >= 0; a tensor broadcasts.
        ratio: Of the second order to the first, > 0.
        steps: How many are taken.
        prox: That of step f, a function, or the numbers of f.

    Returns:
        x, and the fields after the steps.
    """
    apply = reference.pointwise(prox, step) if isinstance(prox, Pointwise) else prox
    for _ in range(steps):
        d = reference.differences(apply(v - step * reference.differences_adjoint(fields[0])))
        fields = slope_steps(d, fields, weight, ratio, step / 2, 1 / (5 * step), 1 / (8 * step))
    return apply(v - step * reference.differences_adjoint(fields[0])), fields
