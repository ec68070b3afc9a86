"""ICC profiles damaged at random: refused by name, or curves that rise and give the same integers back."""

from __future__ import annotations

import time

import numpy as np
import torch

import slow
from cases import icc, mutated
from fastip import io
from fastip.errors import InvalidInput

COUNT = slow.count(1500, 100_000)
LEVELS = torch.arange(256, dtype=torch.float64)


def damaged(profiles: list[bytes], number: int) -> bytes:
    """The case of this number: bytes, whole numbers and pieces changed, mostly those of the curves."""
    random = np.random.default_rng(number)
    data = bytearray(profiles[number % len(profiles)])
    if random.random() < 0.7:  # a curve, which lie last
        curves = data[-int(random.choice([32, 200])) :]
        del data[-len(curves) :]
        mutated.WAYS[random.integers(len(mutated.WAYS))](random, curves)
        return bytes(data + curves)
    for _ in range(random.integers(1, 4)):
        if data:
            mutated.WAYS[random.integers(len(mutated.WAYS))](random, data)
    return bytes(data)


def test_damaged_profiles_are_used_or_refused() -> None:
    profiles = [icc.profile(curves, space=space) for curves, space in icc.PROFILES.values()]
    refused, begin = 0, time.process_time()
    for number in range(COUNT):
        data = damaged(profiles, number)
        try:
            found = io.Transfer.icc(data)
        except InvalidInput as error:
            refused += "the ICC profile" in str(error)
            continue
        x = (LEVELS / 255).expand(len(found.curves), 1, -1)
        y = found.decode(x)
        assert y.isfinite().all() and (y.diff() >= 0).all(), number
        assert torch.equal((found.encode(y) * 255).round(), LEVELS.expand_as(y)), number
        assert found.encode(torch.linspace(-1, 3, 41).expand(len(found.curves), 1, -1)).isfinite().all(), number
    assert 0.1 < refused / COUNT < 0.9
    assert time.process_time() - begin < 0.02 * COUNT
