"""``soft_threshold`` in Triton, and the pointwise prox that other kernels end with."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .. import reference
from ..extension import plain
from ..shapes import check_devices, number
from .blocks import FLAT, WARPS, language_dtype, on, scalar


@triton.jit
def clipped(v, low, high):
    """v between low and high; NaN stays NaN, which minimum and maximum do not promise for float64."""
    v = tl.where(v < low, low, v)
    return tl.where(v > high, high, v)


@triton.jit
def shrunk(v, threshold, shrink, low, high, CLIP: tl.constexpr):
    """clip((v - clip(v, -threshold, threshold)) shrink, low, high); the four numbers are of v's dtype."""
    v = (v - clipped(v, -threshold, threshold)) * shrink
    if CLIP:
        v = clipped(v, low, high)
    return v


@triton.jit
def soft_threshold_kernel(
    v, add, out, n, threshold: tl.float64, shrink: tl.float64, low: tl.float64, high: tl.float64,
    CLIP: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """out = clip(soft(v + add, threshold) shrink, low, high) for n numbers; add may be None."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < n
    value = tl.load(v + place, mask=inside).to(ACC)
    if add is not None:
        value += tl.load(add + place, mask=inside).to(ACC)
    value = shrunk(value, scalar(threshold, ACC), scalar(shrink, ACC), scalar(low, ACC), scalar(high, ACC), CLIP)
    tl.store(out + place, value.to(out.dtype.element_ty), mask=inside)


def clips(low: float, high: float) -> bool:
    """Whether a prox between these bounds clips at all."""
    return low > float("-inf") or high < float("inf")


def soft_threshold(
    v: Tensor,
    threshold: float | Tensor,
    shrink: float | Tensor = 1.0,
    low: float = float("-inf"),
    high: float = float("inf"),
    add: Tensor | None = None,
) -> Tensor:
    """As :func:`fastip.kernels.reference.soft_threshold`.

    Weights that vary over the image, and broadcasting, take the reference.
    """
    t, factor = number(threshold, v), number(shrink, v)
    if t is None or factor is None or (add is not None and (add.shape != v.shape or add.dtype != v.dtype)):
        return reference.soft_threshold(v, threshold, shrink, low, high, add)
    if add is not None:
        check_devices((("v", v), ("add", add)))
        add = plain(add)
    v = plain(v)
    out = torch.empty_like(v)
    prox = (t, factor, float(low), float(high))
    constants = {"CLIP": clips(low, high), "ACC": language_dtype(v.dtype), "BLOCK": FLAT, "num_warps": WARPS}
    with on(v):
        soft_threshold_kernel[(triton.cdiv(v.numel(), FLAT),)](v, add, out, v.numel(), *prox, **constants)
    return out
