"""The one autograd rule: the gradient of A is A^T, the gradient of A^T is A."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class AdjointBackward(torch.autograd.Function):
    """A x, or A^T y when ``transposed``; the derivative of one is the other, to every order."""

    @staticmethod
    def forward(ctx: Any, data: Tensor, op: Any, transposed: bool) -> Tensor:
        ctx.op, ctx.transposed = op, transposed
        return op._adjoint(data) if transposed else op._forward(data)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return AdjointBackward.apply(gradients[0], ctx.op, not ctx.transposed), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return AdjointBackward.apply(tangents[0], ctx.op, ctx.transposed)
