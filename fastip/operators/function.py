"""An operator from a pair of functions of one's own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..contracts import Shape
from ..errors import InvalidInput, brief
from ..tracing import real_dtype
from .base.door import check_sizes
from .base.fingerprint import Passing
from .fixed import FixedShapes

Map = Callable[[Tensor], Tensor]


class Function(FixedShapes):
    """y = forward(x), A^T y = adjoint(y): a linear map that is known by what it does.

    Both take and give a batch, b x image_shape and b x data_shape, as tensors on the device and in the precision of the
    data; :func:`each` makes such a function of one that takes single images. The first solve with it compares
    ``<A x, y>`` with ``<x, A^T y>`` and refuses a pair that is not adjoint.

    Args:
        forward: The map A, of a batch.
        adjoint: Its transpose A^T; for complex data the conjugate transpose, whose real part is taken where images
            are real.
        image_shape: That of an image without the batch, e.g. (c, h, w).
        data_shape: That of its data without the batch.
        complex_image: Whether images are complex.
        complex_data: Whether data are.
        fingerprint: A name of what it computes, with its version: two operators of one name are taken to be one. None:
            the operator is like no other, and what is to last (checkpoints, trainings that go on) refuses it.

    Raises:
        InvalidInput: For functions that cannot be called, sizes that are none; when it is applied: for anything but a
            tensor of the right shape, precision and device that came back.
    """

    trusted = False

    def __init__(
        self,
        forward: Map,
        adjoint: Map,
        image_shape: Sequence[int],
        data_shape: Sequence[int],
        *,
        complex_image: bool = False,
        complex_data: bool = False,
        fingerprint: str | None = None,
    ) -> None:
        for name, function in (("forward", forward), ("adjoint", adjoint)):
            if not callable(function):
                raise InvalidInput(f"{name} is {brief(function)}; expected a function of a batch of tensors")
        if fingerprint is not None and (not isinstance(fingerprint, str) or not fingerprint):
            raise InvalidInput(f"fingerprint is {brief(fingerprint)}; expected a name such as 'my camera, version 2'")
        self.forward, self.transposed = forward, adjoint
        self.image_shape, self.data_shape = (
            check_sizes(image_shape, "image_shape"),
            check_sizes(data_shape, "data_shape"),
        )
        self.complex_input, self.complex_output = bool(complex_image), bool(complex_data)
        self._name = fingerprint or Passing()

    def _forward(self, x: Tensor) -> Tensor:
        return _came_back("forward", self.forward, x, self.data_shape, self.complex_output)

    def _adjoint(self, y: Tensor) -> Tensor:
        return _came_back("adjoint", self.transposed, y, self.image_shape, self.complex_input)

    def _parameters(self) -> tuple[Any, ...]:
        return (self._name, self.image_shape, self.data_shape, self.complex_input, self.complex_output)


def _came_back(name: str, function: Map, given: Tensor, sizes: Shape, is_complex: bool) -> Tensor:
    """function(given), checked, in memory of its own."""
    result = function(given)
    due = real_dtype(given.dtype)
    due = due.to_complex() if is_complex else due
    shape = (len(given), *sizes)
    if not isinstance(result, Tensor):
        came = f"a {type(result).__name__}; return a tensor: operators.wrap takes what works on NumPy arrays"
    elif tuple(result.shape) != shape:
        came = f"a tensor of shape {tuple(result.shape)}; operators.each(function) takes one that knows single images"
    elif result.device != given.device:
        came = f"a tensor on {result.device}; work on the device of what is given"
    elif result.dtype != due and not (result.is_complex() and not is_complex):
        came = f"{result.dtype}; keep the precision of what is given, {name}(v).to(v.dtype), on both sides"
    else:
        # Real images of complex data: the real part. A function may give its argument back, or one buffer each time.
        result = result.real if result.is_complex() and not is_complex else result
        return result.to(due, copy=True, memory_format=torch.contiguous_format)
    raise InvalidInput(
        f"{name} gave {came} (it was given {tuple(given.shape)}, {given.dtype}; expected {shape}, {due})"
    )


class _Each:
    def __init__(self, function: Map) -> None:
        self.function = function
        functools.update_wrapper(self, function, updated=())

    def __call__(self, batch: Tensor) -> Tensor:
        return torch.stack([self.function(one) for one in batch])


def each(function: Map) -> Map:
    """A function of a batch from one of single images: it is called for one after the other.

    Args:
        function: Takes a tensor without a batch, and gives one.

    Returns:
        ``batch -> torch.stack([function(one) for one in batch])``; it pickles where the function does.

    Raises:
        InvalidInput: For what cannot be called.
    """
    if not callable(function):
        raise InvalidInput(f"function is {brief(function)}; expected a function of one image")
    return _Each(function)
