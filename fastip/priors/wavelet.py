"""Wavelet: few large detail coefficients in an orthogonal wavelet basis."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import kernels
from ..arrays import check_count
from ..contracts import LinearOperator, Shape
from ..errors import InvalidInput, Unsupported
from ..operators.base import autograd
from ..operators.base.parts import moduli, shape_of_whole, soft_threshold
from ..placement import Constant
from ..tracing import real_dtype
from .penalty import Penalty, alike, suggested
from .prior import BoundWithout, Prior, Weight, check_fit, check_plane_weight, like, picture_shape, weight_on

# How far the taps may be from an orthogonal filter bank: smaller refuses good ones for the digits of their tables,
# larger takes those whose soft threshold is no exact prox.
ORTHOGONAL = 1e-9
PENALTY = Penalty(0.7, 0.7)


class Wavelet(Prior):
    """Few large detail coefficients in an orthogonal wavelet basis; the approximation is not penalised.

    W being an orthogonal wavelet transform of each channel::

        R(x) = weight sum |detail coefficients of W x|
        prox_{step R}(v) = W^T soft(W v, step weight)       (approximation coefficients unchanged)

    exact, because W is orthogonal. Each level transforms rows and columns periodically, and of volumes, b c d h w, the
    slices too; where a side is odd its last row or column goes to the approximation as it is, so that W stays
    orthogonal for every image size (the padding of the usual transforms is not). float32 and float64; differentiable.
    PyWavelets transforms what is on the CPU, PyTorch by the same filters what is on another device: the results agree
    to rounding.

    Args:
        weight: A number >= 0, or a tensor 1 c 1 1, of volumes 1 c 1 1 1 (it may require a gradient).
        wavelet: The name of an orthogonal wavelet of PyWavelets: haar, dbN, symN, coifN.
        levels: A whole number >= 1, every side of the image >= 2^levels.

    Raises:
        InvalidInput: For bad values, and at ``bind`` for images that are neither b c h w nor b c d h w, or too small.
        Unsupported: For wavelets that are not orthogonal, and at ``bind`` for other precisions.

    References:
        Mallat, A Wavelet Tour of Signal Processing, chapter 7.
    """

    def __init__(self, weight: Weight, wavelet: str = "db4", *, levels: int = 3) -> None:
        self.weight = check_plane_weight(weight, "weight")
        self.wavelet = _orthogonal(wavelet)
        self._bank = FilterBank(self.wavelet.dec_lo, self.wavelet.dec_hi)
        self.levels = check_count(levels, "levels", low=1)

    paired = False  # whether channels are the parts of complex ones, whose moduli count

    def bind(self, y: Tensor, op: LinearOperator) -> BoundWavelet:
        shape = picture_shape(y, op, self, volumes=True)
        check_fit(self.weight, "weight", shape_of_whole(shape) if self.paired else shape)
        self._check(shape, real_dtype(y.dtype))
        return BoundWavelet(self, weight_on(self.weight, y))

    def suggested_beta(self, op: LinearOperator, shape: Shape) -> float | None:
        """``0.7 (weight / ||A||^2)^0.7 ||A||^2``, held within 1e-3 and 1 ``||A||^2``; where A^T A is a scalar, that."""
        return suggested(self, (self.weight,), op, shape)

    def suited(self, op: LinearOperator, shape: Shape) -> float:
        """:meth:`suggested_beta`, for numbers and for tensors."""
        return alike(op, shape) or PENALTY.suits(self.weight, op, shape)

    def _check(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        if dtype not in (torch.float32, torch.float64):
            raise Unsupported(f"Wavelet takes float32 or float64; the data is {dtype}: convert with y.float()")
        most = min(shape[2:]).bit_length() - 1
        if most < self.levels:
            advice = f"use levels={most} or fewer" if most else "every side must be at least 2"
            sides = " x ".join(map(str, shape[2:]))
            raise InvalidInput(f"an image of {sides} pixels is too small for {self.levels} wavelet levels: {advice}")

    def transform(self, x: Tensor) -> Tensor:
        """W x in Mallat's layout: the approximation in the top left corner of a tensor of the shape of x.

        Differentiable.
        """
        self._check(tuple(x.shape), x.dtype)
        return self._turned(x, False)

    def inverse(self, coefficients: Tensor) -> Tensor:
        """W^T, the inverse of :meth:`transform`."""
        return self._turned(coefficients, True)

    def _turned(self, x: Tensor, transposed: bool) -> Tensor:
        if not torch.compiler.is_compiling():
            return autograd.apply(x, _Transform(self.wavelet, self._bank, self.levels), transposed)
        out = x.clone(memory_format=torch.contiguous_format)  # traced as on a GPU, with the gradient of its parts
        turn = _synthesise if transposed else _analyse
        turn(out, self._bank.join if transposed else self._bank.split, self.levels, x.ndim - 2)
        return out

    def prox(self, v: Tensor, step: float) -> Tensor:
        """W^T soft(W v, step weight), approximation unchanged."""
        return self.shrink(v, step * like(self.weight, v))

    def shrink(self, v: Tensor, threshold: Weight) -> Tensor:
        """W^T soft(W v, threshold), approximation unchanged."""
        coefficients = self.transform(v)
        corner = _corner(self.corner(v))
        kept = coefficients[corner].clone()
        shrunk = soft_threshold if self.paired else kernels.soft_threshold
        thresholded = shrunk(coefficients, threshold)
        thresholded[corner] = kept
        return self.inverse(thresholded)

    def corner(self, x: Tensor) -> tuple[int, ...]:
        """The sides of the approximation, height and width last: half those of x, rounded up, ``levels`` times."""
        return tuple(_halved(n, self.levels) for n in x.shape[2:])

    def of_parts(self) -> Wavelet:
        result = copy.copy(self)
        result.paired = True
        return result

    def value(self, x: Tensor) -> Tensor:
        """R(x) for each image, shape (b,)."""
        sizes = moduli(self.transform(x)) if self.paired else self.transform(x).abs()
        pixels = tuple(range(2, x.ndim))
        details = sizes.sum(dim=pixels, keepdim=True) - sizes[_corner(self.corner(x))].sum(dim=pixels, keepdim=True)
        return (like(self.weight, x) * details).flatten(1).sum(dim=1)


class BoundWavelet(BoundWithout):
    """The wavelet prior in a solve; it keeps no state."""

    def __init__(self, prior: Wavelet, weight: Weight) -> None:
        self._prior, self._weight = prior, weight

    def __call__(self, v: Tensor, step: float) -> Tensor:
        return self._prior.shrink(v, step * like(self._weight, v))


class _Transform:
    """W and its transpose, as the rule for gradients asks for them."""

    def __init__(self, wavelet: Any, bank: FilterBank, levels: int) -> None:
        self._parts = wavelet, bank, levels

    def _forward(self, x: Tensor) -> Tensor:
        return self._turned(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._turned(y, True)

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    input_shape = output_shape

    def _turned(self, x: Tensor, transposed: bool) -> Tensor:
        wavelet, bank, levels = self._parts
        out = x.detach().clone(memory_format=torch.contiguous_format)
        turn = _synthesise if transposed else _analyse
        if not out.is_cpu:
            turn(out, bank.join if transposed else bank.split, levels, x.ndim - 2)
            return out
        step = functools.partial(_join if transposed else _split, wavelet)
        # One plane at a time: the coefficients of one channel in memory.
        for plane in out.numpy().reshape(-1, *out.shape[2:]):
            turn(plane, step, levels, plane.ndim)
        return out


def _analyse(image: Any, split: Callable[[Any, int], Any], levels: int, axes: int) -> None:
    """Overwrite an image (... h w, array or tensor) by its coefficients; ``split`` does one level along one axis."""
    size = image.shape[-axes:]
    for _ in range(levels):
        corner = image[_corner(size)]
        found = corner
        for axis in range(-1, -axes - 1, -1):
            found = split(found, axis)
        corner[:] = found
        size = [_halved(n, 1) for n in size]


def _synthesise(image: Any, join: Callable[[Any, int], Any], levels: int, axes: int) -> None:
    """Overwrite coefficients by their image; ``join`` is the inverse of ``split``."""
    for level in reversed(range(levels)):
        corner = image[_corner([_halved(n, level) for n in image.shape[-axes:]])]
        found = corner
        for axis in range(-axes, 0):
            found = join(found, axis)
        corner[:] = found


def _corner(size: Sequence[int]) -> Any:
    """The index of the first pixels along the last axes."""
    return (..., *(slice(n) for n in size))


def _split(wavelet: Any, x: np.ndarray, axis: int) -> np.ndarray:
    """One level along one axis: approximation first, details after it; an odd last sample is approximation."""
    import pywt

    even = x.shape[axis] // 2 * 2
    whole, odd = np.split(x, [even], axis=axis)
    approximation, detail = pywt.dwt(whole, wavelet, mode="periodization", axis=axis)
    return np.concatenate([approximation, odd, detail], axis=axis)


def _join(wavelet: Any, x: np.ndarray, axis: int) -> np.ndarray:
    """The inverse of :func:`_split`."""
    import pywt

    half = x.shape[axis] // 2
    approximation, odd, detail = np.split(x, [half, x.shape[axis] - half], axis=axis)
    return np.concatenate([pywt.idwt(approximation, detail, wavelet, mode="periodization", axis=axis), odd], axis=axis)


def _halved(size: int, levels: int) -> int:
    """``size`` halved and rounded up, ``levels`` times."""
    return -(-size // 2**levels)


def _orthogonal(name: Any) -> Any:
    """The PyWavelets object of this name, refused unless its filters are an orthogonal bank.

    That is sum_k h[k] h[k + 2m] = (m == 0).
    """
    try:
        import pywt
    except ImportError:
        raise Unsupported("priors.Wavelet needs PyWavelets: pip install PyWavelets") from None
    if not isinstance(name, str) or name not in pywt.wavelist(kind="discrete"):
        raise InvalidInput(
            f"wavelet is {name!r}; expected the name of an orthogonal wavelet such as 'haar', 'db4', 'sym8' or 'coif2'"
        )
    wavelet = pywt.Wavelet(name)
    taps = np.asarray(wavelet.dec_lo)
    correlation = np.correlate(taps, taps, "full")[len(taps) - 1 :: 2]
    correlation[0] -= 1
    if np.abs(correlation).max() > ORTHOGONAL:
        raise Unsupported(
            f"the wavelet {name!r} is not orthogonal, so its soft threshold is not an exact prox; "
            "use one that is: 'haar', 'db4', 'sym8'"
        )
    return wavelet


class FilterBank:
    """One level along one axis that repeats without end, in PyTorch: ``pywt.dwt`` with "periodization" on any device.

    The coefficients are, with indices modulo the size, and an odd last sample kept as approximation::

        a[k] = sum_j low[j] x[2k + L/2 - j],      d[k] = sum_j high[j] x[2k + L/2 - j]

    Products and sums are in the precision of x, in a fixed order: as matrix products of windows, because
    convolutions on a GPU round float32 to ten bits, and scattered sums come in any order.

    Args:
        low: The low-pass analysis filter, of even length L.
        high: The high-pass one, of the same length.
    """

    def __init__(self, low: Sequence[float], high: Sequence[float]) -> None:
        filters = torch.tensor([list(low), list(high)], dtype=torch.float64)
        self._length = length = filters.shape[1]
        self._analysis = Constant(filters.flip(1).T.contiguous())
        # x[2m + p] = sum_j low[j] a[m + i] + high[j] d[m + i] with j = 2i + L/2 - p: i runs over one window for both
        # parities p.
        self._first, last = -(length // 4), (length // 2) // 2
        steps = range(self._first, last + 1)
        synthesis = torch.zeros(2, len(steps), 2, dtype=torch.float64)
        for row, i in enumerate(steps):
            for parity in range(2):
                j = 2 * i + length // 2 - parity
                if 0 <= j < length:
                    synthesis[:, row, parity] = filters[:, j]
        self._window = len(steps)
        self._synthesis = Constant(synthesis.flatten(0, 1))

    def split(self, x: Tensor, axis: int) -> Tensor:
        """Approximation first, details after it."""
        x = x.movedim(axis, -1)
        even = x.shape[-1] // 2 * 2
        before = self._length // 2 - 1
        windows = _periodic(x[..., :even], before, even + self._length - 2).unfold(-1, self._length, 2)
        approximation, detail = (windows @ self._analysis.like(x)).unbind(-1)
        return torch.cat([approximation, x[..., even:], detail], dim=-1).movedim(-1, axis)

    def join(self, x: Tensor, axis: int) -> Tensor:
        """The inverse of :meth:`split`, which is its transpose."""
        x = x.movedim(axis, -1)
        half = x.shape[-1] // 2
        approximation, odd, detail = x.split([half, x.shape[-1] - 2 * half, half], dim=-1)
        length = half + self._window - 1
        windows = [
            _periodic(part, -self._first, length).unfold(-1, self._window, 1) for part in (approximation, detail)
        ]
        whole = (torch.cat(windows, dim=-1) @ self._synthesis.like(x)).flatten(-2)
        return torch.cat([whole, odd], dim=-1).movedim(-1, axis)


def _periodic(x: Tensor, before: int, length: int) -> Tensor:
    """``length`` samples of x repeated without end along the last axis, from the one at -before on."""
    return x.index_select(-1, (torch.arange(length, device=x.device) - before) % x.shape[-1])
