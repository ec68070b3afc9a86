"""``tv_prox`` in Triton: a dual step is one pass.

Each program computes the primal image that its tile needs from the dual field before the step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...contracts import Pointwise
from .. import reference
from ..extension import plain
from ..shapes import check_fields
from .blocks import Tiling, language_dtype, on, scalar
from .cells import part
from .threshold import clipped, clips, shrunk


@triton.jit
def _primal(
    v, field, other, i, j, w, step, threshold, shrink, low, high, inside, CLIP: tl.constexpr, ACC: tl.constexpr
):
    """prox(v - step D^T field) at pixels i, j; ``field`` and ``other`` are the differences along rows and columns."""
    place = i.to(tl.int64)[:, None] * w + j[None, :]
    below = tl.load(field + place, mask=inside, other=0.0).to(ACC)
    right = tl.load(other + place, mask=inside, other=0.0).to(ACC)
    above = tl.load(field + place - w, mask=inside & (i > 0)[:, None], other=0.0).to(ACC)
    left = tl.load(other + place - 1, mask=inside & (j > 0)[None, :], other=0.0).to(ACC)
    value = tl.load(v + place, mask=inside, other=0.0).to(ACC)
    return shrunk(value - step * (above - below + left - right), threshold, shrink, low, high, CLIP)


@triton.jit
def tv_prox_kernel(
    v, u, r, out, planes, h, w,
    step: tl.float64, rate: tl.float64, weight: tl.float64, momentum: tl.float64,
    threshold: tl.float64, shrink: tl.float64, low: tl.float64, high: tl.float64,
    DUAL: tl.constexpr, ISOTROPIC: tl.constexpr, CLIP: tl.constexpr, ACC: tl.constexpr,
    BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """x = prox(v - step D^T r), which is ``out`` unless DUAL.

    DUAL: u' = project(r + rate D x) in place of u, out = u' + momentum (u' - u).
    """
    count = tl.cdiv(h, BH) * tl.cdiv(w, BW)
    plane = (tl.program_id(0) // count).to(tl.int64) * h * w
    i, j = part(tl.program_id(0) % count, w, BH, BW)
    v, u, r, out = v + plane, u + plane, r + plane, out + plane
    field = tl.cast(planes, tl.int64) * h * w  # from the differences along rows to those along columns
    step, threshold, shrink, low, high = (
        scalar(step, ACC),
        scalar(threshold, ACC),
        scalar(shrink, ACC),
        scalar(low, ACC),
        scalar(high, ACC),
    )
    inside = (i < h)[:, None] & (j < w)[None, :]
    place = i.to(tl.int64)[:, None] * w + j[None, :]
    x = _primal(v, r, r + field, i, j, w, step, threshold, shrink, low, high, inside, CLIP, ACC)
    if DUAL:
        has_below, has_right = inside & (i + 1 < h)[:, None], inside & (j + 1 < w)[None, :]
        below = _primal(v, r, r + field, i + 1, j, w, step, threshold, shrink, low, high, has_below, CLIP, ACC)
        right = _primal(v, r, r + field, i, j + 1, w, step, threshold, shrink, low, high, has_right, CLIP, ACC)
        scale, limit = scalar(rate, ACC), scalar(weight, ACC)
        down = tl.load(r + place, mask=inside, other=0.0).to(ACC) + scale * tl.where(has_below, below - x, 0.0)
        across = tl.load(r + field + place, mask=inside, other=0.0).to(ACC) + scale * tl.where(
            has_right, right - x, 0.0
        )
        if ISOTROPIC:
            # in units of the limit, so that the squares neither overflow nor vanish; a limit of 0 leaves nothing
            unit = tl.where(limit > 0, 1.0 / tl.where(limit > 0, limit, 1.0), 0.0)
            length = down * unit * (down * unit) + across * unit * (across * unit)
            factor = tl.where(limit > 0, 1.0 / tl.sqrt(tl.where(length > 1.0, length, 1.0)), 0.0)
            down, across = down * factor, across * factor
        else:
            down, across = clipped(down, -limit, limit), clipped(across, -limit, limit)
        push = scalar(momentum, ACC)
        old_down, old_across = (
            tl.load(u + place, mask=inside, other=0.0).to(ACC),
            tl.load(u + field + place, mask=inside, other=0.0).to(ACC),
        )
        tl.store(u + place, down.to(u.dtype.element_ty), mask=inside)
        tl.store(u + field + place, across.to(u.dtype.element_ty), mask=inside)
        tl.store(out + place, (down + push * (down - old_down)).to(out.dtype.element_ty), mask=inside)
        tl.store(out + field + place, (across + push * (across - old_across)).to(out.dtype.element_ty), mask=inside)
    else:
        tl.store(out + place, x.to(out.dtype.element_ty), mask=inside)


def tv_prox(
    v: Tensor,
    u: Tensor,
    r: Tensor,
    step: float,
    weight: float | Tensor,
    momentum: float,
    steps: int,
    isotropic: bool,
    prox: Pointwise | Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`fastip.kernels.reference.tv_prox`; u and r are overwritten, weights that are tensors take it."""
    if isinstance(weight, Tensor) or not isinstance(prox, Pointwise):
        return reference.tv_prox(v, u, r, step, weight, momentum, steps, isotropic, prox)
    check_fields(v, u, r)
    v = plain(v)
    out = torch.empty_like(v)
    b, c, h, w = v.shape
    if v.numel() == 0:
        return out, u, r
    tiling = Tiling.of(h, w, 1, v.dtype)
    rates = tuple(float(number) for number in (step, 1 / (8 * step), weight, momentum))
    constants = {
        "ISOTROPIC": bool(isotropic),
        "CLIP": clips(prox.low, prox.high),
        "ACC": language_dtype(v.dtype),
        **tiling.options(),
    }

    def sweep(field: Tensor, target: Tensor, dual: bool) -> None:
        tv_prox_kernel[(b * c * tiling.count,)](
            v, u, field, target, b * c, h, w, *rates, *prox.at(step).values(), DUAL=dual, **constants
        )

    with on(v):
        before, after = r, torch.empty_like(r)
        for _ in range(steps):
            sweep(before, after, True)
            before, after = after, before
        sweep(u, out, False)
        if before is not r:
            r.copy_(before)
    return out, u, r
