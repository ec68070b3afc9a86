"""How much memory a solve with a network takes, and how large its tiles may be so that it stays within a bound."""

from __future__ import annotations

import math
import re
from typing import Any

import torch

from .. import nets
from ..contracts import LinearOperator, Shape
from ..errors import InvalidInput
from ..nets.features import features as largest

DEFAULT = 2_000_000_000  # bytes; less makes smaller tiles, which compute more borders twice
LARGEST_TILE = 1024  # beyond it a tile is not faster
# Peaks of resident memory (VmHWM), each in a process of its own, one thread, 1024 x 1024 and 2048 x 2048 x 3 pixels,
# float32, beta changing each iteration; the data are counted.
# The solve with a prior that copies, bytes per value of the image: exact inverse: stride 4, 13 to 25; stride 2, 20;
# stride 1, circular 55 to 66, reflect with a symmetric psf 77. Conjugate gradients: stride 4, 14; stride 1, valid 102,
# reflect 124.
# PixelShuffleAutoencoder, multiples of the bytes of the largest array between two of its layers, the features of its
# finest grid: 7.1 to 8.9 with 16 features, 7.2 to 10.0 with 32, in bfloat16 and float32, on tiles of 384 and 768; on a
# processor with AMX 10.7 with 16 in bfloat16 on a tile of 904, 11.3 in float32 on one of 222.
VALUE, EXACT, INNER = 24.0, 56.0, 104.0  # bytes per value of the image: VALUE + (EXACT or INNER) / stride^2
FEATURES = 12.0  # above the largest of those multiples
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def parse(value: Any) -> int:
    """A number of bytes, or a text such as 2GB, 800 MB or 1.5GiB, as bytes.

    Raises:
        InvalidInput: For anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        found = value
    else:
        match = (
            re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]?i?)b?\s*", str(value).lower())
            if isinstance(value, str)
            else None
        )
        found = int(float(match[1]) * _UNITS[match[2]]) if match and match[2] in _UNITS else 0
    if found <= 0:
        raise InvalidInput(
            f"memory is {value!r}; expected a number of bytes such as 2_000_000_000, or a text such as 2GB or 800MB"
        )
    return found


def state(op: LinearOperator, shape: Shape, stride: int, dtype: torch.dtype) -> float:
    """Bytes of the solve without its network, for an image of this shape b c h w."""
    convolution = op.convolution()
    inner = (
        convolution is not None
        and convolution.boundary != "circular"
        and max(convolution.psf.shape) > convolution.stride
    )
    return math.prod(shape) * (VALUE + (INNER if inner else EXACT) / stride**2) * dtype.itemsize / 4


def features(net: nets.PriorNet, dtype: torch.dtype) -> float:
    """Bytes of the network for each pixel that it is given."""
    return FEATURES * largest(net) * dtype.itemsize


def tile(net: nets.PriorNet, shape: Shape, held: float, *, bound: int, dtype: torch.dtype) -> int:
    """The side of the largest tile with which a solve stays within ``bound`` bytes.

    Args:
        net: The network.
        shape: Of the image, b c h w.
        held: Bytes that the solve holds besides.
        bound: Bytes that all may take.
        dtype: Of the network.

    Returns:
        Pixels, from the network's smallest tile to 1024.

    Raises:
        InvalidInput: Where not even the smallest tile fits.
    """
    smallest, each = nets.Tiled.smallest(net), features(net, dtype)
    side = int(math.sqrt(max(bound - held, 0.0) / each))
    needed = min(smallest, max(shape[2:]))
    if side < needed:
        least = math.ceil((held + each * needed**2) / 1e6) + 1
        given = f"{shape[0]} images" if shape[0] > 1 else "an image"
        raise InvalidInput(
            f"{given} of {shape[2]} x {shape[3]} with {shape[1]} channels would take about {least} MB, "
            f"and memory is bound to {bound / 1e6:.0f} MB; raise the bound to at least {least} MB, "
            "or restore fewer images at a time or parts of the image"
        )
    return max(min(side, LARGEST_TILE), smallest)
