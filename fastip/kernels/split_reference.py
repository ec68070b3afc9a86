"""The pointwise passes of a second split (``inverses.Split``) in plain torch, as :mod:`.reference` has the others.

They take volumes too: d h w and D H W in the place of h w and H W.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def split_open(x: Tensor, q: Tensor) -> Tensor:
    """Before the transforms: w = x - p on the picture, -p beside it.

    Args:
        x: Images, b c h w.
        q: The dual, b 2 c H W: p and s on the grid, whose first h rows and w columns are the picture.

    Returns:
        w, b c H W.

    Raises:
        InvalidInput: Where shapes, dtypes or devices do not fit.
    """
    return F.pad(x, beside(x.shape[2:], q.shape[3:])) - q[:, 0]


def beside(size: Sequence[int], grid: Sequence[int]) -> list[int]:
    """The pixels beside a picture on its grid, as ``torch.nn.functional.pad`` takes them."""
    return [n for whole, own in zip(reversed(grid), reversed(size), strict=True) for n in (0, whole - own)]


def corner(size: Sequence[int], stride: int = 1) -> tuple[Any, ...]:
    """The index of as many pixels of a grid as ``size`` has along its last axes: every stride-th, from the first on."""
    return (..., *(slice(None, (n - 1) * stride + 1, stride) for n in size))


def split_mix(w: Tensor, s: Tensor, spectrum: Tensor, near: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
    """In Fourier space: ``X = near W + far S`` and ``H X``.

    Raw kernels overwrite w and s, where these are contiguous, and return them.

    Args:
        w: W, complex, b c h w.
        s: S, likewise.
        spectrum: H, of the same dtype, h w.
        near: Real, h w.
        far: Complex, h w.

    Returns:
        (X, H X), each b c h w.

    Raises:
        InvalidInput: Where shapes, dtypes or devices do not fit.
    """
    mixed = torch.addcmul(far * s, near, w)
    return mixed, spectrum * mixed


def split_close(
    image: Tensor, blurred: Tensor, x: Tensor, q: Tensor, kept: Tensor, target: Tensor, beta: float
) -> tuple[Tensor, Tensor]:
    """Behind the transforms, of squares: the new dual and the residual of the data step.

    On the picture p' = p + X - x, beside it -X, and everywhere::

        s' = target + kept (2 H X - s) + s - H X

    Args:
        image: X, b c H W.
        blurred: H X, likewise.
        x: Images, b c h w.
        q: The dual, b 2 c H W, as for :func:`split_open`.
        kept: ``e / (M^2 + e)``, 1 or b, 1 or c, H W.
        target: ``M y / (M^2 + e)``, b c H W.
        beta: The penalty of the first split.

    Returns:
        (q', r): b 2 c H W, and beta (X - x), b 1 c h w.

    Raises:
        InvalidInput: Where shapes, dtypes or devices do not fit.
    """
    p, s = q.unbind(1)
    moved = image[corner(x.shape[2:])] - x
    if moved.shape == image.shape:
        dual = p + moved
    else:
        around = beside(x.shape[2:], q.shape[3:])
        inside = F.pad(torch.ones(x.shape[2:], dtype=torch.bool, device=x.device), around)
        dual = torch.where(inside, p + F.pad(moved, around), -image)
    beyond = s - blurred
    new = torch.addcmul(target, kept, blurred - beyond) + beyond
    return torch.stack((dual, new), dim=1), beta * moved[:, None]
