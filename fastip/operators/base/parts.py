"""Complex images as real ones: the one convention of how solvers, kernels and priors see them.

A complex image b c h w is a real one b 2c h w, the real and the imaginary part of a channel beside each other. The
inner product of two complex images, Re <., .>, is that of their parts, so what is linear over the real numbers keeps
its adjoint, its norm and its minimisers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts import Shape


def to_parts(x: Tensor) -> Tensor:
    """b c ... complex -> b 2c ... real."""
    return torch.view_as_real(x.resolve_conj()).movedim(-1, 2).flatten(1, 2)


def from_parts(x: Tensor) -> Tensor:
    """b 2c ... real -> b c ... complex, the inverse of :func:`to_parts`."""
    return torch.view_as_complex(pairs(x).movedim(2, -1).contiguous())


def pairs(x: Tensor) -> Tensor:
    """b 2c ... -> b c 2 ..., the parts of a channel on an axis of their own."""
    return x.unflatten(1, (-1, 2))


def shape_of_parts(shape: Shape) -> Shape:
    """b c ... -> b 2c ..."""
    return (shape[0], 2 * shape[1], *shape[2:])


def shape_of_whole(shape: Shape) -> Shape:
    """b 2c ... -> b c ..."""
    return (shape[0], shape[1] // 2, *shape[2:])


def twice(values: float | Tensor, axes: int = 2) -> float | Tensor:
    """What a complex image is weighed by, ... c h w, for its parts; a number, or one for all channels, as it is.

    ``axes`` is 3 for volumes, ... c d h w.
    """
    if isinstance(values, Tensor) and values.ndim > axes and values.shape[-axes - 1] > 1:
        return values.repeat_interleave(2, dim=-axes - 1)
    return values


def moduli(x: Tensor) -> Tensor:
    """The modulus of each complex number, b 2c ... -> b c ...; of the gradient 0 where it is 0."""
    real, imaginary = pairs(x).unbind(2)
    zero = (real == 0) & (imaginary == 0)
    return torch.hypot(real.masked_fill(zero, 1.0), imaginary).masked_fill(zero, 0.0)


def soft_threshold(x: Tensor, threshold: float | Tensor) -> Tensor:
    """``x max(1 - threshold / |x|, 0)``: the modulus is shrunk, the phase stays.

    Args:
        x: b 2c ..., real and imaginary parts.
        threshold: >= 0; a tensor broadcasts to b c ...
    """
    size = moduli(x)
    kept = (1 - threshold / size.masked_fill(size == 0, 1.0)).clamp(min=0)
    return (pairs(x) * kept.unsqueeze(2)).flatten(1, 2)
