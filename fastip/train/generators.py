"""What all trainings of generators and projectors have in common: what they refuse, and the network they return."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from .. import nets
from ..data import Pictures
from ..errors import InvalidInput

Net = TypeVar("Net", bound=nn.Module)


def check_generator(generator: Any) -> None:
    """Refuse what no checkpoint could hold in the end."""
    if not isinstance(generator, nets.Generator) or nets.GENERATORS.get(type(generator).__name__) is not type(
        generator
    ):
        raise InvalidInput(
            f"generator is {type(generator).__name__}; expected one of {', '.join(nets.GENERATORS)} of fastip.nets"
        )


def check_pictures(images: Any, validation: Any, shape: tuple[int, ...], *, compared: int = 1) -> None:
    """Refuse pictures of another shape than a network's images, and too few; validation (``compared``) may be None."""
    for name, pictures in (("images", images), ("validation", validation)):
        if pictures is None and name == "validation":
            continue
        if not isinstance(pictures, Pictures):
            raise InvalidInput(
                f"{name} is {type(pictures).__name__}; expected pictures of fastip.data, e.g. data.Digits('train')"
            )
        if len(pictures) < (least := compared if name == "validation" else 1):
            raise InvalidInput(
                f"the number of pictures in {name} is {len(pictures)}; expected at least {least}: take a larger set"
            )
        found = tuple(pictures.batch([0]).shape[1:])
        if found != shape:
            raise InvalidInput(
                f"{name} have the shape {found} and the network is for {shape}; "
                "build it with these colours and this size"
            )


def pair(value: Any, name: str) -> tuple[float, float]:
    """Two numbers."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise InvalidInput(f"{name} is {value!r}; expected two numbers")
    return value[0], value[1]


def copied(net: Net) -> Net:
    """A copy to be trained."""
    made = copy.deepcopy(net).cpu().train()
    made.requires_grad_()
    return made


def with_weights(net: Net, weights: Mapping[str, np.ndarray]) -> Net:
    """A copy of the network with these weights, in their precision, on the CPU, frozen."""
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    made = copy.deepcopy(net).to("cpu", next(tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()))
    made.load_state_dict(tensors)
    made.eval().requires_grad_(False)
    return made


def arrays(net: nn.Module) -> dict[str, np.ndarray]:
    """The weights of a network, as they pass from one process to another."""
    return {name: tensor.cpu().numpy().copy() for name, tensor in net.state_dict().items()}
