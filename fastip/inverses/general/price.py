"""What a product with A and one with A^T cost: by formula for operators of fastip, by the clock for others."""

from __future__ import annotations

import math
import time
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ...contracts import LinearOperator, Shape
from ...errors import InvalidInput
from ...operators.base.work import SECOND
from ...tracing import real_dtype

TRIES = 3  # of which the fastest counts: fewer take a pause of the machine for work

_timed: WeakKeyDictionary[Any, dict[tuple[Any, ...], float]] = WeakKeyDictionary()


def price(op: LinearOperator, y: Tensor) -> float:
    """Multiply-adds of A and A^T together, for one image.

    An operator without a formula is timed once for each shape, precision and device, and the result rounded to a power
    of two, so that a choice by it repeats.
    """
    y = single(op, y)
    shape = op.input_shape(tuple(y.shape))
    known = getattr(op, "products", lambda _: None)(shape)
    if known is not None:
        return float(2 * known / shape[0])
    kept = _timed.setdefault(op, {})
    key = (shape, y.dtype, y.device)
    if key not in kept:
        kept[key] = 2.0 ** round(math.log2(max(_seconds(op, shape, y), 1e-7) * SECOND / shape[0]))
    return kept[key]


def single(op: LinearOperator, y: Tensor) -> Tensor:
    """The first of the data; all of them where the operator differs from image to image and takes no other number."""
    try:
        op.input_shape((1, *y.shape[1:]))
    except InvalidInput:
        return y
    return y[:1]


@torch.no_grad()
def _seconds(op: LinearOperator, shape: Shape, y: Tensor) -> float:
    dtype = y.dtype if getattr(op, "complex_input", False) else real_dtype(y.dtype)
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(dtype).to(y.device)
    taken = []
    for _ in range(TRIES + 1):
        start = time.perf_counter()
        op.adjoint(op(x))
        if y.is_cuda:
            torch.cuda.synchronize(y.device)
        taken.append(time.perf_counter() - start)
    return min(taken[1:])
