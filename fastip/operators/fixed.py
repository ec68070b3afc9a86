"""Operators that are made for images of one shape and data of one shape."""

from __future__ import annotations

from ..contracts import Shape
from ..errors import InvalidInput
from .linear import Operator


class FixedShapes(Operator):
    """An operator from b x ``image_shape`` to b x ``data_shape``, both without the batch."""

    image_shape: Shape
    data_shape: Shape

    def output_shape(self, input_shape: Shape) -> Shape:
        return self._other("image", tuple(input_shape), self.image_shape, self.data_shape)

    def input_shape(self, output_shape: Shape) -> Shape:
        return self._other("data", tuple(output_shape), self.data_shape, self.image_shape)

    def _other(self, what: str, given: Shape, expected: Shape, other: Shape) -> Shape:
        if given[1:] != expected or given[0] < 1:
            wanted = " x ".join(["b", *map(str, expected)])
            advice = f"give one without a batch as {what}[None]" if given == expected else f"reshape it to {wanted}"
            raise InvalidInput(
                f"the {what} has shape {given}; expected {wanted} for this {type(self).__name__}: {advice}"
            )
        return (given[0], *other)

    def _own_shape(self) -> Shape:
        return (1, *self.image_shape)
