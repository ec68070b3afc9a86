"""Arithmetic on the structures that describe A^T A and A A^T."""

from __future__ import annotations

import dataclasses

import torch

from ...arrays import check_products
from ...contracts import Circulant, Cosine, Dense, Diagonal, Scalar, Structure


def scale(structure: Structure | None, factor: float) -> Structure | None:
    """factor * structure, of the same kind (every kind is linear in its one field)."""
    if structure is None:
        return None
    (field,) = dataclasses.fields(structure)
    return type(structure)(factor * getattr(structure, field.name))


def add(a: Structure | None, b: Structure | None) -> Structure | None:
    """a + b when both are of one kind or one is a scalar, else None."""
    if a is None or b is None:
        return None
    if isinstance(b, Scalar) and not isinstance(a, Scalar):
        a, b = b, a
    (field,) = dataclasses.fields(b)
    value = getattr(b, field.name)
    if isinstance(a, Scalar):
        shift = a.value * torch.eye(len(value), dtype=value.dtype) if isinstance(b, Dense) else a.value
        return type(b)(value + shift)
    if type(a) is not type(b):
        return None
    return type(b)(getattr(a, field.name) + value)


def largest(structure: Structure) -> float:
    """The largest eigenvalue of a positive semidefinite structure."""
    if isinstance(structure, Scalar):
        return structure.value
    if isinstance(structure, Diagonal):
        return structure.values.max().item()
    if isinstance(structure, (Circulant, Cosine)):
        return structure.spectrum.max().item()
    return max(torch.linalg.eigvalsh(check_products(structure.matrix))[-1].item(), 0.0)


def multiply(a: Structure | None, b: Structure | None) -> Structure | None:
    """a b for two structures with common eigenvectors of one kind (Circulant, Cosine), else None."""
    if isinstance(a, Circulant) and isinstance(b, Circulant):
        return Circulant(a.spectrum * b.spectrum)
    if isinstance(a, Cosine) and isinstance(b, Cosine):
        return Cosine(a.spectrum * b.spectrum)
    return None
