"""What each method makes of the same pictures from the same measurements, and its errors.

NPGD, the searches and the Lasso.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ... import nets, operators, priors
from ...solvers import npgd
from ..record import Numbers
from . import compressed_sensing as sensing
from . import lasso
from .compressed_sensing import Search, average, errors

NPGD, DESIGNED, CSGM, PGDGAN, LASSO = "NPGD", "NPGD, designed A", "CSGM", "PGDGAN", "Lasso, "


@dataclass(frozen=True)
class Given:
    """What the methods are given.

    Args:
        prior: The projector of NPGD.
        generator: The network of the searches.
        truth: The pictures, n c h w.
        held_out: Those that the Lasso is set up on.
        designed: The rows of the designed A, as many as the largest m.
        searches: Their settings.
        searched: How many of the pictures they are run on.
        noise: ``sqrt(E ||e||^2)`` of the data.
        seed: Of the measurements and of the noise.
    """

    prior: priors.Projector
    generator: nets.Generator
    truth: Tensor
    held_out: Tensor
    designed: Tensor
    searches: tuple[Search, ...]
    searched: int
    noise: float
    seed: int


@dataclass(frozen=True)
class Found:
    """For one m: the images of each method, and what the Lasso of each kind was set to."""

    images: dict[str, Tensor]
    chosen: dict[str, list[Any]]


def tuned_searches(given: Given, truth: Tensor, m: int, report: Callable[[str], None]) -> tuple[Search, ...]:
    """The searches with the weights that are best for these pictures."""
    op = operators.GaussianMeasurements(m, tuple(truth.shape[1:]), seed=given.seed)
    y = sensing.measured(truth, op, given.noise, seed=given.seed + 1)
    return tuple(sensing.tuned(each, y, op, given.generator, truth, report) for each in given.searches)


def reconstructed(given: Given, m: int, report: Callable[[str], None]) -> Found:
    """Every method on the same pictures, and all but the designed one on the same data."""
    shape = tuple(given.truth.shape[1:])
    op = operators.GaussianMeasurements(m, shape, seed=given.seed)
    y = sensing.measured(given.truth, op, given.noise, seed=given.seed)
    images, chosen = {}, {}
    for name, x in _learned(given, op, y, report):
        images[name] = x
    shown = sensing.measured(given.held_out, op, given.noise, seed=given.seed + 1)
    for kind, bases in lasso.bases(shape[-1]).items():
        report(LASSO + kind)
        best = lasso.choose(op, bases, shown, given.held_out)
        images[LASSO + kind], chosen[kind] = best.images(y), [best.basis.title, best.weight]
    return Found(images, chosen)


def _learned(
    given: Given, op: operators.Dense, y: Tensor, report: Callable[[str], None]
) -> Iterator[tuple[str, Tensor]]:
    """The images of the methods that use the generator."""
    m, shape = y.shape[1], tuple(given.truth.shape[1:])
    report(NPGD)
    with torch.no_grad():
        yield NPGD, npgd(y, op, given.prior).x
        rows = operators.Dense(given.designed[:m], shape)
        yield DESIGNED, npgd(sensing.measured(given.truth, rows, given.noise, seed=given.seed), rows, given.prior).x
    for search in given.searches:
        parts: list[Tensor] = []
        for part in search.parts(y[: given.searched], given.generator):
            report(f"{search.name}, {sum(len(x) for x in parts)} of {given.searched}")
            parts.append(search.solve(part, op, given.generator).x)
        yield search.name, torch.cat(parts)


# ---- their errors ----------------------------------------------------------------------------------------------------


def error_numbers(given: Given, found: Mapping[int, Found], few: int, many: int) -> Numbers:
    """The errors of each method by m, side by side on the same pictures at ``many``, and what the Lasso chose.

    ``few`` designed measurements are compared with ``many`` random ones.
    """
    by_m = {m: {name: errors(x, given.truth[: len(x)]) for name, x in one.images.items()} for m, one in found.items()}
    curves: Numbers = {}
    for name in by_m[many]:
        averages = [average(each[name]) for each in by_m.values()]
        medians = [float(each[name].median()) for each in by_m.values()]
        curves[name] = {
            "images": len(by_m[many][name]),
            "mean": [a.mean for a in averages],
            "bar": [a.bar for a in averages],
            "median": medians,
        }
    alike = {name: values[: given.searched] for name, values in by_m[many].items()}
    same = {name: _beside(values, alike[NPGD]) for name, values in alike.items()}
    with torch.no_grad():
        reached = average(errors(given.prior.net(given.truth), given.truth))
    designed = _beside(by_m[few][DESIGNED], by_m[many][NPGD])
    chosen = {kind: [one.chosen[kind] for one in found.values()] for kind in found[many].chosen}
    return {
        "curves": curves,
        "same": same,
        "designed": designed,
        "projected": [reached.mean, reached.bar],
        "chosen": chosen,
    }


def _beside(values: Tensor, reference: Tensor) -> Numbers:
    """The mean and median of the errors, and how far those of the reference are below them, image by image.

    Means have their bars.
    """
    own, difference = average(values), average(values - reference)
    return {"mean": [own.mean, own.bar], "median": float(values.median()), "above": [difference.mean, difference.bar]}
