"""A digest of parameters that is the same in every process and on every processor."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor


def digest(value: Any) -> Any:
    """A sha256 object over numbers, texts, tensors, whatever has a ``fingerprint()``, and nested tuples of them; kinds, shapes and lengths count too.

    Numbers count to eight digits, those of a tensor to 24 bits of its largest, about as float32 has them: of the 53 bits of float64 the last differ from
    processor to processor wherever exp, sin or a sum made them.
    """
    result = hashlib.sha256()
    if isinstance(value, tuple):
        result.update(f"tuple {len(value)}".encode())
        for item in value:
            result.update(digest(item).digest())
    elif isinstance(value, Tensor):
        steps, unit = _steps(value.detach().double().cpu().contiguous())
        result.update(f"tensor {tuple(value.shape)} {unit!r}".encode())
        result.update(steps.numpy().astype("<i8").tobytes())
    elif hasattr(value, "fingerprint"):
        result.update(f"object {value.fingerprint()}".encode())
    elif isinstance(value, float):
        result.update(f"float {_rounded(value)!r}".encode())
    else:
        result.update(f"{type(value).__name__} {value!r}".encode())
    return result


def _steps(values: Tensor) -> tuple[Tensor, float]:
    """Finite float64 values as whole multiples of 1 / 2^24 of the largest, and this largest."""
    largest = _rounded(float(values.abs().max())) if values.numel() else 0.0
    return (values / (largest or 1.0) * 2**24).round().to(torch.int64), largest


def _rounded(value: float) -> float:
    """To eight digits."""
    return float(f"{value:.7e}")
