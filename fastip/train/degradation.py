"""Degradations: an operator with the noise and the coding of its data, and the data that it makes of pictures."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..arrays import check_count, check_number
from ..contracts import LinearOperator
from ..errors import InvalidInput, brief
from ..noise import noise_level

TRIMMED = 32  # rows that a picture may lose until an operator takes it: a factor of 16 needs as many


class Degradation(NamedTuple):
    """``y = A x + noise``, rounded to 8 bits, and coded where a quality is given.

    Attributes:
        op: The operator A.
        noise: The standard deviation of the noise, images in [0, 1].
        quality: Of JPEG, 1 to 100; None for data that are not coded.
    """

    op: LinearOperator
    noise: float
    quality: int | None = None


Draw = Callable[[torch.Generator], Any]
"""``draw(generator)`` gives a Degradation, or (op, noise)."""


class Example(NamedTuple):
    """What a restorer learns from: pictures and their data.

    Attributes:
        x: Pictures b c h w that the operator takes as they are.
        y: Their data.
        op: The operator.
        noise: What the restorer is told, one number for all of them.
    """

    x: Tensor
    y: Tensor
    op: LinearOperator
    noise: float


def drawn(draw: Draw, generator: torch.Generator) -> Degradation:
    """What ``draw`` gives, checked."""
    found = draw(generator)
    if not isinstance(found, tuple) or len(found) not in (2, 3) or not isinstance(found[0], LinearOperator):
        raise InvalidInput(f"draw(generator) gave {brief(found)}; expected (operator, noise) or a train.Degradation")
    op, noise, quality = Degradation(*found)
    if quality is not None and check_count(quality, "quality", low=1) > 100:
        raise InvalidInput(f"quality is {quality}; expected 1 to 100")
    return Degradation(op, check_number(noise, "noise", low=0.0), quality)


def example(x: Tensor, degradation: Degradation, generator: torch.Generator) -> Example:
    """The data of pictures in [0, 1], in 8 bits.

    The restorer is told the noise as it is; of coded data, and where there is none, what :func:`fastip.noise_level`
    finds, as nobody knows more.

    Args:
        x: b c h w, trimmed to a size that the operator takes.
        degradation: How they are made.
        generator: Of the noise.

    Returns:
        Pictures, data, operator and noise.

    Raises:
        InvalidInput: For pictures that the operator does not take, however they are trimmed.
    """
    op, noise, quality = degradation
    x = trimmed(x, op)
    y = op(x)
    y = y + noise * torch.randn(y.shape, generator=generator)
    y = y.clamp(0, 1).mul(255).round().div(255)
    if quality is not None:
        y = coded(y, quality)
    elif noise > 0:
        return Example(x, y, op, noise)
    return Example(x, y, op, _found(y))


def _found(y: Tensor) -> float:
    try:
        return float(noise_level(y).mean())
    except InvalidInput:  # too small, or most pixels are missing
        return 0.0


def trimmed(x: Tensor, op: LinearOperator) -> Tensor:
    """x, its last rows and columns cut off until a solve gives an image of its size."""
    h, w = x.shape[-2:]
    for lost in range(2 * TRIMMED):
        for rows in range(max(0, lost - TRIMMED), min(lost, TRIMMED) + 1):
            if _fits(op, (*x.shape[:2], h - rows, w - lost + rows)):
                return x[..., : h - rows, : w - lost + rows]
    raise InvalidInput(f"{op!r} takes no pictures of {x.shape[2]} x {x.shape[3]} pixels, or of up to {TRIMMED} less")


def _fits(op: LinearOperator, shape: tuple[int, ...]) -> bool:
    try:
        return min(shape) > 0 and tuple(op.input_shape(op.output_shape(shape))) == shape
    except InvalidInput:
        return False


def coded(y: Tensor, quality: int) -> Tensor:
    """Pictures b c h w of one or three channels after JPEG, in steps of 1/255."""
    found = []
    for picture in y.mul(255).round().byte().permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file, "JPEG", quality=quality)
        again = np.array(Image.open(file))
        found.append(torch.from_numpy(again).reshape(picture.shape))
    return torch.stack(found).permute(0, 3, 1, 2).to(y.dtype).div(255)
