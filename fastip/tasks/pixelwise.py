"""Noise taken away, and holes filled: data that are the pixels of the picture themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .. import io, operators
from ..contracts import LinearOperator
from ..errors import InvalidInput, strict_keywords
from ..io.planes import SCALE
from .choice import Choice
from .classical import ClassicalTask
from .settings import PRIORS

ALONE = ("l1", "l2")  # priors of each pixel alone: the least of them in a hole is black
HALF = 0.5  # of white, and of opaque: from here on a pixel is known


@dataclass(frozen=True)
class DenoiseTask(ClassicalTask):
    """``y = x``, plus noise.

    Attributes:
        name: By which :func:`fastip.tasks.get` finds it.
        summary: What it does, in a few words.
        stride: 1: the data are as large as the image.
        psf: None: there is none.
    """

    without: ClassVar[str] = "has no {option}: its data are the picture with noise"

    @property
    def data_text(self) -> str:
        return "any noise"

    def operator(self, choice: Choice) -> LinearOperator:
        return operators.Identity()


@dataclass(frozen=True)
class InpaintTask(ClassicalTask):
    """``y = mask x``, plus noise where the mask is 1. What the data hold where it is 0 is not looked at.

    Attributes:
        name: By which :func:`fastip.tasks.get` finds it.
        summary: What it does, in a few words.
        stride: 1: the data are as large as the image.
        psf: None: there is none.
    """

    takes: ClassVar[tuple[str, ...]] = ("mask",)
    without: ClassVar[str] = "has no {option}: its data are pixels of the picture"
    priors: ClassVar[tuple[str, ...]] = tuple(name for name in PRIORS if name not in ALONE)

    @property
    def data_text(self) -> str:
        return "mask, or transparent pixels"

    def operator(self, choice: Choice) -> LinearOperator:
        if choice.mask is None:
            raise InvalidInput(
                f"task {self.name!r} needs a mask of the known pixels; give one: an image file that is white where the "
                "picture is known and black where it is to be filled, or a tensor h w of ones and zeros"
            )
        if choice.prior in PRIORS and choice.prior not in self.priors:
            raise InvalidInput(
                f"prior is {choice.prior!r}, which looks at each pixel alone and leaves holes black; "
                f"task {self.name!r} takes {', '.join(self.priors)}"
            )
        return operators.Mask(read_mask(choice.mask) if isinstance(choice.mask, (str, Path)) else _checked(choice.mask))

    def beside(self, choice: Choice, op: LinearOperator) -> dict[str, Any]:
        assert isinstance(op, operators.Mask)
        return {"known": op.mask}

    def check(self, choice: Choice) -> None:
        super().check(choice.but({"mask": torch.ones(1, 1)}) if choice.mask is None else choice)

    def for_file(self, choice: Choice, kind: io.Kind) -> tuple[Choice, io.Kind]:
        """The transparent pixels of the file are those to be filled where no mask is given; the result is opaque."""
        if choice.mask is not None:
            return choice, kind
        known = None if kind.alpha is None else _share(kind) >= HALF
        if known is None or known.all():
            raise InvalidInput(
                "the picture has no transparent pixels and no mask is given, so there is nothing to fill; give a mask"
            )
        if not known.any():
            raise InvalidInput("all pixels of the picture are transparent, so nothing of it is known; give a mask")
        return choice.but({"mask": torch.from_numpy(known)}), replace(kind, alpha=None, premultiplied=False)


def _share(kind: io.Kind) -> np.ndarray:
    """Alpha from 0 to 1."""
    assert kind.alpha is not None
    return kind.alpha / SCALE.get(kind.depth, kind.opaque)


@strict_keywords
def read_mask(path: str | Path) -> Tensor:
    """The mask in an image file: white, from half of it on and over all colours, is known, black is to be filled.

    Args:
        path: The file.

    Returns:
        Ones where a pixel is known, else zeros, 1 1 h w.

    Raises:
        InvalidInput: For what is no image.
    """
    values, _ = io.read_image(path)
    return (values.mean(dim=1, keepdim=True) >= HALF).float()


def _checked(mask: Any) -> Tensor:
    values = operators.Mask(mask).mask
    if not bool(((values == 0) | (values == 1)).all()):
        raise InvalidInput(
            "mask holds other values than 0 and 1; expected 1 where a pixel is known and 0 where it is to be filled: "
            "give mask > 0.5, say"
        )
    _check_planes(values != 0)
    return values


def _check_planes(known: Tensor) -> None:
    """Refuse a channel of which nothing is known: no prior tells it from the others, and it would come out black."""
    dark = ~known.flatten(2).any(dim=2)
    if not bool(dark.any()):
        return
    picture, channel = dark.nonzero()[0].tolist()
    advice = "holes are filled from the known pixels of their own channel, and there are none: expected at least one"
    if bool(dark[picture].all()):
        raise InvalidInput(f"mask is 0 everywhere in picture {picture}; {advice}, or leave that picture out")
    raise InvalidInput(
        f"mask is 0 everywhere in channel {channel} of picture {picture}; {advice}, or restore the other channels alone"
    )


TASKS = (
    DenoiseTask("denoise", "remove noise", 1, None),
    InpaintTask("inpaint", "fill holes: what a mask or transparency hides", 1, None),
)
