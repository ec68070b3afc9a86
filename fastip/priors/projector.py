"""Projector: a trained projection on the range of a generator as the prox."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..contracts import LinearOperator
from ..errors import InvalidInput, brief
from ..nets.weights import check_beside, precision
from .prior import BoundWithout, Prior, image_shape


class Projector(Prior):
    """A trained projection on the range of a generator as the prox, whatever the step.

    ``prox_{step R}(v)`` = net(v): R is 0 on the images that the network lets be, infinite elsewhere. With ``admm``
    this is the one-network method of Chang et al., with ``npgd`` that of Raj et al. The network keeps its
    gradients: solve under ``torch.no_grad()`` where none are wanted.

    Args:
        net: Images to images of the same shape, such as ``nets.Projector(generator, encoder)`` (NPGD) or
            ``nets.OneNetProjector()``; in eval mode. Its weights may be of another floating dtype than v.

    Raises:
        InvalidInput: For what is no network, at ``bind`` for a network in training mode, images of another shape
            than the network's (``net.shape``, where it has one) and data on another device, and for a network that
            returns another shape.

    References:
        Chang et al., One network to solve them all, 2017.
        Raj, Li and Bresler, GAN-based projector for faster recovery, 2019.
    """

    def __init__(self, net: nn.Module) -> None:
        if not isinstance(net, nn.Module):
            raise InvalidInput(
                f"net is {brief(net)}; expected a network that projects images, "
                "e.g. fastip.load_projector('digits.safetensors').net"
            )
        self.net: Any = net  # so that what a network has, such as .generator, can be asked for

    def bind(self, y: Tensor, op: LinearOperator) -> BoundProjector:
        check_beside(self.net, y)
        if self.net.training:
            raise InvalidInput(
                "the network is in training mode, in which an image depends on its neighbours: call net.eval()"
            )
        shape, expected = image_shape(y, op), getattr(self.net, "shape", None)
        if len(shape) != 4 or (expected is not None and shape[1:] != tuple(expected)):
            wanted = "b c h w" if expected is None else f"(b, {', '.join(map(str, expected))})"
            raise InvalidInput(
                f"the image has shape {shape}; this {type(self.net).__name__} projects images {wanted}: "
                "give an operator on such images"
            )
        return BoundProjector(self.net)


class BoundProjector(BoundWithout):
    """The projection in a solve."""

    def __init__(self, net: nn.Module) -> None:
        self._net, self._dtype = net, precision(net)

    def __call__(self, v: Tensor, step: float) -> Tensor:
        x: Any = self._net(v.to(self._dtype or v.dtype))
        if not isinstance(x, Tensor) or x.shape != v.shape:
            found = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise InvalidInput(
                f"the network returned {found} for an image of shape {tuple(v.shape)}; expected the same shape"
            )
        projected: torch.Tensor = x.to(v.dtype)
        return projected
