"""Whether samples of Fourier space are those of a real image, whose value at -f is the conjugate of that at f."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

# A real image's y(f) / m(f) - conj(y(-f) / m(-f)) is noise alone, and knows nothing of the sum of the two; that of a
# complex image is large where the sum is. So the mean square of the differences at the 4, 8, ... largest sums is
# compared with that of all, taken from their median: beyond CERTAIN standard deviations it is no noise. PAIRS and the
# frequencies that are their own negatives, whose imaginary parts are noise, are few enough to have that level.
CERTAIN, PAIRS, MOST = 7.0, 32, 1024
HARMLESS = 1e-4  # of the energy there, an imaginary part of 1 %: less is rounding, of samples stored in half precision


class Frequencies(NamedTuple):
    """Where a mask measured what, indices into its flattened frequencies.

    Attributes:
        first: Those measured at f and at -f, one of the two.
        second: Where -f is.
        own: Measured ones that are their own negatives.
        rest: All other measured ones.
    """

    first: Tensor
    second: Tensor
    own: Tensor
    rest: Tensor


def frequencies(mask: Tensor) -> Frequencies:
    """Those of a mask h w, or d h w of volumes; 0 where nothing was measured."""
    place, axes = torch.arange(mask.numel()), tuple(range(mask.ndim))
    other = place.reshape(mask.shape).flip(axes).roll((1,) * mask.ndim, axes).flatten()
    measured = (mask != 0).flatten()
    first = place[(place < other) & measured & measured[other]]
    own, rest = place[(place == other) & measured], place[(place != other) & measured]
    return Frequencies(first, other[first], own, rest)


def is_real(y: Tensor, mask: Tensor, known: Frequencies) -> Tensor:
    """Whether each plane of samples may be those of a real image with noise.

    Noise is white and normal, or weaker where the image is strong; samples that are exactly 0 count as missing. Few
    samples, and masks that hold no frequency beside its negative, say little: then the answer is yes.

    Args:
        y: planes h w, or planes d h w of volumes, complex.
        mask: h w or d h w, real, on the same device.
        known: :func:`frequencies` of the mask, on the same device.

    Returns:
        planes, booleans.
    """
    flat, m = y.flatten(1), mask.flatten()
    a, b = flat[:, known.first], flat[:, known.second].conj()
    of_a, of_b = m[known.first], m[known.second]
    noise, real = _pairs(a / of_a, b / of_b, of_a, of_b)
    if len(known.rest) >= PAIRS:  # noise is below any signal
        rest = flat[:, known.rest].abs().square()
        noise = torch.fmin(noise, _level(torch.where(rest > 0, rest, torch.nan)))
    if len(known.own):
        samples = flat[:, known.own]
        imaginary = samples.imag.square()
        beyond = (imaginary > CERTAIN**2 * noise[:, None] / 2) & (imaginary > HARMLESS * samples.abs().square())
        real = real & beyond.any(1).logical_not()
    return real


def _pairs(a: Tensor, b: Tensor, of_a: Tensor, of_b: Tensor) -> tuple[Tensor, Tensor]:
    """The noise's ``E |n|^2`` in y, NaN where it is unknown, and whether differences are like noise, planes each."""
    unknown = torch.full((len(a),), torch.nan, dtype=of_a.dtype, device=a.device)
    if a.shape[1] < PAIRS:
        return unknown, torch.ones_like(unknown, dtype=torch.bool)
    seen = (a != 0) & (b != 0)
    weight, other = of_a.square(), of_b.square()
    difference = (a - b).abs().square() / (1 / weight + 1 / other)
    total = (weight * a + other * b).abs().square() / (weight + other)  # whose noise is not that of the difference
    difference, total = (torch.where(seen, v, torch.nan) for v in (difference, total))
    count = seen.sum(1)
    noise = _level(difference)
    order = total.nan_to_num(-1.0).topk(min(MOST, a.shape[1]), dim=1).indices
    counts = [2**k for k in range(2, order.shape[1].bit_length())]
    sizes = torch.tensor(counts, device=a.device)
    largest = [v.gather(1, order).nan_to_num(0.0) for v in (difference, total)]
    means, signal = (torch.stack([v[:, :k].mean(1) for k in counts], 1) for v in largest)
    # the cube root of a mean of k exponential numbers is nearly normal (Wilson and Hilferty); the level's own error
    # is that of a median
    spread = (1 / sizes + (1 / math.log(2)) ** 2 / count[:, None].clamp(min=1)).sqrt() / 3
    beyond = (means / noise[:, None]) ** (1 / 3) - 1 + 1 / (9 * sizes) > CERTAIN * spread
    told = (4 * sizes <= count[:, None]) & (count[:, None] >= PAIRS)
    excess = means - noise[:, None] > HARMLESS * signal
    return torch.where(count >= PAIRS, noise, unknown), (beyond & told & excess).any(1).logical_not()


def _level(values: Tensor) -> Tensor:
    """The mean of each row of exponential numbers by its median, NaN left out (by sorting: that is deterministic)."""
    middle = (values.isfinite().sum(1, keepdim=True) - 1).clamp(min=0) // 2
    return values.sort(1).values.gather(1, middle).squeeze(1) / math.log(2)
