"""The weights of a network as one short text."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def digest(net: nn.Module) -> str:
    """sha256 over names, shapes, kinds and bytes of all parameters and buffers, in hex: no change escapes it."""
    result = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        result.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        result.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return result.hexdigest()
