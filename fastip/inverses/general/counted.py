"""Which inverse is the least work where the operator states no structure: each is counted to a gap of 1e-4."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ...contracts import Convolution, Inverse, LinearOperator
from ...operators import Blur, Operator, Varying
from ...operators.base.remembered import PREFIX
from ...operators.base.work import TRANSFORM
from ...tracing import norm, real_dtype
from ..certificate import LIMIT, weights
from ..exact import Exact, assembles
from ..split import Split
from .bounded import Diagonal, Scalar, stated
from .nystrom import REST, Nystrom
from .polynomial import Polynomial, chebyshev_error
from .price import price, single

# Iterations of the exact inverse to a gap of 1e-4; and how many more an approximate one takes, by a power of its
# smallest eigenvalue lambda_min(C B^-1). A number and a sketch are slow for the small part of A A^T alone, which counts
# least; the error of a polynomial is alike everywhere. Tomography of 4096 rows, beta = 0.02 ||A||^2: Exact 45,
# Polynomial(4) 45, (2) 60, (1) 140, Nystrom(256) 75, (64) 120, Scalar 150. What a blur makes small, images have little
# of: to 1e-3, Scalar and Polynomial(2) take 230 and 230 (63 x 63, valid), 180 and 115 (a wide code), 60 and 40
# (a varying blur), 55 and 30 (9 x 9 behind a mask).
ITERATIONS, SLOW = 60.0, 0.25
SMALL_PART, OF_BLURS, ALIKE = 0.5, 0.15, 0.9
TINY = 1e-12  # smaller eigenvalues, where beta is lost to rounding, are slow enough
# What the rest of an iteration costs: the calls in all, and the prior a pixel, pointwise, by a few steps (total
# variation: 105 to 265 measured with AVX2) or a network.
CALLS, POINTWISE, STEPS, NETWORK = 5e6, 20.0, 150.0, 1e4
# The second split, beside the exact inverse: with total variation, where the psf fills its frame and where it has faint
# tails or leaves pixels out; with priors that give their prox at once, which wait for it. Iterations over Scalar's to
# 1e-3: disks of 31 0.6 to 0.8, a Gaussian of 31 0.7, shakes of 25 0.6 to 0.9, one of 31 1.1; 63 with far tails 3.2.
SPLIT, SPLIT_TAILS, SPLIT_EXACT = 1.2, 3.0, 6.0
FILLED = 0.05  # of the frame, (sum h)^2 / sum h^2 pixels: disk 0.6, Gaussian 0.2, shakes 0.1, far tails 0.02
RANKS, DEGREES = (16, 64, 256), (1, 2, 4, 8)
LARGEST_SKETCH = 3e7  # numbers, 240 MB: a larger one costs more memory than most solves
# beta beside ||A||^2 that suits these inverses where nobody gave one: they move A A^T's small part by beta / ||A||^2 of
# the way, and a smaller one makes them slow. TV, iterations of Scalar to 1e-3 at 0.01, 0.02, 0.04, 0.08: tomography 165
# 125 95 120, an opaque callable 145 110 85 105, a wide code 285 180 115 140; with a third of the weight 195 160 140
# 265 and its like. A blur alone wants what suits its prior: 63 x 63, valid, a third: 265 at 0.01, > 500 from 0.02 on.
LEAST_BETA = 0.04


class Wanted(NamedTuple):
    """What a solve asks of its inverse.

    Attributes:
        pointwise: Whether the prior acts on each pixel alone.
        exact: Whether a call of it gives its prox; where not (total variation), many iterations are made anyway.
        few: Whether it has a level for each iteration, and so sees no more of them.
        free: Whether nobody gave beta, so that it is raised to :func:`least_beta` for the inverses that want it.
        iterated: Whether C serves in iterations that correct it, not by itself.
    """

    pointwise: bool = False
    exact: bool = True
    few: bool = False
    free: bool = False
    iterated: bool = True


class Candidate(NamedTuple):
    """An inverse and what a solve with it costs, in multiply-adds of one image.

    Attributes:
        inverse: Not bound yet.
        setup: Once for the operator.
        iterations: To a gap of 1e-4.
        each: An iteration, prior included.
    """

    inverse: Inverse
    setup: float
    iterations: float
    each: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.setup + self.iterations * self.each


GENERAL = (Scalar, Diagonal, Nystrom, Polynomial)  # what wants a beta that is not small


def candidates(op: LinearOperator, y: Tensor, beta: float, relaxation: float, wanted: Wanted) -> list[Candidate]:
    """Every inverse that fits an operator without a structure, the least work first.

    Args:
        op: The operator A.
        y: The data.
        beta: The penalty.
        relaxation: 0 < a < 2.
        wanted: What the solve asks.
    """
    y = single(op, y)
    pair = price(op, y)
    pixels = math.prod(op.input_shape(tuple(y.shape))[1:])
    rest = CALLS + pixels * (POINTWISE if wanted.pointwise else NETWORK if wanted.exact else STEPS)
    found = [*_general(op, y, beta, relaxation, pair, pair + rest, wanted.free), *_factor(op, y, pair, pair + rest)]
    window = op.window()
    if window is not None and not y.is_complex():
        times = SPLIT_EXACT if wanted.exact else SPLIT if _fills(window.convolution) else SPLIT_TAILS
        found.append(Candidate(Split(), 0.0, times * ITERATIONS, 4 * TRANSFORM * pixels + rest))
    return sorted(found, key=lambda candidate: candidate.total)


def diagonal_pays(op: LinearOperator, y: Tensor, beta: float, relaxation: float) -> bool:
    """Whether Diagonal is less work than Scalar, both counted by the mean of their steps; no graph can make it."""
    if torch.compiler.is_compiling():
        return False
    if stated(op) is not None:
        return True
    if getattr(op, "absolute", lambda: None)() is None:
        return False
    own, gram = weights(beta, relaxation)
    largest = norm(op, op.input_shape(tuple(y.shape))) ** 2
    steps = LIMIT * beta / (own + gram * Diagonal().bound(op, y))
    means = LIMIT * beta / (own + gram * largest), float(steps.mean())
    power = OF_BLURS if blurs(op) else SMALL_PART
    of_number, of_diagonal = (ITERATIONS * max(1.0, SLOW / max(low, TINY)) ** power for low in means)
    return of_diagonal + 1 < of_number  # |A| |A|^T 1 is one product more


def _fills(convolution: Convolution) -> bool:
    """Whether every pixel of the grid is seen, through psfs without faint far tails."""
    h = convolution.psf.flatten(-convolution.axes)
    return convolution.stride == 1 and bool((h.sum(-1).square() > FILLED * h.shape[-1] * h.square().sum(-1)).all())


def blurs(op: Any) -> bool:
    """Whether a convolution is a part of it."""
    kept = (value for name, value in vars(op).items() if not name.startswith(PREFIX))
    parts = chain.from_iterable(v if isinstance(v, (tuple, list)) else (v,) for v in kept)
    return isinstance(op, (Blur, Varying)) or any(blurs(part) for part in parts if isinstance(part, Operator))


def least_beta(op: LinearOperator, largest: float) -> float:
    """The beta at least, where nobody gave one, for ``||A||^2 = largest``; 0 for a blur alone.

    Where a diagonal above A A^T is known the least of it counts: data that lie close together make the norm alone.
    """
    if op.convolution() is not None:
        return 0.0
    known = None if torch.compiler.is_compiling() else stated(op)
    return LEAST_BETA * (largest if known is None else min(largest, known.min().item()))


def _general(
    op: LinearOperator, y: Tensor, beta: float, relaxation: float, pair: float, each: float, free: bool
) -> Iterator[Candidate]:
    largest = norm(op, op.input_shape(tuple(y.shape))) ** 2
    beta = max(beta, least_beta(op, largest)) if free else beta
    own, gram = weights(beta, relaxation)

    small = OF_BLURS if blurs(op) else SMALL_PART

    def iterations(low: float, power: float = small) -> float:
        return ITERATIONS * max(1.0, SLOW / max(low, TINY)) ** power

    yield Candidate(Scalar(), 0.0, iterations(LIMIT * beta / (own + gram * largest)), each)
    known = stated(op)
    if known is not None:
        yield Candidate(Diagonal(), 0.0, iterations(LIMIT * beta / (own + gram * known.min().item())), each)
    if largest == 0:  # it sees nothing, and any C serves
        return
    for degree in DEGREES:
        error = chebyshev_error(degree, beta, largest)
        low = LIMIT * (1 - error) / (max(weights(1.0, relaxation)) * (1 + error))
        yield Candidate(Polynomial(degree), 0.0, iterations(low, ALIKE), each + degree * pair)
    numbers = y[0].numel() * (2 if y.is_complex() else 1)
    for rank in RANKS:
        if rank * numbers > LARGEST_SKETCH or 4 * rank > numbers:
            break
        # sketch and rest in float64, and its factors
        setup = 2 * (rank + REST) * pair + 10 * numbers * rank**2
        left = _left(op, y, rank, largest)
        yield Candidate(Nystrom(rank), setup, iterations(beta / (beta + left)), each + 2 * rank * numbers)


def _factor(op: LinearOperator, y: Tensor, pair: float, each: float) -> Iterator[Candidate]:
    """The factor of A A^T, assembled: a product for each row, in float64; of one channel where all are alike."""
    planes = y.shape[1] if op.convolution() is not None else 1
    rows, pair = y[0].numel() // planes, pair / planes
    if assembles(op, y):
        yield Candidate(Exact(), 2.0 * rows * pair + rows**3, ITERATIONS, each + planes * rows**2)


_traces: WeakKeyDictionary[Any, dict[tuple[int, ...], float]] = WeakKeyDictionary()
PROBES = 4  # random data whose A^T tells the trace of A A^T: within a tenth where many directions matter


def _left(op: LinearOperator, y: Tensor, rank: int, largest: float) -> float:
    """About what a sketch of this rank leaves of A A^T: ``L (1 - exp(-trace / (rank L)))``.

    Measured at ranks 16, 64 and 256 on five operators (tomography, coils, lensless, varying blur) it was 0.97 to 1.37
    times what was left.
    """
    kept, key = _traces.setdefault(op, {}), tuple(y.shape[1:])
    if key not in kept:
        kept[key] = _trace(op, y)
    return largest * -math.expm1(-kept[key] / (rank * largest))


@torch.no_grad()
def _trace(op: LinearOperator, y: Tensor) -> float:
    shape = (*y.shape, 2) if y.is_complex() else tuple(y.shape)
    generator, total = torch.Generator().manual_seed(0), 0.0
    for _ in range(PROBES):
        v = torch.randn(shape, generator=generator).to(device=y.device, dtype=real_dtype(y.dtype))
        v = torch.view_as_complex(v) if y.is_complex() else v
        total += torch.linalg.vector_norm(op.adjoint(v)).item() ** 2
    return total / (PROBES * len(y))
