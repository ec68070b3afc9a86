"""The base of every operator: the door (checks, arrays), one autograd rule, and the algebra A.T, A @ B, c * A."""

from __future__ import annotations

import abc
from typing import Any

import torch
from torch import Tensor

from ..arrays import as_tensor, check_number
from ..contracts import Convolution, Scalar, Shape, Structure, Window
from ..errors import InvalidInput, StrictKeywords
from .base import convolutions, structures, windows
from .base.autograd import AdjointBackward
from .base.door import check_tensor
from .base.fingerprint import value_digest
from .base.lanczos import largest_singular_value
from .base.remembered import PREFIX, last

FINGERPRINT = f"{PREFIX}fingerprint"  # computed once, for every solve asks for it


class Operator(StrictKeywords, abc.ABC):
    """A linear map A with its adjoint: y = op(x), x = op.adjoint(y).

    A subclass gives ``_forward``, ``_adjoint``, two shape rules and ``_parameters``; it states ``gram``, ``cogram``,
    ``convolution`` and ``window`` where it knows them. Tensors, NumPy and CuPy arrays come in and go out as themselves,
    on any device, differentiable. Parameters are kept in float64 on the CPU, and copied once to each device of data.
    """

    complex_input = False  # for complex data A^T is the adjoint of Re <A x, y>, so images stay real
    complex_output = False
    channelwise = False  # acts on each channel of each image alone, and alike on all
    pixelwise = False  # acts on each pixel of each image alone, and alike on all: it mixes channels only

    # ---- what a subclass gives ---------------------------------------------------------------------------------------

    @abc.abstractmethod
    def _forward(self, x: Tensor) -> Tensor: ...  # a fresh tensor; x is checked already

    @abc.abstractmethod
    def _adjoint(self, y: Tensor) -> Tensor: ...  # a fresh tensor; y is checked already

    @abc.abstractmethod
    def _parameters(self) -> tuple[Any, ...]: ...  # what the fingerprint covers

    @abc.abstractmethod
    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of A x for x of this shape. Raises InvalidInput if A does not take it."""

    @abc.abstractmethod
    def input_shape(self, output_shape: Shape) -> Shape:
        """The shape of A^T y for y of this shape. Raises InvalidInput if A does not give it."""

    def gram(self, input_shape: Shape) -> Structure | None:
        """What A^T A looks like on images of this shape, where it is known."""
        self.output_shape(input_shape)
        return None

    def cogram(self, output_shape: Shape) -> Structure | None:
        """What A A^T looks like on data of this shape, where it is known."""
        self.input_shape(output_shape)
        return None

    def convolution(self) -> Convolution | None:
        """A itself as one strided convolution, where it is one."""
        return None

    def window(self) -> Window | None:
        """A as weighted pixels of a circular convolution on a larger grid, where it is that."""
        return windows.of(self.convolution())

    def _own_shape(self) -> Shape | None:
        """The image shape (batch 1) this operator was made for, where its parameters fix it."""
        return None

    # ---- the door ----------------------------------------------------------------------------------------------------

    def __call__(self, x: Any) -> Any:
        """A x."""
        tensor, back = as_tensor(x, "x")
        check_tensor(tensor, "x", self.complex_input)
        self.output_shape(tuple(tensor.shape))
        return back(_apply(tensor, self, False))

    def adjoint(self, y: Any) -> Any:
        """A^T y."""
        tensor, back = as_tensor(y, "y")
        check_tensor(tensor, "y", self.complex_output)
        self.input_shape(tuple(tensor.shape))
        return back(_apply(tensor, self, True))

    # ---- what follows for all ----------------------------------------------------------------------------------------

    def norm(self, input_shape: Shape | None = None) -> float:
        """The largest singular value of A, in closed form where A A^T or A^T A has a structure, else by Lanczos.

        Args:
            input_shape: That of the images; None: the own shape of an operator that has one, else InvalidInput.
        """
        shape = self._known_shape() if input_shape is None else tuple(input_shape)
        return self._norm((1, 1, *shape[2:]) if self.channelwise else shape)

    @last
    def _norm(self, shape: Shape) -> float:
        structure = self.cogram(self.output_shape(shape)) or self.gram(shape)
        if structure is not None:
            return structures.largest(structure) ** 0.5
        return largest_singular_value(self, shape, self.complex_input)  # float64, its residual added: not too small

    def _known_shape(self) -> Shape:
        shape = self._own_shape()
        try:
            if shape is not None:
                self.output_shape(shape)
                return shape
        except InvalidInput:  # the parameters fix the size but not the channels
            pass
        raise InvalidInput(f"the norm of {type(self).__name__} depends on the image size; pass it: op.norm(x.shape)")

    def fingerprint(self) -> str:
        """sha256 of class and parameters up to rounding, in hex: the same in every process and on every processor."""
        kept: str | None = self.__dict__.get(FINGERPRINT)
        if kept is None:
            kept = self.__dict__[FINGERPRINT] = self._fingerprint()
        return kept

    def _fingerprint(self) -> str:
        return str(value_digest((type(self).__qualname__, self._parameters())).hexdigest())

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

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith(PREFIX)}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(_brief(p) for p in self._parameters())})"


def _apply(data: Tensor, op: Operator, transposed: bool) -> Tensor:
    """A x, or A^T y, with one rule for the gradient."""
    if torch.compiler.is_compiling():  # it takes no rule with a forward mode: it traces the kernels' own gradients
        return op._adjoint(data) if transposed else op._forward(data)
    return AdjointBackward.apply(data, op, transposed)


def _brief(value: Any) -> str:
    return f"<{'x'.join(map(str, value.shape))}>" if isinstance(value, Tensor) else repr(value)


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

    def window(self) -> Window | None:
        return windows.scaled(self.op.window(), self.factor)

    def norm(self, input_shape: Shape | None = None) -> float:
        return abs(self.factor) * self.op.norm(input_shape)


def _operator(value: Any, name: str) -> Operator:
    if not isinstance(value, Operator):
        raise InvalidInput(f"{name} is {type(value).__name__}; expected an operator, e.g. operators.Blur(psf)")
    return value
