"""Random choices that are functions of (seed, stream, index) alone, the same on every machine and in every version.

Philox, raw 64-bit words.
"""

from __future__ import annotations

import functools
import hashlib

import numpy as np


def words(seed: int, stream: str, index: int, count: int) -> list[int]:
    """``count`` independent words, uniform in [0, 2^64), for picture ``index`` of ``stream``."""
    return [int(word) for word in np.atleast_1d(_philox(seed, stream, index).random_raw(count))]


@functools.lru_cache(maxsize=2)  # a batch may lie in two epochs; more would keep orders that nobody asks for again
def permutation(seed: int, epoch: int, count: int) -> np.ndarray:
    """The numbers 0 ... count - 1 in the random order of an epoch."""
    order = np.argsort(_philox(seed, f"permutation of {count}", epoch).random_raw(count), kind="stable")
    order.flags.writeable = False
    return order


def fraction(name: str) -> float:
    """A number in [0, 1) that depends on the name alone: what splits are made by."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def _philox(seed: int, stream: str, index: int) -> np.random.Philox:
    return np.random.Philox(
        key=np.array([seed, _label(stream)], np.uint64), counter=np.array([0, index, 0, 0], np.uint64)
    )


@functools.lru_cache(maxsize=64)
def _label(stream: str) -> int:
    return int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "big")
