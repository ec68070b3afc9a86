"""Denoising networks of other libraries as ``priors.Denoiser`` takes them: a callable (v, level) -> x.

The level as one more channel (DRUNet), as a second argument (FFDNet), and a grey network on each colour by itself::

    priors.Denoiser(adapters.level_channel(drunet, multiple=8), noise=0.01)
    priors.Denoiser(adapters.level_map(ffdnet, multiple=2), noise=0.01)
    priors.Denoiser(adapters.each_channel(grey_net), sigma=0.1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..arrays import check_count, check_number
from ..errors import InvalidInput, strict_keywords
from ..nets.boundary import extend
from ..nets.weights import precision

Net = Callable[..., Any]
Estimate = Callable[[Tensor, float], Tensor]


@strict_keywords
def level_map(net: Net, *, pixels: bool = True, multiple: int = 1, scale: float = 1.0) -> Estimate:
    """net(v, map): the level as a tensor.

    v is given in the precision of the network's weights and comes back in its own.

    Args:
        net: The network.
        pixels: The level as b 1 h w where true, as b 1 1 1 where false.
        multiple: The sizes that the network takes; others are mirrored at the lower right border up to one,
            and cropped.
        scale: The network's unit, 255 for one of images in [0, 255].

    Returns:
        The callable (v, level) -> x.

    Raises:
        InvalidInput: For a multiple that is no whole number >= 1 or a scale that is not > 0; the callable raises it
            where the network returns another shape.
    """
    return _Adapter(
        net,
        _map if pixels else _point,
        check_count(multiple, "multiple", low=1),
        check_number(scale, "scale", low=0.0, strict=True),
    )


@strict_keywords
def level_channel(net: Net, *, multiple: int = 1, scale: float = 1.0) -> Estimate:
    """net([v, level]): the level as a last channel of the image.

    Args:
        net: The network.
        multiple: As for :func:`level_map`.
        scale: As for :func:`level_map`.

    Returns:
        The callable (v, level) -> x.

    Raises:
        InvalidInput: For a multiple that is no whole number >= 1 or a scale that is not > 0; the callable raises it
            where the network returns another shape.
    """
    return _Adapter(
        net, _channel, check_count(multiple, "multiple", low=1), check_number(scale, "scale", low=0.0, strict=True)
    )


@strict_keywords
def blind(net: Net, *, multiple: int = 1, scale: float = 1.0) -> Estimate:
    """net(v): a network that finds the level by itself.

    Args:
        net: The network.
        multiple: As for :func:`level_map`.
        scale: As for :func:`level_map`.

    Returns:
        The callable (v, level) -> x.

    Raises:
        InvalidInput: For a multiple that is no whole number >= 1 or a scale that is not > 0; the callable raises it
            where the network returns another shape.
    """
    return _Adapter(
        net, _blind, check_count(multiple, "multiple", low=1), check_number(scale, "scale", low=0.0, strict=True)
    )


@strict_keywords
def each_channel(estimate: Estimate) -> Estimate:
    """A denoiser (v, level) of grey images, on each channel by itself. Compose: ``each_channel(level_map(net))``.

    A network is given v in the precision of its weights.

    Args:
        estimate: The denoiser.

    Returns:
        The callable (v, level) -> x.

    Raises:
        InvalidInput: The callable raises it where the denoiser returns another shape.
    """
    return _EachChannel(estimate)


@dataclass(frozen=True)
class _Adapter:
    net: Net
    call: Callable[[Net, Tensor, Tensor], Any]
    multiple: int
    scale: float

    def __call__(self, v: Tensor, level: float) -> Tensor:
        h, w = v.shape[-2:]
        rows, columns = -h % self.multiple, -w % self.multiple
        padded = extend(v, (0, max(rows, columns)), "reflect")[..., : h + rows, : w + columns] if rows or columns else v
        dtype = precision(self.net) or v.dtype
        levels = torch.full((len(v), 1, 1, 1), level * self.scale, dtype=dtype, device=v.device)
        x = _checked(self.call(self.net, padded.to(dtype) * self.scale, levels), padded, "give the multiple it needs")
        return x[..., :h, :w].to(v) / self.scale


@dataclass(frozen=True)
class _EachChannel:
    estimate: Estimate

    def __call__(self, v: Tensor, level: float) -> Tensor:
        grey = v.flatten(0, 1)[:, None]
        x = self.estimate(grey.to(precision(self.estimate) or v.dtype), level)
        return _checked(x, grey, "give a denoiser of grey images").to(v.dtype).reshape(v.shape)


def _checked(x: Any, given: Tensor, advice: str) -> Tensor:
    if not isinstance(x, Tensor) or x.shape != given.shape:
        found = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise InvalidInput(
            f"the network returned {found} for an image of shape {tuple(given.shape)}; expected the same: {advice}"
        )
    return x


def _map(net: Net, v: Tensor, levels: Tensor) -> Any:
    return net(v, levels.expand(-1, 1, *v.shape[2:]))


def _point(net: Net, v: Tensor, levels: Tensor) -> Any:
    return net(v, levels)


def _channel(net: Net, v: Tensor, levels: Tensor) -> Any:
    return net(torch.cat([v, levels.expand(-1, 1, *v.shape[2:])], dim=1))


def _blind(net: Net, v: Tensor, levels: Tensor) -> Any:
    return net(v)
