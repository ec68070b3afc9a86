"""An explicit matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .. import contracts
from ..arrays import check_count
from ..contracts import Shape, Structure
from ..errors import InvalidInput
from ..placement import Constant
from .base.fingerprint import value_digest
from .base.real_array import real_array
from .base.remembered import last
from .linear import Operator


class Dense(Operator):
    """y = M x for an explicit m x n matrix M, kept in float64.

    From images b n or b c h w to data b m, real. The smaller of M M^T and M^T M is stated as a structure.

    Args:
        matrix: M, real, m x n.
        image_shape: (c, h, w) with n = c h w, for images b c h w; None: they are b n.

    Raises:
        InvalidInput: For a matrix that is no matrix, empty, complex, non-finite or 0 everywhere, or an image_shape with
            another number of pixels.
        Unsupported: For a matrix that requires a gradient, and inside torch.compile.
    """

    def __init__(self, matrix: Any, image_shape: Sequence[int] | None = None) -> None:
        self.matrix = real_array(matrix, "matrix", (2,))
        if not bool(self.matrix.any()):
            raise InvalidInput("matrix is all zeros; expected at least one entry that is not 0")
        m, n = self.matrix.shape
        if image_shape is not None and not isinstance(image_shape, (tuple, list)):
            raise InvalidInput(
                f"image_shape is {image_shape!r}; expected (c, h, w) with c h w = {n}, the columns of the matrix"
            )
        self.image_shape = (
            None
            if image_shape is None
            else tuple(check_count(size, "a size in image_shape", low=1) for size in image_shape)
        )
        if self.image_shape is not None and (len(self.image_shape) != 3 or math.prod(self.image_shape) != n):
            raise InvalidInput(
                f"image_shape is {self.image_shape}; expected (c, h, w) with c h w = {n}, the columns of the matrix"
            )
        self._matrix = Constant(self.matrix)

    def _forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self._matrix.like(x).T

    def _adjoint(self, y: Tensor) -> Tensor:
        return (y @ self._matrix.like(y)).reshape(self.input_shape(tuple(y.shape)))

    def _parameters(self) -> tuple[Any, ...]:
        return (self.matrix, self.image_shape)

    def _fingerprint(self) -> str:
        """Each row counts to 24 bits of its own largest entry."""
        return str(value_digest((type(self).__qualname__, tuple(self.matrix), self.image_shape)).hexdigest())

    def output_shape(self, input_shape: Shape) -> Shape:
        m, n = self.matrix.shape
        expected = (n,) if self.image_shape is None else self.image_shape
        if tuple(input_shape[1:]) != expected or input_shape[0] < 1:
            wanted = " x ".join(["b", *map(str, expected)])
            raise InvalidInput(
                f"the image has shape {tuple(input_shape)}; expected {wanted} for a matrix of {m} x {n}; "
                "reshape it or give image_shape"
            )
        return (input_shape[0], m)

    def input_shape(self, output_shape: Shape) -> Shape:
        m, n = self.matrix.shape
        if len(output_shape) != 2 or output_shape[1] != m or output_shape[0] < 1:
            raise InvalidInput(f"the data has shape {tuple(output_shape)}; expected b x {m} for a matrix of {m} x {n}")
        return (output_shape[0], *((n,) if self.image_shape is None else self.image_shape))

    @last
    def gram(self, input_shape: Shape) -> Structure | None:
        self.output_shape(input_shape)
        m, n = self.matrix.shape
        return contracts.Dense(self.matrix.T @ self.matrix) if n <= m else None

    @last
    def cogram(self, output_shape: Shape) -> Structure | None:
        self.input_shape(output_shape)
        m, n = self.matrix.shape
        return contracts.Dense(self.matrix @ self.matrix.T) if m <= n else None

    def products(self, input_shape: Shape) -> float:
        return float(input_shape[0] * self.matrix.numel())

    def absolute(self) -> Operator:
        return Dense(self.matrix.abs(), self.image_shape)

    def _own_shape(self) -> Shape:
        return (1, self.matrix.shape[1]) if self.image_shape is None else (1, *self.image_shape)
