"""inverse="auto": the fastest inverse that is certified for this operator, data and prior."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import contracts
from ..contracts import Convolution, Inverse, Kronecker, LinearOperator, Shape
from ..errors import FastipError, InvalidInput, Unsupported, strict_keywords
from ..tracing import constant, fixed, transformed, untransformed
from .certificate import Certificate
from .close import Close
from .conjugate_gradient import ConjugateGradient
from .exact import Exact, assembles
from .fidelity.dual import FidelityDual as FidelityDual
from .fidelity.serving import serving as serving
from .general.bounded import Scalar
from .general.counted import GENERAL as GENERAL
from .general.counted import Candidate as Candidate
from .general.counted import Wanted as Wanted
from .general.counted import candidates
from .general.counted import least_beta as least_beta
from .general.polynomial import Polynomial
from .learned import Learned
from .split import Split
from .stencil import Stencil, fitted, products

# rho up to which a strided problem takes as many iterations with a stencil as with the exact inverse. Larger costs
# iterations, smaller wider stencils.
NEAR = 0.1
# The smallest eigenvalue of C B^-1 from which it does so without a stride, measured for 9 x 9 and 7 x 7 psf: below, it
# takes about 0.25 / low times as many.
SLOW = 0.25
# Products a data point that cost as much as one complex FFT pair. Larger keeps stencils where the FFT is faster.
FFT = 100
# What an iteration that is not fused costs beside its products: the calls, as so many products in all, and the prior,
# as so many an image pixel (measured on one core at 36e9 products a second: 0.14 ms, L1 and total variation). Larger
# takes the eigenvectors of a separable psf on larger grids. Other priors cost more, and gain more by fewer iterations.
CALLS, POINTWISE, PRIOR = 5e6, 50, 400
WIDEST = 256  # psf taps a pixel beyond which stencils are not tried: small ones are no inverse of so wide a psf

_offered: dict[str, list[Learned]] = {}  # by the fingerprint of the operator
CODED = (Exact, Split, Scalar)  # what a graph keeps as a number below 0, half-widths above


@strict_keywords
def offer(learned: Learned) -> None:
    """Let ``inverse="auto"`` consider a trained inverse for its own operator, in this process.

    It is considered where no exact inverse is known.

    Args:
        learned: An inverse with its training record, as ``fastip.load_inverse`` and ``fastip.train.inverse`` give it.

    Raises:
        InvalidInput: For another object, or without a training record.
    """
    if not isinstance(learned, Learned) or learned.trained is None:
        raise InvalidInput(
            f"learned is {type(learned).__name__}{' without a record' if isinstance(learned, Learned) else ''}; "
            "expected one with its training record, as fastip.load_inverse and fastip.train.inverse give it"
        )
    offered = _offered.setdefault(learned.trained.fingerprint, [])
    if learned not in offered:
        offered.append(learned)


def choose(
    op: LinearOperator,
    y: Tensor,
    beta: float,
    *,
    pointwise: bool,
    relaxation: float = 1.0,
    exact: bool = True,
    few: bool = False,
    free: bool = False,
    iterated: bool = True,
) -> Inverse:
    """The fastest inverse that is certified for this operator, data and prior: the first of a list that fits.

    0. For a denoiser with a level for each iteration, the one that is close to exact from the first iteration on: a
       structure, else conjugate gradients to 3e-3 (:class:`fastip.inverses.close.Close`).
    1. Exact where A A^T is a scalar or diagonal.
    2. For a pointwise prior, a stencil that runs fused and takes no more iterations than the exact inverse. With a
       stride: half-width <= 4 and rho <= 0.1. Without: where it is less work than an FFT.
    3. Exact where the operator states a structure: FFT, DCT, the matrix of a dense one, the eigenvectors of a separable
       one. Those of a blur only where 2 (h + w) products a data point cost less than the iterations that the stencil
       of least work takes more. Then the closed form that a physics of deepinv has (``interop.ProxL2``).
    4. For a prior that is not pointwise, a learned inverse offered for this operator when its certificate promises
       fewer iterations than the stencils'.
    5. The certified stencil of least work.
    6. A learned inverse that was offered.
    7. What is the least work to a gap of 1e-4, set-up included (:mod:`fastip.inverses.general.counted`): Scalar,
       Polynomial, Nystrom, the second split where A is weighted pixels of a circular convolution, and the
       factor of A A^T up to 4096 rows. Products are counted by formula; those of an operator of one's own are timed,
       once. None of them has an inner loop.

    Where C is applied by itself, 6 and 7 are: Cholesky, up to 4096 rows; a learned inverse; conjugate gradients.

    Args:
        op: The operator A.
        y: The data. Their shape, dtype and device count, their values do not.
        beta: The penalty, > 0.
        pointwise: Whether the prior acts on each pixel alone with fixed weights, so that whole iterations can run
            fused.
        relaxation: 0 < a < 2; certificates are those for it.
        exact: Whether a call of the prior gives its prox; where not (total variation), many iterations are made anyway.
        few: Whether it has a level for each iteration, and so sees no more of them.
        free: Whether nobody gave beta, so that it is raised for the inverses that want one that is not small.
        iterated: Whether C serves in iterations that correct it, not by itself.

    Returns:
        An inverse that is not bound yet.

    Raises:
        Unsupported: Inside torch.compile, where the choice is no stencil, exact inverse or split.
    """
    asked = (pointwise, exact, few, free, iterated)
    if torch.compiler.is_compiling():
        return _from_code(_traced(op, fixed(y.shape, op), y.dtype, y.device, beta, relaxation, asked))
    if few:
        return Close()
    y = _stand_in(tuple(y.shape), y.dtype, y.device) if transformed() else y
    return _choose(op, y, beta, relaxation, Wanted(*asked))


@constant
def _traced(
    op: LinearOperator,
    shape: Shape,
    dtype: torch.dtype,
    device: torch.device,
    beta: float,
    relaxation: float,
    asked: tuple[bool, ...],
) -> int:
    """The choice as a number, of :func:`_from_code`: a graph keeps numbers, no objects, and hands over plain tuples."""
    # The values of the data do not matter.
    chosen = _choose(op, torch.empty(shape, dtype=dtype, device=device), beta, relaxation, Wanted(*asked))
    if isinstance(chosen, Stencil):
        return chosen.half_width
    if isinstance(chosen, Polynomial):
        return -len(CODED) - chosen.degree
    if type(chosen) in CODED:
        return -1 - CODED.index(type(chosen))
    raise Unsupported(
        f"inverse='auto' chooses {type(chosen).__name__} here, which torch.compile cannot trace; "
        "leave the solve outside the compiled function, or give inverses.Scalar()"
    )


def _from_code(code: int) -> Inverse:
    if code >= 0:
        return Stencil(code)
    kind: Any = CODED[-1 - code] if -code <= len(CODED) else None
    return Polynomial(-len(CODED) - code) if kind is None else kind()


@untransformed
def _stand_in(shape: Shape, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.empty(1, dtype=dtype, device=device).expand(shape)


@untransformed
def _choose(op: LinearOperator, y: Tensor, beta: float, relaxation: float, wanted: Wanted) -> Inverse:
    ruled = _by_rule(op, y, beta, relaxation, wanted.pointwise)
    if ruled is not None:
        return ruled
    learned, _ = _best_offered(op, y, beta, relaxation)
    best = candidates(op, y, beta, relaxation, wanted)[0].inverse if wanted.iterated else _alone(op, y)
    return best if learned is None or isinstance(best, Exact) else learned


def considered(op: LinearOperator, y: Tensor, beta: float, relaxation: float, wanted: Wanted) -> list[Candidate]:
    """What "auto" counts for a solve, the least work first; nothing where it follows a rule."""
    few = wanted.few or _by_rule(op, y, beta, relaxation, wanted.pointwise) is not None
    return [] if few else candidates(op, y, beta, relaxation, wanted)


def _by_rule(op: LinearOperator, y: Tensor, beta: float, relaxation: float, pointwise: bool) -> Inverse | None:
    """The exact inverse of a structure or a certified stencil; None where the operator states neither."""
    convolution = op.convolution()
    if isinstance(op.cogram(tuple(y.shape)), (contracts.Scalar, contracts.Diagonal)):
        return Exact()
    if pointwise and convolution is not None:
        half_width = _fused(convolution, y, beta, relaxation)
        if half_width is not None:
            return Stencil(half_width)
    structure = Exact().structure(op, y)
    product = structure is not None and isinstance(structure[1], Kronecker)
    if structure is not None and not (product and convolution is not None):
        return Exact()
    own = op.own_inverse() if hasattr(op, "own_inverse") else None
    if own is not None:
        return own
    learned, low = _best_offered(op, y, beta, relaxation)
    if convolution is not None:
        half_width = _least_work(convolution, y, beta, relaxation, pointwise)
        if product and not _stencil_pays(convolution, y, beta, relaxation, pointwise, half_width):
            return Exact()
        if half_width is not None:
            certificate = _certificate(convolution, y, beta, relaxation, half_width)
            return (
                learned if learned and not pointwise and certificate and low > certificate.low else Stencil(half_width)
            )
    return None


def _alone(op: LinearOperator, y: Tensor) -> Inverse:
    """For a C that is applied by itself."""
    return Exact() if assembles(op, y) else ConjugateGradient()


def _best_offered(op: LinearOperator, y: Tensor, beta: float, relaxation: float) -> tuple[Learned | None, float]:
    """The offered inverse that is certified here with the largest lambda_min(C B^-1), and that number."""
    best: tuple[Learned | None, float] = (None, 0.0)
    for learned in _offered.get(op.fingerprint(), []):
        try:
            certificate = learned.certificate(op, y, beta, relaxation)
        except FastipError:
            continue
        if certificate is not None and certificate.smallest > 0 and certificate.scaled().low > best[1]:
            best = learned, certificate.scaled().low
    return best


def _fused(convolution: Convolution, y: Tensor, beta: float, relaxation: float) -> int | None:
    """The smallest half-width with which the fused kernel is sure to be faster than an FFT, or None."""
    if convolution.stride > 1:
        if int((convolution.psf != 0).sum()) > WIDEST * convolution.stride**2:
            return None
        # Each candidate is fitted and certified before the first iteration, and wider ones are more work in every one.
        candidates: tuple[int, ...] = (1, 2, 3, 4)
    else:
        candidates = tuple(p for p in (1, 2) if convolution.boundary == "circular" and _products(convolution, p) <= FFT)
    for half_width in candidates:
        certificate = _certificate(convolution, y, beta, relaxation, half_width)
        if certificate is not None and (certificate.rho <= NEAR if convolution.stride > 1 else certificate.low >= SLOW):
            return half_width
    return None


def _products(convolution: Convolution, half_width: int) -> int:
    """Products of A, A^T and C on a data point without a stride."""
    return 2 * products(convolution.psf) + (2 * half_width + 1) ** 2


def _certificate(
    convolution: Convolution, y: Tensor, beta: float, relaxation: float, half_width: int
) -> Certificate | None:
    """That of the certified stencil on this grid; None when it is refused."""
    try:
        return fitted(convolution, (y.shape[-2], y.shape[-1]), beta, relaxation, half_width)[1].scaled()
    except FastipError:
        return None


def _least_work(convolution: Convolution, y: Tensor, beta: float, relaxation: float, pointwise: bool) -> int | None:
    """The half-width that minimises work per iteration times iterations, None where none is certified.

    A pointwise prior costs little beside the products; with any other an iteration costs much the same whatever C is.
    """
    work: dict[int, float] = {}
    if int((convolution.psf != 0).sum()) > WIDEST * convolution.stride**2:
        return None
    # Few candidates, because each is fitted and certified here. Without a stride the inverse reaches further: the last
    # one is wider.
    for half_width in (1, 2, 3, 4) if convolution.stride > 1 else (1, 2, 3, 6):
        certificate = _certificate(convolution, y, beta, relaxation, half_width)
        if certificate is not None and certificate.low > 0:
            iterations = max(1.0, SLOW / certificate.low)
            work[half_width] = iterations * (_products(convolution, half_width) if pointwise else 1)
    return min(work, key=work.__getitem__) if work else None


def _stencil_pays(
    convolution: Convolution, y: Tensor, beta: float, relaxation: float, pointwise: bool, half_width: int | None
) -> bool:
    """Whether this stencil is less work, to the same gap, than the eigenvectors of a separable psf."""
    certificate = None if half_width is None else _certificate(convolution, y, beta, relaxation, half_width)
    if certificate is None or half_width is None or certificate.low <= 0:
        return False
    h, w = y.shape[-2:]
    eager = CALLS / y.numel() + (POINTWISE if pointwise else PRIOR) * convolution.stride**2
    exact = _products(convolution, 0) + eager + 2 * (h + w)
    if pointwise and convolution.boundary != "reflect":  # fused: known to be fast, so left for half its work only
        return SLOW / certificate.low * _products(convolution, half_width) <= 2 * exact
    # With pointwise priors the stencil took 0.5 / low times the iterations here, with total variation 0.25 / low.
    iterations = max(1.0, (2 if pointwise else 1) * SLOW / certificate.low)
    return iterations * (_products(convolution, half_width) + eager) <= exact
