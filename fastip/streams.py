"""Random numbers from a seed that are unrelated for different purposes.

A start of a search is then never the truth that the same seed drew elsewhere.
"""

from __future__ import annotations

import hashlib

import torch

from .arrays import check_count


def stream(seed: int, purpose: str) -> torch.Generator:
    """A generator on the CPU, the same on every machine. Raises InvalidInput unless ``seed`` is a whole number >= 0."""
    words = hashlib.sha256(f"{purpose} {check_count(seed, 'seed', low=0)}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(words[:8], "little", signed=True))
