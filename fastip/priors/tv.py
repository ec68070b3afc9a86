"""Total variation without an inner loop.

The dual field is kept between iterations and takes a few projected steps in each.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .. import kernels
from ..arrays import accumulator, check_count
from ..contracts import BoundPrior, LinearOperator, Pointwise, Shape
from ..errors import closest
from ..kernels import variation, variation_slabs
from ..operators.base.parts import pairs, shape_of_whole
from ..tracing import real_dtype
from .penalty import Penalty, alike, suggested
from .prior import (
    Prior,
    Weight,
    WithDualFields,
    check_fit,
    check_plane_weight,
    check_spacing,
    like,
    picture_shape,
    spaced,
    weight_on,
)
from .separable import Separable

# More than this never settles on some problems, because the image moves between the calls: x 4 super-resolution with 20
# steps a call stays above a gap of 1e-3 where this cap is below 1e-4.
MOMENTUM = 0.8
PENALTY = Penalty(2.0, 0.7)
BOUNDARIES = ("reflect", "circular")


class TV(Prior):
    """Isotropic total variation, each channel alone.

    It is, differences across the border being zero (Neumann) unless it wraps::

        R(x) = weight sum_ij sqrt((x[i+1, j] - x[i, j])^2 + (x[i, j+1] - x[i, j])^2)

    and of volumes, b c d h w, with the third difference under the root. With D those differences and f the separable
    prior that was added (``TV(1e-3) + Box(0, 1)``; none: f = 0), the prox of step (R + f) is::

        x = prox_{step f}(v - step D^T u),      u = argmax of the dual over |u| <= weight

    and each call takes ``steps`` projected gradient steps with momentum on u, warm-started from the last call::

        u' = project(r + D prox_{step f}(v - step D^T r) / (8 step))
        r' = u' + m (u' - u),      m = min(1 - 1 / steps, 0.8)

    8 being the bound of ``||D||^2``; with a spacing it is the sum of 4 / h^2.

    A solver that comes to rest has u' = u = r, so that x is the exact prox and therefore the exact minimiser, also
    under a box, l1 and l2. Measured on super-resolution and deblurring of images in [0, 1], 5 steps, up to 64 x 64:
    with beta >= 2 weight the relative objective gap falls below 2e-5 in 100 to 1500 ADMM iterations; with beta =
    weight / 5 it stays above 1e-4 for as long. Where beta must be small raise ``steps``.

    Memory: four images (u and r) besides x and v. The compiled kernel overwrites them.

    Args:
        weight: A number >= 0, or a tensor 1 c 1 1, of volumes 1 c 1 1 1 (it may require a gradient).
        steps: Projected gradient steps in each call, a whole number >= 1.
        boundary: "reflect": no difference across the border, as where the image is mirrored; "circular": the last
            row and column have the first as their neighbours (without a compiled kernel).
        spacing: The distance of neighbours along rows and columns, (h_row, h_column), or of volumes (h_slice, h_row,
            h_column), numbers > 0 that each difference is divided by: voxels that are no cubes have the same edges in
            all directions then. None: 1 along each axis.

    Raises:
        InvalidInput: For bad values, and at ``bind`` for images that are neither b c h w nor b c d h w, or have another
            number of axes than the spacing.

    References:
        Beck and Teboulle, Fast gradient-based algorithms for constrained total variation image denoising and
        deblurring problems, 2009.
    """

    isotropic = True
    over: tuple[int, ...] = (0,)  # the dimensions of a field 2 b c h w that a length is taken over
    threshold = 0.0  # lengths below it count by their squares
    paired = False  # whether channels are the parts of complex ones: a length is over both, and fields are 2 b c 2 h w

    def __init__(
        self,
        weight: Weight,
        *,
        steps: int = 5,
        boundary: str = "reflect",
        spacing: Sequence[float] | None = None,
    ) -> None:
        self.weight = self._weighed(weight)
        self.steps = check_count(steps, "steps", low=1)
        self.boundary = closest(boundary, BOUNDARIES, "boundary of total variation")
        self.spacing = None if spacing is None else check_spacing(spacing)
        self.separable = Separable()

    def _weighed(self, weight: Weight) -> Weight:
        return check_plane_weight(weight, "weight")

    def kind(self, axes: int) -> variation.Kind:
        """Which lengths are summed.

        Args:
            axes: 2 for images, 3 for volumes.
        """
        return variation.Kind(self.boundary, self.lengthwise, self.threshold, self.distances(axes))

    @property
    def lengthwise(self) -> tuple[int, ...]:
        """The dimensions of a field, as it is kept, that a length is taken over."""
        return (*self.over, 3) if self.paired else self.over

    def distances(self, axes: int) -> tuple[float, ...]:
        """The spacing along each axis.

        Args:
            axes: 2 for images, 3 for volumes.

        Raises:
            InvalidInput: Where the spacing is for another number.
        """
        return spaced(self.spacing, axes)

    compiled = True

    def fused(self, axes: int) -> bool:
        """Whether there is a compiled kernel for it.

        Args:
            axes: 2 for images, 3 for volumes.
        """
        pixels = self.distances(axes) == variation.PIXELS
        return self.compiled and self.boundary == "reflect" and pixels and not self.paired

    def bind(self, y: Tensor, op: LinearOperator) -> BoundPrior:
        shape = picture_shape(y, op, self, volumes=True)
        axes = len(self.distances(len(shape) - 2))
        check_fit(self.weight, "weight", shape_of_whole(shape) if self.paired else shape)
        self.separable.bind(y, op)
        if self.paired:
            shape = (shape[0], shape[1] // 2, 2, *shape[2:])
        own = torch.empty((), dtype=accumulator(real_dtype(y.dtype)), device=y.device).expand(axes, *shape)
        return BoundTV(self, weight_on(self.weight, y), self.separable.beside(y), own)

    def suggested_beta(self, op: LinearOperator, shape: Shape) -> float | None:
        """``2 (weight / ||A||^2)^0.7 ||A||^2``, held within 1e-3 and 1 ``||A||^2``; where A^T A is a scalar, that.

        What was added suggests its own, and the larger is taken.
        """
        return suggested(self, (self.weight, self.separable.l1, self.separable.l2), op, shape)

    def suited(self, op: LinearOperator, shape: Shape) -> float:
        """:meth:`suggested_beta`, for numbers and for tensors."""
        own, beside = PENALTY.suits(self.weight, op, shape), self.separable.weighed(op, shape)
        return alike(op, shape) or max(own, beside or 0.0)

    def lengths(self, x: Tensor) -> Tensor:
        """What is summed, weight apart, b c h w."""
        g = self.differences(x)
        if self.paired:
            lengths = torch.linalg.vector_norm(g, dim=self.lengthwise)
            return lengths if self.isotropic else lengths.sum(dim=0)
        if not self.isotropic:
            return g.abs().sum(dim=0)
        return torch.hypot(g[0], g[1]) if len(g) == 2 else torch.linalg.vector_norm(g, dim=0)

    def differences(self, x: Tensor) -> Tensor:
        """D x as its fields are kept: 2 b c h w, of complex images 2 b c 2 h w, of volumes 3 b c d h w."""
        return variation.differences(pairs(x) if self.paired else x, self.boundary, self.distances(x.ndim - 2))

    def conjugate(self, u: Tensor, weight: Weight) -> Tensor | float:
        """What the dual objective has of u, b c h w, where lengths do not count as they are: 0 here."""
        return 0.0

    def value(self, x: Tensor) -> Tensor:
        """R(x) for each image, shape (b,), with what was added."""
        lengths = self.lengths(x)
        total = like(self.weight, x) * lengths.sum(dim=tuple(range(2, x.ndim)), keepdim=True)
        return total.flatten(1).sum(dim=1) + self.separable.value(x)

    def of_parts(self) -> TV:
        result = copy.copy(self)
        result.paired, result.separable = True, self.separable.of_parts()
        return result

    def plus(self, other: Prior) -> TV | None:
        if not isinstance(other, Separable):
            return None
        total = copy.copy(self)
        total.separable = self.separable + other  # type: ignore[assignment]
        return total


class AnisotropicTV(TV):
    """Anisotropic total variation; else as :class:`TV`.

    It is::

        R(x) = weight sum_ij |x[i+1, j] - x[i, j]| + |x[i, j+1] - x[i, j]|

    Args:
        weight: As for :class:`TV`.
        steps: As for :class:`TV`.
        boundary: As for :class:`TV`.
        spacing: As for :class:`TV`.

    Raises:
        InvalidInput: As for :class:`TV`.
    """

    isotropic = False
    over = ()


class BoundTV(WithDualFields):
    """TV in one solve: it has the dual field u and the extrapolated field r, each of the kind of ``own``."""

    def __init__(self, prior: TV, weight: Weight, separable: Separable, own: Tensor) -> None:
        super().__init__(type(prior).__name__, weight, (own, own), 2)
        self._prior, self._separable = prior, separable
        self._momentum = min(1 - 1 / prior.steps, MOMENTUM)
        self._kind, self._fused = prior.kind(len(own)), prior.fused(len(own))

    def __call__(self, v: Tensor, step: float) -> Tensor:
        if not self._fields:
            shape = tuple(self._own[0].shape) if self._prior.paired else (len(self._kind.spacing), *v.shape)
            self._fields = v.new_zeros(shape), v.new_zeros(shape)
        (u, r), separable, weight, prior = self._fields, self._separable, self._weight, self._prior
        prox = separable.pointwise() or (lambda a: separable.prox(a, step))
        if isinstance(weight, Tensor):
            weight = weight.to(accumulator(v.dtype))
        if self._fused:
            x, u, r = kernels.tv_prox(v, u, r, step, weight, self._momentum, prior.steps, prior.isotropic, prox)
        elif prior.paired:
            weight = weight.unsqueeze(2) if isinstance(weight, Tensor) and weight.ndim > 2 else weight
            near = prox if isinstance(prox, Pointwise) else (lambda a: pairs(separable.prox(a.flatten(1, 2), step)))
            given = (pairs(v), u, r, step, weight, self._momentum, prior.steps, self._kind, near)
            x, u, r = variation.variation_prox(*given)
            x = x.flatten(1, 2)
        else:
            slabs = variation_slabs.fits(v, u, r, weight, self._kind, prox)
            run: Any = variation_slabs.variation_slabs if slabs else variation.variation_prox
            x, u, r = run(v, u, r, step, weight, self._momentum, prior.steps, self._kind, prox)
        self._fields = u, r
        return x

    def resume(self, state: tuple[Tensor, ...]) -> None:
        super().resume(state)
        if self._prior.boundary == "reflect":  # the fields of one that wraps have differences across the border
            for field in self._fields:
                for axis in range(len(field)):
                    field[axis].select(axis - len(field), -1).zero_()

    def slack(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(weight TV(x) + TV*(u) - <D^T u, x>, R(x))`` per image; the first is 0 once u is the dual of x."""
        wide = self._own[0].dtype if x.device.type == "mps" else torch.float64  # products of two small numbers vanish
        x, u = x.detach().to(wide), self._fields[0].detach().to(wide)
        value, beside = self._prior.value(x), self._separable.value(x)
        found = (u * self._prior.differences(x)).sum(dim=(0, 3) if self._prior.paired else 0)
        found = (found - self._prior.conjugate(u, self._weight)).flatten(1).sum(dim=1)
        return value - beside - found, value
