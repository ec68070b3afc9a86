"""The pointwise passes of a second split (``inverses.Split``) in plain torch, as :mod:`.reference` has the others."""

from __future__ import annotations

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
    (height, width), (h, w) = q.shape[-2:], x.shape[-2:]
    return F.pad(x, (0, width - w, 0, height - h)) - q[:, 0]


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
    (height, width), (h, w) = q.shape[-2:], x.shape[-2:]
    moved = image[..., :h, :w] - x
    if (height, width) == (h, w):
        dual = p + moved
    else:
        beside = (0, width - w, 0, height - h)
        inside = F.pad(torch.ones(h, w, dtype=torch.bool, device=x.device), beside)
        dual = torch.where(inside, p + F.pad(moved, beside), -image)
    beyond = s - blurred
    new = torch.addcmul(target, kept, blurred - beyond) + beyond
    return torch.stack((dual, new), dim=1), beta * moved[:, None]
