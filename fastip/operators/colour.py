"""Grey images from colour."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from ..contracts import Scalar, Shape, Structure
from ..errors import InvalidInput
from ..placement import Constant
from .base.door import check_grid
from .base.real_array import real_array
from .base.work import PASS
from .linear import Operator


class ToGray(Operator):
    """The weighted sum of the channels: ``y[0] = sum_c weights[c] x[c]``; ``A A^T = ||weights||^2 I``.

    From images b c h w with c = len(weights) to data b 1 h w, real.

    Args:
        weights: One per channel, real; ITU-R BT.601 luma by default.

    Raises:
        InvalidInput: For weights that are no vector, empty, complex, non-finite or all 0.
        Unsupported: For weights that require a gradient, and inside torch.compile.
    """

    pixelwise = True

    def __init__(self, weights: Any = (0.299, 0.587, 0.114)) -> None:
        self.weights = real_array(weights, "weights", (1,))
        if not bool(self.weights.any()):
            raise InvalidInput("weights are all 0, so the grey image is 0; expected at least one weight that is not 0")
        self._column = Constant(self.weights.reshape(-1, 1, 1))

    def _forward(self, x: Tensor) -> Tensor:
        return (x * self._column.like(x)).sum(dim=1, keepdim=True)

    def _adjoint(self, y: Tensor) -> Tensor:
        return y * self._column.like(y)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.weights,)

    def output_shape(self, input_shape: Shape) -> Shape:
        b, c, h, w = check_grid(input_shape, "image")
        if c != len(self.weights):
            raise InvalidInput(
                f"the image has {c} channels but there are {len(self.weights)} weights; expected one weight per channel"
            )
        return (b, 1, h, w)

    def input_shape(self, output_shape: Shape) -> Shape:
        b, c, h, w = check_grid(output_shape, "data")
        if c != 1:
            raise InvalidInput(f"the data has {c} channels; expected 1, a grey image")
        return (b, len(self.weights), h, w)

    def cogram(self, output_shape: Shape) -> Structure:
        self.input_shape(output_shape)
        return Scalar(self.weights.square().sum().item())

    def products(self, input_shape: Shape) -> float:
        return PASS * math.prod(input_shape)

    def absolute(self) -> Operator:
        return ToGray(self.weights.abs())

    def norm(self, input_shape: Shape | None = None) -> float:
        """``||weights||``, on every grid."""
        if input_shape is not None:
            self.output_shape(input_shape)
        return math.sqrt(self.weights.square().sum().item())
