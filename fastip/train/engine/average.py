"""The running mean of the weights, which is what a training returns: steadier than the weights of the last step."""

from __future__ import annotations

import torch
from torch import nn


def follow(average: nn.Module, net: nn.Module, decay: float, step: int) -> None:
    """a <- a + (1 - d) (w - a), d = min(decay, (1 + step) / (10 + step)), after this step.

    Counts and running statistics are taken over.
    """
    # d rises from 0.1, so that the first weights, which are random, are soon forgotten. With a larger 10 sooner still.
    share = 1 - min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, weight in zip(average.parameters(), net.parameters(), strict=True):
            mean.lerp_(weight, share)
        for kept, buffer in zip(average.buffers(), net.buffers(), strict=True):
            kept.copy_(buffer)
