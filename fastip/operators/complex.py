"""Complex images: a real operator on both of their parts, and any operator of complex images as one of their parts."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from ..contracts import Circulant, Cosine, Diagonal, Kronecker, Scalar, Shape, Structure
from ..errors import InvalidInput, brief
from .base.parts import from_parts, shape_of_parts, shape_of_whole, to_parts, twice
from .base.remembered import PREFIX
from .base.work import added
from .linear import Operator

IN_PARTS = f"{PREFIX}in_parts"  # made once, for it keeps what solves find out of it


class Complex(Operator):
    """y = A Re x + i A Im x: a real operator that acts on the real and the imaginary part alike.

    From complex images to complex data, complex64 or complex128. Its A^H A, A A^H and norm are those of the real
    operator, and solvers see the parts as channels: what is fast for real images is as fast for complex ones.

    Args:
        op: A, an operator of real images and real data.

    Raises:
        InvalidInput: For anything but an operator, and for one whose images or data are complex already.
    """

    complex_input = complex_output = True

    def __init__(self, op: Operator) -> None:
        if not isinstance(op, Operator):
            raise InvalidInput(f"op is {brief(op)}; expected an operator, e.g. operators.Blur(psf)")
        if op.complex_input or op.complex_output:
            raise InvalidInput(
                f"op is {type(op).__name__}, whose {'images' if op.complex_input else 'data'} are complex already; "
                "expected an operator of real images and data: for the Fourier transform of complex images use "
                'operators.MaskedFourier(mask, image="complex")'
            )
        self.op = op
        self.channelwise, self.pixelwise = op.channelwise, op.pixelwise

    def _forward(self, x: Tensor) -> Tensor:
        return torch.complex(*(self.op._forward(part) for part in _apart(x)))

    def _adjoint(self, y: Tensor) -> Tensor:
        return torch.complex(*(self.op._adjoint(part) for part in _apart(y)))

    def _parameters(self) -> tuple[Any, ...]:
        return (self.op,)

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.op.output_shape(input_shape)

    def input_shape(self, output_shape: Shape) -> Shape:
        return self.op.input_shape(output_shape)

    def gram(self, input_shape: Shape) -> Structure | None:
        return self.op.gram(input_shape)

    def cogram(self, output_shape: Shape) -> Structure | None:
        return self.op.cogram(output_shape)

    def products(self, input_shape: Shape) -> float | None:
        return added((self.op.products(input_shape),) * 2)

    def norm(self, input_shape: Shape | None = None) -> float:
        return self.op.norm(input_shape)

    def _own_shape(self) -> Shape | None:
        return self.op._own_shape()


class InParts(Operator):
    """An operator of complex images as one of real images of twice the channels (``fastip.operators.base.parts``).

    Args:
        op: The operator; its data, real or complex, stay as they are.
    """

    def __init__(self, op: Operator) -> None:
        self.op, self.complex_output = op, op.complex_output

    def _forward(self, x: Tensor) -> Tensor:
        return self.op._forward(from_parts(x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return to_parts(self.op._adjoint(y))

    def _parameters(self) -> tuple[Any, ...]:
        return (self.op,)

    def output_shape(self, input_shape: Shape) -> Shape:
        shape = tuple(input_shape)
        if len(shape) < 2 or shape[1] % 2:
            raise InvalidInput(f"the image has shape {shape}; expected an even number of channels: real and imaginary")
        return self.op.output_shape(shape_of_whole(shape))

    def input_shape(self, output_shape: Shape) -> Shape:
        return shape_of_parts(self.op.input_shape(output_shape))

    def gram(self, input_shape: Shape) -> Structure | None:
        known = self.op.gram(shape_of_whole(tuple(input_shape)))
        axes = len(input_shape) - 2
        if isinstance(known, (Circulant, Cosine)):
            return dataclasses.replace(known, spectrum=twice(known.spectrum, axes))  # type: ignore[arg-type]  # a tensor stays one
        if isinstance(known, Diagonal):
            return Diagonal(twice(known.values, axes))  # type: ignore[arg-type]  # a tensor stays one
        return known if isinstance(known, (Scalar, Kronecker)) else None

    def cogram(self, output_shape: Shape) -> Structure | None:
        known = self.op.cogram(output_shape)
        return known if isinstance(known, (Scalar, Diagonal)) else None

    def products(self, input_shape: Shape) -> float | None:
        return self.op.products(shape_of_whole(tuple(input_shape)))

    def norm(self, input_shape: Shape | None = None) -> float:
        return self.op.norm(None if input_shape is None else shape_of_whole(tuple(input_shape)))

    def majorant(self) -> Tensor | None:
        return self.op.majorant()

    @property
    def home(self) -> torch.device:
        return self.op.home


def _apart(x: Tensor) -> tuple[Tensor, Tensor]:
    """The real and the imaginary part, each in memory of its own."""
    x = x.resolve_conj()
    return x.real.contiguous(), x.imag.contiguous()


def in_parts(op: Operator, apart: bool = True) -> Operator:
    """The operator that solvers of real images work with, in the place of one of complex images.

    Args:
        op: An operator with ``complex_input``.
        apart: Whether data may be real ones of twice the channels, too, which :class:`Complex` then has.
    """
    if not isinstance(op, Operator):
        raise InvalidInput(f"op is {brief(op)}, of complex images; expected an object of fastip.operators")
    if apart and isinstance(op, Complex) and op.op.channelwise:
        return op.op
    made: Operator | None = op.__dict__.get(IN_PARTS)
    if made is None:
        made = op.__dict__[IN_PARTS] = InParts(op)
    return made
