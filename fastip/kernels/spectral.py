"""Whole ADMM solves whose data step is pointwise in Fourier space: one complex FFT each way, for two planes at a time.

A real filter acts on x1 + i x2 as it does on x1 and on x2, so planes travel in pairs as the real and the imaginary part of one complex plane. Half as
many complex transforms are faster than real ones (the inverse real transform above all), and the full plane needs no Hermitian bookkeeping.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..contracts import Pointwise, SpectralStep, Status
from ..stopping import StopRule, relative_change
from . import backends


def pack(planes: Tensor) -> Tensor:
    """b c h w real -> pairs h w complex: plane 2j + i plane 2j + 1, a plane of zeros completing an odd number."""
    flat = planes.reshape(-1, *planes.shape[-2:])
    if len(flat) % 2:
        flat = torch.cat([flat, flat.new_zeros(1, *flat.shape[1:])])
    return torch.complex(flat[0::2], flat[1::2])


def unpack(z: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of :func:`pack`, of the given shape b c h w."""
    planes = torch.view_as_real(z).permute(0, 3, 1, 2).reshape(-1, *z.shape[1:])
    return planes[: shape[0] * shape[1]].reshape(shape)


def full_plane(half: Tensor, w: int) -> Tensor:
    """A real even spectrum in rfft2 layout h (w // 2 + 1) on the full plane h w."""
    mirrored = half[:, 1 : (w + 1) // 2].flip(1)
    return torch.cat([half, torch.cat([mirrored[:1], mirrored[1:].flip(0)])], dim=1)


class Spectral:
    """One solve: the packed image z, the packed dual p in Fourier space, and p' = offset + gain (p - F z)."""

    def __init__(self, step: SpectralStep, prox: Pointwise, x: Tensor, q: Tensor) -> None:
        self.shape = x.shape
        h, w = x.shape[-2:]
        gain = full_plane(step.gain, w)
        self.gain = gain[:, :, None].expand(h, w, 2).contiguous()  # once for the real, once for the imaginary part
        self.denominator = step.beta / (1 - gain.double()).to(gain)  # beta + g, as gain = g / (beta + g)
        self.offset = torch.view_as_real(self._transform(step.offset))
        self.p = self._transform(q)
        self.z = pack(x)
        tau = 1 / (2 * step.beta)
        self.prox = (tau * prox.l1, 1 / (1 + 2 * tau * prox.l2), prox.low, prox.high)

    def _transform(self, half: Tensor) -> Tensor:
        """Packed transforms from rfft2 ones."""
        return torch.fft.fft2(pack(torch.fft.irfft2(half, s=self.shape[-2:])))

    def advance(self) -> tuple[Tensor, Tensor]:
        """The new packed image and dual."""
        f = torch.view_as_real(torch.fft.fft2(self.z))
        p = torch.view_as_real(self.p)
        torch.sub(p, f, out=f)
        new = torch.addcmul(self.offset, self.gain, f)
        extrapolated = torch.lerp(p, new, 2.0, out=f)
        pulled = torch.view_as_real(torch.fft.ifft2(torch.view_as_complex(extrapolated)))
        z = torch.view_as_real(self.z)
        image = backends.select((z,)).soft_threshold(z, *self.prox, pulled)
        return torch.view_as_complex(image), torch.view_as_complex(new)

    def ratios(self, z_new: Tensor, p_new: Tensor, sizes: Tensor) -> Tensor:
        """The two ratios of the stop rule, 2 x b; ``sizes`` are ||A^T y||."""
        moved = torch.fft.ifft2((p_new - self.p) * self.denominator)
        norms = torch.linalg.vector_norm(unpack(moved, self.shape).flatten(1), dim=1)
        data = norms / torch.where(sizes > 0, sizes, torch.ones_like(sizes))
        return torch.stack([data, relative_change(unpack(self.z, self.shape), unpack(z_new, self.shape))])


def admm(step: SpectralStep, prox: Pointwise, x: Tensor, q: Tensor, sizes: Tensor, rule: StopRule, relaxation: float) -> tuple[Tensor, Tensor, int, Status]:
    """(x, q, iterations done, status): the visible loop on packed planes, to rounding. q: rfft2 layout, in and out."""
    solve = Spectral(step, prox, x, q)
    for k in range(rule.iterations):
        z_new, p_new = solve.advance()
        verdict = rule.judge(solve.ratios(z_new, p_new, sizes)) if rule.due(k + 1) else None
        if relaxation == 1.0:
            solve.z, solve.p = z_new, p_new
        else:
            solve.z, solve.p = torch.lerp(solve.z, z_new, relaxation), torch.lerp(solve.p, p_new, relaxation)
        if verdict is not None:
            break
    dual = torch.fft.rfft2(unpack(torch.fft.ifft2(solve.p), x.shape))
    return unpack(z_new, x.shape).contiguous(), dual, k + 1, verdict or Status.ITERATIONS
