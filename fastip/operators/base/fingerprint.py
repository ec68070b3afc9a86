"""A digest of parameters that is the same in every process and on every processor."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ...errors import Unsupported

PASSING = "passing "  # begins the fingerprint of an operator that no other process can know again


def value_digest(value: Any) -> Any:
    """A sha256 object over numbers, texts, tensors, whatever has a ``fingerprint()``, and nested tuples of them.

    Kinds, shapes and lengths count too. Numbers count to 24 bits, and so does the mean of a tensor's absolute values;
    its entries count in units of ``1 / 2^24`` of the largest. Of the 53 bits of float64 the last differ from processor
    to processor wherever exp, sin or a sum made them, and where zero was meant a remnant may stand.
    """
    result = hashlib.sha256()
    if isinstance(value, tuple):
        result.update(f"tuple {len(value)}".encode())
        for item in value:
            result.update(value_digest(item).digest())
    elif isinstance(value, Tensor):
        steps, sizes = _steps(value.detach().double().cpu().contiguous())
        result.update(f"tensor {tuple(value.shape)} {sizes}".encode())
        result.update(steps.numpy().astype("<i8").tobytes())
    elif hasattr(value, "fingerprint"):
        result.update(f"object {value.fingerprint()}".encode())
    elif isinstance(value, float):
        result.update(f"float {_rounded(value)}".encode())
    else:
        result.update(f"{type(value).__name__} {value!r}".encode())
    return result


def lasting(value: Any) -> bool:
    """Whether the digest of these parameters is the same in every process."""
    return all(getattr(one, "lasting", True) for one in flat(value))


def flat(value: Any) -> Iterator[Any]:
    """The values in nested tuples, one after the other."""
    if isinstance(value, tuple):
        for item in value:
            yield from flat(item)
    else:
        yield value


class Passing(str):
    """The name of an object that no other process can know again."""

    lasting = False
    __slots__ = ()

    def __new__(cls, name: str | None = None) -> Passing:
        return super().__new__(cls, name or uuid.uuid4().hex)


def check_lasting(record: Any) -> None:
    """Refuse, with Unsupported, a record for a file that holds the fingerprint of an object of this process."""
    values = list(record.values()) if isinstance(record, Mapping) else record
    if isinstance(values, (list, tuple)):
        for value in values:
            check_lasting(value)
    elif isinstance(values, str) and values.startswith(PASSING):
        raise Unsupported(
            "this operator is told from others in this process alone, and a file would not know it again: give "
            "operators.Function, or operators.wrap, fingerprint='what it computes, and its version', a class of one's "
            "own _parameters(), or leave the output out"
        )


def _steps(values: Tensor) -> tuple[Tensor, str]:
    """Finite float64 values as whole multiples of 1 / 2^24 of the largest; this largest and the mean absolute value."""
    if not values.numel():
        return values, "of nothing"
    largest, mean = float(values.abs().max()), float((values.abs() / values.numel()).sum())
    return (values / (largest or 1.0) * 2**24).round().to(
        torch.int64
    ), f"up to {_rounded(largest)}, on average {_rounded(mean)}"


def _rounded(value: float) -> Fraction:
    """To 24 bits."""
    mantissa, exponent = math.frexp(value)
    return round(mantissa * 2**24) * Fraction(2) ** exponent
