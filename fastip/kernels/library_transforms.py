"""torch.ops.fastip under torch.func.vmap and torch.autocast.

vmap: images of one more dimension are one larger batch; a psf, taps or gain for each entry is a loop. Autocast: nothing is lowered. A data step in half
precision loses what the solver gains, so an op keeps the precision of its images, and promotes images of different precision to the widest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.library import Library, register_vmap

IMAGES: dict[str, tuple[int, ...]] = {  # the arguments whose first dimension is a batch (spectral_step: planes)
    "strided_conv": (0,),
    "strided_conv_adjoint": (0,),
    "stencil": (0,),
    "woodbury": (0, 1, 2),
    "pixel_unshuffle": (0,),
    "pixel_shuffle": (0,),
    "spectral_step": (0, 1, 2),
    "admm": (0, 1, 2),
}
POINTWISE: dict[str, tuple[int, ...]] = {"soft_threshold": (0, 5), "soft_threshold.Tensor": (0, 5)}
DEVICES = (("AutocastCPU", "cpu"), ("AutocastCUDA", "cuda"))


def _operator(name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.fastip, packet), overload or "default")


# ---- vmap ------------------------------------------------------------------------------------------------------------


def _merged(name: str, images: tuple[int, ...]) -> Callable[..., Any]:
    """The rule for ops on a batch: the mapped dimension joins it."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        if any(d is not None and i not in images for i, d in enumerate(in_dims)):
            return _looped(name, info.batch_size, in_dims, arguments)
        n, changed = info.batch_size, list(arguments)
        for i in images:
            image, d = arguments[i], in_dims[i]
            image = image.unsqueeze(0).expand(n, *image.shape) if d is None else image.movedim(d, 0)
            changed[i] = image.flatten(0, 1)
        result = _operator(name)(*changed)
        if isinstance(result, Tensor):
            return result.unflatten(0, (n, -1)), 0
        return tuple(t.unflatten(0, (n, -1)) for t in result), (0,) * len(result)

    return rule


def _looped(name: str, n: int, in_dims: tuple[int | None, ...], arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    """One call for each entry."""
    results = [_operator(name)(*(a if d is None else a.select(d, i) for a, d in zip(arguments, in_dims, strict=True))) for i in range(n)]
    if isinstance(results[0], Tensor):
        return torch.stack(results), 0
    return tuple(torch.stack(part) for part in zip(*results, strict=True)), (0,) * len(results[0])


def _aligned(name: str) -> Callable[..., Any]:
    """The rule for pointwise ops: the mapped dimension comes first, and what else broadcasts still does."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Tensor, int]:
        ranks = [a.ndim - (d is not None) for a, d in zip(arguments, in_dims, strict=True) if isinstance(a, Tensor)]
        changed = list(arguments)
        for i, (a, d) in enumerate(zip(arguments, in_dims, strict=True)):
            if d is not None:
                first = a.movedim(d, 0)
                changed[i] = first.reshape(first.shape[0], *[1] * (max(ranks) - a.ndim + 1), *first.shape[1:])
        return _operator(name)(*changed), 0

    return rule


# ---- autocast --------------------------------------------------------------------------------------------------------


def _kept(name: str, images: tuple[int, ...], device: str) -> Callable[..., Any]:
    """The op on images of the widest precision among them, with autocast off: what runs inside must not lower it."""

    def kernel(*arguments: Any) -> Any:
        changed, tensors = list(arguments), [i for i in images if isinstance(arguments[i], Tensor)]
        dtype = arguments[tensors[0]].dtype
        for i in tensors[1:]:
            dtype = torch.promote_types(dtype, arguments[i].dtype)
        for i in tensors:
            changed[i] = arguments[i].to(dtype)
        with torch.autocast(device, enabled=False):
            return _operator(name)(*changed)

    return kernel


# ---- registration ----------------------------------------------------------------------------------------------------


def register(library: Library) -> None:
    """Give every op its batching rule and its autocast rule."""
    for name, images in (*IMAGES.items(), *POINTWISE.items()):
        register_vmap(f"fastip::{name}", _merged(name, images) if name in IMAGES else _aligned(name), lib=library)
        for key, device in DEVICES:
            library.impl(name, _kept(name, images, device), key)
