"""A blur that changes over the picture."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..contracts import Shape
from ..errors import InvalidInput
from ..placement import Constant
from .base.real_array import real_array
from .base.work import PASS
from .blur import Blur
from .linear import Operator


class Varying(Operator):
    """A weighted sum of blurs: ``A x = sum_i H_i (weights_i x)``.

    With weights that go smoothly from one region to the next and sum to 1, the psf of each point of the object is the
    mean of the psfs by its weights. Images b c h w, data as of ``Blur``.

    Args:
        psfs: n x kh x kw, real; one side for all.
        weights: n x h x w on the image, real, alike for all channels.
        stride: Image pixels from one data point to the next.
        boundary: "circular", "valid", "reflect" or "zero".
        centre: (row, column) of the centre in all psfs, as of ``Blur``; None is k // 2.

    Raises:
        InvalidInput: For other shapes, values that are not finite, and what ``Blur`` refuses.

    References:
        Nagy and O'Leary, Restoring images degraded by spatially variant blur, 1998.
    """

    channelwise = True

    def __init__(
        self,
        psfs: Any,
        weights: Any,
        stride: int = 1,
        boundary: str = "circular",
        *,
        centre: tuple[int, int] | None = None,
    ) -> None:
        self.psfs, self.weights = real_array(psfs, "psfs", (3,)), real_array(weights, "weights", (3,))
        if len(self.psfs) != len(self.weights):
            raise InvalidInput(
                f"there are {len(self.psfs)} psfs and {len(self.weights)} weights; expected a picture of weights, n x "
                "h x w, for each psf, n x kh x kw"
            )
        self._blurs = [Blur(psf, stride, boundary, centre=centre) for psf in self.psfs]
        self._weights = Constant(self.weights)
        self.stride, self.boundary = self._blurs[0].stride, self._blurs[0].boundary

    def _forward(self, x: Tensor) -> Tensor:
        weights = self._weights.like(x)
        found = self._blurs[0]._forward(weights[0] * x)
        for blur, weight in zip(self._blurs[1:], weights[1:], strict=True):
            found += blur._forward(weight * x)
        return found

    def _adjoint(self, y: Tensor) -> Tensor:
        weights = self._weights.like(y)
        found = weights[0] * self._blurs[0]._adjoint(y)
        for blur, weight in zip(self._blurs[1:], weights[1:], strict=True):
            found += weight * blur._adjoint(y)
        return found

    def _parameters(self) -> tuple[Any, ...]:
        return (torch.stack([blur.psf for blur in self._blurs]), self.weights, self.stride, self.boundary)

    def output_shape(self, input_shape: Shape) -> Shape:
        found = self._blurs[0].output_shape(input_shape)
        h, w = self.weights.shape[1:]
        if tuple(input_shape[2:]) != (h, w):
            raise InvalidInput(f"the image has shape {tuple(input_shape)}; expected {h} x {w}, the size of the weights")
        return found

    def input_shape(self, output_shape: Shape) -> Shape:
        found = self._blurs[0].input_shape(output_shape)
        if tuple(found[2:]) != tuple(self.weights.shape[1:]):
            raise InvalidInput(
                f"the data has shape {tuple(output_shape)}, of images {tuple(found)}; the weights are "
                f"{' x '.join(map(str, self.weights.shape[1:]))}: give data and weights of one grid"
            )
        return found

    def products(self, input_shape: Shape) -> float:
        each = self._blurs[0].products(input_shape) + 2 * PASS * math.prod(input_shape)
        return each * len(self._blurs)

    def absolute(self) -> Operator:
        return Varying(self.psfs.abs(), self.weights.abs(), self.stride, self.boundary)

    def _own_shape(self) -> Shape:
        return (1, 1, *self.weights.shape[1:])
