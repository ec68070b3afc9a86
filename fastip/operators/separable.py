"""One matrix for the height and one for the width."""

from __future__ import annotations

import abc
from typing import Any

import torch
from torch import Tensor

from ..arrays import accumulator
from ..contracts import Shape, Structure
from ..errors import InvalidInput
from ..placement import borrowed
from ..tracing import constant, fixed
from .base import banded, structures
from .base.banded import Banded, Block
from .base.door import check_grid
from .base.fingerprint import value_digest
from .base.real_array import real_array
from .base.remembered import last
from .linear import Operator


class SeparableOperator(Operator):
    """``Y = V X H^T`` on every plane X, with matrices V and H that depend on the size alone.

    A subclass gives :meth:`factors` and the two shape rules.
    """

    channelwise = True

    @abc.abstractmethod
    def factors(self, image: tuple[int, int]) -> tuple[Banded, Banded]:
        """(V, H) for images of this height and width; one object where both are equal, which is worked on once."""

    def _forward(self, x: Tensor) -> Tensor:
        vertical, horizontal = self._on(x, tuple(x.shape), False)
        data = x.to(accumulator(x.dtype))
        with torch.autocast(x.device.type, enabled=False):
            return banded.across(horizontal, banded.down(vertical, data)).to(x.dtype)

    def _adjoint(self, y: Tensor) -> Tensor:
        vertical, horizontal = self._on(y, self.input_shape(tuple(y.shape)), True)
        data = y.to(accumulator(y.dtype))
        with torch.autocast(y.device.type, enabled=False):
            return banded.down(vertical, banded.across(horizontal, data)).to(y.dtype)

    def _on(self, data: Tensor, image: Shape, transposed: bool) -> list[tuple[Block, ...]]:
        _, _, height, width = fixed(image, self)
        kept = _blocks(self, (height, width), transposed, accumulator(data.dtype), data.device)
        return [tuple((first, last, borrowed(values)) for first, last, values in blocks) for blocks in kept]

    def products(self, input_shape: Shape) -> float:
        vertical, horizontal = self.factors((input_shape[2], input_shape[3]))
        planes = input_shape[0] * input_shape[1]
        return float(planes * (vertical.entries * input_shape[3] + vertical.shape[0] * horizontal.entries))

    @last
    def gram(self, input_shape: Shape) -> Structure | None:
        """A^T A where the image is smaller than the data, else None: A A^T is the smaller one."""
        _, _, h, w = self.output_shape(input_shape)
        if h * w <= input_shape[2] * input_shape[3]:
            return None
        factors = self.factors((input_shape[2], input_shape[3]))
        return structures.kronecker(*_grams(factors, True))

    @last
    def cogram(self, output_shape: Shape) -> Structure | None:
        """A A^T, or None where the image is smaller than the data."""
        _, _, height, width = self.input_shape(output_shape)
        if output_shape[2] * output_shape[3] > height * width:
            return None
        return structures.kronecker(*_grams(self.factors((height, width)), False))


def _grams(factors: tuple[Banded, Banded], transposed: bool) -> tuple[Tensor, Tensor]:
    vertical, horizontal = factors
    first = vertical.gram(transposed)
    return first, first if horizontal is vertical else horizontal.gram(transposed)


@constant
def _blocks(
    op: SeparableOperator, image: tuple[int, int], transposed: bool, dtype: torch.dtype, device: torch.device
) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    vertical, horizontal = op.factors(image)
    return vertical.blocks(transposed, dtype, device), horizontal.blocks(transposed, dtype, device)


class Separable(SeparableOperator):
    """``Y = V X H^T`` on every plane X of an image, for any real matrices.

    From images b c n_v n_h to data b c m_v m_h. They are multiplied in blocks of rows, each with the columns that are
    not 0 there, so matrices with a band cost little more than the band.

    Args:
        vertical: V, m_v x n_v, which acts along the height.
        horizontal: H, m_h x n_h, which acts along the width.

    Raises:
        InvalidInput: For a matrix that is no matrix, empty, complex, non-finite or 0 everywhere.
        Unsupported: For a matrix that requires a gradient, and inside torch.compile.
    """

    def __init__(self, vertical: Any, horizontal: Any) -> None:
        self.vertical = _matrix(vertical, "vertical")
        self.horizontal = _matrix(horizontal, "horizontal")
        first = banded.dense(self.vertical)
        same = torch.equal(self.vertical, self.horizontal)
        self._factors = first, first if same else banded.dense(self.horizontal)

    def factors(self, image: tuple[int, int]) -> tuple[Banded, Banded]:
        return self._factors

    def _parameters(self) -> tuple[Any, ...]:
        return (self.vertical, self.horizontal)

    def _fingerprint(self) -> str:
        """Each row counts to 24 bits of its own largest entry."""
        rows = tuple(self.vertical), tuple(self.horizontal)
        return str(value_digest((type(self).__qualname__, *rows)).hexdigest())

    def absolute(self) -> Operator:
        return Separable(self.vertical.abs(), self.horizontal.abs())

    def output_shape(self, input_shape: Shape) -> Shape:
        b, c, *size = check_grid(input_shape, "image")
        self._check(size, 1, "image")
        return (b, c, self.vertical.shape[0], self.horizontal.shape[0])

    def input_shape(self, output_shape: Shape) -> Shape:
        b, c, *size = check_grid(output_shape, "data")
        self._check(size, 0, "data")
        return (b, c, self.vertical.shape[1], self.horizontal.shape[1])

    def _check(self, size: list[int], axis: int, what: str) -> None:
        expected = self.vertical.shape[axis], self.horizontal.shape[axis]
        if tuple(size) != expected:
            sides = "columns" if axis else "rows"
            raise InvalidInput(
                f"the {what} is {size[0]} x {size[1]}; expected {expected[0]} x {expected[1]}, "
                f"the {sides} of the two matrices: resize it, or make the matrices for this size"
            )

    def _own_shape(self) -> Shape:
        return (1, 1, self.vertical.shape[1], self.horizontal.shape[1])


def _matrix(value: Any, name: str) -> Tensor:
    matrix = real_array(value, name, (2,))
    if not bool(matrix.any()):
        raise InvalidInput(f"{name} is all zeros; expected at least one entry that is not 0")
    return matrix
