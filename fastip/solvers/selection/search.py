"""Which weights are tried: a search for each kind of rule, or the weights that were given."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...errors import InvalidInput
from .path import Path, Visit
from .rules import Point, curvatures, vertex

# While a search looks on, solves end at this tolerance, or after this share of the iterations: the misfit of total
# variation is then within 1 % of the minimiser's. A smaller tolerance costs time that the last solve spends anyway.
LOOSE, SHARE = 3e-2, 0.25
# How near the misfit is to ||n||^2, as a logarithm: where the search ends, and what the last solve has to have.
NEAR, PROMISED = 0.02, math.log(1.05)
MOST, AGAIN = 12, 4  # solves of a search, and solves at its end
# Of the slope of log D over the logarithm of the weight: least-squares denoising has 2, saturated curves 0. The step
# is a factor of 7 at most: a larger one leaves the range where the last image is of use as a start.
FLATTEST, STEEPEST, LONGEST = 0.3, 3.0, 2.0
NARROW = 0.03  # of the logarithms of two weights with the noise's misfit between them: the full solve decides
RECENT = 4  # points that bracket a weight: older ones were further from rest
FLAT = 0.01  # of log D over two long steps: there is no more to come
APART = math.log(4)  # of the weights of a search for a minimum, until the minimum lies between them
# Of the weights beside the least: the scores of nearer ones differ by less than the error of the probe.
CLOSE = math.log(1.6)
GRID, RATIO = 15, 10 ** (1 / 3)  # weights of an L-curve, over nearly five decades


class Run:
    """The solves of a selection.

    Args:
        path: Solves with one weight after another.
        score: Of a solve.
        penalised: Whether R(x) is measured too.
        report: Is told the weight and the score after each solve, or None.
    """

    def __init__(
        self,
        path: Path,
        score: Callable[[Path, Visit], float],
        penalised: bool,
        report: Callable[[float, float], None] | None,
    ) -> None:
        self.path, self.points = path, list[Point]()
        self._score, self._penalised, self._report = score, penalised, report
        self.last: Visit | None = None

    def loose(self, weight: float, share: float = SHARE) -> Point:
        """Solve well enough to judge the weight, with this share of the iterations at most."""
        asked = self.path.asked
        return self._solve(weight, max(1, round(share * asked.iterations)), max(LOOSE, asked.tolerance))

    def full(self, weight: float, share: float = 1.0) -> Point:
        """Solve to the tolerance that was asked for, with this share of the iterations at most."""
        asked = self.path.asked
        return self._solve(weight, max(1, round(share * asked.iterations)), asked.tolerance)

    @property
    def settled(self) -> bool:
        """Whether the last solve ended as near to rest as was asked for."""
        assert self.last is not None
        return bool((self.last.solution.residuals[-1] <= self.path.asked.tolerance).all())

    def end(self, weight: float) -> None:
        """Solve in full without a score."""
        self.last = self.path.visit(weight, self.path.asked.iterations, self.path.asked.tolerance)

    def _solve(self, weight: float, iterations: int, tolerance: float) -> Point:
        self.last = here = self.path.visit(weight, iterations, tolerance)
        penalty = self.path.penalty(here) if self._penalised else math.nan
        point = Point(weight, self._score(self.path, here), float(here.misfit.sum()), penalty)
        self.points.append(point)
        if self._report is not None:
            self._report(weight, point.score)
        return point


# ---- the misfit that the noise has -----------------------------------------------------------------------------------


def reached(run: Run, start: float) -> float:
    """The weight whose score is 1, by secants in logarithms; the last solve is one in full with it."""
    weight, share, since = start, SHARE, 0
    for _ in range(MOST):
        point = run.loose(weight, share)
        recent = run.points[since:]
        if abs(_error(point)) <= NEAR or _stays(recent):
            break
        if _saturated(recent):
            raise _unreached(run)
        if share < 1 and _contradicts(recent):
            share, since = min(1.0, 2 * share), len(run.points) - 1
        weight = _next(run.points[since:])
        if _narrow(run.points[since:]):
            break
    if run.settled and weight == point.weight and abs(_error(point)) <= PROMISED:
        return weight
    return _met(run, weight, since)


def _met(run: Run, weight: float, since: int) -> float:
    """The end of that search: solves in full, but from the first on each starts near its end."""
    for again in range(AGAIN):
        point = run.full(weight, 1.0 if again == 0 else SHARE)
        recent = run.points[since:]
        if abs(_error(point)) <= PROMISED or _stays(recent):
            return weight
        if again < AGAIN - 1:
            weight = _next(recent)
    if _one_sided(recent[-RECENT:]):
        raise _unreached(run)
    warnings.warn(
        f"the misfit of weight {weight:.3g} is {point.score:.3g} times that of the noise, as the solves do not "
        "settle in the iterations they have: raise iterations",
        stacklevel=5,
    )
    return weight


def _error(point: Point) -> float:
    return math.log(max(point.score, 1e-30))


def _one_sided(points: Sequence[Point]) -> bool:
    """All on one side but for one of four, which may be far from rest."""
    above = sum(_error(point) > 0 for point in points)
    return 4 * min(above, len(points) - above) <= len(points)


def _next(points: Sequence[Point]) -> float:
    """By the secant of the last two; between the last ones on both sides where there are such."""
    here = points[-1]
    slope = 1.0
    if len(points) > 1 and points[-2].weight != here.weight:
        slope = (_error(here) - _error(points[-2])) / (here.at - points[-2].at)
    slope = min(max(slope, FLATTEST), STEEPEST)
    found = here.at - min(max(_error(here) / slope, -LONGEST), LONGEST)
    below, above = _bracket(points)
    if below < above and not below < found < above:
        found = (below + above) / 2
    return math.exp(found)


def _bracket(points: Sequence[Point]) -> tuple[float, float]:
    """The logarithms of the last weights with too small and too large a misfit."""
    below = next((one.at for one in reversed(points[-RECENT:]) if _error(one) <= 0), -math.inf)
    return below, next((one.at for one in reversed(points[-RECENT:]) if _error(one) > 0), math.inf)


def _narrow(points: Sequence[Point]) -> bool:
    below, above = _bracket(points)
    return 0 < above - below <= NARROW


def _contradicts(points: Sequence[Point]) -> bool:
    """Whether a smaller weight seems to leave a larger misfit, as it does where the solves end far from rest."""
    if len(points) < 2:
        return False
    one, other = sorted(points[-2:], key=lambda point: point.weight)
    return _error(one) - _error(other) > FLAT


def _stays(points: Sequence[Point]) -> bool:
    """Whether the misfit is near enough, and another weight has hardly changed it."""
    if len(points) < 2:
        return False
    errors = [_error(one) for one in points[-2:]]
    return abs(errors[1]) <= PROMISED and abs(errors[1] - errors[0]) <= FLAT / 2


def _saturated(points: Sequence[Point]) -> bool:
    """Whether two long steps on the same side changed nothing."""
    if len(points) < 3:
        return False
    errors, places = [_error(one) for one in points[-3:]], [one.at for one in points[-3:]]
    long = min(abs(places[1] - places[0]), abs(places[2] - places[1])) > LONGEST - 1e-6
    return long and max(errors) * min(errors) > 0 and max(errors) - min(errors) < FLAT


def _unreached(run: Run) -> InvalidInput:
    nearest = min(run.points[-RECENT:], key=lambda point: abs(_error(point)))
    told = (
        "The noise that was given or estimated is more than that: check its unit (images are in [0, 1]), or take the "
        "largest weight"
        if nearest.score < 1
        else "The operator does not explain the data so well, or the noise is larger: check the psf, the noise and its "
        "unit, or raise iterations"
    )
    return InvalidInput(
        f"no weight between {min(p.weight for p in run.points):.2g} and {max(p.weight for p in run.points):.2g} leaves "
        f"the misfit of the noise: the nearest is {nearest.score:.3g} times it, with weight {nearest.weight:.3g}. "
        f"{told}; rule='gcv' needs no noise"
    )


# ---- the least score -------------------------------------------------------------------------------------------------


def least(run: Run, start: float) -> float:
    """The weight of the least score: downhill by factors of 4, then by parabolas; the last solve is one in full."""
    run.loose(start)
    run.loose(start / math.exp(APART))
    while len(run.points) < MOST:
        ordered = _ordered(run.points)
        best = min(range(len(ordered)), key=lambda i: ordered[i].score)
        if 0 < best < len(ordered) - 1:
            three = ordered[best - 1 : best + 2]
            if max(three[1].at - three[0].at, three[2].at - three[1].at) <= CLOSE:
                break
            run.loose(_between(three))
        else:
            at = ordered[best].at + (-APART if best == 0 else APART)
            run.loose(math.exp(at))
    ordered = _ordered(run.points)
    chosen = min(ordered, key=lambda point: point.score)
    _warn_of_end(ordered, chosen, "falls")
    run.end(chosen.weight)
    return chosen.weight


def _between(three: Sequence[Point]) -> float:
    """The next weight: the end of the parabola, but for one too near a point, then the middle of the wider side."""
    found = vertex(three)
    if found is not None and min(abs(math.log(found) - point.at) for point in three) > CLOSE / 4:
        return found
    left, right = three[1].at - three[0].at, three[2].at - three[1].at
    return math.exp(three[1].at + (right / 2 if right > left else -left / 2))


def _ordered(points: Sequence[Point]) -> list[Point]:
    return sorted(points, key=lambda point: point.weight)


def _warn_of_end(ordered: Sequence[Point], chosen: Point, what: str) -> None:
    if len(ordered) == 1 or chosen not in (ordered[0], ordered[-1]):
        return
    down = chosen is ordered[0]
    warnings.warn(
        f"the score {what} until the {'smallest' if down else 'largest'} weight that was tried, {chosen.weight:.3g}, "
        f"which is taken: look at figures.selection, give {'smaller' if down else 'larger'} weights, or another rule",
        stacklevel=5,
    )


# ---- the corner of the L-curve ---------------------------------------------------------------------------------------


def cornered(run: Run, start: float) -> float:
    """The weight at the corner of a grid of weights about the start; the last solve is one in full with it."""
    for k in range(GRID):
        run.loose(start * RATIO ** (GRID // 2 - k))
    best = _bent(run)
    three = run.points[best - 1 : best + 2]
    found = vertex(three)
    weight = run.points[best].weight if found is None else found
    run.end(weight)
    return weight


def _bent(run: Run) -> int:
    """Put the points into the order of their weights, with their curvature; the place of the largest."""
    ordered = _ordered(run.points)
    bent = curvatures(ordered)
    run.points[:] = [replace(point, score=score) for point, score in zip(ordered, bent, strict=True)]
    known = [i for i, score in enumerate(bent) if math.isfinite(score)]
    if not known or max(bent[i] for i in known) <= 0:
        raise InvalidInput(
            f"the L-curve has no corner at weights from {ordered[0].weight:.2g} to {ordered[-1].weight:.2g}: log D and "
            "log R(x) bend nowhere; expected three weights or more on both sides of one: give other weights, or "
            "rule='gcv'"
        )
    best = max(known, key=lambda i: bent[i])
    _warn_of_end([run.points[i] for i in known], run.points[best], "grows")
    return best


# ---- weights that were given -----------------------------------------------------------------------------------------


def swept(run: Run, weights: Sequence[float], rule: str) -> float:
    """The best of these by the rule, from the largest to the smallest; the last solve is one in full with it."""
    for weight in sorted(weights, reverse=True):
        run.full(weight)
    if rule == "lcurve":
        weight = run.points[_bent(run)].weight
    elif rule == "discrepancy":
        best = min(run.points, key=lambda point: abs(_error(point)))
        weight = best.weight
        if abs(_error(best)) > PROMISED and len({_error(point) > 0 for point in run.points}) == 1:
            warnings.warn(
                f"all weights leave a misfit {'above' if best.score > 1 else 'below'} that of the noise, the nearest "
                f"{best.score:.3g} times it, with weight {weight:.3g}, which is taken: give "
                f"{'smaller' if best.score > 1 else 'larger'} weights, or none to have them searched for",
                stacklevel=4,
            )
    else:
        best = min(run.points, key=lambda point: point.score)
        weight = best.weight
        _warn_of_end(_ordered(run.points), best, "falls")
    run.end(weight)
    return weight
