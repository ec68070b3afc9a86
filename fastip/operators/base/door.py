"""What an operator refuses before any work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...arrays import COMPLEX, check_count, check_real, four_dimensions
from ...contracts import Shape
from ...errors import InvalidInput, brief


def check_tensor(tensor: Tensor, name: str, is_complex: bool) -> None:
    """Refuse the wrong kind of numbers, empty tensors and tensors without strided memory."""
    if tensor.layout != torch.strided:
        raise InvalidInput(f"{name} has layout {tensor.layout}; expected an ordinary tensor: call {name}.to_dense()")
    if not is_complex:
        check_real(tensor, name)
    elif tensor.dtype not in COMPLEX:
        raise InvalidInput(
            f"{name} has dtype {tensor.dtype}; expected complex64 or complex128, "
            f"the kind of data this operator has on that side: convert with {name}.to(torch.complex64)"
        )
    if tensor.numel() == 0:
        raise InvalidInput(f"{name} has shape {tuple(tensor.shape)}, which is empty; expected at least one pixel")


def check_grid(shape: Iterable[int], what: str) -> tuple[int, int, int, int]:
    """``shape`` as (b, c, h, w). Raises InvalidInput unless it is four positive sizes."""
    b, c, h, w = check_axes(shape, what, 2)
    return b, c, h, w


def check_axes(shape: Iterable[int], what: str, axes: int) -> Shape:
    """``shape`` as (b, c, h, w), or (b, c, d, h, w) of volumes, which have 3 axes.

    Raises InvalidInput unless it is as many positive sizes.
    """
    sizes = tuple(int(n) for n in shape)
    if len(sizes) != 2 + axes:
        dims = "four dimensions b c h w" if axes == 2 else "five dimensions b c d h w"
        advice = (
            four_dimensions(sizes)
            if axes == 2
            else f"add what is missing in front, with [{', '.join(['None'] * (5 - len(sizes)))}]"
            if len(sizes) < 5
            else f"make one batch of the first {len(sizes) - 4}, as x.flatten(0, {len(sizes) - 5}) does"
        )
        raise InvalidInput(f"the {what} has shape {sizes}; expected {dims}: {advice}")
    if min(sizes) < 1:
        raise InvalidInput(f"the {what} has shape {sizes}, which is empty; expected positive sizes")
    return sizes


def check_axes_count(axes: Any) -> int:
    """``axes`` as 2 or 3."""
    if isinstance(axes, bool) or not isinstance(axes, int) or axes not in (2, 3):
        raise InvalidInput(f"axes is {brief(axes)}; expected 2 for images b c h w or 3 for volumes b c d h w")
    return axes


def check_sizes(value: Any, name: str) -> Shape:
    """Sizes without the batch, e.g. (c, h, w), as a tuple. Raises InvalidInput for anything else."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)) or not value:
        raise InvalidInput(
            f"{name} is {brief(value)}; expected its sizes without the batch, e.g. (c, h, w) for pictures or (n,) for "
            "plain numbers"
        )
    return tuple(check_count(size, f"a size in {name}", low=1) for size in value)


def check_psf_fits(kernel: Shape, *size: int) -> None:
    """Refuse an image smaller than the psf."""
    if any(k > n for k, n in zip(kernel, size, strict=True)):
        raise InvalidInput(f"the psf is {by(kernel)} but the image only {by(size)}; crop the psf or use a larger image")


def by(size: Iterable[int]) -> str:
    """Sizes in words: 3 x 4."""
    return " x ".join(map(str, size))
