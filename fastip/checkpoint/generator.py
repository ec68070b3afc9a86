"""Trained generators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import nets
from ..errors import InvalidInput, strict_keywords
from .container import check_path, read, write
from .parts import build, check_weights


@strict_keywords
def save_generator(path: str | Path, generator: nets.Generator, *, training: Mapping[str, Any] | None = None) -> None:
    """Write a trained generator: its weights and its structure.

    Args:
        path: The ``.safetensors`` file to write.
        generator: One of ``nets.GENERATORS``, on any device.
        training: How it was trained (JSON values).

    Raises:
        InvalidInput: For a path that cannot be written, a network of another class, and weights that are NaN.
        Unsupported: Where the package safetensors is not installed.
    """
    path = check_path(path)
    name = type(generator).__name__
    if nets.GENERATORS.get(name) is not type(generator):
        raise InvalidInput(
            f"the net is {name}; a checkpoint can hold one of {', '.join(nets.GENERATORS)}: save others with torch.save"
        )
    weights = generator.state_dict()
    check_weights(weights)
    write(
        path,
        "generator",
        weights,
        {"net": {"name": name, "config": generator.config()}, "training": dict(training or {})},
    )


@strict_keywords
def load_generator(path: str | Path) -> nets.Generator:
    """The trained generator in a checkpoint.

    Args:
        path: A file that :func:`save_generator` wrote.

    Returns:
        The generator, frozen, on the CPU: ``x = generator(z)``, ``generator.sample(16)``.

    Raises:
        InvalidInput: For a file that is missing, damaged, of another kind or of another format, and for weights that
            do not fit its structure.
        Unsupported: Where the package safetensors is not installed.
    """
    path = Path(path)
    record, tensors = read(path, "generator")
    net: nets.Generator = build(path, record, tensors, nets.GENERATORS)
    return net
