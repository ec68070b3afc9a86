"""Quadratic: smooth images, by the energy of what a filter leaves of them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from ..arrays import accumulator
from ..contracts import Circulant, Convolution, Cosine, LinearOperator, Shape
from ..errors import InvalidInput, closest
from ..operators.base import convolutions, spectra
from ..operators.base.parts import twice
from ..operators.base.real_array import real_array
from ..placement import placed
from ..tracing import constant, fixed, real_dtype
from .penalty import Penalty, alike, suggested
from .prior import BoundWithout, Prior, Weight, check_fit, check_plane_weight, like, picture_shape, weight_on

FILTERS = ("laplacian", "gradient")
PENALTY = Penalty(2.5, 1.0)

_spectra: Any = WeakTensorKeyDictionary()  # filter -> {(h, w, boundary): S}


class Quadratic(Prior):
    """``R(x) = weight ||f * x||^2``, f a filter, each channel alone.

    Smooth images: with the Laplacian holes are filled as a thin plate bends (biharmonic). The prox is diagonal under a
    transform, with ``S = |f^|^2``::

        prox_{step R}(v) = F^-1 [F v / (1 + 2 step weight S)]

    exact, one transform each way: the FFT where the image wraps, the DCT-II where it is mirrored at its border
    (half-sample, ``d c b a | a b c d | d c b a``), which is what photographs want. The filters::

        gradient     ||f * x||^2 = sum (x[i+1, j] - x[i, j])^2 + (x[i, j+1] - x[i, j])^2,     S = s
        laplacian    f = 0 -1 0 / -1 4 -1 / 0 -1 0,                                           S = s^2

    with ``s = 4 sin^2(w1 / 2) + 4 sin^2(w2 / 2)`` at the angles w1 and w2 of a frequency. Where A^T A is diagonal under
    the same transform :func:`fastip.wiener` gives the minimiser at once.

    Holes: with ``operators.Mask`` give a small weight, such as 1e-4, which then only says how closely the known pixels
    are kept. The wider a hole, the smaller beta must be and the more iterations it takes.

    Args:
        weight: A number >= 0, or a tensor 1 c 1 1 (it may require a gradient).
        filter: "laplacian", "gradient", or an array kh x kw of real numbers, the centre being its pixel k // 2.
        boundary: "reflect", for which an array must be of odd sides and symmetric along both axes, or "circular".

    Raises:
        InvalidInput: For bad values, and at ``bind`` for images that are not b c h w.

    References:
        Hunt, The application of constrained least squares estimation to image restoration by digital computer, 1973.
    """

    def __init__(self, weight: Weight, filter: Any = "laplacian", *, boundary: str = "reflect") -> None:
        self.weight = check_plane_weight(weight, "weight")
        self.boundary = closest(boundary, spectra.GRIDS, "boundary of a quadratic prior")
        if isinstance(filter, str):
            self.filter: str | Tensor = closest(filter, FILTERS, "filter")
            return
        self.filter = real_array(filter, "filter", (2,), "a prior")
        if not bool(self.filter.any()):
            raise InvalidInput(f"filter is all zeros ({tuple(self.filter.shape)}); expected one tap that is not 0")
        if boundary == "reflect" and self._stated(*self.filter.shape) is None:
            raise InvalidInput(
                f"filter has shape {tuple(self.filter.shape)} and is no mirror image of itself along both axes, so "
                "that no transform of a mirrored image diagonalises it; expected odd sides and symmetric taps, or "
                "boundary='circular'"
            )

    def bind(self, y: Tensor, op: LinearOperator) -> BoundQuadratic:
        shape = picture_shape(y, op, self)
        check_fit(self.weight, "weight", shape)
        (spectrum,) = _spectrum(self, fixed(shape, op)[2:], y.device)
        return BoundQuadratic(self, weight_on(self.weight, y), spectrum)

    def suggested_beta(self, op: LinearOperator, shape: Shape) -> float | None:
        """``2.5 weight``, held within 1e-3 and 1 ``||A||^2``; where A^T A is a scalar, that."""
        return suggested(self, (self.weight,), op, shape)

    def suited(self, op: LinearOperator, shape: Shape) -> float:
        """:meth:`suggested_beta`, for numbers and for tensors."""
        return alike(op, shape) or PENALTY.suits(self.weight, op, shape)

    def spectrum(self, h: int, w: int) -> Tensor:
        """S for images of h x w pixels.

        Args:
            h: Rows.
            w: Columns.

        Returns:
            Float64 on the CPU, >= 0, in rfft2 layout h (w // 2 + 1); for reflect h w, the frequencies of the DCT-II.
        """
        if isinstance(self.filter, str):
            return spectra.penalty(self.filter, h, w, self.boundary)
        known = _spectra.setdefault(self.filter, {})
        key = (h, w, self.boundary)
        if key not in known:
            known.clear()  # those of another size
            known[key] = self._stated(h, w)
        spectrum: Tensor = known[key]
        return spectrum

    def _stated(self, h: int, w: int) -> Tensor | None:
        """S of an array, where it is diagonal under the transform."""
        assert isinstance(self.filter, Tensor)
        known = convolutions.gram(Convolution(self.filter, 1, self.boundary), h, w)
        if isinstance(known, (Circulant, Cosine)):
            return known.spectrum
        alone = self.filter.numel() == 1
        return self.filter.square() * spectra.penalty("white", h, w, self.boundary) if alone else None

    def of_parts(self) -> Quadratic:
        result = copy.copy(self)
        result.weight = twice(self.weight)
        return result

    def value(self, x: Tensor) -> Tensor:
        """R(x) for each image, shape (b,)."""
        (spectrum,) = _spectrum(self, fixed(x.shape, self)[2:], x.device)
        wide = accumulator(x.dtype)
        response = spectra.response(spectrum.sqrt().to(dtype=wide, device=x.device), self.boundary)
        left = spectra.filtered(x.to(wide), response, self.boundary).square().sum(dim=(-2, -1), keepdim=True)
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
        return spectra.response(gain.to(dtype=accumulator(real_dtype(v.dtype)), device=v.device), self._prior.boundary)
