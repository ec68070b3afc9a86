"""Total generalised variation of second order without an inner loop: both dual fields and the slopes are kept."""

from __future__ import annotations

import torch
from torch import Tensor

from ..arrays import accumulator, check_number
from ..contracts import LinearOperator, Shape
from ..errors import Unsupported
from ..kernels import variation
from ..tracing import real_dtype
from .prior import Weight, WithDualFields, check_fit, like, picture_shape, weight_on
from .separable import Separable
from .tv import TV

# Times the beta that suits total variation of the same weight: the slopes settle sooner in small steps of the image.
STIFFER = 4.0
# Of the value of an image alone: where its loop over the slopes ends, relative or in steps, how often it looks, and how
# far beyond each step it goes.
EXACT, MOST, EVERY, RELAXED = 1e-4, 2000, 50, 1.8


class TGV(TV):
    """Total generalised variation of second order, each channel alone: edges, and between them ramps, not stairs.

    Of the differences D x only what a smooth field of slopes w does not explain counts::

        R(x) = weight min_w sum_ij |D x - w| + ratio |E w|

        E w = (dy w_y, dx w_x, (dx w_y + dy w_x) / sqrt(2)),      backward differences, none across the border

    where lengths are over the two entries of D x - w and the three of E w at a pixel. Of an image of one slope R is 0.
    With f what was added (``TGV(1e-3) + Box(0, 1)``), the prox of step (R + f) is the x of ::

        x = prox_{step f}(v - step D^T p),      |p| <= weight,  |q| <= ratio weight,  p = E^T q

    and each call takes ``steps`` primal-dual steps on (p, q, w) from where the last one left them::

        w' = w + step / 2 (p - E^T q),      a = 2 w' - w
        p' = project(p + (D x - a) / (5 step)),      q' = project(q + E a / (8 step))

    At rest x is the exact prox and so the exact minimiser. Measured at 64 x 64 in float64 on images
    in [0, 1], 5 steps, with the suggested beta: a relative objective gap of 1e-3 takes 30 to 100 ADMM iterations, one
    of 1e-4 takes 100 to 1000. It has no compiled kernel.

    Memory: seven images (p, q, w) besides x and v.

    Args:
        weight: A number >= 0, or a tensor b c 1 1 or 1 c 1 1 (it may require a gradient).
        ratio: Of the second order to the first, a number > 0; small ones lead to ramps everywhere, large ones to TV.
        steps: Primal-dual steps in each call, a whole number >= 1.

    Raises:
        InvalidInput: For bad values, and at ``bind`` for images that are not b c h w.

    References:
        Bredies, Kunisch and Pock, Total generalized variation, 2010. Condat, A primal-dual splitting method for convex
        optimization involving Lipschitzian, proximable and linear composite terms, 2013. Vu, A splitting algorithm for
        dual monotone inclusions involving cocoercive operators, 2013.
    """

    def __init__(self, weight: Weight, *, ratio: float = 2.0, steps: int = 5) -> None:
        super().__init__(weight, steps=steps)
        self.ratio = check_number(ratio, "ratio", low=0.0, strict=True)

    def bind(self, y: Tensor, op: LinearOperator) -> BoundTGV:
        shape = picture_shape(y, op, self)
        check_fit(self.weight, "weight", shape)
        self.separable.bind(y, op)
        own = torch.empty((), dtype=accumulator(real_dtype(y.dtype)), device=y.device)
        fields = tuple(own.expand(n, *shape) for n in (2, 3, 2))
        return BoundTGV(self, weight_on(self.weight, y), self.separable.beside(y), fields)

    def suited(self, op: LinearOperator, shape: Shape) -> float:
        """Four times that of :class:`TV`, for numbers and for tensors."""
        return STIFFER * super().suited(op, shape)

    def of_parts(self) -> TV:
        raise Unsupported(
            "TGV takes real images and these are complex; expected a prior of moduli, such as priors.TV(1e-3)"
        )

    def lengths(self, x: Tensor, w: Tensor | None = None) -> Tensor:
        """What is summed for the slopes w, 2 b c h w, weight apart: b c h w. None: the slopes for which it is least."""
        w = _slopes(x.detach(), self.ratio).to(x) if w is None else w
        first = torch.linalg.vector_norm(variation.differences(x, self.boundary) - w, dim=0)
        return first + self.ratio * torch.linalg.vector_norm(variation.slopes(w), dim=0)

    def value(self, x: Tensor) -> Tensor:
        """R(x) for each image, shape (b,), with what was added.

        The least over w is found by a loop, until it is known to 1e-4 of itself or for 2,000 steps: never too small, on
        random images up to 1e-3 of itself too large. 256 x 256 in three colours may take a minute; a solve does not
        call it. The gradient is that for the w found.
        """
        return super().value(x)


def _slopes(x: Tensor, ratio: float) -> Tensor:
    """The w of ``R(x)``, found for each plane by itself."""
    wide = x.dtype if x.device.type == "mps" else torch.float64
    found = torch.empty(2, *x.shape, dtype=wide, device=x.device)
    for image in range(x.shape[0]):
        for channel in range(x.shape[1]):
            found[:, image, channel] = _plane_slopes(x[image, channel].to(wide), ratio)
    return found


def _plane_slopes(x: Tensor, ratio: float) -> Tensor:
    d = variation.differences(x, "reflect")
    size = float(d.abs().mean()) or 1.0  # w has the units of x, p and q have none
    state = torch.zeros_like(d), torch.zeros_like(torch.cat([d, d[:1]])), torch.zeros_like(d)
    for k in range(1, MOST + 1):
        new = variation.slope_steps(d, state, 1.0, ratio, 0.1 * size, 5 / size, 0.625 / size)
        if k % EVERY == 0 and _excess(d, new, ratio) <= EXACT:
            break
        p, q, w = (old + RELAXED * (now - old) for old, now in zip(state, new, strict=True))
        state = p, q, w
    return new[2]


def _excess(d: Tensor, state: variation.Slopes, ratio: float) -> float:
    """How far the value for these slopes may be above the least, relative: the gap to the dual's."""
    _, q, w = state
    value = (
        torch.linalg.vector_norm(d - w, dim=0).sum()
        + ratio * torch.linalg.vector_norm(variation.slopes(w), dim=0).sum()
    )
    p = variation.slopes_adjoint(q)
    least = (d * p).sum() / torch.linalg.vector_norm(p, dim=0).max().clamp(min=1)
    return float((value - least) / value) if value > 0 else 0.0


class BoundTGV(WithDualFields):
    """TGV in one solve: it has the dual fields p, 2 b c h w, and q, 3 b c h w, and the slopes w, 2 b c h w."""

    def __init__(self, prior: TGV, weight: Weight, separable: Separable, own: tuple[Tensor, ...]) -> None:
        super().__init__(type(prior).__name__, weight, own, 2)
        self._prior, self._separable = prior, separable

    def __call__(self, v: Tensor, step: float) -> Tensor:
        dtype, v = v.dtype, v.to(accumulator(v.dtype))
        weight = like(self._weight, v)
        prox = self._separable.pointwise()
        f = (lambda a: self._separable.prox(a, step)) if prox is None else prox
        if not self._fields:
            self._fields = v.new_zeros(2, *v.shape), v.new_zeros(3, *v.shape), v.new_zeros(2, *v.shape)
        p, q, w = self._fields
        x, self._fields = variation.generalised_prox(
            v, (p, q, w), step, weight, self._prior.ratio, self._prior.steps, f
        )
        return x.to(dtype)

    def slack(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``R(x) - <D^T p', x>`` per image for a p' = E^T q that the limits allow, and how far p is from it; R(x).

        R by the slopes that are kept: not below R(x).
        """
        wide = self._own[0].dtype if x.device.type == "mps" else torch.float64
        x, (p, q, w) = x.detach().to(wide), (field.detach().to(wide) for field in self._fields)
        weight = torch.as_tensor(self._weight).detach().to(x)
        value = (weight * self._prior.lengths(x, w)).flatten(1).sum(dim=1)
        d, feasible = variation.differences(x, self._prior.boundary), variation.slopes_adjoint(q)
        longest = torch.linalg.vector_norm(feasible, dim=0).amax(dim=(-2, -1), keepdim=True)
        allowed = torch.where(longest > weight, weight / torch.where(longest > 0, longest, 1.0), 1.0)
        feasible = feasible * allowed
        found = (d * feasible - (d * (p - feasible)).abs()).sum(dim=0).flatten(1).sum(dim=1)
        return value - found, value + self._separable.value(x)
