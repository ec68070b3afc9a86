"""What tells one set of pictures from another in the record of a training."""

from __future__ import annotations

from typing import Any

from .. import checkpoint
from ..data import Pictures


def described(pictures: Pictures) -> dict[str, Any]:
    """The class of the set, its size, and the bytes of its first picture, as JSON values."""
    first = pictures.batch([0]).contiguous()
    return {
        "set": type(pictures).__name__,
        "count": len(pictures),
        "shape": list(first.shape[1:]),
        "first": checkpoint.digest({}, {"picture": first})[:16],
    }
