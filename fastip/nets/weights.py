"""The weights of a network: as one short text, and on which device they are."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from itertools import chain

import torch
from torch import Tensor, nn

from ..errors import InvalidInput

SINGULAR_VECTORS = (".parametrizations.weight.0._u", ".parametrizations.weight.0._v")  # the names that torch gives them


def net_digest(net: nn.Module) -> str:
    """sha256 over names, shapes, kinds and bytes of all parameters and buffers, in hex: no change escapes it."""
    return _digest(net.state_dict())


def start_digest(net: nn.Module) -> str:
    """The digest of what a training starts from, without the singular vectors of spectral normalisation.

    It finds these by iterating, and processors round them differently, while random numbers are alike wherever
    PyTorch takes its kernels for AVX2 or AVX-512.
    """
    return _digest({name: tensor for name, tensor in net.state_dict().items() if not name.endswith(SINGULAR_VECTORS)})


def _digest(tensors: Mapping[str, Tensor]) -> str:
    result = hashlib.sha256()
    for name, tensor in tensors.items():
        result.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        result.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return result.hexdigest()


def check_beside(net: object, y: Tensor) -> None:
    """Refuse data on a device where the network has no weights; whatever has no weights is let through."""
    homes = {p.device for p in net.parameters()} if isinstance(net, nn.Module) else set()
    if homes and y.device not in homes:
        raise InvalidInput(
            f"y is on {y.device} and the network on {', '.join(sorted(map(str, homes)))}; "
            f"move it with net.to({str(y.device)!r})"
        )


def precision(net: object) -> torch.dtype | None:
    """That of the network's first floating-point weight; None for whatever has none."""
    weights = chain(net.parameters(), net.buffers()) if isinstance(net, nn.Module) else ()
    return next((weight.dtype for weight in weights if weight.is_floating_point()), None)


def net_on(net: nn.Module, device: torch.device) -> nn.Module:
    """The network where all its weights are on ``device``, else a copy there."""
    if all(p.device == device for p in (*net.parameters(), *net.buffers())):
        return net
    return copy.deepcopy(net).to(device)
