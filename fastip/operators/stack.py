"""Several measurements of one image; the identity."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..contracts import Convolution, Scalar, Shape, Structure, Window
from ..errors import FastipError, InvalidInput, brief
from .base import structures
from .base.door import check_axes, check_axes_count
from .base.remembered import last
from .base.work import PASS, added
from .linear import Operator


class Identity(Operator):
    """y = x (a copy), from images b c h w to data b c h w, real.

    Args:
        axes: 2 for images; 3 for volumes b c d h w.

    Raises:
        InvalidInput: For other axes.
    """

    channelwise = True
    pixelwise = True
    axes = 2  # also of one that is made inside torch.compile, whose attributes come late

    def __init__(self, *, axes: int = 2) -> None:
        self.axes = check_axes_count(axes)

    def _forward(self, x: Tensor) -> Tensor:
        return x.clone()

    def _adjoint(self, y: Tensor) -> Tensor:
        return y.clone()

    def _parameters(self) -> tuple[Any, ...]:
        return (self.axes,) if self.axes > 2 else ()

    def output_shape(self, input_shape: Shape) -> Shape:
        return check_axes(input_shape, "image", self.axes)

    def input_shape(self, output_shape: Shape) -> Shape:
        return check_axes(output_shape, "data", self.axes)

    def gram(self, input_shape: Shape) -> Structure:
        self.output_shape(input_shape)
        return Scalar(1.0)

    def cogram(self, output_shape: Shape) -> Structure:
        return self.gram(output_shape)

    def convolution(self) -> Convolution | None:
        return self.window().convolution if self.axes == 2 else None

    def window(self) -> Window:
        return Window(Convolution(torch.ones((1,) * self.axes, dtype=torch.float64), 1, "circular", self.axes))

    def products(self, input_shape: Shape) -> float:
        return PASS * math.prod(input_shape)

    def absolute(self) -> Operator:
        return self

    def norm(self, input_shape: Shape | None = None) -> float:
        """1."""
        if input_shape is not None:
            self.output_shape(input_shape)
        return 1.0


class Stack(Operator):
    """Several operators on the same image, their outputs joined along the channel axis.

    ``y = (A_1 x, A_2 x, ...)``, ``A^T y = sum_i A_i^T y_i``, ``A^T A = sum_i A_i^T A_i``.

    Args:
        operators: A list or tuple of at least one operator, whose outputs have equal spatial shapes.

    Raises:
        InvalidInput: For no operators, or a mix of real and complex data.
    """

    def __init__(self, operators: Sequence[Operator]) -> None:
        parts = tuple(operators) if isinstance(operators, (list, tuple)) else ()
        if not parts or not all(isinstance(part, Operator) for part in parts):
            expected = "expected a list of at least one operator, e.g. Stack([A, B])"
            raise InvalidInput(f"operators is {brief(operators)}; {expected}")
        if len({(part.complex_input, part.complex_output) for part in parts}) > 1:
            raise InvalidInput(
                f"the operators {', '.join(type(part).__name__ for part in parts)} mix real and complex data; "
                "stack those of one kind"
            )
        self.parts = parts
        self.complex_input, self.complex_output = parts[0].complex_input, parts[0].complex_output
        # The last 16 shapes: fewer repeat the search where a program goes through many sizes, more only keep tuples.
        self._input_shape = functools.lru_cache(maxsize=16)(self._find_input_shape)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "_input_shape"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._input_shape = functools.lru_cache(maxsize=16)(self._find_input_shape)

    def _forward(self, x: Tensor) -> Tensor:
        return torch.cat([part._forward(x) for part in self.parts], dim=1)

    def _pieces(self, y: Tensor) -> tuple[Tensor, ...]:
        """The data of each operator."""
        shape = self.input_shape(tuple(y.shape))
        return y.split([part.output_shape(shape)[1] for part in self.parts], dim=1)

    def _adjoint(self, y: Tensor) -> Tensor:
        pieces = self._pieces(y)
        total = self.parts[0]._adjoint(pieces[0].contiguous())
        for part, piece in zip(self.parts[1:], pieces[1:], strict=True):
            total = total + part._adjoint(piece.contiguous())
        return total

    def check_measured(self, y: Tensor) -> None:
        for part, piece in zip(self.parts, self._pieces(y), strict=True):
            part.check_measured(piece)

    def _parameters(self) -> tuple[Any, ...]:
        return self.parts

    def output_shape(self, input_shape: Shape) -> Shape:
        shapes = [part.output_shape(input_shape) for part in self.parts]
        if len({(shape[0], *shape[2:]) for shape in shapes}) > 1:
            raise InvalidInput(
                f"the stacked operators give shapes {', '.join(map(str, shapes))}; "
                "expected equal sizes but for the channels"
            )
        return (shapes[0][0], sum(shape[1] for shape in shapes), *shapes[0][2:])

    def input_shape(self, output_shape: Shape) -> Shape:
        find = self._find_input_shape if torch.compiler.is_compiling() else self._input_shape  # it traces no cache
        return find(tuple(output_shape))

    def _find_input_shape(self, output_shape: Shape) -> Shape:
        """Which image gives this many channels in all: try every share of the first operator."""
        refusals: dict[str, None] = {}
        for channels in range(1, output_shape[1] + 1 if len(output_shape) > 1 else 1):
            try:
                shape = self.parts[0].input_shape((output_shape[0], channels, *output_shape[2:]))
                if self.output_shape(shape) == output_shape:
                    return shape
            except FastipError as refusal:
                refusals[str(refusal)] = None
        reason = f" ({next(iter(refusals))})" if refusals else ""
        raise InvalidInput(
            f"the data has shape {output_shape}, which no image gives under {self!r}{reason}; "
            "expected op.output_shape(x.shape)"
        )

    @last
    def gram(self, input_shape: Shape) -> Structure | None:
        self.output_shape(input_shape)
        return functools.reduce(structures.add, [part.gram(input_shape) for part in self.parts])

    def products(self, input_shape: Shape) -> float | None:
        return added(part.products(input_shape) for part in self.parts)

    def absolute(self) -> Operator | None:
        parts = [part.absolute() for part in self.parts]
        known = [part for part in parts if isinstance(part, Operator)]
        return Stack(known) if len(known) == len(parts) else None

    def _own_shape(self) -> Shape | None:
        return next((shape for shape in (part._own_shape() for part in self.parts) if shape is not None), None)
