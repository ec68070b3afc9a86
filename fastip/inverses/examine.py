"""What a network is worth as an inverse.

Its error on noise, its certificate when it is linear, and the worst error found when it is not.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import cast

import torch
from torch import Tensor

from ..contracts import Apply, LinearOperator, Shape
from ..errors import strict_keywords
from ..nets import InverseNet, PaperInverseNet
from ..nets.weights import net_digest, net_on
from .certificate import Certificate, from_lanczos, from_spectrum
from .collapsed import Bordered, Edges, worth_collapsing
from .edges import spectrum
from .limits import Inside, beyond
from .stencil import certified_shape, settled_side, symbol_taps
from .trained import Stored, Trained

InverseModule = InverseNet | PaperInverseNet
# Of the noise that measures the error, where the operator leaves the size free: more steadies the number and takes
# longer.
NOISE_SHAPE = (8, 1, 64, 64)
# Four starts of the search for the worst error. More, or larger ones, may find a larger error, and take longer.
START_SHAPE = (4, 1, 24, 24)
SETTLED = (1 << 20, 1 << 20)  # larger than any grid that is certified as it is
REMEMBERED = 64  # certificates: more hold a little memory, fewer are computed again where solves take turns

_certified: dict[Hashable, Certificate] = {}  # by the weights and the problem


def forward_map(op: LinearOperator, beta: float) -> Apply:
    """v -> B^-1 v = beta v + A A^T v."""
    return lambda v: beta * v + op(op.adjoint(v))


@strict_keywords
def relative_residual(
    net: InverseModule, op: LinearOperator, beta: float, *, shape: Sequence[int] = NOISE_SHAPE, seed: int = 0
) -> float:
    """``||(I - C B^-1) e|| / ||e||`` on Gaussian noise e of ``shape`` (b c h w, on the data grid), in float64."""
    noise = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        error = noise - net(forward_map(op, beta)(noise), beta)
    return float(error.norm() / noise.norm())


@strict_keywords
def worst_error(
    net: InverseModule,
    op: LinearOperator,
    beta: float,
    *,
    shape: Sequence[int] = START_SHAPE,
    steps: int = 60,
    seed: int = 0,
) -> float:
    """The largest ``||e - C B^-1 e|| / ||e||`` in the norm of B^-1 that gradient ascent finds.

    It begins at one random start for each image of ``shape``. An estimate from below: a non-linear C has no spectrum.
    """
    apply = forward_map(op, beta)
    e = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()
    # The entries of e are of order 1: a larger rate overshoots, a smaller one is still climbing after ``steps``.
    ascent = torch.optim.Adam([e], lr=0.1)
    largest = 0.0
    with torch.enable_grad():
        for _ in range(steps):
            image = apply(e)
            error = e - net(image, beta)
            ratio = ((error * apply(error)).flatten(1).sum(1) / (e * image).flatten(1).sum(1)).sqrt()
            largest = max(largest, float(ratio.detach().max()))
            ascent.zero_grad()
            (gradient,) = torch.autograd.grad(-ratio.log().sum(), e)
            e.grad = gradient
            ascent.step()
    return largest


def certify(net: InverseNet, op: LinearOperator, shape: Sequence[int], beta: float, relaxation: float) -> Certificate:
    """The certificate of a linear network on data of ``shape`` (b c h w), remembered for its weights.

    By spectrum on circular grids, else by Lanczos on the operator's own boundary; for a convolution on data that are
    larger than ``stencil.settled_side`` as :func:`stencil.certify`.
    """
    convolution = op.convolution()
    known = tuple(shape[1:]) if convolution is None else certified_shape(convolution, (shape[-2], shape[-1]), net.reach)
    key = (net_digest(net), op.fingerprint(), known, beta, relaxation)
    found = _certified.get(key)
    if found is None:
        with torch.no_grad():
            found = _certify(cast(InverseNet, net_on(net, torch.device("cpu"))), op, known, beta, relaxation)
        _certified[key] = found
        for old in list(_certified)[:-REMEMBERED]:  # another thread may be here too
            _certified.pop(old, None)
    return found


def _certify(net: InverseNet, op: LinearOperator, shape: Shape, beta: float, relaxation: float) -> Certificate:
    least = net.least(beta)

    def apply(v: Tensor) -> Tensor:
        return net(v, beta)

    def g(v: Tensor) -> Tensor:
        return op(op.adjoint(v))

    convolution = op.convolution()
    if convolution is None:
        return from_lanczos(apply, g, (1, *shape), beta, relaxation, least)
    taps, r = net.stencil(beta), symbol_taps(convolution)
    h, w = shape
    if convolution.boundary == net.boundary == "circular":
        return from_spectrum(spectrum(taps, (h, w)), spectrum(r, (h, w)), beta, relaxation)
    if convolution.boundary == "circular":
        return from_lanczos(apply, g, (1, 1, h, w), beta, relaxation, least)
    side = settled_side(convolution, net.reach)
    grid = (min(h, side), min(w, side))
    quick = worth_collapsing(net) and min(grid) >= Bordered.smallest(net) and net.boundary != "circular"
    c = Bordered(net, beta, torch.zeros(1, dtype=torch.float64)) if quick else apply  # equal to rounding
    found = from_lanczos(c, g, (1, 1, *grid), beta, relaxation, least)
    return beyond(found, Inside(convolution, taps, r), beta, grid, (h, w), Edges(net, beta))


def _start_shape(op: LinearOperator, shape: Sequence[int]) -> tuple[int, ...]:
    """Small data for the search of the worst error, but no smaller than the psf.

    The data's own size where the operator fixes it.
    """
    convolution = op.convolution()
    if convolution is None:
        return (1, *shape[1:])
    side = max(START_SHAPE[-1], -(-max(convolution.psf.shape) // convolution.stride))
    return (START_SHAPE[0], shape[1], side, side)


@strict_keywords
def examine(
    net: InverseModule, op: LinearOperator, beta: float | tuple[float, float], *, shape: Sequence[int] = NOISE_SHAPE
) -> Trained:
    """Measure a network as the inverse of this operator: what :class:`Trained` holds.

    Args:
        net: The network C, ``nets.InverseNet`` or ``nets.PaperInverseNet``.
        op: The operator A.
        beta: One number, or (low, high) for a network that takes it as an input; a range is certified at both ends
            and in the (geometric) middle.
        shape: b c h w of the noise and of the data, for operators that fix it.

    Returns:
        The record: the error on fresh noise, and for a linear network its certificates without relaxation, for
        another the worst error that gradient ascent finds.

    Raises:
        InvalidInput: For a shape that ``op`` does not make.
    """
    low, high = beta if isinstance(beta, tuple) else (beta, beta)
    middle = low if low == high else (low * high) ** 0.5
    accuracy = relative_residual(net, op, middle, shape=shape)
    if not isinstance(net, InverseNet):
        start = _start_shape(op, shape)
        estimates = [worst_error(net, op, b, shape=start) for b in sorted({low, middle, high})]
        return Trained(op.fingerprint(), (low, high), accuracy, (), max(estimates))
    convolution = op.convolution()
    grid = (1, 1, *SETTLED) if convolution is not None and convolution.boundary != "circular" else shape
    certificates = tuple(Stored(b, certify(net, op, grid, b, 1.0)) for b in sorted({low, middle, high}))
    return Trained(op.fingerprint(), (low, high), accuracy, certificates, None)
