"""Quadratic: smooth images, by the energy of what a filter leaves of them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from ..arrays import accumulator
from ..contracts import LinearOperator, Shape
from ..errors import InvalidInput, closest
from ..operators.base import convolutions, spectra
from ..operators.base.parts import twice
from ..operators.base.real_array import real_array
from ..placement import placed
from ..tracing import constant, fixed, real_dtype
from .penalty import Penalty, alike, suggested
from .prior import (
    BoundWithout,
    Prior,
    Weight,
    check_fit,
    check_plane_weight,
    check_spacing,
    like,
    picture_shape,
    spaced,
    weight_on,
)

FILTERS = ("laplacian", "gradient")
PENALTY = Penalty(2.5, 1.0)

_spectra: Any = WeakTensorKeyDictionary()  # filter -> {((h, w), boundary): S}


class Quadratic(Prior):
    """``R(x) = weight ||f * x||^2``, f a filter, each channel alone.

    Smooth images: with the Laplacian holes are filled as a thin plate bends (biharmonic). The prox is diagonal under a
    transform, with ``S = |f^|^2``::

        prox_{step R}(v) = F^-1 [F v / (1 + 2 step weight S)]

    exact, one transform each way: the FFT where the image wraps, the DCT-II where it is mirrored at its border
    (half-sample, ``d c b a | a b c d | d c b a``), which is what photographs want. The filters::

        gradient     ||f * x||^2 = sum (x[i+1, j] - x[i, j])^2 + (x[i, j+1] - x[i, j])^2,     S = s
        laplacian    f = 0 -1 0 / -1 4 -1 / 0 -1 0,                                           S = s^2

    with ``s = 4 sin^2(w1 / 2) + 4 sin^2(w2 / 2)`` at the angles w1 and w2 of a frequency; of volumes, b c d h w, with
    the third angle (the Laplacian has a 6 amid -1), and of voxels that are no cubes each divided by the square of its
    spacing. Where A^T A is diagonal under
    the same transform :func:`fastip.wiener` gives the minimiser at once.

    Holes: with ``operators.Mask`` give a small weight, such as 1e-4, which then only says how closely the known pixels
    are kept. The wider a hole, the smaller beta must be and the more iterations it takes.

    Args:
        weight: A number >= 0, or a tensor 1 c 1 1, of volumes 1 c 1 1 1 (it may require a gradient).
        filter: "laplacian", "gradient", or an array of real numbers, kh x kw for images and kd x kh x kw for volumes,
            the centre being its pixel k // 2.
        boundary: "reflect", for which an array must be of odd sides and symmetric along each axis, or "circular".
        spacing: The distance of neighbours along each axis, as for ``priors.TV``; None: 1. An array has its own.

    Raises:
        InvalidInput: For bad values, and at ``bind`` for images that are neither b c h w nor b c d h w, or have another
            number of axes than the array or the spacing.

    References:
        Hunt, The application of constrained least squares estimation to image restoration by digital computer, 1973.
    """

    def __init__(
        self,
        weight: Weight,
        filter: Any = "laplacian",
        *,
        boundary: str = "reflect",
        spacing: Sequence[float] | None = None,
    ) -> None:
        self.weight = check_plane_weight(weight, "weight")
        self.boundary = closest(boundary, spectra.GRIDS, "boundary of a quadratic prior")
        self.spacing = None if spacing is None else check_spacing(spacing)
        if isinstance(filter, str):
            self.filter: str | Tensor = closest(filter, FILTERS, "filter")
            return
        self.filter = real_array(filter, "filter", (2, 3), "a prior")
        if self.spacing is not None:
            raise InvalidInput(
                f"spacing is {self.spacing} and filter an array, whose numbers are for neighbours as they are; leave "
                "spacing out, or use filter='laplacian'"
            )
        if not bool(self.filter.any()):
            raise InvalidInput(f"filter is all zeros ({tuple(self.filter.shape)}); expected one tap that is not 0")
        if boundary == "reflect" and self._stated(tuple(self.filter.shape)) is None:
            raise InvalidInput(
                f"filter has shape {tuple(self.filter.shape)} and is no mirror image of itself along each axis, so "
                "that no transform of a mirrored image diagonalises it; expected odd sides and symmetric taps, or "
                "boundary='circular'"
            )

    def bind(self, y: Tensor, op: LinearOperator) -> BoundQuadratic:
        shape = picture_shape(y, op, self, volumes=True)
        check_fit(self.weight, "weight", shape)
        (spectrum,) = _spectrum(self, fixed(shape, op)[2:], y.device)
        return BoundQuadratic(self, weight_on(self.weight, y), spectrum)

    def suggested_beta(self, op: LinearOperator, shape: Shape) -> float | None:
        """``2.5 weight``, held within 1e-3 and 1 ``||A||^2``; where A^T A is a scalar, that."""
        return suggested(self, (self.weight,), op, shape)

    def suited(self, op: LinearOperator, shape: Shape) -> float:
        """:meth:`suggested_beta`, for numbers and for tensors."""
        return alike(op, shape) or PENALTY.suits(self.weight, op, shape)

    def spectrum(self, *size: int) -> Tensor:
        """S for images of h x w pixels, or volumes of d x h x w.

        Args:
            size: Rows and columns; of volumes slices before them.

        Returns:
            Float64 on the CPU, >= 0, in rfftn layout h (w // 2 + 1); for reflect h w, the frequencies of the DCT-II.

        Raises:
            InvalidInput: Where the array, or the spacing, is for another number of axes.
        """
        spacing = spaced(self.spacing, len(size))
        if isinstance(self.filter, str):
            return spectra.penalty(self.filter, size, self.boundary, spacing=spacing)
        if self.filter.ndim != len(size):
            raise InvalidInput(
                f"filter has shape {tuple(self.filter.shape)} and the image {len(size)} axes; expected as many: "
                "kh x kw for images b c h w, kd x kh x kw for volumes b c d h w"
            )
        known = _spectra.setdefault(self.filter, {})
        key = (size, self.boundary)
        if key not in known:
            known.clear()  # those of another size
            known[key] = self._stated(size)
        spectrum: Tensor = known[key]
        return spectrum

    def _stated(self, size: Shape) -> Tensor | None:
        """S of an array, where it is diagonal under the transform."""
        assert isinstance(self.filter, Tensor)
        if self.boundary == "circular":
            folded = convolutions.fold(self.filter, (0,) * len(size), *size)
            return torch.fft.rfftn(folded).abs().square()
        known = convolutions.cosine(self.filter, size)
        return None if known is None else known.square()

    def of_parts(self) -> Quadratic:
        result = copy.copy(self)
        result.weight = twice(self.weight, self.weight.ndim - 2 if isinstance(self.weight, Tensor) else 2)
        return result

    def value(self, x: Tensor) -> Tensor:
        """R(x) for each image, shape (b,)."""
        (spectrum,) = _spectrum(self, fixed(x.shape, self)[2:], x.device)
        wide = accumulator(x.dtype)
        axes = x.ndim - 2
        response = spectra.response(spectrum.sqrt().to(dtype=wide, device=x.device), self.boundary, axes)
        left = spectra.filtered(x.to(wide), response, self.boundary)
        left = left.square().sum(dim=tuple(range(-axes, 0)), keepdim=True)
        return (like(self.weight, left) * left).flatten(1).sum(dim=1)


@constant
def _spectrum(prior: Quadratic, sides: tuple[int, ...], device: torch.device) -> tuple[Tensor]:
    return (placed(prior.spectrum(*sides), device),)


class BoundQuadratic(BoundWithout):
    """The quadratic prior in a solve; it keeps its filter for the last step."""

    def __init__(self, prior: Quadratic, weight: Weight, spectrum: Tensor) -> None:
        self._prior, self._weight, self._spectrum = prior, weight, spectrum
        self._last: tuple[float, Tensor] | None = None

    def __call__(self, v: Tensor, step: float) -> Tensor:
        if self._last is None or self._last[0] != step:
            self._last = step, self._response(v, step)
        return spectra.filtered(v, self._last[1], self._prior.boundary)

    def _response(self, v: Tensor, step: float) -> Tensor:
        """``1 / (1 + 2 step weight S)``, worked out in float64 and cast."""
        weight = self._weight
        if isinstance(weight, Tensor):
            weight = weight.to(self._spectrum)
        gain = 1 / (1 + 2 * step * weight * self._spectrum)
        gain = gain.to(dtype=accumulator(real_dtype(v.dtype)), device=v.device)
        return spectra.response(gain, self._prior.boundary, v.ndim - 2)
