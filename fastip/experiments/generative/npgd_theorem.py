"""The theorem of projected descent with a linear generator.

Its restricted eigenvalues, projector and bounds are known exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from ... import operators, priors
from ...arrays import check_counts
from ...errors import InvalidInput
from ...solvers import npgd
from ...solvers.monitor import State
from ...streams import stream
from .. import drawing
from ..markdown import rounded, shown, table
from ..record import Experiment, Numbers, Outcome, Report, silent

SIDE = 28
SHAPE = (1, SIDE, SIDE)
EXACT, TWICE, BEYOND = "exact P, step 1 / β", "exact P, step 2 / β", "exact P, step 2.2 / β"
ROUNDING = 1e-20  # of f at the start: below this float64 decides


class Subspace(nn.Module):
    """The nearest point of a linear range, and then ``strays`` away from ``truth`` inside the range.

    A delta-approximate projector, ``delta = strays^2``; for every w, over all x of the range::

        ||w - P(w)||^2 = min ||w - x||^2 + delta

    Args:
        basis: n x k, orthonormal columns.
        truth: The image from which it strays.
        strays: How far.
    """

    basis: Tensor

    def __init__(self, basis: Tensor, truth: Tensor, strays: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("basis", basis)
        self.truth, self.strays, self.shape = truth, strays, SHAPE
        self.eval()

    def forward(self, w: Tensor) -> Tensor:
        nearest = (w.flatten(1) @ self.basis @ self.basis.T).reshape(w.shape)
        away = nearest - self.truth
        return (
            nearest
            + self.strays * away / away.flatten(1).norm(dim=1).clamp_min(torch.finfo(w.dtype).tiny)[:, None, None, None]
        )


@dataclass(frozen=True)
class Case:
    """y = A truth for images of a range of k dimensions, with the exact alpha and beta of A on it. All float64."""

    op: operators.Dense
    basis: Tensor
    truth: Tensor
    start: Tensor
    alpha: float
    beta: float

    @property
    def y(self) -> Tensor:
        data: Tensor = self.op(self.truth)
        return data


def case(measurements: int, latent: int, count: int, seed: int) -> Case:
    """A random subspace, Gaussian measurements, and ``count`` images of it with as many others to start from.

    The images are ``x = B z``, z ~ N(0, I).
    """
    draws = stream(seed, "linear range")
    basis, _ = torch.linalg.qr(torch.randn(SIDE * SIDE, latent, generator=draws, dtype=torch.float64))
    truth, start = (
        (torch.randn(count, latent, generator=draws, dtype=torch.float64) @ basis.T).reshape(-1, *SHAPE)
        for _ in range(2)
    )
    op = operators.GaussianMeasurements(measurements, SHAPE, seed=seed)
    values = torch.linalg.svdvals(op.matrix @ basis).square()
    return Case(op, basis, truth, start, float(values.min()), float(values.max()))


def follow(case: Case, step: float, iterations: int, strays: float = 0.0) -> tuple[list[float], list[float]]:
    """``f = ||A x - y||^2`` and ``||x - truth||^2``, the largest over the images, at the start and each iteration."""
    y, f, off = case.y, [], []

    def look(x: Tensor) -> None:
        f.append(float((case.op(x) - y).square().sum(dim=1).max()))
        off.append(float((x - case.truth).square().flatten(1).sum(dim=1).max()))

    def watch(state: State) -> None:
        look(state.x)

    look(case.start)
    prior = priors.Projector(Subspace(case.basis, case.truth, strays))
    npgd(y, case.op, prior, step=step, iterations=iterations, tolerance=0, init=case.start, callback=watch)
    return f, off


def run(
    report: Report = silent,
    *,
    measurements: int = 500,
    fewer: tuple[int, ...] = (200, 100),
    latent: int = 10,
    deltas: tuple[float, ...] = (1e-2, 1e-5),
    iterations: int = 40,
    count: int = 20,
    seed: int = 0,
) -> Outcome:
    """Follow f for beta / alpha below 2, with exact and approximate projectors and with larger steps.

    And with ``fewer`` measurements, above 2.
    """
    check_counts(measurements=measurements, latent=latent, iterations=iterations, count=count)
    main = case(measurements, latent, count, seed)
    ratio = main.beta / main.alpha
    if ratio >= 2:
        raise InvalidInput(
            f"{measurements} measurements of {latent} dimensions have beta / alpha = {ratio:.3g}; "
            "the theorem needs less than 2: take more"
        )
    total = 3 + len(deltas) + len(fewer)
    found: dict[str, dict[str, Any]] = {}
    jobs = [(EXACT, main, 1.0, 0.0), *((f"δ = {delta:g}, step 1 / β", main, 1.0, delta) for delta in deltas)]
    jobs += [(TWICE, main, 2.0, 0.0), (BEYOND, main, 2.2, 0.0)]
    jobs += [(f"m = {m}, exact P, step 1 / β", case(m, latent, count, seed), 1.0, 0.0) for m in fewer]
    for k, (title, one, step, delta) in enumerate(jobs):
        report(title, k, total)
        f, off = follow(one, step / one.beta, iterations, delta**0.5)
        found[title] = described(one, f, off, delta) | {"step": step}
    settings = {
        "measurements": measurements,
        "fewer": fewer,
        "latent": latent,
        "deltas": deltas,
        "iterations": iterations,
        "count": count,
        "seed": seed,
    }
    return Outcome(
        {"settings": settings, "pixels": SIDE * SIDE, "found": found},
        _draw(found, [EXACT, *(job[0] for job in jobs if job[3])]),
    )


def described(case: Case, f: Sequence[float], off: Sequence[float], delta: float) -> dict[str, Any]:
    """The curve, its measured rate, and what the theorem says of the step 1 / beta.

    That is the bound after each iteration and where it ends.
    """
    ratio = case.beta / case.alpha
    above = [k for k in range(len(f)) if f[k] > ROUNDING * f[0]]
    last = above[-1]
    numbers = {
        "alpha": case.alpha,
        "beta": case.beta,
        "ratio": ratio,
        "delta": delta,
        "f": rounded(f),
        "end": f[-1],
        "off": off[-1],
    }
    numbers["rate"] = (f[last] / f[last // 2]) ** (1 / (last - last // 2)) if last else 0.0
    if ratio < 2:
        floor = case.beta * delta / (2 - ratio)
        bound = [(ratio - 1) ** k * f[0] + floor for k in range(len(f))]
        # rounding alone may not break a bound: a part of 1e-9 of it, and ROUNDING of the start
        held = all(f[k] <= bound[k] * (1 + 1e-9) + ROUNDING * f[0] for k in range(len(f)))
        off_bound = delta / (2 / ratio - 1)
        held = held and (delta == 0 or off[-1] <= off_bound)
        numbers |= {"bound": rounded(bound), "held": held, "floor": floor, "off_bound": off_bound}
    return numbers


def _draw(found: dict[str, dict[str, Any]], proven: Sequence[str]) -> Figure:
    figure = drawing.sheet(15, 4.8)
    axes = figure.subplots(1, 3)
    larger = [EXACT, TWICE, BEYOND]
    fewer = [title for title in found if title not in (*proven, *larger)]
    parts = (
        ("the theorem", "dashed: its bounds", proven),
        ("larger steps", "no theorem", larger),
        ("fewer measurements", "no theorem", fewer),
    )
    for part, (title, note, names) in zip(axes, parts, strict=True):
        drawing.clean(part, title, note=note, x="iteration n", y="f = ‖Ax − y‖²", yscale="log")
        for rank, name in enumerate(names):
            one = found[name]
            shown_from = [value if value > ROUNDING * one["f"][0] else None for value in one["f"]]
            label = (
                name
                if names is larger or (names is proven and name != EXACT)
                else f"{name}, β / α = {one['ratio']:.3g}"
            )
            drawing.curve(part, range(len(one["f"])), shown_from, label, rank=rank)  # type: ignore[arg-type]
            if names is proven:
                drawing.curve(part, range(len(one["bound"])), one["bound"], "", rank=rank, style="--")
        if names:
            drawing.legend(part)
    return figure


def page(numbers: Numbers) -> str:
    """What the theorem says, what was measured, and whether each bound held."""
    s, found = numbers["settings"], numbers["found"]
    exact = found[EXACT]
    proven = [
        [title, one["ratio"], *_pair(one), "yes" if one["held"] else "no"]
        for title, one in found.items()
        if "bound" in one and one["step"] == 1
    ]
    others = [
        [title, one["ratio"], one["f"][0], one["end"], one["rate"]]
        for title, one in found.items()
        if "bound" not in one or one["step"] != 1
    ]
    every = all(one["held"] for one in found.values() if "bound" in one and one["step"] == 1)
    factor = (1 - exact["alpha"] / exact["beta"]) ** 2
    ends = ("f at the end", "proven", "‖x − x*‖² at the end", "proven", "held throughout")
    return f"""
The range is a random subspace of {s["latent"]} of {numbers["pixels"]} dimensions, A has {s["measurements"]} Gaussian \
rows. Then α and β, the least and largest
‖As‖² / ‖s‖² for s in the range, are squared singular values: α = {shown(exact["alpha"])}, \
β = {shown(exact["beta"])}, β / α = {shown(exact["ratio"])}.
The descent is `npgd` with step x + Aᵀ(y − Ax) / β, from another image of the range, without noise, in float64. \
All numbers are the largest over
{s["count"]} images, after {s["iterations"]} iterations.

**The theorem** (Raj, Li and Bresler 2019), for β / α < 2 and a projector P with ‖w − P(w)‖² ≤ min ‖w − x‖² + δ:

f(xₙ) ≤ (β/α − 1)ⁿ f(x₀) + βδ / (2 − β/α), and in the end ‖x − x*‖² ≤ δ / (2α/β − 1).

{table(["", "β / α", "rate of f", "proven", *ends], proven)}

{"Every bound held at every iteration." if every else "**A bound was broken.**"} The rate is that of the second half \
of the way, before f falls below
{ROUNDING:g} of its start, where rounding decides. In a linear range every iteration multiplies f by at most
(1 − α/β)² = {shown(factor)}: there the theorem's rate, which holds for any set, is far from sharp.
The approximate projector goes to the nearest point of the range and from there √δ straight away from the truth: \
it has exactly this δ, and its error cannot
fall below δ.

**Where the theorem is silent:** larger steps, and fewer measurements, for which β / α is not below 2.

{table(["", "β / α", "f at the start", "f at the end", "rate of f"], others)}

The gradient of f is 2Aᵀ(Ax − y), and the step that the theorem counts as 1 / β is half of that. {_twice(found)}
{_silent(found)}
"""


def _pair(one: Numbers) -> list[Any]:
    """Measured and proven: the rate, f and the distance at the end."""
    rate = [one["rate"], one["ratio"] - 1] if one["delta"] == 0 else ["", ""]
    return [*rate, one["end"], one["bound"][-1], one["off"], one["off_bound"] if one["delta"] else ""]


def _twice(found: Numbers) -> str:
    """What the two larger steps did, in words."""
    start, twice, beyond = found[TWICE]["f"][0], found[TWICE]["end"], found[BEYOND]["end"]
    why = (
        "along the direction that A stretches most each step turns the error round, (1 − 2)² = 1, "
        "and only the others shrink"
    )
    return (
        f"With 2 / β f ends at {shown(twice / start)} of its start: {why}.\n"
        f"With 2.2 / β it ends at {shown(beyond / start)} times its start."
    )


def _silent(found: Numbers) -> str:
    fewer = {title: one for title, one in found.items() if title.startswith("m =")}
    falls = [title.partition(",")[0] for title, one in fewer.items() if one["end"] < one["f"][0]]
    if not falls:
        return ""
    return f"The condition is sufficient and not necessary: f falls all the same with {' and '.join(falls)}."


EXPERIMENT = Experiment(
    summary="the theorem of projected descent checked with a linear generator: rate, floor, and twice the step",
    run=run,
    page=page,
)
