"""Architectures: networks and nothing else. No files, no training, no operator."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidInput, strict_keywords
from .boundary import boundary_of as boundary_of
from .inverse_net import InverseNet as InverseNet
from .paper_inverse_net import PaperInverseNet as PaperInverseNet

INVERSE_NETS: dict[str, type[InverseNet] | type[PaperInverseNet]] = {"InverseNet": InverseNet, "PaperInverseNet": PaperInverseNet}


@strict_keywords
def build(name: str, config: dict[str, Any]) -> InverseNet | PaperInverseNet:
    """A network from its class name and its ``config()``. Raises InvalidInput for a name or a configuration that does not exist."""
    if name not in INVERSE_NETS:
        raise InvalidInput(f"there is no network {name!r}; expected one of {', '.join(INVERSE_NETS)}: a newer fastip may have written it")
    try:
        return INVERSE_NETS[name](**config)
    except TypeError as error:
        raise InvalidInput(f"the configuration {config} does not fit {name}: {error}") from error
