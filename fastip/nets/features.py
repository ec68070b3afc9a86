"""How much a network holds between its layers: what a bound of memory is reckoned from."""

from __future__ import annotations

import copy
import math
import weakref
from typing import Any

import torch
from torch import Tensor, nn

from .prior.prior_net import PriorNet

# Grids of the network along the image that it is asked about: on fewer the padding at borders counts too much, and more
# cost nothing on the meta device but tell no more.
SIDE = 32
_known: weakref.WeakKeyDictionary[PriorNet, float] = weakref.WeakKeyDictionary()  # a network does not change its layers


def features(net: PriorNet) -> float:
    """Numbers in the largest array that a layer of ``net`` gives, for each pixel of the image.

    16 for 16 features on the grid of the image. net: one that takes images of any size. Found by running a copy on
    PyTorch's meta device, which has shapes and no values, so it takes neither time nor memory.
    """
    if net not in _known:
        _known[net] = _counted(net)
    return _known[net]


@torch.no_grad()
def _counted(net: PriorNet) -> float:
    side = SIDE * math.lcm(getattr(net, "multiple", None) or 1, net.stride)
    largest = 0

    def look(layer: nn.Module, given: Any, result: Any) -> None:
        nonlocal largest
        largest = max(largest, result.numel() if isinstance(result, Tensor) else 0)

    shadow = copy.deepcopy(net).to("meta").eval()
    for layer in shadow.modules():
        layer.register_forward_hook(look)
    dtype = next((p.dtype for p in shadow.parameters()), torch.float32)
    v = torch.empty(1, net.colours, side, side, device="meta", dtype=dtype)
    data = side // net.stride
    shadow(v, v.new_empty(1, net.data_colours, data, data) if net.conditional else None, 0.1)
    return largest / side**2
