"""``spectral_step_`` in Triton: the data step where it is pointwise in Fourier space.

One pass over packed complex planes.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..shapes import check_planes
from .blocks import FLAT, WARPS, language_dtype, on, scalar


@triton.jit
def spectral_step_kernel(f, p, offset, gain, n, relaxation: tl.float64, ACC: tl.constexpr, BLOCK: tl.constexpr):
    """p' = offset + gain (p - f), f <- 2 p' - p, p <- p + relaxation (p' - p).

    f, p and offset are planes x n real numbers, gain is n.
    """
    blocks = tl.cdiv(n, BLOCK)
    at = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    place = (tl.program_id(0) // blocks).to(tl.int64) * n + at
    old = tl.load(p + place, mask=inside)
    new = tl.load(offset + place, mask=inside) + tl.load(gain + at, mask=inside) * (
        old - tl.load(f + place, mask=inside)
    )
    step = new - old
    tl.store(f + place, new + step, mask=inside)
    tl.store(p + place, old + scalar(relaxation, ACC) * step, mask=inside)


def spectral_step_(f: Tensor, p: Tensor, offset: Tensor, gain: Tensor, relaxation: float = 1.0) -> None:
    """As :func:`fastip.kernels.reference.spectral_step_`."""
    check_planes(f, p, offset, gain)
    n = gain.numel()
    planes = (torch.view_as_real(t) for t in (f, p, offset))
    constants = {"ACC": language_dtype(gain.dtype), "BLOCK": FLAT, "num_warps": WARPS}
    with on(f):
        spectral_step_kernel[(len(f) * triton.cdiv(n, FLAT),)](*planes, gain, n, float(relaxation), **constants)
