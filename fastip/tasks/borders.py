"""Borders of pictures: those of ``operators.Blur``, and "natural", a window of a larger scene."""

from __future__ import annotations

import difflib

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import operators
from ..contracts import Convolution, LinearOperator
from ..errors import InvalidInput, strict_keywords
from ..operators import blur

NATURAL = "natural"
BOUNDARIES = (NATURAL, *blur.BOUNDARIES)
_MEANT = {"wrap": "circular", "periodic": "circular", "symmetric": "reflect", "constant": "zero"}


def check_boundary(boundary: str) -> str:
    """``boundary`` where a task can have it, else InvalidInput with the closest."""
    if boundary in BOUNDARIES:
        return boundary
    close = difflib.get_close_matches(str(boundary).lower(), [*BOUNDARIES, *_MEANT], 1)
    meant = f": did you mean {_MEANT.get(close[0], close[0])!r}?" if close else ""
    raise InvalidInput(f"boundary is {boundary!r}; expected one of {', '.join(BOUNDARIES)}{meant}")


def blurred(taps: Tensor, stride: int, boundary: str) -> operators.Blur:
    """The operator of a psf, a stride and one of ``BOUNDARIES``."""
    if check_boundary(boundary) != NATURAL:
        return operators.Blur(taps, stride=stride, boundary=boundary)
    return operators.Blur(widened(trimmed(operators.Blur(taps).psf), stride), stride=stride, boundary="valid")


def trimmed(taps: Tensor) -> Tensor:
    """The smallest psf that does the same, its centre at k // 2 again: what no datum sees need not be restored.

    Of several, on the last two axes, what the largest of them needs.
    """
    seen = taps.abs().reshape(-1, *taps.shape[-2:]).amax(dim=0)
    for axis in (0, 1):
        at = seen.sum(dim=1 - axis).nonzero()
        centre = seen.shape[axis] // 2
        before, after = centre - int(at[0]), int(at[-1]) - centre
        size = max(2 * before, 2 * after + 1)
        taps = taps.narrow(axis - 2, centre - size // 2, size)
    return taps


def widened(taps: Tensor, stride: int) -> Tensor:
    """The psf with zeros around it, its centre kept, until with a valid border every pixel under the data exists.

    Datum i lies on pixel ``stride i``, so stride - 1 pixels follow the last one: ``k // 2 >= stride - 1``.
    """
    (down, across) = (max(0, stride - 1 - k // 2) for k in taps.shape[-2:])
    return F.pad(taps, (across, across, down, down))


@strict_keywords
def crop_valid(x: Tensor, op: LinearOperator, size: tuple[int, int]) -> Tensor:
    """The part of a restored image that lies under the data, pixel 0 of the data at pixel 0 of the result.

    Only a valid boundary restores more than that; of others x is given back, and so is one that was cut before.

    Args:
        x: The restored image, b c H W, with H = (h - 1) stride + k for data with h rows and a psf with k.
        op: The operator that it was restored for.
        size: (h stride, w stride), what the result has at most.

    Returns:
        A view of x, b c (h stride) (w stride), or what there is of it.
    """
    convolution = _convolution(op)
    if convolution is None or convolution.boundary != "valid":
        return x
    taps, stride = convolution.psf.shape[-2:], convolution.stride
    seen = tuple((n // stride - 1) * stride + k for n, k in zip(size, taps, strict=True))
    if seen != tuple(x.shape[-2:]) == tuple(size):
        return x
    top, left = (k - 1 - k // 2 for k in taps)
    return x[..., top : top + size[0], left : left + size[1]]


@strict_keywords
def under_data(x: Tensor, op: LinearOperator, data: tuple[int, ...]) -> Tensor:
    """:func:`crop_valid` for data of a shape b c h w.

    Args:
        x: The restored image, b c H W.
        op: The operator that it was restored for.
        data: The shape of the data.

    Returns:
        A view of x.
    """
    convolution = _convolution(op)
    stride = 1 if convolution is None else convolution.stride
    return crop_valid(x, op, (data[-2] * stride, data[-1] * stride))


@strict_keywords
def fitted(x: Tensor, op: LinearOperator) -> Tensor:
    """The largest part of an image, from its first pixel, that the operator takes.

    All of it but for a valid boundary, where the stride divides size - k.

    Args:
        x: The image, b c H W.
        op: The operator.

    Returns:
        A view of x.
    """
    convolution = _convolution(op)
    if convolution is None or convolution.boundary != "valid":
        return x
    (kh, kw), stride = convolution.psf.shape[-2:], convolution.stride
    h, w = (n - (n - k) % stride for n, k in zip(x.shape[-2:], (kh, kw), strict=True))
    return x[..., : max(h, 0), : max(w, 0)] if h >= kh and w >= kw else x


def _convolution(op: LinearOperator) -> Convolution | None:
    """A as a convolution, of several psfs too."""
    window = op.window()
    return op.convolution() if window is None or window.weights is not None else window.convolution


def whole(x: Tensor) -> Tensor:
    """The same in memory of its own."""
    return x.clone(memory_format=torch.contiguous_format)
