"""Pixel masks."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..contracts import Convolution, Diagonal, Shape, Structure, Window
from ..errors import InvalidInput
from ..placement import Constant
from .base.door import check_axes, check_axes_count
from .base.real_array import real_array
from .base.remembered import last
from .base.work import PASS
from .linear import Operator


class Mask(Operator):
    """Multiply by a mask: y = mask * x, the shape unchanged; missing pixels are 0.

    Images and data are b c h w, real; an image that the mask does not fit is refused with InvalidInput. Data must be
    finite where the mask is 0 too, since they are computed with: fill them with 0.

    Args:
        mask: h w, c h w or b c h w with c and b the image's own or 1; 0/1, boolean or any finite weights.
        axes: 2 for images; 3 for volumes b c d h w, whose mask is d h w, with c and b in front where they differ.

    Raises:
        InvalidInput: For a mask with another number of axes, or that is empty, complex, non-finite or 0 everywhere, and
            for other axes.
        Unsupported: For a mask that requires a gradient, and inside torch.compile.
    """

    def __init__(self, mask: Any, *, axes: int = 2) -> None:
        self.axes = check_axes_count(axes)
        values = real_array(mask, "mask", (axes, axes + 1, axes + 2))
        if not bool(values.any()):
            raise InvalidInput(
                "mask is 0 everywhere, so no pixel is measured; expected at least one value that is not 0"
            )
        self.mask = values.reshape(*[1] * (axes + 2 - values.ndim), *values.shape)
        self.channelwise = self.mask.shape[:2] == (1, 1)
        self._weights = Constant(self.mask)

    def _forward(self, x: Tensor) -> Tensor:
        return x * self._weights.like(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return y * self._weights.like(y)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.mask,)

    def output_shape(self, input_shape: Shape) -> Shape:
        shape, own = check_axes(input_shape, "image", self.axes), tuple(self.mask.shape)
        if own[2:] != shape[2:] or own[0] not in (1, shape[0]) or own[1] not in (1, shape[1]):
            same = "h and w" if self.axes == 2 else "d, h and w"
            raise InvalidInput(
                f"the image has shape {shape} but the mask {own}; expected the same {same}, "
                "and the same or 1 for c and b"
            )
        return shape

    def input_shape(self, output_shape: Shape) -> Shape:
        return self.output_shape(output_shape)

    @last
    def gram(self, input_shape: Shape) -> Structure:
        self.output_shape(input_shape)
        return Diagonal(self.mask.square())

    def cogram(self, output_shape: Shape) -> Structure:
        return self.gram(output_shape)

    def products(self, input_shape: Shape) -> float:
        return PASS * math.prod(input_shape)

    def absolute(self) -> Operator:
        return Mask(self.mask.abs(), axes=self.axes)

    def window(self) -> Window:
        one = torch.ones((1,) * self.axes, dtype=torch.float64)
        return Window(Convolution(one, 1, "circular", self.axes), self.mask)

    def _own_shape(self) -> Shape:
        return tuple(self.mask.shape)
