"""How probable a picture is under a blurred power-law spectrum."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

# Bins about zero that are left out: what a Hann window leaks of the mean and of the shading.
LOWEST = 3
# The least noise, as a share of the standard deviation of the picture; where there is less, as much is added. The
# window smears the zeros of a blur, and without noise nothing covers that: of 24 validation pictures without noise half
# were then wrong, some of them clear. 0.02 loses disks of 1.7 pixels on one soft picture in six.
FLOOR = 0.01
# Steps of a fit, and of one that only finds where to begin. A blur that is right needs four; a wrong one may be left
# before its minimum.
STEPS, COARSE_STEPS = 6, 4
LARGEST_STEP = 4.0  # of the logarithm of the spectrum: a full step from a bad start overshoots
BUDGET = 1 << 19  # numbers a temporary: larger ones leave the cache


class Spectrum:
    """The mean periodogram P(w) of the tapered blocks of a picture, beside what a blur would make it.

    The cost of a blur H is the mean over the frequencies, in nats, of::

        log S(w) + P(w) / S(w),      S = c |w|^-alpha exp(-gamma |w|^2) |H(w)|^2 + noise^2

    at the c, alpha and gamma that make it least (Levenberg-Marquardt, Fisher's matrix): the negative logarithm of the
    evidence of independent Gaussian coefficients. gamma is how soft, or sharpened, the picture was before. Where
    directions differ, alpha is a sum of 1, cos 2t and sin 2t, t the direction of w, and log c one of these and of
    cos 4t and sin 4t.

    Args:
        grey: h w, float64.
        side: Of a block, at most; blocks overlap by half.
        noise: The standard deviation of the white noise in grey.
        directed: Whether directions differ.
        dtype: Of the fits.
    """

    def __init__(
        self, grey: Tensor, side: int, noise: float, directed: bool = False, dtype: torch.dtype = torch.float64
    ) -> None:
        self.side = min(side, *grey.shape)
        window = torch.hann_window(self.side, periodic=True, dtype=torch.float64)
        power = _periodogram(grey, torch.outer(window, window))
        rows, columns = (f(self.side, dtype=torch.float64) for f in (torch.fft.fftfreq, torch.fft.rfftfreq))
        radius = (rows[:, None].square() + columns.square()).sqrt()
        self._kept = radius > LOWEST / self.side
        twice = torch.full_like(power, 2.0)  # a column stands for its conjugate too
        twice[:, 0] = 1
        if self.side % 2 == 0:
            twice[:, -1] = 1
        direction = torch.atan2(rows[:, None], columns)[self._kept]
        radius, power, weights = radius[self._kept], power[self._kept], twice[self._kept]
        self._power, self._weights = power.to(dtype), (weights / weights.sum()).to(dtype)
        lifted = max(0.0, FLOOR**2 * float(grey.var()) - noise**2)
        self._power = self._power + lifted
        self.noise = noise**2 + lifted
        log, square = radius.log(), radius.square()
        log = log - log.mean()
        parts = [torch.ones_like(log), log, 4 * (square - square.mean())]
        if directed:  # without the last two, three of 44 moved photographs are wrong, not one
            waves = [f(k * direction) for k in (2, 4) for f in (torch.cos, torch.sin)]
            parts += [*waves, log * waves[0], log * waves[1]]
        features = torch.stack(parts).to(dtype)
        self._features, self._weighted = features, features * self._weights
        one, other = torch.triu_indices(len(features), len(features))
        self._products = features[one] * self._weighted[other]
        self._places = torch.zeros(len(features), len(features), dtype=torch.long)  # of the products in a matrix
        self._places[one, other] = self._places[other, one] = torch.arange(len(one))

    def smooth(self) -> tuple[float, float]:
        """The cost without a blur, and the share of the frequencies that show more than noise (signal / S squared)."""
        cost, fitted = self.fit(torch.ones_like(self._power)[None], steps=20)
        signal = (fitted @ self._features).exp()
        return float(cost), float((signal / (signal + self.noise)).square() @ self._weights)

    def costs(self, psfs: Sequence[Tensor], *others: Spectrum, steps: int = STEPS) -> Iterator[Tensor]:
        """The costs of k psfs, some at a time: 1 k, or n k with others of the same picture and side."""
        count = max(1, BUDGET // len(self._power))
        for k in range(0, len(psfs), count):
            responses = torch.stack([self._response(psf) for psf in psfs[k : k + count]])  # dear, and theirs too
            yield torch.stack([each.fit(responses, steps)[0].double() for each in (self, *others)])

    def _response(self, psf: Tensor) -> Tensor:
        """``|H|^2`` at the kept frequencies."""
        taps = torch.fft.rfft2(psf.to(self._power), s=(self.side, self.side))[self._kept]
        return taps.real.square() + taps.imag.square()

    def fit(self, response: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """The least cost for each of k responses, and the coefficients of the m features (k m) that give it."""
        fitted, size = self._start(response), len(self._features)
        best, kept = torch.full((len(response),), math.inf, dtype=fitted.dtype), fitted
        damping = torch.full((len(response), 1), 1e-3, dtype=torch.float64)
        gradient, fisher = torch.zeros(len(fitted), size).double(), torch.zeros(len(fitted), size, size).double()
        for step in range(steps + 1):  # in place, which is a third of the time
            share = (fitted @ self._features).exp_().mul_(response)
            total = share + self.noise
            ratio = self._power / total
            share.div_(total)
            cost = total.log_().add_(ratio) @ self._weights
            better = cost < best
            best, kept = torch.where(better, cost, best), torch.where(better[:, None], fitted, kept)
            if step == steps:
                break
            own = (share - ratio.mul_(share)) @ self._weighted.T, share.square_() @ self._products.T
            gradient = torch.where(better[:, None], own[0].double(), gradient)
            fisher = torch.where(better[:, None, None], own[1].double()[:, self._places], fisher)
            damping = torch.where(better[:, None], damping / 10, damping * 10)
            diagonal = fisher.diagonal(dim1=1, dim2=2)
            matrix = fisher + torch.diag_embed(damping * diagonal + 1e-12 * diagonal.amax(dim=1, keepdim=True) + 1e-30)
            move = torch.linalg.solve(matrix, gradient).to(fitted)
            largest = (move @ self._features).abs().amax(dim=1, keepdim=True)
            fitted = kept - move * (LARGEST_STEP / largest).clamp_max(1)
        return best, kept

    def _start(self, response: Tensor) -> Tensor:
        """The usual alpha of photographs, 2, alike in all directions, and the c that gives the power of the picture."""
        fitted = torch.zeros(len(response), len(self._features), dtype=response.dtype)
        fitted[:, 1] = -2
        power = (self._power - self.noise).clamp_min(0) @ self._weights
        fitted[:, 0] = (power / (((fitted @ self._features).exp() * response) @ self._weights)).log()
        return fitted


def _periodogram(grey: Tensor, window: Tensor) -> Tensor:
    """The mean over blocks that overlap by half; of white noise its variance."""
    side = len(window)
    total, count = torch.zeros(side, side // 2 + 1, dtype=torch.float64), 0
    for top in _starts(grey.shape[0], side):
        for left in _starts(grey.shape[1], side):
            block = grey[top : top + side, left : left + side]
            block = (block - (block * window).sum() / window.sum()) * window
            total += torch.fft.rfft2(block).abs().square()
            count += 1
    return total / (count * window.square().sum())


def _starts(size: int, side: int) -> list[int]:
    count = 1 + math.ceil((size - side) / (side / 2))
    return [round(k * (size - side) / max(1, count - 1)) for k in range(count)]
