"""When a solve is over: what "converged" means, and the guard against growth.

``x'`` minimises ``F(.) - <e, .>`` for an e that an iteration knows, F being the objective. With the residual of the
next data step, ``r' = y - A x' - beta q'``, and ``q' - q`` of the one before the prox::

    e = 2 beta (x - x') + 2 A^T (beta (q' - q) - r')

    converged:   beta ||x' - x|| + ||A|| ||beta (q' - q) - r'||
                     <=  8 eps ||A^T y|| + t max(2 beta ||A^T (2 q' - q)||, 0.2 t ||A^T y||)

for every image. Data that are fitted exactly end by the last term, of second order in t, or by the first, which is
rounding, eps being that of the dtype. Steps alone say nothing: with a large beta every step is short. Where the prox is
inexact (TV), its own error must be small beside the objective too, ``R(x') - <g, x'> <= 3 t F(x')`` for the subgradient
g that it ended at. docs/mathematics.md has the measurements; the norms are taken in float64, so that data of any size
are judged alike.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .arrays import accumulator
from .contracts import Scales, Status
from .errors import InvalidInput

# Iterations between looks: what a fused kernel runs on a plane while it is in cache. More run a solve further past its
# tolerance; fewer cost more residuals, passes through memory and waits for a GPU.
EVERY = 5
# Iterations over which a growing data residual means an unstable inverse, once it is GROWTH times that of the first
# look and above GROWTH / 10 times the data. Smaller numbers would stop sound solves, whose residual grows for a while
# from a far start; larger ones let a diverging one run on.
PATIENCE, GROWTH = 20, 10.0
# A processor copies what it takes the norm of to float64: beyond so many numbers, in so many pieces, one after another.
# A copy of the whole would be two images.
PIECE, PIECES = 2**18, 16


def per_image(values: Tensor) -> Tensor:
    """Euclidean norm of each image of the batch, shape (b,), in float64 where the device has it."""
    flat = values.detach().flatten(1)
    wide = torch.complex128 if flat.is_complex() else torch.float64
    dtype = accumulator(flat.dtype) if flat.device.type == "mps" else wide
    if flat.device.type != "cpu" or flat.dtype == dtype or flat.numel() <= PIECE:
        return torch.linalg.vector_norm(flat, dim=1, dtype=dtype)
    pieces = flat.split(-(-flat.shape[1] // PIECES), dim=1)
    norms = torch.stack([torch.linalg.vector_norm(piece, dim=1, dtype=dtype) for piece in pieces])
    return torch.linalg.vector_norm(norms, dim=0)


def rounding(dtype: torch.dtype) -> float:
    """What an error is known to, beside ``||A^T y||``: some roundings of images of this dtype.

    More would take what is not settled for the end; less would never end where data are fitted exactly.
    """
    return 8 * torch.finfo(dtype).eps


def ratio(norms: Tensor, reference: Tensor) -> Tensor:
    """norms / reference, absolute where the reference is zero."""
    return norms / torch.where(reference > 0, reference, torch.ones_like(reference))


def relative_change(x: Tensor, x_new: Tensor) -> Tensor:
    """``||x_new - x|| / max(||x||, ||x_new||)`` per image, shape (b,); absolute where both are zero."""
    return ratio(per_image(x_new.detach() - x.detach()), per_image(x).maximum(per_image(x_new)))


class Error(NamedTuple):
    """The norms that tell how far x' is from a minimiser, each of shape (b,).

    Attributes:
        moved: ``||x' - x||``.
        pending: ``||A|| ||beta (q' - q) - r'||``, or the norm of A^T of that itself.
        pulled: ``||A^T (2 q' - q)||``.
        floor: ``||A^T y||``.
    """

    moved: Tensor
    pending: Tensor
    pulled: Tensor
    floor: Tensor

    def ratio(self, beta: float, tolerance: float, rounding: float) -> Tensor:
        """What must be <= tolerance; ``rounding``: that of the dtype, times ``floor`` it counts as nothing."""
        error, spare = beta * self.moved + self.pending, rounding * self.floor
        size = (2 * beta * self.pulled).maximum(0.2 * tolerance * self.floor)
        return ratio(torch.where(error <= spare, torch.zeros_like(error), error - spare), size)


class StopRule:
    """Judges two ratios every ``EVERY`` iterations and at the last one.

    The first is that of the data, ``||y - A x - beta q|| / ||y||``, for the guard; the second is how far the solve is
    from its end. Converged when the second is <= tolerance for every image; unstable when one is not finite, or when
    a data ratio has grown for ``PATIENCE`` iterations to more than ``GROWTH`` times the first (and 1).

    Args:
        tolerance: >= 0; zero never looks, so that exactly ``iterations`` are run.
        iterations: The most that are run, >= 1.
        scales: What kernels that run whole solves need to judge them; not needed without a tolerance.
    """

    def __init__(self, tolerance: float, iterations: int, scales: Scales | None = None) -> None:
        self.tolerance, self.iterations, self.scales = tolerance, iterations, scales
        self.history: list[Tensor] = []
        self._growing = 0

    def known(self) -> Scales:
        """The scales.

        Raises:
            InvalidInput: Where a kernel needs them and they were not given.
        """
        if self.scales is None:
            raise InvalidInput("the stop rule has no scales; expected contracts.Scales where the tolerance is above 0")
        return self.scales

    def due(self, iteration: int) -> bool:
        """Whether to look after this iteration, counted from 1."""
        return self.tolerance > 0 and (iteration % EVERY == 0 or iteration == self.iterations)

    def judge(self, ratios: Tensor) -> Status | None:
        """Record the ratios (2 x b: data, error) and return a status when the solve is over.

        A GPU is waited for here and nowhere else in a solve: once a look, for the ratios, which are judged on the CPU.
        """
        ratios = ratios.cpu()
        grown = False
        if self.history:
            large = GROWTH * self.history[0][0].clamp(min=0.1)
            grown = bool(((ratios[0] > self.history[-1][0]) & (ratios[0] > large)).any())
        self._growing = self._growing + 1 if grown else 0
        self.history.append(ratios)
        if not bool(torch.isfinite(ratios).all()) or self._growing * EVERY >= PATIENCE:
            return Status.UNSTABLE
        return Status.CONVERGED if bool((ratios[1] <= self.tolerance).all()) else None

    def residuals(self, images: int) -> Tensor:
        """All looks so far: checks x 2 x b, float64 on the CPU."""
        return torch.stack(self.history).double() if self.history else torch.zeros(0, 2, images, dtype=torch.float64)
