"""How near ``fastip.psf.estimate`` comes to the blur of photographs, and what it says of other blurs."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import data
from ..arrays import check_count
from ..operators import Blur, Identity, psf
from . import drawing
from .markdown import table
from .record import Experiment, Numbers, Outcome, Report, silent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("disk", "motion")
RADII, LENGTHS = (1.5, 8.0), (5.0, 25.0)
# Blurs that are of neither kind, and none.
OTHERS = {
    "sharp": lambda seed: psf.delta(1),
    "Gaussian 0.8": lambda seed: psf.gaussian(9, 0.8),
    "Gaussian 2": lambda seed: psf.gaussian(17, 2.0),
    "camera shake 15": lambda seed: psf.shake(15, seed),
    "camera shake 31": lambda seed: psf.shake(31, seed),
}
NEAR = {"radius": 0.5, "length": 0.5, "angle": 5.0}  # what is called right


def run(
    report: Report = silent,
    *,
    photos: tuple[str, ...] = tuple(data.photographs.TEST),
    size: int = 512,
    draws: int = 3,
    noise: float = 2.55,
) -> Outcome:
    """Blur the middles of the held-out photographs by disks and motions drawn at random, and estimate them.

    Data: the part of a larger scene that a psf of the photograph leaves (a valid border), noise (grey levels of 255),
    clipped, rounded to 8 bits.
    """
    check_count(draws, "draws", low=1)
    rows: list[dict[str, Any]] = []
    for k, (name, x) in enumerate(data.held_out_photographs(photos).items()):
        report(name, k, len(photos))
        x = data.centre(x, min(size, *x.shape[-2:]))
        generator = torch.Generator().manual_seed(k)
        for made, truth, taps in _blurs(draws, generator, k):
            y = _seen(x, taps, noise, len(rows))
            # other kinds are asked about by the first draw alone
            for kind in KINDS if made not in KINDS or truth["draw"] == 0 else (made,):
                rows.append({"photo": name, "made": made, "truth": truth, "kind": kind} | _estimated(y, kind))
    numbers = {"settings": {"photos": list(photos), "size": size, "draws": draws, "noise": noise}, "rows": rows}
    return Outcome(numbers, _draw(rows))


def _blurs(draws: int, generator: torch.Generator, seed: int) -> list[tuple[str, dict[str, float], Tensor]]:
    """(kind, parameters, psf): disks and motions at random, then what is neither."""
    blurs = []
    for draw in range(draws):
        first, second, third = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
        radius = RADII[0] + (RADII[1] - RADII[0]) * first
        length, angle = LENGTHS[0] + (LENGTHS[1] - LENGTHS[0]) * second, 180 * third
        blurs.append(("disk", {"draw": draw, "radius": radius}, psf.disk(2 * math.ceil(radius) + 1, radius)))
        taps = psf.motion(2 * math.ceil(length / 2) + 1, angle, length)
        blurs.append(("motion", {"draw": draw, "length": length, "angle": angle}, taps))
    return blurs + [(name, {}, make(seed)) for name, make in OTHERS.items()]


def _seen(x: Tensor, taps: Tensor, noise: float, seed: int) -> Tensor:
    y = data.degrade(Blur(taps, boundary="valid")(x), Identity(), noise / 255, generator=seed)
    return (255 * y.clamp(0, 1)).round() / 255


def _estimated(y: Tensor, kind: str) -> dict[str, Any]:
    start = time.process_time()
    found = psf.estimate(y, kind)  # type: ignore[arg-type]
    seconds = time.process_time() - start
    gain = -float(found.curve["cost"].min())
    return {"found": found.parameters, "clear": found.clear, "gain": round(gain, 4), "seconds": round(seconds, 2)}


def right(row: dict[str, Any]) -> bool:
    """Whether all parameters are within NEAR, of a blur of the kind that was asked for."""
    if row["made"] != row["kind"]:
        return False
    return all(_off(row, name) <= NEAR[name] for name in row["found"])


def _off(row: dict[str, Any], name: str) -> float:
    away = row["found"][name] - row["truth"][name]
    return abs((away + 90) % 180 - 90) if name == "angle" else abs(away)


# ---- telling ---------------------------------------------------------------------------------------------------------


def _draw(rows: Sequence[dict[str, Any]]) -> Figure:
    """Every estimate over the truth; hollow where it was not clear."""
    figure = drawing.sheet(12, 4.2)
    for axes, name in zip(figure.subplots(1, 3), NEAR, strict=True):
        own = [row for row in rows if row["made"] == row["kind"] and name in row["found"]]
        for clear in (True, False):
            some = [row for row in own if row["clear"] is clear]
            x, y = [row["truth"][name] for row in some], [row["found"][name] for row in some]
            fill = drawing.COLOURS[0] if clear else "none"
            axes.plot(x, y, "o", markerfacecolor=fill, markeredgecolor=drawing.COLOURS[0], markersize=5)
        span = [min(row["truth"][name] for row in own), max(row["truth"][name] for row in own)]
        axes.plot(span, span, color=drawing.INK, linewidth=1, zorder=0)
        note = "degrees" if name == "angle" else "pixels"
        drawing.clean(axes, name, note=note, x="truth", y="estimate")
    return figure


def page(numbers: Numbers) -> str:
    """What was right by photograph, then how often something else was taken for a blur of the kind."""
    s, rows = numbers["settings"], numbers["rows"]
    own = [row for row in rows if row["made"] == row["kind"]]
    by_photo = []
    for name in s["photos"]:
        cells: list[Any] = [name]
        for kind in KINDS:
            some = [row for row in own if row["photo"] == name and row["kind"] == kind]
            worst = [f"{max(_off(row, key) for row in some):.2g}" for key in some[0]["found"]]
            clear = sum(right(row) and row["clear"] for row in some)
            cells += [f"{sum(map(right, some))} of {len(some)}", f"{clear} of {len(some)}", ", ".join(worst)]
        by_photo.append(cells)
    headings = ["photograph", *("disk right", "and clear", "most off", "motion right", "and clear", "most off")]
    others = []
    for made in dict.fromkeys(row["made"] for row in rows):
        some = [[row for row in rows if row["made"] == made and row["kind"] == kind != made] for kind in KINDS]
        others.append([made, *(f"{sum(row['clear'] for row in part)} of {len(part)}" if part else "" for part in some)])
    seconds = ", ".join(f"{kind} {max(row['seconds'] for row in rows if row['kind'] == kind):.1f} s" for kind in KINDS)
    wrong = sum(row["clear"] and not right(row) for row in own)
    return f"""
The middles of the photographs, {s["size"]} pixels a side at most, were blurred by disks of radius {RADII[0]:g} to \
{RADII[1]:g} pixels and straight motions of length {LENGTHS[0]:g} to {LENGTHS[1]:g} at any angle, {s["draws"]} of each \
drawn at random for each photograph: a window of a larger scene (a valid border), noise {s["noise"]:g} of 255, 8 bits. \
`fastip.psf.estimate` then had the picture and the kind of blur alone. Right is within {NEAR["radius"]:g} pixels of \
the radius, {NEAR["length"]:g} of the length and {NEAR["angle"]:g} degrees of the angle. The constants were chosen on \
photographs of the training and validation sets. Hollow in the figure: not clear.

{table(headings, by_photo)}

Disks: {_share(own, "disk")}. Motions: {_share(own, "motion")}. Clear and wrong: {wrong} of {len(own)}. The most \
processor time of a call: {seconds}.

How often a picture with no such blur was called clear (a camera shake may be nearly straight):

{table(["made by", "asked for a disk", "asked for a motion"], others)}
"""


def _share(own: Sequence[dict[str, Any]], kind: str) -> str:
    some = [row for row in own if row["kind"] == kind]
    both = sum(right(row) and row["clear"] for row in some)
    return f"{sum(map(right, some))} of {len(some)} right, {both} right and clear"


EXPERIMENT = Experiment(
    summary="defocus and straight motion of photographs, estimated from the picture alone",
    run=run,
    page=page,
)
