"""Data as a camera would give them: the operator, then noise."""

from __future__ import annotations

import torch
from torch import Tensor

from ..arrays import check_number
from ..contracts import LinearOperator
from ..errors import InvalidInput, strict_keywords


@strict_keywords
def degrade(
    x: Tensor, op: LinearOperator, noise: float | Tensor = 0.0, *, generator: int | torch.Generator = 0
) -> Tensor:
    """Data as a camera would give them: y = A x + noise e, e ~ N(0, I) on what is measured.

    Complex data get noise of this standard deviation in their real and in their imaginary part. Data that A makes 0
    whatever the image (the pixels that a Mask hides) stay 0. Differentiable in x.

    Args:
        x: The images, b c h w.
        op: The operator A.
        noise: A standard deviation, or one for each image, shape (b,).
        generator: A seed (the same e on every device), or a generator to go on with.

    Returns:
        The data y, of the shape, dtype and device of ``op(x)``.

    Raises:
        InvalidInput: For a noise that is negative or of another shape.
    """
    level = _level(noise, x)
    y: Tensor = op(x)
    if not bool((level > 0).any()):
        return y
    source = torch.Generator().manual_seed(generator) if isinstance(generator, int) else generator
    parts = (*y.shape, 2) if y.is_complex() else y.shape
    e = torch.randn(
        parts,
        generator=source,
        device=source.device,
        dtype=torch.float64 if y.dtype in (torch.float64, torch.complex128) else torch.float32,
    )
    e = (torch.view_as_complex(e) if y.is_complex() else e).to(y)
    return y + level.reshape(-1, *[1] * (y.ndim - 1)).to(e.real) * e * _measured(x, op)


def _level(noise: float | Tensor, x: Tensor) -> Tensor:
    if not isinstance(noise, Tensor) or noise.ndim == 0:
        return torch.tensor([check_number(noise, "noise", low=0.0)], dtype=torch.float64)
    if noise.shape != x.shape[:1] or not bool((noise >= 0).all()) or not bool(noise.isfinite().all()):
        raise InvalidInput(
            f"noise has shape {tuple(noise.shape)} and least value {float(noise.min()):g}; "
            f"expected a number, or {len(x)} numbers >= 0"
        )
    return noise.double()


def _measured(x: Tensor, op: LinearOperator) -> Tensor | float:
    """1 where A measures something.

    A random image is seen there (with probability 1); a convolution measures everywhere.
    """
    if op.convolution() is not None:
        return 1.0
    with torch.no_grad():  # from 0.5 to 1.5: no pixel of the probe is 0 itself
        probe = torch.rand(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.real.dtype).to(x) + 0.5
        seen: Tensor = op(probe)
        return (seen != 0).to(seen.real.dtype)
