"""Trained priors with what they were trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import nets
from ..arrays import REAL
from ..contracts import LinearOperator
from ..errors import InvalidInput, strict_keywords
from ..priors import PixelShuffleAutoencoder, Trained
from .container import AGAIN, check_path, read, write
from .parts import build, check_weights, describe, known_name, number


@strict_keywords
def save_prior(
    path: str | Path,
    prior: PixelShuffleAutoencoder,
    *,
    op: LinearOperator | None = None,
    training: Mapping[str, Any] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a trained prior: its weights, its structure, and what it was trained on.

    Args:
        path: The ``.safetensors`` file to write.
        prior: The prior, with the record of its training (``trained``). Its own levels are not written.
        op: The operator of its training, if any, so that the file also says what it looks like.
        training: How it was trained (JSON values).
        dtype: In which the weights are written; torch.float16 halves the file, and ``load_prior`` gives float32 again.
            None: their own.

    Raises:
        InvalidInput: For a path that cannot be written, a prior without the record of its training, another operator,
            weights that are NaN, and another dtype or one that the weights are too large for.
        Unsupported: Where the package safetensors is not installed.
    """
    path = check_path(path)
    name = known_name(prior.net)
    if prior.trained is None:
        raise InvalidInput(
            "this prior does not know what it was trained on; make that record first: "
            "PixelShuffleAutoencoder(net, trained=priors.Trained(...))"
        )
    if op is not None:
        prior.trained.check_operator(op)
    weights = prior.net.state_dict()
    check_weights(weights)
    if dtype is not None:
        weights = stored(weights, dtype)
    record = {
        "net": {"name": name, "config": prior.net.config()},
        "operator": None if op is None else {"fingerprint": op.fingerprint()} | describe(op),
        "trained": {
            "levels": list(prior.trained.levels),
            "data": prior.trained.data,
            "schedule": [list(pair) for pair in prior.trained.schedule],
        },
        "training": dict(training or {}),
    }
    write(path, "prior", weights, record)


def check_dtype(dtype: Any) -> None:
    """Refuse what weights cannot be written in; None is their own precision."""
    if dtype is not None and dtype not in REAL:
        raise InvalidInput(
            f"dtype is {dtype!r}; expected one of {', '.join(map(str, REAL))}, or None for that of the weights"
        )


def stored(weights: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """The weights in this precision; counts and flags stay what they are."""
    check_dtype(dtype)
    stored = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    for name, tensor in stored.items():
        if not bool(torch.isfinite(tensor).all()):
            raise InvalidInput(
                f"the weights {name} go up to {float(weights[name].abs().max()):g}, too large for {dtype}: "
                "write them in torch.float32"
            )
    return stored


@strict_keywords
def load_prior(path: str | Path) -> PixelShuffleAutoencoder:
    """The trained prior in a checkpoint.

    Args:
        path: A file that :func:`save_prior` wrote.

    Returns:
        The prior, frozen, on the CPU, with the levels of its schedule where it has one; others:
        ``load_prior(path).at(noise=0.01)``. Its network is in the precision of the file, but for float16, which only
        saves space: that comes in float32.

    Raises:
        InvalidInput: For a file that is missing, damaged, of another kind or of another format, and for weights that
            do not fit its structure.
        Unsupported: Where the package safetensors is not installed.
    """
    path = Path(path)
    record, tensors = read(path, "prior")
    trained = _unpack(path, record)
    whole = {name: tensor.float() if tensor.dtype is torch.float16 else tensor for name, tensor in tensors.items()}
    return PixelShuffleAutoencoder(build(path, record, whole, nets.PRIOR_NETS), sigma=trained.sigma, trained=trained)


def _unpack(path: Path, record: dict[str, Any]) -> Trained:
    try:
        trained = record["trained"]
        low, high = map(number, trained["levels"])
        schedule = tuple((number(beta), number(level)) for beta, level in trained["schedule"])
        if not (trained["data"] is None or isinstance(trained["data"], str)):
            raise ValueError("the operator's likeness is a text or null")
        return Trained((low, high), trained["data"], schedule)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"the record in {path} is damaged: it does not say what the prior was trained on ({error!r}): {AGAIN}"
        ) from None
