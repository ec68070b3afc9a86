"""The certificate of an approximate inverse C for relaxation a: whether it converges, and how fast.

It is a number::

    kappa = lambda_max(C (a beta I / 2 + (a - a^2 / 4) A A^T)) < 1

Convergence to the exact solution is guaranteed for every convex prior when C is symmetric positive definite and
kappa < 1; for R = 0 it is also necessary. ``rho = max |1 - lambda(C (beta I + A A^T))|`` tells the speed only.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..arrays import check_products
from ..contracts import Apply
from ..errors import InvalidInput

LIMIT = 0.98  # a 2 % margin below 1: Lanczos approaches lambda_max from below
BRISK = 0.92  # at kappa = 0.98 the largest mode halves in 11 iterations, at 0.92 in 3; see docs/mathematics.md


@dataclass(frozen=True)
class Certificate:
    """What is known of C on one grid, for one boundary and one beta.

    Attributes:
        kappa: The number that must be below 1, for ``relaxation``.
        low: The smallest eigenvalue of C (beta I + A A^T).
        high: The largest one.
        smallest: The smallest eigenvalue of C times beta; C is positive definite where it is > 0.
        relaxation: The a of kappa, 0 < a < 2.
    """

    kappa: float
    low: float
    high: float
    smallest: float
    relaxation: float = 1.0

    @property
    def rho(self) -> float:
        """``max |1 - lambda(C (beta I + A A^T))|``: the error of one application of C."""
        return max(1 - self.low, self.high - 1)

    def scale(self) -> float:
        """The factor for C, at most 1.

        It brings kappa below 0.98, and down to 0.92 while its largest mode is slower than its smallest one.

        Returns:
            A number in (0, 1].

        Raises:
            InvalidInput: Where C is not positive definite.
        """
        if not (self.smallest > 0 and self.kappa > 0):
            raise InvalidInput(
                f"this inverse is not positive definite (smallest eigenvalue {self.smallest:.2e} / beta), "
                "so convergence cannot be certified: use a larger beta, a larger half_width for a stencil, "
                "another training for a network, or inverses.Exact()"
            )
        _, gram = weights(0.0, self.relaxation)
        high = min(1.0, LIMIT / self.kappa)
        low = min(high, max(BRISK, gram) / self.kappa)  # kappa below gram: no mode overshoots
        if self._slowest_large(high) <= self._slowest_small(high):
            return high
        # Bisection: 40 halvings leave 1e-12 of the interval, more than any speed depends on.
        for _ in range(40 if self._slowest_large(low) < self._slowest_small(low) else 0):
            middle = (low + high) / 2
            low, high = (middle, high) if self._slowest_large(middle) < self._slowest_small(middle) else (low, middle)
        return low

    def _slowest_large(self, factor: float) -> float:
        """The factor an iteration by which the error of the largest mode shrinks, A A^T >> beta.

        It is d + sqrt(d^2 + d) for C B^-1 = 1 + d, relaxed.
        """
        a = self.relaxation
        excess = max(0.0, factor * self.kappa / (a - 0.25 * a**2) - 1)
        return abs(1 - a - a * (excess + math.sqrt(excess**2 + excess)))

    def _slowest_small(self, factor: float) -> float:
        """The same for the smallest mode, A A^T << beta."""
        return abs(1 - self.relaxation * factor * self.low)

    def scaled(self) -> Certificate:
        """The certificate of C times :meth:`scale`."""
        s = self.scale()
        return dataclasses.replace(
            self, kappa=self.kappa * s, low=self.low * s, high=self.high * s, smallest=self.smallest * s
        )


def weights(beta: float, relaxation: float) -> tuple[float, float]:
    """(a beta / 2, a - a^2 / 4): the weights of I and A A^T in kappa."""
    return 0.5 * relaxation * beta, relaxation - 0.25 * relaxation**2


def indefinite(smallest: float, relaxation: float) -> Certificate:
    """That of a C which is not positive definite: it certifies nothing."""
    return Certificate(float("inf"), float("-inf"), float("inf"), smallest, relaxation)


def from_spectrum(c: Tensor, r: Tensor, beta: float, relaxation: float) -> Certificate:
    """The certificate when C and A A^T share eigenvectors: ``c`` and ``r`` are their eigenvalues."""
    own, gram = weights(beta, relaxation)
    kappa = (c * (own + gram * r)).max().item()
    product = c * (beta + r)
    return Certificate(kappa, product.min().item(), product.max().item(), beta * c.min().item(), relaxation)


def lanczos(
    apply: Apply, metric: Apply, shape: tuple[int, ...], steps: int = 80, tolerance: float = 1e-4
) -> tuple[float, float]:
    """(smallest, largest) eigenvalue of apply(metric(.)), both symmetric, metric positive definite.

    The product is self-adjoint in the inner product of the metric, so the ordinary three-term recurrence runs
    there, in float64 with full reorthogonalisation. More ``steps`` cost memory and, squared, work; a smaller
    ``tolerance`` takes more of them, and a larger one eats into the margin of kappa.
    """
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(shape, generator=generator, dtype=torch.float64)
    m = metric(v)
    size = (v * m).sum().sqrt()
    v, m = v / size, m / size
    before = v
    blocks: list[tuple[Tensor, Tensor]] = []  # of the basis and of its images, 16 vectors each
    diagonal: list[float] = []
    off: list[float] = []
    extremes = (0.0, 0.0)
    most = min(steps, v.numel())
    for k in range(most):
        if k % 16 == 0:
            blocks.append((v.new_empty(16, v.numel()), v.new_empty(16, v.numel())))
        blocks[-1][0][k % 16], blocks[-1][1][k % 16] = v.flatten(), m.flatten()
        w = apply(m)
        diagonal.append(float((w * m).sum()))
        w = w - diagonal[-1] * v
        if off:
            w = w - off[-1] * before
        before, w = v, w.flatten()
        for at, (basis, images) in enumerate(blocks):  # what rounding left of the vectors before
            rows = min(16, k + 1 - 16 * at)
            w = w - (images[:rows] @ w) @ basis[:rows]
        w = w.view(shape)
        m = metric(w)
        square = (w * m).sum().item()
        exhausted = square <= 1e-20 * max(map(abs, diagonal)) ** 2  # to rounding
        if k >= 11 or k == most - 1 or exhausted:
            previous, extremes = extremes, _ends(diagonal, off)
            settled = all(abs(a - b) <= tolerance * abs(extremes[1]) for a, b in zip(previous, extremes, strict=True))
            # The first steps can rest by accident.
            if exhausted or (k >= 12 and settled):
                break
        off.append(square**0.5)
        v, m = w / off[-1], m / off[-1]
    return extremes


def _ends(diagonal: list[float], off: list[float]) -> tuple[float, float]:
    """The extreme eigenvalues of a symmetric tridiagonal matrix."""
    t = torch.tensor(diagonal, dtype=torch.float64).diag()
    if off:
        beside = torch.tensor(off, dtype=torch.float64)
        t = t + beside.diag(1) + beside.diag(-1)
    values = torch.linalg.eigvalsh(check_products(t))
    return values[0].item(), values[-1].item()


def from_lanczos(
    c: Apply, g: Apply, shape: tuple[int, ...], beta: float, relaxation: float, smallest: float | None = None
) -> Certificate:
    """The certificate by Lanczos on the actual grid: ``c`` and ``g`` apply C and A A^T to tensors of ``shape``.

    ``smallest`` is a known lower bound of C's spectrum (for instance its symbol's minimum); it is computed when it
    is absent or not positive.
    """
    own, gram = weights(beta, relaxation)
    if smallest is None or smallest <= 0:
        smallest = lanczos(c, lambda v: v, shape)[0]
    if smallest <= 0:
        return indefinite(smallest * beta, relaxation)
    _, kappa = lanczos(c, lambda v: own * v + gram * g(v), shape)
    low, high = lanczos(c, lambda v: beta * v + g(v), shape)
    return Certificate(kappa, low, high, smallest * beta, relaxation)
