"""Bicubic interpolation: the plainest enlargement, which solvers are compared with and started from."""

from __future__ import annotations

import torch
from torch import Tensor

from ..arrays import check_count
from ..errors import strict_keywords


@strict_keywords
def bicubic(y: Tensor, factor: int) -> Tensor:
    """Bicubic interpolation of samples that sit at the pixels 0::factor, as Blur(stride=factor) keeps them.

    Pixel i of ``y`` is pixel factor i of the result. Keys' kernel with a = -1/2, which reproduces straight lines;
    beyond the border the last sample is repeated. A plain resize puts pixel i at factor i + (factor - 1) / 2, that
    is 1.5 pixels off for factor 4.

    Args:
        y: b c h w.
        factor: A whole number >= 1.

    Returns:
        b c (h factor) (w factor), of the dtype and on the device of ``y``.

    Raises:
        InvalidInput: For a factor that is no whole number >= 1.

    References:
        Keys, Cubic convolution interpolation for digital image processing, 1981.
    """
    factor = check_count(factor, "factor", low=1)
    for axis in (2, 3):
        at = torch.arange(y.shape[axis] * factor)
        t = ((at % factor) / factor).to(y).reshape(-1, *[1] * (3 - axis))
        before, first = ((-t + 2) * t - 1) * t / 2, ((3 * t - 5) * t * t + 2) / 2
        second, after = ((-3 * t + 4) * t + 1) * t / 2, (t - 1) * t * t / 2
        taken = [
            y.index_select(axis, (at // factor + k).clamp(0, y.shape[axis] - 1).to(y.device)) for k in (-1, 0, 1, 2)
        ]
        y = before * taken[0] + first * taken[1] + second * taken[2] + after * taken[3]
    return y
