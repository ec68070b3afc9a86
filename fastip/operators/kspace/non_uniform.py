"""Complex images seen at frequencies off the grid: radial lines, spirals."""

from __future__ import annotations

import functools
import importlib
import math
import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ...contracts import Shape
from ...errors import InvalidInput, Unsupported
from ...placement import Constant
from ...tracing import check_traceable, real_dtype, untransformed
from ..base.door import by, check_axes, check_sizes
from ..base.lanczos import ROUGH, largest_singular_value
from ..base.real_array import real_array
from ..linear import Operator

EPS = {torch.float32: 1e-6, torch.float64: 1e-14}  # relative errors of a transform, near rounding
TINY = 1e-6  # beside a frequency alone, whose sum is 1: less is rounding
# FINUFFT brings an OpenMP of its own. Where waiting threads spin its team and PyTorch's hinder each other: 25 ms an
# iteration with two threads, 15 with one (128 x 128, 200 radial lines, two cores); where they sleep, 20 and 26.
PASSIVE = os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE"
PASSES = 10  # of the density: more cost a pair of transforms each


class NonUniformFourier(Operator):
    """y_k = (h w)^(-1/2) sum_p x(p) exp(-2 pi i f_k . (p - p_0)): frequencies anywhere, p_0 the pixel (h // 2, w // 2).

    From complex images b c h w to complex data b c n, complex64 or complex128, by FINUFFT to 1e-6, or 1e-14 in double
    precision. On the frequencies of ``torch.fft.fftfreq`` it is the orthonormal fft2 of an image whose middle was moved
    to [0, 0] by ``torch.fft.ifftshift``. Volumes b c d h w likewise. On a CPU it runs on one thread, and on those of
    PyTorch where ``OMP_WAIT_POLICY`` is PASSIVE; then results may differ by their rounding from call to call.

    Where frequencies lie closer they say less each. With weights w that follow from their density, ``c / w`` is a
    diagonal that A A^H is below, c the largest eigenvalue of ``W^(1/2) A A^H W^(1/2)``, and ``inverses.Diagonal`` steps
    by it. The problem that is solved stays that of unweighted squares.

    Args:
        frequencies: f: n x 2, row and column in cycles per pixel, in [-1/2, 1/2]; n x 3 for volumes.
        image_shape: (h, w), or (d, h, w) of volumes.
        density: w, n numbers > 0; None: computed, so that ``A A^H w`` is about 1.

    Raises:
        InvalidInput: For frequencies that are not n x 2 or n x 3, not finite or beyond 1/2, for an image_shape of
            another length, for a density that is not n numbers > 0; for an image of another size.
        Unsupported: Without pytorch-finufft; for parameters that require a gradient, and inside torch.compile.

    References:
        Barnett, Magland and af Klinteberg, A parallel nonuniform fast Fourier transform library based on an exponential
        of semicircle kernel, 2019; Pipe and Menon, Sampling density compensation in MRI, 1999, for the weights.
    """

    complex_input = complex_output = channelwise = True

    def __init__(self, frequencies: Any, image_shape: Sequence[int], density: Any = None) -> None:
        self.frequencies = real_array(frequencies, "frequencies", (2,))
        count, axes = self.frequencies.shape
        if axes not in (2, 3):
            raise InvalidInput(
                f"frequencies has shape {(count, axes)}; expected n x 2 (row, column), or n x 3 for volumes"
            )
        largest = self.frequencies.abs().max().item()
        if largest > 0.5:
            raise InvalidInput(
                f"frequencies reach {largest:g}; expected cycles per pixel, at most 1/2: radians are divided by 2 pi"
            )
        self.image_shape = check_sizes(image_shape, "image_shape")
        if len(self.image_shape) != axes:
            raise InvalidInput(
                f"image_shape is {self.image_shape} and frequencies have {axes} numbers each; expected as many sizes"
            )
        self._library = _finufft()
        self._scale = math.prod(self.image_shape) ** -0.5
        self._points = Constant((2 * torch.pi * self.frequencies).T.contiguous())
        self._density = None if density is None else _checked_density(density, count)

    def _forward(self, x: Tensor) -> Tensor:
        return self._scale * self._transform(self._library.finufft_type2, x, -1)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._scale * self._transform(self._library.finufft_type1, y, 1, self.image_shape)

    def _transform(self, transform: Any, values: Tensor, sign: int, *more: Any) -> Tensor:
        check_traceable("operators.NonUniformFourier", "its library works on NumPy arrays", "use MaskedFourier")
        how: dict[str, Any] = {"isign": sign, "modeord": 0, "eps": EPS[real_dtype(values.dtype)]}
        if not values.is_cuda:
            how["nthreads"] = torch.get_num_threads() if PASSIVE else 1
        found: Tensor = transform(self._points.like(values), values.resolve_conj().contiguous(), *more, **how)
        return found

    def _parameters(self) -> tuple[Any, ...]:
        return (self.frequencies, self.image_shape, *(() if self._density is None else (self._density,)))

    def output_shape(self, input_shape: Shape) -> Shape:
        shape = check_axes(input_shape, "image", len(self.image_shape))
        if shape[2:] != self.image_shape:
            raise InvalidInput(f"the image is {by(shape[2:])}; expected {by(self.image_shape)}, as image_shape says")
        return (*shape[:2], len(self.frequencies))

    def input_shape(self, output_shape: Shape) -> Shape:
        shape, count = tuple(output_shape), len(self.frequencies)
        if len(shape) != 3 or min(shape) < 1 or shape[2] != count:
            raise InvalidInput(f"the data has shape {shape}; expected b c {count}, a number for each frequency")
        return (*shape[:2], *self.image_shape)

    @functools.cached_property
    def density(self) -> Tensor:
        """w, n numbers > 0, float64 on the CPU: that which was given, else computed."""
        return _compensated(self) if self._density is None else self._density

    def majorant(self) -> Tensor:
        """``c / w``, n numbers."""
        return self._above

    @functools.cached_property
    def _above(self) -> Tensor:
        return _above(self, self.density)

    def _own_shape(self) -> Shape:
        return (1, 1, *self.image_shape)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_library"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._library = _finufft()


@untransformed
def _compensated(op: NonUniformFourier) -> Tensor:
    """w <- w / (A T A^H w), from 1: T the window whose transform is Fejer's kernel, >= 0, of the width of a pixel."""
    triangles = [1 - (2 * torch.arange(n, dtype=torch.float64) + 1 - n).abs() / n for n in op.image_shape]
    window = functools.reduce(lambda a, b: a[..., None] * b, triangles)
    window, w = window / window.mean(), torch.ones(1, 1, len(op.frequencies), dtype=torch.complex128)
    for _ in range(PASSES):
        w = w / op._forward(window * op._adjoint(w)).real.clamp_min(TINY)
    return w.real.flatten()


@untransformed
def _above(op: NonUniformFourier, w: Tensor) -> Tensor:
    """``c / w``, with c, the largest eigenvalue of ``W^(1/2) A A^H W^(1/2)``, not too small."""
    c = largest_singular_value(_Weighted(op, w.sqrt()), (1, 1, *op.image_shape), True, tolerance=ROUGH) ** 2
    return c / w


class _Weighted:
    """W^(1/2) A."""

    def __init__(self, op: NonUniformFourier, root: Tensor) -> None:
        self._op, self._root = op, root

    def __call__(self, x: Tensor) -> Tensor:
        return self._root * self._op._forward(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._op._adjoint(self._root * y)


def _checked_density(density: Any, count: int) -> Tensor:
    values = real_array(density, "density", (1,))
    if len(values) != count or not bool((values > 0).all()):
        raise InvalidInput(
            f"density has {len(values)} numbers, the least {values.min().item():g}; expected {count} numbers > 0, one "
            "for each frequency"
        )
    return values


def _finufft() -> ModuleType:
    try:
        return importlib.import_module("pytorch_finufft.functional")
    except ImportError:
        raise Unsupported("operators.NonUniformFourier needs pytorch-finufft: pip install 'fastip[nufft]'") from None
