"""What the eigenvalues of C (a I + b A A^T) tend to as the data grow: inside, along edges, and in corners.

In the inner product in which the product is self-adjoint, the modes of a large grid are waves inside it, waves along an
edge that decay inwards, or sit in a corner. The first have the values of the product of the two symbols. The second are
those of a half plane, a matrix for each frequency along the edge (``edges``). The third are settled on a small grid.
Only the first two change with its size: on a side of L pixels waves miss a peak of the spectrum by up to pi / L. Here
both are taken for a side without end, so the largest of the three holds for every size.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..contracts import Apply, Convolution
from .certificate import Certificate, weights
from .edges import Across, cogram, extremes, spectrum

# Samples a period and degree; more cost larger transforms. Between samples a trigonometric polynomial rises by at most
# 4 % of its range for each axis, and is searched there.
SAMPLES = 8
RISE = 0.08
PEAKS = 64  # of the samples, those that are searched: more only where a psf repeats itself, and those peaks are alike
# A side of so many times the reach is long: waves along it miss a peak by less than 1 % (0.3 % were seen).
LONG = 16
STEPS = (12, 32)  # of Lanczos at all frequencies, and near the peaks; fewer see an edge's modes less sharply
# Frequencies times rows that are worked on at once: more take more memory, fewer are more and smaller transforms.
TOGETHER = 1 << 19


@dataclass(frozen=True)
class Inside:
    """What is known away from borders: A, and C and A A^T as stencils on the data grid, float64."""

    convolution: Convolution
    c: Tensor
    r: Tensor

    def turned(self, axis: int) -> Inside:
        """With ``axis`` as the long one: 1 leaves all as it is, 0 exchanges rows and columns."""
        if axis:
            return self
        turned = dataclasses.replace(self.convolution, psf=self.convolution.psf.T.contiguous())
        return Inside(turned, self.c.T, self.r.T)

    def reach(self, axis: int) -> int:
        """How many pixels along the axis C A A^T sees."""
        return self.c.shape[axis] // 2 + self.r.shape[axis] // 2


def alike(a: Tensor, b: Tensor) -> bool:
    """Whether two stencils are the same to rounding."""
    return a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=1e-9 * float(a.abs().max()))


def sampled(*stencils: Tensor) -> list[Tensor]:
    """The symbols of stencils, sampled finely enough for their product."""
    h, w = (SAMPLES * max(1, sum(taps.shape[axis] // 2 for taps in stencils)) + 1 for axis in (0, 1))
    return [spectrum(taps, (h, w)) for taps in stencils]


def supremum(value: Callable[..., Tensor], samples: list[Tensor], *stencils: Tensor, floor: float = -math.inf) -> float:
    """The largest value over all frequencies of a function of symbols.

    Args:
        value: The function, elementwise.
        samples: The symbols as :func:`sampled` gives them.
        stencils: The stencils themselves, with which it is searched between the samples.
        floor: What counts: where it stays below, the largest sample will do.

    Returns:
        The number, to about 1e-4 of it.
    """
    found = value(*samples)
    # An odd number of rows: the frequencies that are kept stand for all, as the symbols are even.
    rows, columns = found.shape[0], 2 * found.shape[1] - 1
    highest = F.max_pool2d(F.pad(found[None, None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0, 0]
    best = found.max()
    rest = RISE * (best - found.min())
    if best + rest < floor:
        return float(best)
    values, order = torch.where(found >= highest, found, -math.inf).flatten().topk(min(PEAKS, found.numel()))
    order = order[values >= best - rest]
    y = 2 * torch.pi / rows * (order // found.shape[1]).double()
    x = 2 * torch.pi / columns * (order % found.shape[1]).double()
    around = torch.linspace(-1, 1, 5, dtype=torch.float64)
    for halvings in range(6):  # to 1 / 64 of the distance between samples
        wy = y[:, None] + 2 * torch.pi / rows / 2**halvings * around
        wx = x[:, None] + 2 * torch.pi / columns / 2**halvings * around
        patches = value(*(_patches(taps, wy, wx) for taps in stencils)).flatten(1)
        index = patches.argmax(1, keepdim=True)
        best = torch.maximum(best, patches.max())
        y, x = wy.gather(1, index // 5)[:, 0], wx.gather(1, index % 5)[:, 0]
    return float(best)


def _patches(taps: Tensor, wy: Tensor, wx: Tensor) -> Tensor:
    """The symbol on patches of frequencies, (patches, h, w), from wy (patches, h) and wx (patches, w)."""
    dy, dx = (torch.arange(n, dtype=torch.float64) - n // 2 for n in taps.shape)
    by, bx = torch.exp(1j * wy[..., None] * dy), torch.exp(1j * wx[:, None] * dx[:, None])
    return (by @ taps.to(torch.complex128) @ bx).real


def infimum(taps: Tensor) -> float:
    """The smallest value of a stencil's symbol; a stencil that sees zeros outside has no smaller eigenvalue."""
    samples = sampled(taps)
    lowest, highest = samples[0].aminmax()
    if lowest > RISE * (highest - lowest):  # nothing to search
        return float(lowest)
    return -supremum(torch.neg, samples, taps)


def along(c: Across, m: Across, n: int, degree: int, floor: float) -> float:
    """The largest eigenvalue of C M on ``n`` rows that go on without end, from below.

    Args:
        c: C across the rows.
        m: M across them, positive definite.
        n: The rows.
        degree: How many pixels along the rows C and M reach together.
        floor: What is known to be reached elsewhere: values below 0.9 of it are not found to the last digit.

    Returns:
        The number.
    """
    frequencies = torch.linspace(0, torch.pi, SAMPLES // 2 * max(1, degree) + 1, dtype=torch.float64)
    coarse = _largest(c, m, n, frequencies, STEPS[0])
    near = coarse >= 0.9 * max(float(coarse.max()), floor)
    if not near.any():
        return float(coarse.max())
    values = coarse.index_put((near,), _largest(c, m, n, frequencies[near], STEPS[1]))
    # Between samples: the top of the parabola through three of them. The symbol is even, so it is mirrored at the ends.
    left, right = (
        F.pad(values[None, None], (1, 1), mode="reflect")[0, 0, start : start + len(values)] for start in (0, 2)
    )
    bend = (2 * values - left - right).clamp_min(1e-12 * values)
    tops = torch.where((values >= left) & (values >= right), values + (right - left).square() / (8 * bend), values)
    return float(tops.max())


def _largest(c: Across, m: Across, n: int, frequencies: Tensor, steps: int) -> Tensor:
    parts = frequencies.split(max(1, TOGETHER // n))
    return torch.cat([extremes(c(part), m(part), len(part), n, steps)[1] for part in parts])


def _weighted(own: float, gram: float, g: Across) -> Across:
    """own I + gram G."""

    def at(frequencies: Tensor) -> Apply:
        apply = g(frequencies)
        return lambda v: own * v + gram * apply(v)

    return at


def beyond(
    found: Certificate,
    inside: Inside,
    beta: float,
    grid: tuple[int, int],
    shape: tuple[int, int],
    across: Callable[[int, int], Across],
) -> Certificate:
    """The certificate on data of ``shape`` from the one that was found on a smaller grid.

    Args:
        found: That of the smaller grid.
        inside: The stencils away from borders.
        beta: The penalty.
        grid: The sides of the smaller grid.
        shape: Those of the data, or larger ones: only which are larger counts.
        across: C for waves along an axis, 0 or 1, from the axis and the number of pixels across.

    Returns:
        It with the modes inside, where both axes are larger, and along the edges of each larger axis.
    """
    larger = [axis for axis in (0, 1) if shape[axis] > grid[axis]]
    if not larger or not found.smallest > 0:
        return found
    own, gram = weights(beta, found.relaxation)
    kappa, low, high = found.kappa, found.low, found.high
    if len(larger) == 2:
        samples = sampled(inside.c, inside.r)
        product = samples[0] * (beta + samples[1])
        low, high = min(low, product.min().item()), max(high, product.max().item())
        kappa = max(kappa, supremum(lambda c, r: c * (own + gram * r), samples, inside.c, inside.r, floor=kappa))
    square = all(alike(v, v.T) for v in (inside.convolution.psf, inside.c))
    for axis in larger[: 1 if square and grid[0] == grid[1] else 2]:
        reach = inside.reach(axis)
        if grid[axis] < LONG * reach:
            turned, n = inside.turned(axis), grid[1 - axis]
            m = _weighted(own, gram, cogram(turned.convolution, turned.r, n))
            kappa = max(kappa, along(across(axis, n), m, n, reach, kappa))
    return dataclasses.replace(found, kappa=kappa, low=low, high=high)
