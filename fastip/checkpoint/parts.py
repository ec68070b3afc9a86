"""What checkpoints of all kinds have in common beside the container: the network, and the operator for readers."""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from .. import nets
from ..contracts import LinearOperator
from ..errors import FastipError, InvalidInput
from .container import AGAIN

MADE = 4  # parameters that are made for one that is kept: normalised weights are made twice


def check_weights(weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that are NaN or Inf."""
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise InvalidInput(
                f"the weights {name} hold NaN or Inf and are not written: train again with a lower learning rate"
            )


def describe(op: LinearOperator) -> dict[str, Any]:
    """An operator for readers.

    Args:
        op: The operator.

    Returns:
        JSON values: its "text", and its "convolution": psf, stride and boundary, or None where it is no convolution.
    """
    convolution = op.convolution()
    if convolution is None:
        return {"text": repr(op), "convolution": None}
    shape = {"psf": convolution.psf.tolist(), "stride": convolution.stride, "boundary": convolution.boundary}
    return {"text": repr(op), "convolution": shape}


def build(path: Path, record: dict[str, Any], tensors: dict[str, Tensor], known: Mapping[str, type[nn.Module]]) -> Any:
    """The network that the record describes, one of ``known``, with its weights.

    They are compared before any memory is taken for it.
    """
    try:
        name, config = record["net"]["name"], dict(record["net"]["config"])
        with torch.device("meta"), _at_most(MADE * len(tensors) + 16):
            expected = nets.build(known, name, config).state_dict()
    except FastipError as error:
        raise InvalidInput(f"the network in {path} cannot be built: {error}") from None
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InvalidInput(f"the record in {path} is damaged: it describes no network ({error!r}): {AGAIN}") from None
    for wrong, names in (
        ("misses", expected.keys() - tensors.keys()),
        ("has unknown", tensors.keys() - expected.keys()),
    ):
        if names:
            raise InvalidInput(f"{path} {wrong} tensors for {name}: {', '.join(sorted(names))}: {AGAIN}")
    for key, tensor in tensors.items():
        floating = expected[key].is_floating_point()
        if tensor.shape != expected[key].shape or tensor.is_floating_point() != floating:
            kind = "of a floating type" if floating else str(expected[key].dtype)
            found, due = f"{tuple(tensor.shape)} {tensor.dtype}", f"{tuple(expected[key].shape)} {kind}"
            raise InvalidInput(f"the tensor {key} in {path} is {found}; expected {due}: {AGAIN}")
    dtypes = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    net = nets.build(known, name, config).to(dtypes.pop() if len(dtypes) == 1 else torch.float32)
    net.load_state_dict(tensors)
    return net.eval().requires_grad_(False)


@contextlib.contextmanager
def _at_most(count: int) -> Iterator[None]:
    """Refuse networks of more parameters: without a bound one of 10^9 layers is made for ever, though of no numbers."""
    thread, made = threading.get_ident(), itertools.count(1)

    def registered(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        if threading.get_ident() == thread and next(made) > count:
            raise InvalidInput(f"it has more layers than the file has tensors for: {AGAIN}")

    hook = register_module_parameter_registration_hook(registered)
    try:
        yield
    finally:
        hook.remove()


def number(value: Any) -> float:
    """A finite number of a record as a float. Raises ValueError for anything else."""
    try:
        found = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ValueError(f"{str(value)[:40]} is no finite number")
    return found


def known_name(net: nets.PriorNet) -> str:
    """The name of a prior's network in a checkpoint.

    Raises:
        InvalidInput: For a network that no checkpoint can hold.
    """
    name = type(net).__name__
    if nets.PRIOR_NETS.get(name) is not type(net):
        raise InvalidInput(
            f"the net is {name}; a checkpoint can hold one of {', '.join(nets.PRIOR_NETS)}: save others with torch.save"
        )
    return name
