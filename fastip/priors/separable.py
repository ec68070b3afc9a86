"""Priors that act on each pixel alone: any of l1, l2 and a box, in one closed form."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from .. import kernels
from ..contracts import LinearOperator, Pointwise, Shape
from ..errors import InvalidInput, Unsupported
from ..operators.base.parts import moduli, shape_of_whole, soft_threshold, twice
from .penalty import Penalty, alike, suggested
from .prior import Prior, Stateless, Weight, check_bound, check_fit, check_weight, image_shape, is_zero, like, weight_on

OF_L1, OF_L2 = Penalty(0.3, 0.7), Penalty(2.5, 1.0)


class Separable(Prior):
    """``R(x) = l1 ||x||_1 + l2 ||x||^2 + indicator(low <= x <= high)``, pixel by pixel.

    It is what the sums of L1, L2, ElasticNet, NonNegative and Box come to. Its prox is::

        prox_{step R}(v) = clip(soft(v, step l1) / (1 + 2 step l2), low, high)

    of complex images with the moduli of the pixels in the place of their sizes, and without a box. It is
    exact, because R is a sum of convex functions of one pixel each and clipping the free minimiser of such a
    function gives the constrained one.

    Args:
        l1: The weight of ``||x||_1``, a number >= 0, or a tensor that broadcasts to b c h w or b c d h w (it may
            require a gradient).
        l2: The weight of ``||x||^2``, the same.
        low: The least value of a pixel, infinite for none.
        high: The largest one, infinite for none.

    Raises:
        InvalidInput: For negative or non-finite weights, weights that do not broadcast, and for low > high.

    References:
        Parikh and Boyd, Proximal Algorithms, 2014, sections 2.2 and 6.5.
    """

    paired = False  # whether channels are the parts of complex ones

    def __init__(
        self, l1: Weight = 0.0, l2: Weight = 0.0, low: float = float("-inf"), high: float = float("inf")
    ) -> None:
        self.l1, self.l2 = check_weight(l1, "l1"), check_weight(l2, "l2")
        self.low, self.high = check_bound(low, "low"), check_bound(high, "high")
        if self.low > self.high or self.low == float("inf") or self.high == float("-inf"):
            raise InvalidInput(
                f"low is {self.low:g} and high is {self.high:g}: no pixel value lies between them; expected low <= high"
            )

    def bind(self, y: Tensor, op: LinearOperator) -> BoundSeparable:
        for name in ("l1", "l2"):
            weight = getattr(self, name)
            if isinstance(weight, Tensor):
                shape = image_shape(y, op)
                check_fit(weight, name, shape_of_whole(shape) if self.paired else shape)
        return BoundSeparable(self.beside(y))

    def suggested_beta(self, op: LinearOperator, shape: Shape) -> float | None:
        """``||A||^2`` where A^T A is diagonal; else what suits the weights, None for a box alone.

        l1: ``0.3 (l1 / ||A||^2)^0.7 ||A||^2``, l2: ``2.5 l2``, within 1e-3 and 1 ``||A||^2``; the larger of the two.
        """
        return suggested(self, (self.l1, self.l2), op, shape)

    def suited(self, op: LinearOperator, shape: Shape) -> float | None:
        """:meth:`suggested_beta`, for numbers and for tensors."""
        return alike(op, shape, pixel_by_pixel=True) or self.weighed(op, shape)

    def weighed(self, op: LinearOperator, shape: Shape) -> float | None:
        """What suits the weights alone."""
        of_l1 = None if is_zero(self.l1) else OF_L1.suits(self.l1, op, shape)
        of_l2 = None if is_zero(self.l2) else OF_L2.suits(self.l2, op, shape)
        return max((beta for beta in (of_l1, of_l2) if beta is not None), default=None)

    def beside(self, y: Tensor) -> Separable:
        """This prior with its weights on the device of y and in its precision."""
        if self.pointwise() is not None:
            return self
        result = copy.copy(self)
        result.l1, result.l2 = weight_on(self.l1, y), weight_on(self.l2, y)
        return result

    def prox(self, v: Tensor, step: float) -> Tensor:
        """clip(soft(v, step l1) / (1 + 2 step l2), low, high)."""
        l1, l2 = like(self.l1, v), like(self.l2, v)
        if self.paired:
            v = v if is_zero(l1) else soft_threshold(v, step * l1)
            return v / twice(1 + 2 * step * l2, v.ndim - 2)
        return kernels.soft_threshold(v, step * l1, 1 / (1 + 2 * step * l2), self.low, self.high)

    def pointwise(self) -> Pointwise | None:
        """The numbers of R; None where a weight is a tensor, and for moduli."""
        if self.paired and not is_zero(self.l1):
            return None
        if isinstance(self.l1, Tensor) or isinstance(self.l2, Tensor):
            return None
        return Pointwise(self.l1, self.l2, self.low, self.high)

    def value(self, x: Tensor) -> Tensor:
        """R(x) for each image, shape (b,); infinite where a pixel lies outside the box."""
        total = x.new_zeros(len(x))
        if not is_zero(self.l1):
            total = total + (like(self.l1, x) * (moduli(x) if self.paired else x.abs())).flatten(1).sum(dim=1)
        if not is_zero(self.l2):
            l2 = like(self.l2, x)
            l2 = twice(l2, x.ndim - 2) if self.paired else l2
            total = total + (l2 * x.square()).flatten(1).sum(dim=1)
        outside = ((x < self.low) | (x > self.high)).flatten(1).any(dim=1)
        return torch.where(outside, torch.full_like(total, float("inf")), total)

    def of_parts(self) -> Separable:
        if self.low > float("-inf") or self.high < float("inf"):
            raise Unsupported(
                f"{type(self).__name__} has bounds, and these images are complex: complex numbers have no order; "
                "expected a prior without a box, such as priors.L1(1e-3) or priors.TV(1e-3)"
            )
        result = copy.copy(self)
        result.paired = True
        return result

    def plus(self, other: Prior) -> Separable | None:
        if not isinstance(other, Separable):
            return None
        low, high = max(self.low, other.low), min(self.high, other.high)
        if low > high:
            raise InvalidInput(
                f"the boxes [{self.low:g}, {self.high:g}] and [{other.low:g}, {other.high:g}] do not meet: "
                "no image satisfies both"
            )
        return Separable(self.l1 + other.l1, self.l2 + other.l2, low, high)


class L1(Separable):
    """``R(x) = weight ||x||_1``; ``prox_{step R}(v) = soft(v, step weight)``.

    Args:
        weight: A number >= 0, or a tensor that broadcasts to b c h w or b c d h w (it may require a gradient).

    Raises:
        InvalidInput: For weights that are negative, not finite, or do not broadcast.
    """

    def __init__(self, weight: Weight) -> None:
        super().__init__(l1=check_weight(weight, "weight"))


class L2(Separable):
    """``R(x) = weight ||x||^2``; ``prox_{step R}(v) = v / (1 + 2 step weight)``.

    Args:
        weight: A number >= 0, or a tensor that broadcasts to b c h w or b c d h w (it may require a gradient).

    Raises:
        InvalidInput: For weights that are negative, not finite, or do not broadcast.
    """

    def __init__(self, weight: Weight) -> None:
        super().__init__(l2=check_weight(weight, "weight"))


class ElasticNet(Separable):
    """``R(x) = l1 ||x||_1 + l2 ||x||^2``; ``prox_{step R}(v) = soft(v, step l1) / (1 + 2 step l2)``.

    Args:
        l1: A number >= 0, or a tensor that broadcasts to b c h w or b c d h w (it may require a gradient).
        l2: The same.

    Raises:
        InvalidInput: For weights that are negative, not finite, or do not broadcast.

    References:
        Zou and Hastie, Regularization and variable selection via the elastic net, 2005.
    """

    def __init__(self, l1: Weight, l2: Weight) -> None:
        super().__init__(l1=check_weight(l1, "l1"), l2=check_weight(l2, "l2"))


class Box(Separable):
    """R(x) = 0 where low <= x <= high, infinite elsewhere; prox(v) = clip(v, low, high).

    Args:
        low: A number; minus infinity for no bound.
        high: A number >= low; infinity for no bound.

    Raises:
        InvalidInput: For low > high, and for what is no number.
    """

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__(low=low, high=high)


class NonNegative(Separable):
    """R(x) = 0 where x >= 0, infinite elsewhere; prox(v) = max(v, 0)."""

    def __init__(self) -> None:
        super().__init__(low=0.0)


class BoundSeparable(Stateless):
    """A separable prior in a solve; it keeps no state."""

    def __init__(self, prior: Separable) -> None:
        self._prior = prior

    def __call__(self, v: Tensor, step: float) -> Tensor:
        return self._prior.prox(v, step)

    def pointwise(self) -> Pointwise | None:
        return self._prior.pointwise()

    def slack(self, x: Tensor) -> None:
        """None: the prox is exact."""

    def why_unfused(self) -> str | None:
        if self.pointwise() is not None:
            return None
        if self._prior.paired and not is_zero(self._prior.l1):
            return "the images are complex, and fused solves threshold real numbers"
        weights = self._prior.l1, self._prior.l2
        if any(isinstance(weight, Tensor) and weight.requires_grad for weight in weights):
            return "a weight of the prior requires a gradient, which fused solves do not have"
        return "a weight of the prior is a tensor, and fused solves take one number for all pixels"
