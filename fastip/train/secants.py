"""Differences of a generator's images, batch by batch, as functions of a seed: nothing of their number is ever held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import nets
from .engine import schedule

BATCH = 250  # pairs at a time: the memory of a pass. The images drawn depend on it, as each batch has its own stream


@dataclass(frozen=True)
class Secants:
    """``pairs`` normalised differences of images: rows b n, the same at every pass.

    A row is ``s = (G(z1) - G(z2)) / ||G(z1) - G(z2)||`` with z1, z2 ~ N(0, I).
    """

    generator: nets.Generator
    pairs: int
    seed: int

    def __iter__(self) -> Iterator[Tensor]:
        weight = next(self.generator.parameters())
        for first in range(0, self.pairs, BATCH):
            stream = torch.Generator().manual_seed(schedule.stream(self.seed, first, 0))
            z = torch.randn(2 * min(BATCH, self.pairs - first), self.generator.latent, generator=stream).to(weight)
            with torch.no_grad():
                one, other = self.generator(z).flatten(1).chunk(2)
            difference = one - other
            length = torch.linalg.vector_norm(difference, dim=1, keepdim=True)
            yield difference / length.clamp_min(torch.finfo(length.dtype).tiny)
