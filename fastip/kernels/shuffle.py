"""The families of the polyphase layout: ``pixel_unshuffle`` and ``pixel_shuffle``."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import extension, reference, shapes
from .extension import plain
from .family import Family, of_one_image

Gradients = tuple[Any, ...]

# ---- compiled --------------------------------------------------------------------------------------------------------


def _pixel_unshuffle(x: Tensor, stride: int) -> Tensor:
    out, x = x.new_empty(shapes.of_phases(x, stride)), plain(x)
    (b, c, height, width), (h, w) = x.shape, out.shape[4:]
    functions, where = extension.target(x)
    sizes = {"planes": b * c, "height": height, "width": width, "h": h, "w": w, "stride": stride}
    arguments = functions.ShuffleArgs(source=x.data_ptr(), out=out.data_ptr(), **sizes)
    extension.run(functions.pixel_unshuffle, arguments, x, where)
    return out


def _pixel_shuffle(phases: Tensor, height: int, width: int) -> Tensor:
    out, phases = phases.new_empty(shapes.of_image(phases, height, width)), plain(phases)
    (b, c, height, width), (s, h, w) = out.shape, phases.shape[3:]
    sizes = {"planes": b * c, "height": height, "width": width, "h": h, "w": w, "stride": s}
    functions, where = extension.target(phases)
    arguments = functions.ShuffleArgs(source=phases.data_ptr(), out=out.data_ptr(), **sizes)
    extension.run(functions.pixel_shuffle, arguments, phases, where)
    return out


# ---- gradients -------------------------------------------------------------------------------------------------------


def _keep_unshuffle(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.size = inputs[0].shape[2:]


def _unshuffle_gradient(ctx: Any, g: Tensor) -> Gradients:
    return torch.ops.fastip.pixel_shuffle(g, *ctx.size), None


def _keep_shuffle(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.stride, *ctx.size = inputs[0].shape[3:]


def _shuffle_gradient(ctx: Any, g: Tensor) -> Gradients:
    s, (h, w) = ctx.stride, ctx.size
    whole = F.pad(g, (0, w * s - g.shape[3], 0, h * s - g.shape[2]))  # what was cropped away
    return torch.ops.fastip.pixel_unshuffle(whole, s), None, None


# ---- families --------------------------------------------------------------------------------------------------------


def _registered_unshuffle(x: Tensor, stride: int) -> Tensor:
    shapes.check_stride(stride)
    return torch.ops.fastip.pixel_unshuffle.default(x, stride)


pixel_unshuffle = Family(
    reference.pixel_unshuffle,
    native=_pixel_unshuffle,
    triton="shuffle",
    dispatch=_registered_unshuffle,
    operators=(
        of_one_image(
            "pixel_unshuffle(Tensor x, int stride) -> Tensor",
            shapes.of_phases,
            _unshuffle_gradient,
            _keep_unshuffle,
        ),
    ),
)

pixel_shuffle = Family(
    reference.pixel_shuffle,
    native=_pixel_shuffle,
    triton="shuffle",
    operators=(
        of_one_image(
            "pixel_shuffle(Tensor phases, SymInt height, SymInt width) -> Tensor",
            shapes.of_image,
            _shuffle_gradient,
            _keep_shuffle,
        ),
    ),
)
