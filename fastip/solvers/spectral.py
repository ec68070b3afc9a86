"""Whole ADMM solves whose data step is pointwise in Fourier space: one complex FFT each way, for two planes at a time.

A real filter acts on x1 + i x2 as it does on x1 and on x2, so planes travel in pairs as the real and the imaginary
part of one complex plane. Half as many complex transforms are faster than real ones (the inverse real transform
above all), and the full plane needs no Hermitian bookkeeping.

Rounding in a transform is relative to the larger plane of a pair, so planes of unlike size are brought to like size
before each transform and back after it, by powers of two: a dark picture does not depend on its bright neighbour.
The factors are chosen again after 8, 64, 512, ... iterations, as a far start shrinks and a dual grows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .. import kernels
from ..arrays import power_of_two
from ..contracts import Pointwise, Scales, SpectralStep, Status
from ..stopping import Error, StopRule, per_image, ratio, rounding


def pack(planes: Tensor) -> Tensor:
    """b c h w real -> pairs h w complex: plane 2j + i plane 2j + 1, a plane of zeros completing an odd number."""
    flat = planes.reshape(-1, *planes.shape[-2:])
    if len(flat) % 2:
        flat = torch.cat([flat, flat.new_zeros(1, *flat.shape[1:])])
    return torch.complex(flat[0::2], flat[1::2])


def unpack(z: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of :func:`pack`, of the given shape b c h w."""
    planes = torch.stack([z.real, z.imag], dim=1).reshape(-1, *z.shape[1:])
    return planes[: shape[0] * shape[1]].reshape(shape)


def full_plane(half: Tensor, w: int) -> Tensor:
    """A real even spectrum in rfft2 layout h (w // 2 + 1) on the full plane h w."""
    mirrored = half[:, 1 : (w + 1) // 2].flip(1)
    return torch.cat([half, torch.cat([mirrored[:1], mirrored[1:].flip(0)], dim=0)], dim=1)


# Planes of a pair whose largest values differ by less than this factor travel as they are, which leaves the smaller one
# at most twice its own rounding: factors cost a tenth of an iteration, and the channels of a photograph need none.
ALIKE = 2.0
# Iterations before the factors are first chosen again; a choice costs three transforms.
EARLIEST = 8


def largest(planes: Tensor) -> Tensor:
    """The largest absolute value of each plane of b c h w, shape (b c,)."""
    flat = planes.reshape(-1, planes.shape[-2] * planes.shape[-1])
    return torch.maximum(flat.amax(dim=1), -flat.amin(dim=1))


def factors(sizes: Tensor, w: int, look: bool) -> tuple[Tensor, Tensor] | None:
    """The powers of two that bring packed planes of these sizes near 1, and their inverses.

    Args:
        sizes: The largest value of each plane, before packing. Planes of size 0 stay 0: theirs are 0.
        w: Columns.
        look: Whether to see if they are needed, which waits for a GPU.

    Returns:
        Two tensors, pairs 1 2w, for packed planes seen as real numbers; None where no pair needs any.
    """
    sizes = torch.cat([sizes, sizes[-1:]]) if len(sizes) % 2 else sizes
    pairs = sizes.reshape(-1, 2)
    if look and bool((pairs.amax(dim=1) <= ALIKE * pairs.amin(dim=1)).all()):
        return None
    powers, live = power_of_two(pairs), (pairs > 0).to(pairs.dtype)
    return (live / powers)[:, None].repeat(1, 1, w), (live * powers)[:, None].repeat(1, 1, w)


def times(z: Tensor, factor: Tensor, out: Tensor | None = None) -> Tensor:
    """Packed planes times a factor for each of the two, pairs 1 2w."""
    flat = torch.view_as_real(z).flatten(-2)
    result = torch.mul(flat, factor, out=None if out is None else torch.view_as_real(out).flatten(-2))
    return torch.view_as_complex(result.unflatten(-1, (-1, 2))) if out is None else out


class Spectral:
    """One solve: the packed image z, the packed dual p in Fourier space, and p' = offset + gain (p - F z).

    F is the transform of planes that were brought to like size.
    """

    def __init__(
        self, step: SpectralStep, prox: Pointwise, x: Tensor, q: Tensor, relaxation: float, look: bool = True
    ) -> None:
        self.shape, self.relaxation, self.beta = x.shape, relaxation, step.beta
        self.step, self.threshold = kernels.spectral_step_.raw(x), kernels.soft_threshold.raw(x)
        h, w = x.shape[-2:]
        gain = full_plane(step.gain, w)
        self.gain = gain[:, :, None].expand(h, w, 2).contiguous()  # once for the real, once for the imaginary part
        self.denominator = full_plane(step.denominator, w)
        fresh = q.is_cpu and not bool(q.any())  # a look at it would wait for a GPU
        dual = None if fresh else torch.fft.irfft2(q, s=(h, w))
        self.prox = prox.at(1 / (2 * step.beta))
        self.look = look or x.is_cpu
        self.least = abs(min(max(0.0, prox.low), prox.high))
        self.scaled: Tensor | None = None  # memory for packed planes of like size
        self.z, self.guess = pack(x), pack(step.guess)
        self.factors = self.balanced(x, step.guess, step.guess if dual is None else dual)
        self.offset = self.transform(self.guess)
        self.p = torch.zeros_like(self.offset) if dual is None else self.transform(pack(dual))

    def balanced(self, *images: Tensor) -> tuple[Tensor, Tensor] | None:
        """The factors for planes as large as the largest of these b c h w, and of what the box lets a pixel be."""
        sizes = torch.stack([largest(image) for image in images]).amax(dim=0)
        return factors(sizes.clamp(min=self.least), self.shape[-1], self.look)

    def rebalance(self) -> None:
        """Choose the factors for the sizes that image and dual have now."""
        before, x = self.factors, unpack(self.z, self.shape)
        if before is None and self.balanced(x) is None:  # the dual is not looked at, which costs a transform
            return
        dual = self.image(self.p)
        self.factors = self.balanced(x, *(unpack(part, self.shape) for part in (self.guess, dual)))
        if self.factors is not None or before is not None:
            self.offset, self.p = self.transform(self.guess), self.transform(dual)

    def transform(self, z: Tensor) -> Tensor:
        """F of packed planes."""
        if self.factors is None:
            return torch.fft.fft2(z)
        self.scaled = times(z, self.factors[0], self.scaled)
        return torch.fft.fft2(self.scaled)

    def image(self, f: Tensor) -> Tensor:
        """The packed planes whose transform this is."""
        z = torch.fft.ifft2(f)
        return z if self.factors is None else times(z, self.factors[1], z)

    def advance(self) -> tuple[Tensor, Tensor]:
        """One iteration in place; returns the new packed image, the state but for relaxation, and 2 p' - p as one."""
        f = self.transform(self.z)
        self.step(f, self.p, self.offset, self.gain, self.relaxation)
        pulled = self.image(f)
        z = torch.view_as_real(self.z)
        new = torch.view_as_complex(self.threshold(z, add=torch.view_as_real(pulled), **self.prox))
        self.z = new if self.relaxation == 1.0 else torch.lerp(self.z, new, self.relaxation)
        return new, pulled

    def norms(self, packed: Tensor) -> Tensor:
        """Of the images that are packed, shape (b,)."""
        return per_image(unpack(packed, self.shape))

    def ratios(
        self, z: tuple[Tensor, Tensor], p: tuple[Tensor, Tensor], pulled: Tensor, tolerance: float, scales: Scales
    ) -> Tensor:
        """The two ratios of the stop rule, 2 x b, from the packed image and dual before and after an iteration.

        ``pulled`` is 2 p' - p as an image.
        """
        moved, gain = p[1] - p[0], self.gain[..., 0]
        missing = (self.offset + gain * (p[1] - self.transform(z[1])) - p[1]) * self.denominator
        pending = self.image(self.beta * moved - missing)
        error = Error(self.norms(z[1] - z[0]), self.norms(pending), self.norms(pulled), scales.floors)
        data = ratio(self.norms(self.image(moved * self.denominator)), scales.sizes)
        return torch.stack([data, error.ratio(self.beta, tolerance, rounding(self.gain.dtype))])


def admm(
    step: SpectralStep, prox: Pointwise, x: Tensor, q: Tensor, rule: StopRule, relaxation: float
) -> tuple[Tensor, Tensor, int, Status]:
    """(x, q, iterations done, status): the visible loop on packed planes, to rounding. q: rfft2 layout, in and out."""
    solve = Spectral(step, prox, x, q, relaxation, look=rule.tolerance > 0)  # without one a solve waits for nothing
    verdict: Status | None = None
    turn = EARLIEST
    for k in range(rule.iterations):
        if k == turn:
            solve.rebalance()
            turn *= EARLIEST
        due = rule.due(k + 1)
        before = (solve.z, solve.p.clone()) if due else None
        new, pulled = solve.advance()
        if before is not None and rule.scales is not None:
            z, p = before
            p_new = solve.p if relaxation == 1.0 else p + (solve.p - p) / relaxation
            verdict = rule.judge(solve.ratios((z, new), (p, p_new), pulled, rule.tolerance, rule.scales))
            if verdict is not None:
                break
    dual = torch.fft.rfft2(unpack(solve.image(solve.p), x.shape))
    return unpack(new, x.shape), dual, k + 1, verdict or Status.ITERATIONS
