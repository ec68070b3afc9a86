"""Restorers with what they were trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .. import nets
from ..arrays import check_count
from ..errors import InvalidInput, strict_keywords
from ..priors import memory as bounds
from ..restorer import Distribution, Restorer
from .container import AGAIN, check_path, read, write
from .parts import build, check_weights, known_name
from .prior import stored


@strict_keywords
def save_restorer(
    path: str | Path,
    restorer: Restorer,
    *,
    training: Mapping[str, Any] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a restorer: its weights, its structure, and the problems that it was trained on.

    Args:
        path: The ``.safetensors`` file to write.
        restorer: The restorer. Its memory and dtype are not written.
        training: How it was trained (JSON values).
        dtype: In which the weights are written, as for :func:`save_prior`.

    Raises:
        InvalidInput: For a path that cannot be written, a network of another kind, weights that are NaN, and another
            dtype or one that the weights are too large for.
        Unsupported: Where the package safetensors is not installed.
    """
    path = check_path(path)
    name = known_name(restorer.net)
    weights = restorer.net.state_dict()
    check_weights(weights)
    record = {
        "net": {"name": name, "config": restorer.net.config()},
        "iterations": restorer.iterations,
        "trained": None if restorer.trained is None else asdict(restorer.trained),
        "training": dict(training or {}),
    }
    write(path, "restorer", weights if dtype is None else stored(weights, dtype), record)


@strict_keywords
def load_restorer(
    path: str | Path, *, memory: int | str = bounds.DEFAULT, dtype: torch.dtype | None = None
) -> Restorer:
    """The restorer in a checkpoint.

    Args:
        path: A file that :func:`save_restorer` wrote.
        memory: As for :class:`fastip.restorer.Restorer`.
        dtype: Of the network in a solve, likewise.

    Returns:
        The restorer, frozen, on the CPU, in the precision of the file, but for float16, which comes in float32.

    Raises:
        InvalidInput: For a file that is missing, damaged, of another kind or of another format, and for weights that
            do not fit its structure.
        Unsupported: Where the package safetensors is not installed.
    """
    path = Path(path)
    record, tensors = read(path, "restorer")
    whole = {name: tensor.float() if tensor.dtype is torch.float16 else tensor for name, tensor in tensors.items()}
    net = build(path, record, whole, nets.PRIOR_NETS)
    try:
        trained = None if record["trained"] is None else Distribution(**record["trained"])
        iterations = check_count(record["iterations"], "iterations", low=1)
    except (KeyError, TypeError, InvalidInput) as error:
        raise InvalidInput(
            f"the record in {path} is damaged: it does not say what the restorer is ({error!r}): {AGAIN}"
        ) from None
    return Restorer(net, iterations=iterations, trained=trained, memory=memory, dtype=dtype)
