"""The base of every operator, and the algebra A.T, A @ B, c * A, A + B."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..arrays import check_number
from ..contracts import Convolution, Scalar, Shape, Structure, Window
from ..errors import InvalidInput
from .base import convolutions, structures, windows
from .base.linear_map import LinearMap
from .base.remembered import last
from .base.work import PASS, added


class Operator(LinearMap):
    """A linear map A with its adjoint, and its algebra.

    As :class:`fastip.operators.base.linear_map.LinearMap`; with ``A.T``, ``A @ B``, ``c * A``, ``A + B``, ``A - B``.
    """

    @property
    def T(self) -> Operator:
        """The adjoint as an operator; its own T is this operator again."""
        return Adjoint(self)

    def __matmul__(self, other: Any) -> Operator:
        if not isinstance(other, Operator):
            raise InvalidInput(
                f"A @ B composes two operators, but B is {type(other).__name__}; apply an operator to data with A(x)"
            )
        return Composition(self, other)

    def __mul__(self, factor: Any) -> Operator:
        return Scaled(factor, self)

    __rmul__ = __mul__
    __array_ufunc__ = None  # so that numpy.float64(2) * A comes here instead of becoming an array of objects

    def __neg__(self) -> Operator:
        return Scaled(-1.0, self)

    def __add__(self, other: Any) -> Operator:
        return Sum(self, other) if isinstance(other, Operator) else NotImplemented

    def __radd__(self, other: Any) -> Operator:
        """0 + A, with which ``sum([A, B])`` begins, is A."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __sub__(self, other: Any) -> Operator:
        return Sum(self, Scaled(-1.0, other)) if isinstance(other, Operator) else NotImplemented


class Adjoint(Operator):
    """A^T as an operator: y ↦ A^T y, with A as its adjoint.

    Args:
        op: The operator A.

    Raises:
        InvalidInput: For anything but an operator.
    """

    def __init__(self, op: Operator) -> None:
        self.op = _operator(op, "op")
        self.complex_input, self.complex_output = op.complex_output, op.complex_input
        self.channelwise, self.pixelwise = op.channelwise, op.pixelwise

    def _forward(self, x: Tensor) -> Tensor:
        return self.op._adjoint(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.op._forward(y)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.op,)

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.op.input_shape(input_shape)

    def input_shape(self, output_shape: Shape) -> Shape:
        return self.op.output_shape(output_shape)

    def gram(self, input_shape: Shape) -> Structure | None:
        return self.op.cogram(input_shape)

    def cogram(self, output_shape: Shape) -> Structure | None:
        return self.op.gram(output_shape)

    def products(self, input_shape: Shape) -> float | None:
        return self.op.products(self.op.input_shape(input_shape))

    def absolute(self) -> Operator | None:
        known = self.op.absolute()
        return Adjoint(known) if isinstance(known, Operator) else None

    def norm(self, input_shape: Shape | None = None) -> float:
        return self.op.norm(None if input_shape is None else self.op.input_shape(tuple(input_shape)))

    @property
    def T(self) -> Operator:
        return self.op


class Composition(Operator):
    """left right: x ↦ left(right(x)).

    Args:
        left: The operator that is applied last.
        right: The one that is applied first.

    Raises:
        InvalidInput: For anything but operators, and where one is complex and the other real in between.
    """

    def __init__(self, left: Operator, right: Operator) -> None:
        self.left, self.right = _operator(left, "left"), _operator(right, "right")
        if left.complex_input != right.complex_output:
            takes, gives = ("complex", "real") if left.complex_input else ("real", "complex")
            raise InvalidInput(
                f"{type(left).__name__} takes {takes} data but {type(right).__name__} gives {gives} data; "
                "put an adjoint (op.T) or a real operator in between"
            )
        self.complex_input, self.complex_output = right.complex_input, left.complex_output
        self.channelwise = left.channelwise and right.channelwise
        self.pixelwise = left.pixelwise and right.pixelwise
        self._convolution = convolutions.merge(left.convolution(), right.convolution())

    def _forward(self, x: Tensor) -> Tensor:
        return self.left._forward(self.right._forward(x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.right._adjoint(self.left._adjoint(y))

    def _parameters(self) -> tuple[Any, ...]:
        return (self.left, self.right)

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.left.output_shape(self.right.output_shape(input_shape))

    def input_shape(self, output_shape: Shape) -> Shape:
        return self.right.input_shape(self.left.input_shape(output_shape))

    @last
    def cogram(self, output_shape: Shape) -> Structure | None:
        """left (right right^T) left^T: of the merged convolution, or one factor's structure times the other's c."""
        self.input_shape(output_shape)
        if self._convolution is not None:
            return convolutions.cogram(self._convolution, *output_shape[2:])
        return _product(self.left, self.right, output_shape)

    @last
    def gram(self, input_shape: Shape) -> Structure | None:
        self.output_shape(input_shape)
        if self._convolution is not None:
            return convolutions.gram(self._convolution, *input_shape[2:])
        found = _product(self.right.T, self.left.T, input_shape)
        if found is not None or self.right.convolution() is None:
            return found
        # right^T G right = G right^T right where right is a convolution and it and G = left^T left are circulant
        return structures.multiply(self.right.gram(input_shape), self.left.gram(self.right.output_shape(input_shape)))

    def convolution(self) -> Convolution | None:
        return self._convolution

    def products(self, input_shape: Shape) -> float | None:
        return added((self.right.products(input_shape), self.left.products(self.right.output_shape(input_shape))))

    def absolute(self) -> Operator | None:
        return _both(Composition, self.left, self.right)

    def majorant(self) -> Tensor | None:
        """``||right||^2`` times that of left, above which left (right right^T) left^T is not."""
        known = self.left.majorant()
        try:
            return None if known is None else self.right.norm() ** 2 * known
        except InvalidInput:  # which depends on the image size
            return None

    def check_measured(self, y: Tensor) -> None:
        self.left.check_measured(y)

    def window(self) -> Window | None:
        return windows.composed(self.left.window(), self.right.window())

    def _own_shape(self) -> Shape | None:
        shape = self.left._own_shape()
        return self.right._own_shape() or (None if shape is None else self.right.input_shape(shape))


def _product(left: Operator, right: Operator, output_shape: Shape) -> Structure | None:
    """(left right) (left right)^T on data of ``output_shape``, when one of the factors has c I.

    right right^T = c I gives c left left^T. A map across channels commutes with a channelwise one, so that
    left left^T = c I gives c right right^T there.
    """
    inner = right.cogram(left.input_shape(output_shape))
    if isinstance(inner, Scalar):
        return structures.scale(left.cogram(output_shape), inner.value)
    outer = left.cogram(output_shape) if left.pixelwise and right.channelwise else None
    return structures.scale(right.cogram(output_shape), outer.value) if isinstance(outer, Scalar) else None


class Scaled(Operator):
    """factor * A.

    Args:
        factor: A finite number.
        op: The operator A.

    Raises:
        InvalidInput: For another factor and anything but an operator.
    """

    def __init__(self, factor: float, op: Operator) -> None:
        self.factor, self.op = check_number(factor, "the factor"), _operator(op, "op")
        self.complex_input, self.complex_output = op.complex_input, op.complex_output
        self.channelwise, self.pixelwise = op.channelwise, op.pixelwise

    def _forward(self, x: Tensor) -> Tensor:
        return self.factor * self.op._forward(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.factor * self.op._adjoint(y)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.factor, self.op)

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.op.output_shape(input_shape)

    def input_shape(self, output_shape: Shape) -> Shape:
        return self.op.input_shape(output_shape)

    @last
    def gram(self, input_shape: Shape) -> Structure | None:
        return structures.scale(self.op.gram(input_shape), self.factor**2)

    @last
    def cogram(self, output_shape: Shape) -> Structure | None:
        return structures.scale(self.op.cogram(output_shape), self.factor**2)

    def convolution(self) -> Convolution | None:
        return windows.scaled_convolution(self.op.convolution(), self.factor)

    def check_measured(self, y: Tensor) -> None:
        self.op.check_measured(y)

    def window(self) -> Window | None:
        return windows.scaled(self.op.window(), self.factor)

    def products(self, input_shape: Shape) -> float | None:
        return added((self.op.products(input_shape), PASS * math.prod(self.op.output_shape(input_shape))))

    def absolute(self) -> Operator | None:
        known = self.op.absolute()
        return Scaled(abs(self.factor), known) if isinstance(known, Operator) else None

    def majorant(self) -> Tensor | None:
        known = self.op.majorant()
        return None if known is None else self.factor**2 * known

    def norm(self, input_shape: Shape | None = None) -> float:
        return abs(self.factor) * self.op.norm(input_shape)


class Sum(Operator):
    """left + right: x ↦ left(x) + right(x). Convolutions that see the image alike become one.

    Args:
        left: The operator A.
        right: The operator B, from the images of A to the data of A.

    Raises:
        InvalidInput: For anything but operators, for a real and a complex one, and, when it is applied, where the two
            give data of other shapes.
    """

    def __init__(self, left: Operator, right: Operator) -> None:
        self.left, self.right = _operator(left, "left"), _operator(right, "right")
        kinds = [(op.complex_input, op.complex_output) for op in (left, right)]
        if kinds[0] != kinds[1]:
            names = f"{type(left).__name__} and {type(right).__name__}"
            raise InvalidInput(f"A + B needs images and data of one kind, and {names} mix real and complex ones")
        self.complex_input, self.complex_output = kinds[0]
        self.channelwise = left.channelwise and right.channelwise
        self.pixelwise = left.pixelwise and right.pixelwise
        self._convolution = convolutions.added(left.convolution(), right.convolution())

    def _forward(self, x: Tensor) -> Tensor:
        return self.left._forward(x).add_(self.right._forward(x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.left._adjoint(y).add_(self.right._adjoint(y))

    def _parameters(self) -> tuple[Any, ...]:
        return (self.left, self.right)

    def output_shape(self, input_shape: Shape) -> Shape:
        return self._same("data", self.left.output_shape(input_shape), self.right.output_shape(input_shape))

    def input_shape(self, output_shape: Shape) -> Shape:
        return self._same("images", self.left.input_shape(output_shape), self.right.input_shape(output_shape))

    def _same(self, what: str, a: Shape, b: Shape) -> Shape:
        if a != b:
            raise InvalidInput(
                f"A + B adds {what} of one shape, and {type(self.left).__name__} has {a}, {type(self.right).__name__} "
                f"{b}; give both the same stride and boundary, and with valid the same psf size"
            )
        return a

    @last
    def gram(self, input_shape: Shape) -> Structure | None:
        self.output_shape(input_shape)
        return None if self._convolution is None else convolutions.gram(self._convolution, *input_shape[2:])

    @last
    def cogram(self, output_shape: Shape) -> Structure | None:
        self.input_shape(output_shape)
        return None if self._convolution is None else convolutions.cogram(self._convolution, *output_shape[2:])

    def convolution(self) -> Convolution | None:
        return self._convolution

    def products(self, input_shape: Shape) -> float | None:
        return added((self.left.products(input_shape), self.right.products(input_shape)))

    def absolute(self) -> Operator | None:
        return _both(Sum, self.left, self.right)

    def _own_shape(self) -> Shape | None:
        return self.left._own_shape() or self.right._own_shape()


def _both(make: Callable[[Operator, Operator], Operator], left: Operator, right: Operator) -> Operator | None:
    """``make`` of what is known of both without their signs."""
    a, b = left.absolute(), right.absolute()
    return make(a, b) if isinstance(a, Operator) and isinstance(b, Operator) else None


def _operator(value: Any, name: str) -> Operator:
    if not isinstance(value, Operator):
        raise InvalidInput(f"{name} is {type(value).__name__}; expected an operator, e.g. operators.Blur(psf)")
    return value
