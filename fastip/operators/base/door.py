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
    sizes = tuple(int(n) for n in shape)
    if len(sizes) != 4:
        raise InvalidInput(f"the {what} has shape {sizes}; expected four dimensions b c h w: {four_dimensions(sizes)}")
    if min(sizes) < 1:
        raise InvalidInput(f"the {what} has shape {sizes}, which is empty; expected positive sizes")
    return sizes


def check_sizes(value: Any, name: str) -> Shape:
    """Sizes without the batch, e.g. (c, h, w), as a tuple. Raises InvalidInput for anything else."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)) or not value:
        raise InvalidInput(
            f"{name} is {brief(value)}; expected its sizes without the batch, e.g. (c, h, w) for pictures or (n,) for "
            "plain numbers"
        )
    return tuple(check_count(size, f"a size in {name}", low=1) for size in value)


def check_psf_fits(kernel: tuple[int, int], height: int, width: int) -> None:
    """Refuse an image smaller than the psf."""
    if kernel[0] > height or kernel[1] > width:
        raise InvalidInput(
            f"the psf is {kernel[0]} x {kernel[1]} but the image only {height} x {width}; "
            "crop the psf or use a larger image"
        )
