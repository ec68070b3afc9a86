"""Choosing the weight of a prior by the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...arrays import accumulator, as_tensor, check_count, check_number
from ...contracts import Fidelity, Inverse, LinearOperator, Prior
from ...errors import InvalidInput, Unsupported, brief, closest, strict_keywords
from ...fidelities import Squares
from ...noise import noise_level
from ...solution import Selection
from ...stopping import per_image
from ...tracing import check_traceable, check_uncaptured, check_unmapped, real_dtype
from ..arguments import check_data, check_fidelity, check_tolerance
from ..whole import check_real_images
from . import rules, search
from .path import Asked, Path, Visit

RULES = ("discrepancy", "lcurve", "sure", "gcv")
FAINT = 1e-2  # of the data, what a search without a rule for the noise takes for it where nothing tells: a start alone


@strict_keywords
@torch.no_grad()
def select(
    y: Any,
    op: LinearOperator,
    make_prior: Callable[[float], Prior],
    *,
    weights: Iterable[float] | None = None,
    rule: str = "discrepancy",
    noise: Any = None,
    beta: float | Sequence[float] | None = None,
    inverse: str | Inverse = "auto",
    fidelity: Fidelity | None = None,
    iterations: int = 100,
    tolerance: float = 1e-4,
    report: Callable[[float, float], None] | None = None,
) -> Selection:
    """Choose the weight of a prior by the data, and solve with it: ``x(w)`` minimises ``||y - A x||^2 + w R1(x)``.

    With ``y = A x0 + n``, n white of the deviation s, N data, ``D = ||y - A x(w)||^2`` and t the trace of the
    derivative of A x(w) by y::

        discrepancy   D = N s^2                                                  the misfit is that of the noise
        sure          D - N s^2 + 2 s^2 t  least                                 estimates ||A x(w) - A x0||^2
        gcv           D / (1 - t / N)^2    least                                 likewise, s unknown
        lcurve        the corner of (log D, log R1(x(w)))                        s unknown, and what noise is too

    - "discrepancy" smooths more than the least error wants, at which D is below N s^2: a fit takes some of the noise
      with it. It is met within 5 %.
    - "sure" and "gcv" judge A x, not x: what A hides does not count. t is ``Re <b, A x(y + e b) - A x(y)> / e`` for one
      b of random signs, always the same (Monte Carlo), with e a tenth of the residual's deviation: the second solve
      makes the iterations of the first one. It suits any prior, networks too.
    - "lcurve" has no proof and fails often, mostly where A is the identity or makes the image smaller: look at
      ``figures.selection``. It needs priors with a value.

    Without ``weights`` they are searched for, each solve starting where the last one ended: by secants in log w for
    "discrepancy", of which D is an increasing function; downhill, then by parabolas for "sure" and "gcv"; a grid of 15
    over five decades for "lcurve". These solves are loose; the last one is not.

    Args:
        y: The data, as for ``admm``. A batch gets one weight, by the sum of what its images have; for a weight of its
            own for each image call it for each.
        op: The operator A. Data that it makes 0 of every image (masked ones) do not count in N.
        make_prior: Makes the prior of a weight: ``priors.TV``, ``lambda w: priors.TV(w) + priors.Box(0, 1)``.
        weights: Numbers > 0 to choose from, three or more for "lcurve": solved from the largest to the smallest, each
            to the tolerance. None: all numbers > 0.
        rule: "discrepancy", "sure", "gcv" or "lcurve".
        noise: s, a number > 0 or one for each image, in the unit of y; of complex data the root of the mean ``|n|^2``,
            real and imaginary parts being independent. With ``fidelities.Squares(weights)`` that of data of the weight
            1. None: :func:`fastip.noise_level` of y, which must be a picture then; "gcv" and "lcurve" need none.
        beta: As for ``admm``, for all solves. None: what suits each weight.
        inverse: As for ``admm``.
        fidelity: As for ``admm``: ``Squares``, and with "lcurve" any.
        iterations: As for ``admm``, for each solve.
        tolerance: As for ``admm``.
        report: Is told the weight and the score after each solve of the search.

    Returns:
        A :class:`fastip.Selection`: the weight, the solution with it, and the weights that were tried and their scores.

    Raises:
        InvalidInput: A ValueError, for bad values; for data whose noise is not known; where no weight leaves the misfit
            of the noise, or the L-curve has no corner; for solves that are unstable.
        Unsupported: For another fidelity with another rule, for "lcurve" with a prior without a value, and inside
            torch.compile, torch.vmap and while a CUDA graph is captured.

    Warns:
        UserWarning: Where the best of the weights is the first or the last, and where solves do not settle.

    References:
        Morozov, On the solution of functional equations by the method of regularization, 1966. Golub, Heath and Wahba,
        Generalized cross-validation as a method for choosing a good ridge parameter, 1979. Stein, Estimation of the
        mean of a multivariate normal distribution, 1981. Girard, A fast Monte-Carlo cross-validation procedure, 1989.
        Hansen, Analysis of discrete ill-posed problems by means of the L-curve, 1992. Ramani, Blu and Unser,
        Monte-Carlo SURE, 2008.
    """
    y, restore = as_tensor(y, "y")
    why, instead = "the weights that are tried depend on the data", "call fastip.admm with the weight"
    check_traceable("select", why, instead)
    check_unmapped(y, "select", why, instead)
    check_uncaptured(y.device, "select", why, instead)
    y, rule = y.detach(), closest(rule, RULES, "rule")
    fidelity = _judged(check_fidelity(fidelity), rule)
    shape = check_data(y, op, fidelity)
    check_real_images(op, "select")
    y = y if fidelity is None else fidelity.known(y)
    settings = check_count(iterations, "iterations", low=1), check_tolerance(tolerance, y)
    tried = None if weights is None else _checked(weights, rule)
    asked = Asked(op, _maker(make_prior), beta, inverse, fidelity, *settings)
    path = Path(y, asked, shape, _spread(y, op, fidelity))
    level = _noise(noise, y, fidelity, needed=rule in ("discrepancy", "sure"), search=tried is None)
    if rule == "discrepancy":
        _check_below(path, level)
    run = search.Run(path, _score(rule, level), rule == "lcurve", report)
    if tried is not None:
        weight = search.swept(run, tried, rule)
    else:
        start = path.started(level)
        found = {"discrepancy": search.reached, "lcurve": search.cornered}.get(rule, search.least)
        weight = found(run, start)
    assert run.last is not None
    points = sorted(run.points, key=lambda point: point.weight)
    solution = run.last.solution
    return Selection(
        weight,
        replace(solution, x=restore(solution.x)),
        tuple(point.weight for point in points),
        tuple(point.score for point in points),
        rule,
        tuple(point.misfit for point in points),
        tuple(point.penalty for point in points) if rule == "lcurve" else None,
        float(level.square().mean().sqrt()) if rule in ("discrepancy", "sure") else None,
    )


def _judged(fidelity: Fidelity | None, rule: str) -> Fidelity | None:
    """Refuse a fidelity that the rule says nothing of."""
    if fidelity is not None and rule != "lcurve" and not isinstance(fidelity, Squares):
        raise Unsupported(
            f"fidelity is {type(fidelity).__name__} and rule is {rule!r}, which knows what white noise leaves of "
            "squares alone: use fidelities.Squares, or rule='lcurve'"
        )
    return fidelity


def _checked(weights: Any, rule: str) -> list[float]:
    """The given weights, distinct."""
    given = weights.flatten().tolist() if hasattr(weights, "flatten") else weights
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidInput(f"weights is {brief(weights)}; expected numbers > 0, such as [1e-3, 1e-2], or None")
    found = sorted({check_number(value, "weights", low=0.0, strict=True) for value in given})
    least = 3 if rule == "lcurve" else 1
    if len(found) < least:
        raise InvalidInput(f"weights are {len(found)} different numbers; expected {least} or more for rule {rule!r}")
    return found


def _maker(make_prior: Any) -> Callable[[float], Prior]:
    if not callable(make_prior) or hasattr(make_prior, "bind") and not isinstance(make_prior, type):
        raise InvalidInput(
            f"make_prior is {brief(make_prior)}; expected what makes a prior of a weight: priors.TV, or "
            "lambda w: priors.TV(w) + priors.Box(0, 1)"
        )
    return make_prior


def _spread(y: Tensor, op: LinearOperator, fidelity: Fidelity | None) -> Tensor:
    """What noise of deviation 1 is at each datum, of the shape of y; 0 where A makes 0 of every image.

    Found by a random image in the range of the adjoint: rows that differ do not cancel in it.
    """
    random = torch.rand(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
    seen = op(op.adjoint(random.to(y.device, y.dtype))) != 0
    spread = seen.to(accumulator(real_dtype(y.dtype)))
    a = fidelity.weights if isinstance(fidelity, Squares) else None
    if a is None:
        return spread
    a = a.to(spread).expand(spread.shape)
    return torch.where(a > 0, spread * torch.where(a > 0, a, 1).rsqrt(), 0)


def _noise(noise: Any, y: Tensor, fidelity: Fidelity | None, *, needed: bool, search: bool) -> Tensor:
    """The deviation per image, (b,) float64 on the CPU; where it is not needed a guess to start from."""
    b = len(y)
    if noise is not None:
        given = torch.as_tensor(noise).detach().double().cpu().flatten().tolist() if _several(noise) else [noise]
        levels = [check_number(value, "noise", low=0.0, strict=True) for value in given]
        if len(levels) not in (1, b):
            raise InvalidInput(f"noise are {len(levels)} numbers; expected one, or one for each of the {b} images")
        return torch.tensor(levels, dtype=torch.float64).expand(b)
    rough = FAINT * (y.abs().double().square().mean().sqrt().cpu().clamp(min=1e-30)).expand(b)
    if not needed and not search:
        return rough
    try:
        if fidelity is not None:
            raise InvalidInput("it differs from datum to datum")
        found = noise_level(y).double().cpu()
    except InvalidInput as error:
        if not needed:
            return rough
        raise InvalidInput(
            f"noise is not given and is not to be read off these data ({error}); expected its deviation, a number > 0: "
            "pass noise, or rule='gcv' or 'lcurve', which need none"
        ) from error
    if needed and not bool((found > 0).any()):
        raise InvalidInput(
            "noise is not given, and the data have none that noise_level sees; expected data with noise for this rule: "
            "pass noise, or take the smallest weight that solves well"
        )
    return torch.where(found > 0, found, rough) if not needed else found


def _check_below(path: Path, level: Tensor) -> None:
    """Refuse noise that is larger than the data, whose misfit no image that explains anything has."""
    noise = float((path.counted() * level.square()).sum())
    size = float(per_image(path.sharpness * path.y).square().sum().cpu())
    if noise >= size:
        raise InvalidInput(
            f"noise is {float(level.max()):.3g}, and the data are {(size / noise) ** 0.5:.3g} times what it sums to; "
            "expected less noise than data: check its unit (images are in [0, 1])"
        )


def _several(noise: Any) -> bool:
    return hasattr(noise, "__len__") and not isinstance(noise, str) or hasattr(noise, "ndim")


def _score(rule: str, level: Tensor) -> Callable[[Path, Visit], float]:
    if rule == "lcurve":
        return lambda path, here: float("nan")  # known once the neighbours are
    if rule == "gcv":
        return rules.gcv
    return partial(rules.discrepancy if rule == "discrepancy" else rules.sure, noise=level)
