"""Real images seen through a masked Fourier transform."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..contracts import Circulant, Shape, Structure
from ..errors import InvalidInput
from ..placement import Constant
from .base.door import check_grid
from .base.real_array import real_array
from .base.remembered import last
from .base.work import PASS, TRANSFORM
from .linear import Operator


class MaskedFourier(Operator):
    """y = mask * F x with F the orthonormal full-grid fft2; A^T y = Re F^-1 (mask * y), the adjoint of Re <A x, y>.

    From images b c h w, real float32 or float64, to data b c h w, complex64 or complex128; other shapes and dtypes are
    refused with InvalidInput. A^T A is circulant with spectrum ``(mask^2 + flip mask^2) / 2``, flip taking frequency f
    to -f; A A^T is not diagonal, because x is real.

    Args:
        mask: h w, frequency 0 at [0, 0] (torch.fft.ifftshift a centred one); 0/1, boolean or finite weights.

    Raises:
        InvalidInput: For a mask that is not h w, empty, complex, non-finite or 0 everywhere.
        Unsupported: For a mask that requires a gradient, and inside torch.compile.
    """

    channelwise = True
    complex_output = True

    def __init__(self, mask: Any) -> None:
        self.mask = real_array(mask, "mask", (2,))
        if not bool(self.mask.any()):
            raise InvalidInput(
                "mask is 0 everywhere, so no frequency is measured; expected at least one value that is not 0"
            )
        self._weights = Constant(self.mask)

    def _forward(self, x: Tensor) -> Tensor:
        if x.dtype not in (torch.float32, torch.float64):
            raise InvalidInput(
                f"x has dtype {x.dtype}, which has no complex Fourier transform; expected float32 or float64: "
                "call x.float()"
            )
        return torch.fft.fft2(x, norm="ortho") * self._weights.like(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return torch.fft.ifft2(y * self._weights.like(y), norm="ortho").real.contiguous()

    def _parameters(self) -> tuple[Any, ...]:
        return (self.mask,)

    def output_shape(self, input_shape: Shape) -> Shape:
        shape = check_grid(input_shape, "image")
        if shape[2:] != tuple(self.mask.shape):
            raise InvalidInput(
                f"the image is {shape[2]} x {shape[3]} but the mask {self.mask.shape[0]} x {self.mask.shape[1]}; "
                "expected the same size"
            )
        return shape

    def input_shape(self, output_shape: Shape) -> Shape:
        return self.output_shape(output_shape)

    @last
    def gram(self, input_shape: Shape) -> Structure:
        self.output_shape(input_shape)
        power = self.mask.square()
        even = (power + power.flip(0, 1).roll((1, 1), (0, 1))) / 2
        return Circulant(even[:, : power.shape[1] // 2 + 1].contiguous())

    def products(self, input_shape: Shape) -> float:
        return (TRANSFORM + PASS) * math.prod(input_shape)

    def _own_shape(self) -> Shape:
        return (1, 1, *self.mask.shape)
