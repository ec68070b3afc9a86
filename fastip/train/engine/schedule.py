"""What a training does at a step, as functions of the step alone.

A run that is continued then needs no more than the number of the step.
"""

from __future__ import annotations

import hashlib
import math

# The last learning rate, relative to the first: larger leaves the weights noisy, smaller makes the last steps idle.
LAST = 0.01


def learning_rate(step: int, steps: int, first: float) -> float:
    """Half a cosine from ``first`` to ``first`` / 100."""
    return first * (LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * step / steps)))


def warm_up(steps: int, over: int) -> float:
    """The share of the learning rate after so many steps of Adam, whose moments say little at first: 1 / over to 1."""
    return min(1.0, (steps + 1) / over) if over else 1.0


def power(step: int, steps: int, last: int) -> int:
    """1 for the first half of the steps, then 2, 4, ... ``last`` for equal parts of the rest.

    A high power weighs the worst mode most, at the cost of the mean error: it comes when that is small.
    """
    powers = [2**k for k in range(1, last.bit_length()) if 2**k < last] + [last]
    late = step - steps // 2
    if last == 1 or late < 0:
        return 1
    return powers[late * len(powers) // (steps - steps // 2)]


def stream(seed: int, step: int, rank: int) -> int:
    """The seed of the noise of one step in one process: unrelated numbers for any two (seed, step, rank)."""
    return int.from_bytes(hashlib.sha256(f"{seed} {step} {rank}".encode()).digest()[:8], "little", signed=True)
