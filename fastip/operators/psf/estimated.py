"""The psf of a blurred picture, from the picture alone: defocus or straight motion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ...arrays import as_tensor, check_finite, check_image, check_number
from ...errors import InvalidInput, closest, strict_keywords
from ...noise import noise_level
from ...tracing import check_traceable, check_uncaptured
from .forms import disk, motion
from .search import Point, Report, Search
from .spectrum import Spectrum

SMALLEST = 64  # pixels a side: fewer hold too few zeros of a blur
LARGEST = 1024  # pixels a side of the middle part that is looked at: time grows with it, and little is gained
SIDE, COARSE_SIDE = 256, 128  # of a block; half of it tells lengths of up to 40 apart well enough to begin with
RADII, LENGTHS = (0.5, 16.0), (2.0, 40.0)
# The largest radius and length as shares of the side of a block: the zeros of their spectra are 8 and 6 bins apart.
WIDEST = {"disk": 1 / 16, "motion": 1 / 6}
RATIO, ANGLES = 1.12, 30  # of the lengths of the coarse search, and angles 6 degrees apart
STARTS = 2  # lengths that are refined, of either coarse search
# What is called clear, in nats for each frequency that shows more than noise. 44 motions of photographs have 0.07 and
# more, but for one of 0.03; 45 other blurs of validation and training photographs 0.02 and less, but for one camera
# shake of 0.16.
CLEAR = {"disk": 0.08, "motion": 0.05}
LEAST = {"disk": 1.0, "motion": 3.0}  # pixels: smaller ones are like any other slight blur
KINDS = ("disk", "motion")


@dataclass(frozen=True, eq=False)
class Estimate:
    """A blur that was estimated.

    Attributes:
        psf: kh x kw, odd, float64, sum 1: ``psf.disk`` or ``psf.motion`` of the parameters.
        parameters: "radius" in pixels; or "length" in pixels and "angle" in degrees, 0 to 180, as ``psf.motion`` has
            them.
        curve: What the search saw first: "radius" (n,), or "length" (n,) and "angle" (m,), and "cost", (n,) or n x m:
            the negative logarithm of the evidence, per frequency that shows more than noise, 0 being that of a smooth
            spectrum without a blur of the kind.
        clear: Whether the least cost is that of a blur of this kind. Where it is not the psf means nothing.
    """

    psf: Tensor
    parameters: dict[str, float]
    curve: dict[str, Tensor]
    clear: bool

    def __str__(self) -> str:
        values = self.parameters
        if "radius" in values:
            return f"disk of radius {values['radius']:.1f}"
        return f"motion of length {values['length']:.1f} at {values['angle']:.0f} degrees"


@strict_keywords
def estimate(
    y: Any, kind: Literal["disk", "motion"], noise: float | None = None, *, report: Report | None = None
) -> Estimate:
    """The blur of a picture by defocus or by straight motion, which a power-law spectrum makes most probable.

    The cost of a psf with the transfer function H is the negative logarithm of the evidence::

        sum_w  log S(w) + |Y(w)|^2 / S(w),      S = c |w|^-alpha exp(-gamma |w|^2) |H(w)|^2 + noise^2

    with the c, alpha and gamma that make it least, Y the mean of the channels under a Hann window, in blocks of 256 x
    256 pixels that overlap by half. For motions alpha and log c are smooth in the direction of w (waves of twice and,
    for c, of four times its angle): else details along one direction, such as masts, draw the angle. Radii of 0.5 to 16
    pixels, lengths of 2 to 40 and angles are searched on a grid and then between; of pictures with less than 256 pixels
    a side radii up to a sixteenth and lengths up to a sixth of it. Of larger pictures than 1024 x 1024 the middle is
    looked at.

    Disks below two pixels are often not told from another slight blur, motions along the lines that fill a picture,
    such as masts, may not be found (``clear`` is then false), and a shake of the camera that is nearly straight can be
    called a clear motion.

    Args:
        y: One picture, 1 c h w with h, w >= 64, in [0, 1]: a tensor of a real floating dtype on any device, a NumPy or
            a CuPy array. Data as a camera gives them: a blur of a larger scene, and noise.
        kind: "disk" (defocus, ``psf.disk``) or "motion" (straight motion, ``psf.motion``).
        noise: The standard deviation of the white noise in each channel, in the unit of ``y``; None:
            :func:`fastip.noise_level` of the mean of the channels.
        report: Is told the candidates done and those in all, now and then.

    Returns:
        The estimate; look at ``clear`` before its psf is used.

    Raises:
        InvalidInput: For another shape, dtype or kind, a batch (its pictures may have been blurred differently: call
            once for each), NaN, a picture without detail, and one that is too small.
        Unsupported: Inside torch.compile and while a CUDA graph is captured.

    References:
        Whittle, Estimation and information in stationary time series, 1953 (the cost). Levin, Weiss, Durand and
        Freeman, Understanding blind deconvolution algorithms, 2011 (why the evidence of the psf alone, with the picture
        averaged over, is to be asked).
    """
    closest(kind, KINDS, "kind of blur that can be estimated")
    grey, level = _seen(y, noise)
    if kind == "disk":
        return _estimate_disk(Search(Spectrum(grey, SIDE, level), _disk, report))
    # Of 44 photographs that were moved, among them the eight of 100 that are wrong where directions are alike, one is.
    fine, coarse, alike = (
        Spectrum(grey, side, level, directed, torch.float32)
        for side, directed in ((SIDE, True), (COARSE_SIDE, True), (COARSE_SIDE, False))
    )
    return _estimate_motion(Search(fine, _motion, report), coarse, alike)


def _seen(y: Any, noise: float | None) -> tuple[Tensor, float]:
    """The mean of the channels, h w, of the middle, and its noise."""
    y, _ = as_tensor(y, "y")
    check_image(y, "y")
    why, instead = "the search goes where the values lead", "give a psf"
    check_traceable("psf.estimate", why, instead)
    check_uncaptured(y.device, "psf.estimate", why, instead)
    shape = tuple(y.shape)
    if shape[0] != 1:
        raise InvalidInput(
            f"y has shape {shape}; expected one picture, 1 c h w: call once for each, whose blurs may differ"
        )
    if min(shape[2:]) < SMALLEST:
        raise InvalidInput(
            f"y has shape {shape}; expected at least {SMALLEST} x {SMALLEST} pixels, which show the zeros of a "
            "blur: give a larger part of the picture, or the psf"
        )
    top, left = (max(0, size - LARGEST) // 2 for size in shape[2:])
    middle = y.detach()[..., top : top + LARGEST, left : left + LARGEST].cpu().double()
    check_finite(middle, "y")
    grey = middle.mean(dim=1, keepdim=True)
    detail = float(grey.std())
    if not detail > 1e-6 * float(grey.abs().amax()):
        raise InvalidInput(f"y is {float(grey.mean()):g} nearly everywhere, which shows no blur; expected a picture")
    if noise is None:
        level = float(noise_level(grey))
    else:
        level = check_number(noise, "noise", low=0.0) / math.sqrt(shape[1])
    return grey[0, 0] / detail, level / detail


def _estimate_disk(search: Search) -> Estimate:
    radii = _radii(search)
    search.total = len(radii) + 9
    costs = search.costs([(radius,) for radius in radii])
    start = radii[int(costs.argmin())]
    cost, (radius,) = search.refine((start,), (max(0.1, 0.025 * start),), 3)
    clear = search.gain(cost) >= CLEAR["disk"] and LEAST["disk"] <= radius < radii[-1]
    curve = {"radius": torch.tensor(radii, dtype=torch.float64), "cost": (costs - search.smooth) / search.share}
    return Estimate(_disk(radius), {"radius": radius}, curve, clear)


def _radii(search: Search) -> list[float]:
    """Closer together than the zeros of neighbours could be confused: a fifth of a pixel, or 5 %."""
    radii = [RADII[0]]
    while radii[-1] < min(RADII[1], WIDEST["disk"] * search.spectrum.side):
        radii.append(radii[-1] + max(0.2, 0.05 * radii[-1]))
    return radii


def _estimate_motion(search: Search, coarse: Spectrum, alike: Spectrum) -> Estimate:
    most = min(LENGTHS[1], WIDEST["motion"] * search.spectrum.side)
    count = math.ceil(math.log(most / LENGTHS[0]) / math.log(RATIO)) + 1
    lengths = [LENGTHS[0] * (most / LENGTHS[0]) ** (k / (count - 1)) for k in range(count)]
    angles = [180 / ANGLES * k for k in range(ANGLES)]
    radii = _radii(search)
    search.total = count * ANGLES + len(radii) + (2 * STARTS + 2) * 18 + 4 + 27
    grid = [(length, angle) for length in lengths for angle in angles]
    # Where directions differ the least costs of long motions lie between the points of the grid, and a spectrum that is
    # alike in all directions sees them from further away; details along one direction mislead it.
    costs, others = search.coarse(grid, coarse, alike).reshape(2, count, ANGLES)
    starts = []
    for some in (costs, others):
        least, which = some.min(dim=1)
        starts += [(lengths[k], angles[int(which[k])]) for k in least.argsort().tolist()[:STARTS]]
    best = min(_near(search, start) for start in dict.fromkeys(starts))
    # The zeros of a half are among those of the whole, and blocks of half the size see them better.
    length, angle = best[1]
    multiples = [(by * length, angle) for by in (0.5, 1.5, 2.0, 3.0) if lengths[0] <= by * length <= lengths[-1]]
    order = search.costs(multiples).argsort().tolist()[:2] if multiples else []
    best = min([best, *(_near(search, multiples[k]) for k in order)])
    cost, (length, angle) = search.refine(best[1], (0.02 * best[1][0], 1.5), 3)
    # Short motions lower the cost of a picture whose details point one way, and of round blurs, which a disk fits
    # better.
    rival = float(search.costs([(radius,) for radius in radii], maker=_disk).min())
    search.end()
    clear = search.gain(cost) >= CLEAR["motion"] and LEAST["motion"] <= length < lengths[-1] and cost < rival
    smooth, share = coarse.smooth()
    curve = {"length": torch.tensor(lengths, dtype=torch.float64), "angle": torch.tensor(angles, dtype=torch.float64)}
    curve["cost"] = (costs - smooth) / share
    return Estimate(_motion(length, angle), {"length": length, "angle": angle % 180}, curve, clear)


def _near(search: Search, start: Point) -> tuple[float, Point]:
    return search.refine(start, (0.05 * start[0], 3.0), 2)


def _disk(radius: float) -> Tensor:
    return disk(2 * math.ceil(radius - 0.5) + 1, radius)


def _motion(length: float, angle: float) -> Tensor:
    return motion(2 * math.ceil(length / 2) + 1, angle, length)
