"""The family ``soft_threshold``: the pointwise prox, and the extrapolation before it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import extension, reference, shapes
from .extension import plain
from .family import Family, Operator, own

Gradients = tuple[Any, ...]
INFINITE = float("inf")


def _native(
    v: Tensor,
    threshold: float | Tensor,
    shrink: float | Tensor = 1.0,
    low: float = -INFINITE,
    high: float = INFINITE,
    add: Tensor | None = None,
) -> Tensor:
    """Weights that vary over the image, and broadcasting, take the reference."""
    t, factor = shapes.number(threshold, v), shapes.number(shrink, v)
    if t is None or factor is None or (add is not None and (add.shape != v.shape or add.dtype != v.dtype)):
        return reference.soft_threshold(v, threshold, shrink, low, high, add)
    if add is not None:
        shapes.check_devices((("v", v), ("add", add)))
        add = plain(add)
    v = plain(v)
    out = torch.empty_like(v)
    functions, where = extension.target(v)
    arguments = functions.ThresholdArgs(
        v=v.data_ptr(),
        add=extension.address(add),
        out=out.data_ptr(),
        n=v.numel(),
        threshold=t,
        shrink=factor,
        low=low,
        high=high,
    )
    extension.run(functions.soft_threshold, arguments, v, where)
    return out


# ---- the operators: with numbers, and with tensors -------------------------------------------------------------------


def _run(
    v: Tensor, threshold: float | Tensor, shrink: float | Tensor, low: float, high: float, add: Tensor | None
) -> Tensor:
    images = (v,) if add is None else (v, add)
    return own(soft_threshold.raw(*images)(v, threshold, shrink, low, high, add), *images)


def _fake(
    v: Tensor, threshold: float | Tensor, shrink: float | Tensor, low: float, high: float, add: Tensor | None
) -> Tensor:
    """The formula itself tells shape and dtype of whatever broadcasts."""
    result = reference.soft_threshold(v, threshold, shrink, low, high, add)
    return torch.empty_like(result, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    v, threshold, shrink, ctx.low, ctx.high, add = inputs
    ctx.numbers = (threshold, shrink)
    ctx.save_for_backward(v, add)


def _keep_tensors(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    v, threshold, shrink, ctx.low, ctx.high, add = inputs
    ctx.save_for_backward(v, add, threshold, shrink)


def _reduced(g: Tensor, like: Tensor | None) -> Tensor | None:
    """``g`` summed over what was broadcast."""
    return None if like is None else g.sum_to_size(like.shape).to(like)


def _inside(g: Tensor, values: Tensor, low: float, high: float) -> Tensor:
    """The gradient of a clip to [low, high]: it passes inside and on the border, as torch.clamp's does."""
    if low == -INFINITE and high == INFINITE:
        return g
    return torch.where((values >= low) & (values <= high), g, 0.0)


def _gradient(ctx: Any, g: Tensor) -> Gradients:
    """Inside the threshold 0, outside ``shrink``; at a kink that of v - clamp(v), 0."""
    (v, add), (t, shrink) = ctx.saved_tensors, ctx.numbers
    a = v if add is None else v + add
    g = _inside(g, reference.soft_threshold(a, t, shrink), ctx.low, ctx.high) * shrink
    if t > 0:
        g = torch.where((a >= -t) & (a <= t), 0.0, g)
    return _reduced(g, v), None, None, None, None, _reduced(g, add)


def _share(greater: Tensor, equal: Tensor, like: Tensor) -> Tensor:
    """How much of the gradient of max(a, b) goes to a: all where a is greater, half at a tie, as in torch.maximum."""
    return greater.to(like.dtype) + 0.5 * equal.to(like.dtype)


def _tensors_gradient(ctx: Any, g: Tensor) -> Gradients:
    """clip(s shrink) with s = a - c, c = min(m, t), m = max(a, -t), a = v + add."""
    v, add, t, shrink = ctx.saved_tensors
    a = v if add is None else v + add
    m = torch.maximum(a, -t)
    s = a - torch.minimum(m, t)
    g = _inside(g, s * shrink, ctx.low, ctx.high)
    to_shrink = _reduced(g * s, shrink) if ctx.needs_input_grad[2] else None
    g = g * shrink
    below = _share(m < t, m == t, g)  # of c, through m
    of_a = below * _share(a > -t, a == -t, g)
    to_a = g * (1 - of_a)
    to_t = _reduced(g * (below - of_a - (1 - below)), t) if ctx.needs_input_grad[1] else None
    return _reduced(to_a, v), to_t, to_shrink, None, None, _reduced(to_a, add)


def _registered(
    v: Tensor,
    threshold: float | Tensor,
    shrink: float | Tensor = 1.0,
    low: float = -INFINITE,
    high: float = INFINITE,
    add: Tensor | None = None,
) -> Tensor:
    ops = torch.ops.fastip.soft_threshold
    if not isinstance(threshold, Tensor) and not isinstance(shrink, Tensor):
        return ops.default(v, threshold, shrink, low, high, add)
    # One number as a tensor without dimensions: it changes neither dtype nor shape.
    t = threshold if isinstance(threshold, Tensor) else torch.tensor(max(threshold, 0.0), dtype=torch.float64)
    factor = shrink if isinstance(shrink, Tensor) else torch.tensor(shrink, dtype=torch.float64)
    return ops.Tensor(v, t, factor, low, high, add)


NUMBERS = "soft_threshold(Tensor v, float threshold, float shrink, float low, float high, Tensor? add) -> Tensor"
TENSORS = (
    "soft_threshold.Tensor(Tensor v, Tensor threshold, Tensor shrink, float low, float high, Tensor? add) -> Tensor"
)
soft_threshold = Family(
    reference.soft_threshold,
    native=_native,
    triton="threshold",
    images=(0, 5),
    dispatch=_registered,
    operators=(
        Operator(NUMBERS, _run, _fake, gradient=_gradient, keep=_keep, images=(0, 5), pointwise=True),
        Operator(TENSORS, _run, _fake, gradient=_tensors_gradient, keep=_keep_tensors, images=(0, 5), pointwise=True),
    ),
)
