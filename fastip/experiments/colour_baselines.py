"""What a coloured enlargement of a grey picture is compared with: grey, and the mean colour of the photographs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import operators
from ..arrays import check_count, check_image
from ..data import Pictures
from ..errors import InvalidInput, strict_keywords

REDUCTIONS = (2, 3, 4, 6)
# red, green, blue: the mean of x - luma over 8000 patches of
# data.Photographs("train", 64, reductions=REDUCTIONS, places=1), seed 0
CHROMA = (0.017575, 0.007498, -0.084704)


@strict_keywords
def grey(y: Tensor) -> Tensor:
    """The data enlarged twice by bicubic interpolation, the same in all three channels.

    Its luma is that of the enlargement.

    Args:
        y: b 1 h w, each the mean of 2 x 2 pixels of the luma, so a datum lies in the middle of its pixels.

    Returns:
        b 3 2h 2w in [0, 1].
    """
    return _luma(y).expand(-1, 3, -1, -1).clamp(0, 1)


@strict_keywords
def mean_chroma(y: Tensor, *, chroma: Tensor | None = None) -> Tensor:
    """The same with a constant colour added whose luma is 0: x = luma + chroma.

    Args:
        y: As in :func:`grey`.
        chroma: 3 numbers or b 3 1 1, CHROMA if missing; with that of the true image (:func:`chroma_of`) it is the best
            constant that luma leaves to be guessed.

    Returns:
        b 3 2h 2w in [0, 1].
    """
    constant = torch.tensor(CHROMA) if chroma is None else chroma
    return (_luma(y) + constant.to(y).reshape(-1, 3, 1, 1)).clamp(0, 1)


@strict_keywords
def chroma_of(x: Tensor) -> Tensor:
    """The mean of ``x - luma(x)`` over the pixels of each image: b 3 h w -> b 3 1 1; its luma is 0."""
    return (x - operators.ToGray()(x)).mean(dim=(2, 3), keepdim=True)


@strict_keywords
def mean_chroma_of(pictures: Pictures, count: int) -> Tensor:
    """The mean over the first ``count`` pictures of a set, (3,): how CHROMA was measured."""
    numbers = range(check_count(count, "count", low=1))
    parts = [  # 100 at a time: more fill the memory, fewer only call more often
        chroma_of(pictures.batch(numbers[first : first + 100])).sum(dim=0).flatten().double()
        for first in range(0, count, 100)
    ]
    return torch.stack(parts).sum(dim=0) / count


@strict_keywords
def tiles(x: Tensor, reduction: int, *, side: int = 64) -> Tensor:
    """All side x side tiles of a picture reduced by means of reduction x reduction pixels: 1 3 h w -> n 3 side side.

    They lie side by side from its middle. Raises InvalidInput for a picture that holds none.
    """
    check_image(x, "x")
    r, side = check_count(reduction, "reduction", low=1), check_count(side, "side", low=1)
    small = F.avg_pool2d(x, r) if min(x.shape[-2:]) >= r else x[..., :0, :0]
    counts = [n // side for n in small.shape[-2:]]
    if x.shape[0] != 1 or not all(counts):
        raise InvalidInput(
            f"x has shape {tuple(x.shape)}; expected one picture of at least {r * side} x {r * side} pixels"
        )
    top, left = ((n - count * side) // 2 for n, count in zip(small.shape[-2:], counts, strict=True))
    inner = small[0, :, top : top + counts[0] * side, left : left + counts[1] * side]
    return inner.unfold(1, side, side).unfold(2, side, side).permute(1, 2, 0, 3, 4).reshape(-1, x.shape[1], side, side)


def _luma(y: Tensor) -> Tensor:
    check_image(y, "y")
    if y.shape[1] != 1:
        raise InvalidInput(f"y has shape {tuple(y.shape)}; expected grey data b 1 h w")
    return F.interpolate(y, scale_factor=2.0, mode="bicubic", align_corners=False)
