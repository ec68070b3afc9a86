"""What a weight is judged by: a score of each solve, and which weight of many the scores choose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from .path import Path, Visit


@dataclass(frozen=True)
class Point:
    """What is kept of a solve.

    Attributes:
        weight: Of the prior.
        score: By the rule; NaN for one that needs its neighbours.
        misfit: D(A x) of the batch.
        penalty: ``R(x) / weight`` of the batch; NaN where the rule needs none.
    """

    weight: float
    score: float
    misfit: float
    penalty: float = math.nan

    @property
    def at(self) -> float:
        """The logarithm of the weight."""
        return math.log(self.weight)


def discrepancy(path: Path, here: Visit, noise: Tensor) -> float:
    """``D / ||n||^2`` of the batch, with ``||n||^2 = N noise^2``: 1 is right."""
    return float(here.misfit.sum() / (path.counted() * noise.square()).sum())


def sure(path: Path, here: Visit, noise: Tensor) -> float:
    """``(D - N noise^2 + 2 noise^2 divergence) / N`` of the batch: the error of A x, estimated without bias."""
    count, variance = path.counted(), noise.square()
    risk = here.misfit - count * variance + 2 * variance * path.divergence(here)
    return float(risk.sum() / count.sum())


def gcv(path: Path, here: Visit) -> float:
    """``(D / N) / (1 - divergence / N)^2`` of the batch; infinite where nothing is left of the data to judge by."""
    count = path.counted().sum()
    left = 1 - float(path.divergence(here).sum() / count)
    return float(here.misfit.sum() / count) / left**2 if left > 0 else math.inf


def curvatures(points: Sequence[Point]) -> list[float]:
    """The curvature of the L-curve at each point, of points that are in the order of their weights.

    By the angle of the curve, which each point knows by itself: ``dD + weight dR1 = 0`` along the minimisers, so that
    ``d log R1 / d log D = -D / (weight R1)``. Its change is divided by the length of the curve between the neighbours.
    NaN at both ends.
    """
    bent = [math.nan] * len(points)
    for i in range(1, len(points) - 1):
        one, here, other = points[i - 1 : i + 2]
        length = _apart(one, here) + _apart(here, other)
        bent[i] = (_angle(one) - _angle(other)) / length if length > 0 else math.nan
    return bent


def _angle(point: Point) -> float:
    """Of the curve below the axis of log D: from a right angle, where the weight is small, to none."""
    return math.atan2(point.misfit, point.weight * point.penalty)


def _apart(one: Point, other: Point) -> float:
    """How far two points of the curve are from each other."""
    if min(one.misfit, other.misfit, one.penalty, other.penalty) <= 0:
        return math.nan  # data that are fitted exactly, or an image without a penalty, lie at infinity
    return math.hypot(math.log(one.misfit / other.misfit), math.log(one.penalty / other.penalty))


def vertex(points: Sequence[Point]) -> float | None:
    """Where the parabola through three points in the logarithm of the weight has its end; None without one between."""
    (a, fa), (b, fb), (c, fc) = ((point.at, point.score) for point in points)
    left, right = (b - a) * (fb - fc), (b - c) * (fb - fa)
    if not math.isfinite(left - right) or left == right:
        return None
    found = b - 0.5 * ((b - a) * left - (b - c) * right) / (left - right)
    return math.exp(found) if a < found < c else None
