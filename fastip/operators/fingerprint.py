"""A digest of parameters that is the same in every process."""

from __future__ import annotations

import hashlib
from typing import Any

from torch import Tensor


def digest(value: Any) -> Any:
    """A sha256 object over numbers, texts, tensors, whatever has a ``fingerprint()``, and nested tuples of them; kinds, shapes and lengths count too."""
    result = hashlib.sha256()
    if isinstance(value, tuple):
        result.update(f"tuple {len(value)}".encode())
        for item in value:
            result.update(digest(item).digest())
    elif isinstance(value, Tensor):
        result.update(f"tensor {tuple(value.shape)}".encode())
        result.update((value.detach().double().cpu().contiguous() + 0.0).numpy().astype("<f8").tobytes())  # + 0.0: minus zero is zero
    elif hasattr(value, "fingerprint"):
        result.update(f"object {value.fingerprint()}".encode())
    else:
        result.update(f"{type(value).__name__} {value!r}".encode())
    return result
