"""Trained projectors: generator and encoder in one file, or one network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from .. import nets, priors
from ..errors import InvalidInput, strict_keywords
from .container import AGAIN, check_path, read, write
from .parts import build, check_weights

PARTS: dict[str, Mapping[str, type[Any]]]
PARTS = {"generator": nets.GENERATORS, "encoder": nets.ENCODERS, "corrector": nets.ENCODERS}
OPTIONAL = "corrector"


@strict_keywords
def save_projector(path: str | Path, projector: priors.Projector, *, training: Mapping[str, Any] | None = None) -> None:
    """Write a trained projector: weights and structure of generator and encoder, or of its one network.

    Args:
        path: The ``.safetensors`` file to write.
        projector: Its network is a ``nets.Projector`` or one of ``nets.PROJECTORS``.
        training: How it was trained (JSON values).

    Raises:
        InvalidInput: For a path that cannot be written, networks of other classes, and weights that are NaN.
        Unsupported: Where the package safetensors is not installed.
    """
    path = check_path(path)
    net = projector.net if isinstance(projector, priors.Projector) else projector
    record, weights = _described(net), net.state_dict()
    check_weights(weights)
    write(path, "projector", weights, record | {"training": dict(training or {})})


def _described(net: Any) -> dict[str, Any]:
    """The structure as JSON values."""
    if nets.PROJECTORS.get(type(net).__name__) is type(net):
        return {"net": {"name": type(net).__name__, "config": net.config()}}
    if not isinstance(net, nets.Projector):
        expected = f"priors.Projector of nets.Projector(generator, encoder) or of {', '.join(nets.PROJECTORS)}"
        raise InvalidInput(f"the projector is {type(net).__name__}; expected {expected}: save others with torch.save")
    record = {}
    for part, known in PARTS.items():
        inner: Any = getattr(net, part)
        if inner is None:
            continue
        name = type(inner).__name__
        if known.get(name) is not type(inner):
            expected = f"a checkpoint can hold one of {', '.join(known)}"
            raise InvalidInput(f"the {part} is {name}; {expected}: save others with torch.save")
        record[part] = {"name": name, "config": inner.config()}
    return record | {"corrections": net.corrections}


@strict_keywords
def load_projector(path: str | Path) -> priors.Projector:
    """The trained projector in a checkpoint.

    Args:
        path: A file that :func:`save_projector` wrote.

    Returns:
        The projector, frozen, on the CPU: a prior for ``npgd`` and ``admm``; ``.net.generator`` where it has one.

    Raises:
        InvalidInput: For a file that is missing, damaged, or of another kind or format, and weights that do not fit.
        Unsupported: Where the package safetensors is not installed.
    """
    path = Path(path)
    record, tensors = read(path, "projector")
    if "net" in record:
        return priors.Projector(build(path, record, tensors, nets.PROJECTORS))
    built = {}
    for part, known in PARTS.items():
        described = record.get(part)
        if described is None and part == OPTIONAL:
            continue
        if not isinstance(described, dict):
            raise InvalidInput(f"the record in {path} is damaged: it describes no {part}: {AGAIN}")
        built[part] = build(path, {"net": described}, _below(f"{part}.", tensors), known)
    unknown = [name for name in tensors if not name.startswith(tuple(f"{part}." for part in built))]
    if unknown:
        raise InvalidInput(f"{path} has unknown tensors: {', '.join(sorted(unknown))}: {AGAIN}")
    try:
        net = nets.Projector(**built, corrections=record.get("corrections", 1))
    except InvalidInput as error:
        raise InvalidInput(f"the parts in {path} do not fit: {error}") from None
    return priors.Projector(net.eval().requires_grad_(False))


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
