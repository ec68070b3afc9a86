"""Candidates for the parameters of a psf, and what each costs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from .spectrum import COARSE_STEPS, Spectrum

Report = Callable[[int, int], None]  # candidates done, candidates in all
Point = tuple[float, ...]  # the parameters of a psf


class Search:
    """The costs of psfs under one spectrum.

    Args:
        spectrum: Of the picture.
        maker: A psf from its parameters.
        report: Is told the candidates done and ``total``, after some of them.
    """

    def __init__(self, spectrum: Spectrum, maker: Callable[..., Tensor], report: Report | None) -> None:
        self.spectrum, self._maker = spectrum, maker
        self.smooth, self.share = spectrum.smooth()
        self._report, self._done = report, 0
        self.total = 0

    def costs(self, points: Sequence[Point], maker: Callable[..., Tensor] | None = None) -> Tensor:
        """The cost of each, float64; of other psfs where they are given."""
        psfs = [(maker or self._maker)(*point) for point in points]
        return self._told(self.spectrum.costs(psfs))[0]

    def coarse(self, points: Sequence[Point], one: Spectrum, other: Spectrum) -> Tensor:
        """The cost of each under two other spectra of the same side, nearly: 2 k."""
        psfs = [self._maker(*point) for point in points]
        return self._told(one.costs(psfs, other, steps=COARSE_STEPS))

    def _told(self, some: Iterator[Tensor]) -> Tensor:
        found = []
        for costs in some:
            found.append(costs)
            self._done += costs.shape[1]
            if self._report is not None:
                self._report(min(self._done, self.total), self.total)
        return torch.cat(found, dim=1)

    def end(self) -> None:
        """Report the last of them; a search may need fewer than were counted."""
        if self._report is not None and self._done < self.total:
            self._report(self.total, self.total)

    def refine(self, point: Point, steps: Point, rounds: int) -> tuple[float, Point]:
        """The best point about this one, and its cost, by steps that are halved each round."""
        best = math.inf
        for k in range(rounds):
            grid = [
                tuple(value + by * step / 2**k for value, by, step in zip(point, move, steps, strict=True))
                for move in itertools.product((-1, 0, 1), repeat=len(point))
            ]
            costs = self.costs(grid)
            best, point = float(costs.min()), grid[int(costs.argmin())]
        return best, point

    def gain(self, cost: float) -> float:
        """How far a cost is below that of a smooth spectrum, for each frequency that shows more than noise."""
        return (self.smooth - cost) / self.share
