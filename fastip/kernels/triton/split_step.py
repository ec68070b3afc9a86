"""The passes of a second split around its transforms in Triton, each over the whole grid at once."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..extension import plain
from ..split_step import check_close, check_mix, check_open
from .blocks import FLAT, WARPS, language_dtype, on, scalar


@triton.jit
def _place(n, width, h, w, channels, BLOCK: tl.constexpr):
    """Of a program: its plane, its image, its places on the grid, which of them are there, and which on the picture.

    Also the places of these on the picture.
    """
    blocks = tl.cdiv(n, BLOCK)
    plane = (tl.program_id(0) // blocks).to(tl.int64)
    at = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    i, j = at // width, at % width
    return plane, plane // channels, at, inside, inside & (i < h) & (j < w), plane * h * w + i * w + j


@triton.jit
def split_open_kernel(x, q, out, n, width, h, w, channels, BLOCK: tl.constexpr):
    """out = x - q[0] on the picture, -q[0] beside it."""
    plane, image, at, inside, seen, pixel = _place(n, width, h, w, channels, BLOCK)
    dual = (plane + image * channels) * n + at
    value = tl.load(x + pixel, mask=seen, other=0.0) - tl.load(q + dual, mask=inside)
    tl.store(out + plane * n + at, value, mask=inside)


@triton.jit
def split_mix_kernel(w, s, spectrum, near, far, n, BLOCK: tl.constexpr):
    """W <- near W + far S, S <- spectrum times that; planes of n complex numbers, near n real ones."""
    blocks = tl.cdiv(n, BLOCK)
    start = tl.program_id(0) % blocks * BLOCK
    at = start + tl.arange(0, BLOCK)
    both = 2 * start + tl.arange(0, 2 * BLOCK)
    first = (tl.program_id(0) // blocks).to(tl.int64) * n * 2
    inside, there = at < n, both < 2 * n
    w_re, w_im = tl.split(tl.reshape(tl.load(w + first + both, mask=there), (BLOCK, 2)))
    s_re, s_im = tl.split(tl.reshape(tl.load(s + first + both, mask=there), (BLOCK, 2)))
    far_re, far_im = tl.split(tl.reshape(tl.load(far + both, mask=there), (BLOCK, 2)))
    h_re, h_im = tl.split(tl.reshape(tl.load(spectrum + both, mask=there), (BLOCK, 2)))
    close = tl.load(near + at, mask=inside)
    re = close * w_re + (far_re * s_re - far_im * s_im)
    im = close * w_im + (far_re * s_im + far_im * s_re)
    tl.store(w + first + both, tl.interleave(re, im), mask=there)
    tl.store(s + first + both, tl.interleave(h_re * re - h_im * im, h_re * im + h_im * re), mask=there)


@triton.jit
def split_close_kernel(
    image, blurred, x, q, kept, target, dual, r, n, width, h, w, channels, kept_images, kept_channels,
    beta: tl.float64, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """dual = (q[0] + image - x, -image beside the picture; target + kept (2 blurred - s) + s - blurred), s = q[1]."""
    plane, picture, at, inside, seen, pixel = _place(n, width, h, w, channels, BLOCK)
    own, first = plane * n + at, (plane + picture * channels) * n + at
    second = first + tl.cast(channels, tl.int64) * n
    new = tl.load(image + own, mask=inside)
    moved = new - tl.load(x + pixel, mask=seen, other=0.0)
    tl.store(dual + first, tl.where(seen, tl.load(q + first, mask=inside) + moved, -new), mask=inside)
    tl.store(r + pixel, scalar(beta, ACC) * moved, mask=seen)
    shared = picture % kept_images * kept_channels + plane % channels % kept_channels
    ahead = tl.load(blurred + own, mask=inside)
    beyond = tl.load(q + second, mask=inside) - ahead
    share = tl.load(kept + shared * n + at, mask=inside)
    tl.store(dual + second, tl.load(target + own, mask=inside) + share * (ahead - beyond) + beyond, mask=inside)


def _programs(x: Tensor, n: int) -> tuple[int]:
    return (x.shape[0] * x.shape[1] * triton.cdiv(n, FLAT),)


def split_open(x: Tensor, q: Tensor) -> Tensor:
    """As :func:`fastip.kernels.split_reference.split_open`."""
    check_open(x, q)
    x, q = plain(x), plain(q)
    (b, c, h, w), (height, width) = x.shape, q.shape[3:]
    out, n = x.new_empty(b, c, height, width), height * width
    with on(x):
        split_open_kernel[_programs(x, n)](x, q, out, n, width, h, w, c, BLOCK=FLAT, num_warps=WARPS)
    return out


def split_mix(w: Tensor, s: Tensor, spectrum: Tensor, near: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
    """As :func:`fastip.kernels.split_reference.split_mix`."""
    check_mix(w, s, spectrum, near, far)
    w, s, spectrum, far = (plain(t.resolve_conj()) for t in (w, s, spectrum, far))
    parts = (torch.view_as_real(t) for t in (w, s, spectrum))
    n, block = near.numel(), FLAT // 2
    with on(near):
        split_mix_kernel[(w.shape[0] * w.shape[1] * triton.cdiv(n, block),)](
            *parts, plain(near), torch.view_as_real(far), n, BLOCK=block, num_warps=WARPS
        )
    return w, s


def split_close(
    image: Tensor, blurred: Tensor, x: Tensor, q: Tensor, kept: Tensor, target: Tensor, beta: float
) -> tuple[Tensor, Tensor]:
    """As :func:`fastip.kernels.split_reference.split_close`."""
    check_close(image, blurred, x, q, kept, target)
    image, blurred, x, q, kept, target = (plain(t) for t in (image, blurred, x, q, kept, target))
    dual, r = torch.empty_like(q), torch.empty_like(x)
    (_, c, h, w), (height, width) = x.shape, q.shape[3:]
    sizes = (height * width, width, h, w, c, *kept.shape[:2])
    constants = {"ACC": language_dtype(x.dtype), "BLOCK": FLAT, "num_warps": WARPS}
    with on(x):
        split_close_kernel[_programs(x, sizes[0])](
            image, blurred, x, q, kept, target, dual, r, *sizes, float(beta), **constants
        )
    return dual, r[:, None]
