"""The one autograd rule: the gradient of A is A^T, the gradient of A^T is A."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import InvalidInput
from ...tracing import transformed


def apply(data: Tensor, op: Any, transposed: bool) -> Tensor:
    """A x, or A^T y when ``transposed``; the derivative of one is the other, to every order.

    The rule that torch.func and torch.vmap take binds its arguments at each call, twice the time of a small product, so
    that it serves inside of them alone.
    """
    rule = FunctionalAdjoint if transformed() else AdjointBackward
    result: Tensor = rule.apply(data, op, transposed)
    return result


def _product(data: Tensor, op: Any, transposed: bool) -> Tensor:
    result: Tensor = op._adjoint(data) if transposed else op._forward(data)
    return result


class AdjointBackward(torch.autograd.Function):
    """As :func:`apply`."""

    @staticmethod
    def forward(ctx: Any, data: Tensor, op: Any, transposed: bool) -> Tensor:
        ctx.op, ctx.transposed = op, transposed
        return _product(data, op, transposed)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return apply(gradients[0], ctx.op, not ctx.transposed), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return apply(tangents[0], ctx.op, ctx.transposed)


class FunctionalAdjoint(torch.autograd.Function):
    """As :func:`apply`, for torch.func and torch.vmap."""

    @staticmethod
    def forward(data: Tensor, op: Any, transposed: bool) -> Tensor:
        return _product(data, op, transposed)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, ctx.op, ctx.transposed = inputs

    backward = AdjointBackward.backward
    jvp = AdjointBackward.jvp

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int, ...], data: Tensor, op: Any, transposed: bool) -> tuple[Tensor, int]:
        """The mapped axis joins the batch; an operator that differs from image to image, and so refuses it, loops."""
        data = data.movedim(in_dims[0], 0)
        joined = data.flatten(0, 1)
        if _takes(op, tuple(joined.shape), transposed):
            return apply(joined, op, transposed).unflatten(0, data.shape[:2]), 0
        return torch.stack([apply(part, op, transposed) for part in data]), 0


def _takes(op: Any, shape: tuple[int, ...], transposed: bool) -> bool:
    try:
        (op.input_shape if transposed else op.output_shape)(shape)
    except InvalidInput:
        return False
    return True
