"""C as a small symmetric stencil on the data grid, fitted in closed form to 1 / (beta + r), r the symbol of A A^T."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from .. import kernels
from ..arrays import check_count, check_products
from ..contracts import Convolution, LinearOperator, Shape, StencilStep
from ..errors import StrictKeywords, Unsupported
from ..placement import placed
from ..tracing import constant, fixed, untransformed
from . import edges
from .certificate import Certificate, from_lanczos, from_spectrum, indefinite
from .edges import spectrum
from .limits import Inside, beyond, infimum
from .steps import DataStep, beside

# What corners do is local: a grid of this many pixels a side has settled them, and what still grows with the data is
# added for a side without end. Larger only takes longer.
CERTIFIED_SIDE = 96
# That side is at least this many times the reach of C and A A^T together. Larger takes longer, smaller brings opposite
# borders together.
REACHES = 6
# Products of A on a data point (in valid grids, else on an image point) from which FFTs apply A A^T faster.
TRANSFORMED = 200


def symbol_taps(convolution: Convolution) -> Tensor:
    """A A^T as a stencil on the data grid: the psf's autocorrelation, decimated by the stride; float64, odd sizes."""
    h, s = convolution.psf.double(), convolution.stride
    (kh, kw), shape = h.shape, (2 * h.shape[0] - 1, 2 * h.shape[1] - 1)
    # Lag d is at index d modulo the size.
    correlation = torch.fft.irfft2(torch.fft.rfft2(h, s=shape).abs().square(), s=shape)
    rows = torch.arange(-((kh - 1) // s), (kh - 1) // s + 1) * s % shape[0]
    columns = torch.arange(-((kw - 1) // s), (kw - 1) // s + 1) * s % shape[1]
    return correlation[rows][:, columns]


def fit(convolution: Convolution, beta: float, half_width: int) -> Tensor:
    """The stencil nearest to the inverse, every mode's relative error weighing the same.

    It is, over (2p + 1)^2 stencils with C(d) = C(-d)::

        argmin_C sum_w |1 - c(w) (beta + r(w))|^2

    Args:
        convolution: A.
        beta: The penalty, > 0.
        half_width: The p of the width, >= 0.

    Returns:
        The taps, float64, (2p + 1, 2p + 1).
    """
    p = half_width
    r = symbol_taps(convolution)
    # Twice the width of either stencil, so that their product does not wrap, and at least 33. Finer frequencies change
    # little and cost a larger least-squares problem. Odd, so that no frequency is its own mirror image but 0.
    side = 4 * max(p, r.shape[0] // 2, r.shape[1] // 2, 8) + 1
    target = beta + spectrum(r, (side, side))
    frequency = 2 * torch.pi * torch.fft.fftfreq(side, dtype=torch.float64)
    wy, wx = frequency[:, None], frequency[: side // 2 + 1]
    half = [(dy, dx) for dy in range(p + 1) for dx in range(-p, p + 1) if dy > 0 or dx >= 0]
    columns = [(1 if (dy, dx) == (0, 0) else 2) * torch.cos(wy * dy + wx * dx) * target for dy, dx in half]
    # Half the plane is kept: column 0 stands for itself, the others for two.
    weight = torch.full((side, side // 2 + 1), 2.0, dtype=torch.float64).sqrt()
    weight[:, 0] = 1
    design = torch.stack([(c * weight).flatten() for c in columns], dim=1)
    solution = torch.linalg.lstsq(check_products(design), weight.flatten()[:, None]).solution[:, 0]
    taps = torch.zeros(2 * p + 1, 2 * p + 1, dtype=torch.float64)
    for (dy, dx), value in zip(half, solution.tolist(), strict=True):
        taps[p + dy, p + dx] = taps[p - dy, p - dx] = value
    return taps


def certify(
    convolution: Convolution, taps: Tensor, shape: tuple[int, int], beta: float, relaxation: float
) -> Certificate:
    """kappa and rho of a stencil on data of ``shape``.

    By spectrum when circular. Otherwise by Lanczos on the operator's own boundary, and on data that are larger than
    :func:`settled_side` on a grid of that side, with what eigenvalues tend to as it grows (``limits``).
    """
    r = symbol_taps(convolution)
    if convolution.boundary == "circular":
        return from_spectrum(spectrum(taps, shape), spectrum(r, shape), beta, relaxation)
    psf, stride, boundary = convolution.psf, convolution.stride, convolution.boundary
    side = settled_side(convolution, taps.shape[0] // 2)
    grid = (min(shape[0], side), min(shape[1], side))

    def c(v: Tensor) -> Tensor:
        return kernels.stencil(v, taps, boundary)

    def direct(v: Tensor) -> Tensor:
        return kernels.strided_conv(kernels.strided_conv_adjoint(v, psf, stride, boundary), psf, stride, boundary)

    dense = products(psf) > TRANSFORMED * (1 if boundary == "valid" else stride**2)
    g = edges.by_transforms(convolution, r, grid) if dense else direct
    # C on a grid is a compression of C on the plane, so this bounds its spectrum. Lanczos, whose tolerance is that of
    # the largest eigenvalue, takes a small negative one for positive.
    smallest = infimum(taps)
    if smallest <= 0:
        return indefinite(smallest * beta, relaxation)
    found = from_lanczos(c, g, (1, 1, *grid), beta, relaxation, smallest)
    return beyond(
        found,
        Inside(convolution, taps, r),
        beta,
        grid,
        shape,
        lambda axis, n: edges.inside(taps if axis else taps.T, n),
    )


def products(psf: Tensor) -> int:
    """Of A or A^T on a data point: a psf of rank one is applied by rows, then by columns."""
    taps = int((psf != 0).sum())
    return min(taps, sum(psf.shape)) if taps > sum(psf.shape) and int(torch.linalg.matrix_rank(psf)) == 1 else taps


def settled_side(convolution: Convolution, half_width: int) -> int:
    """The side from which corners no longer see each other."""
    return max(CERTIFIED_SIDE, REACHES * (half_width + max(convolution.psf.shape) // convolution.stride))


def certified_shape(convolution: Convolution, shape: tuple[int, int], half_width: int) -> tuple[int, int]:
    """A shape with the same certificate: all sides above the settled one are alike, unless the data are circular."""
    if convolution.boundary == "circular":
        return shape
    side = settled_side(convolution, half_width) + 1
    return min(shape[0], side), min(shape[1], side)


@untransformed
@functools.lru_cache(maxsize=64)  # the taps are small: the candidates of several problems
def _fitted(
    key: tuple[bytes, tuple[int, int], int, str],
    shape: tuple[int, int],
    beta: float,
    relaxation: float,
    half_width: int,
) -> tuple[Tensor, Certificate]:
    data, size, stride, boundary = key
    convolution = Convolution(torch.frombuffer(bytearray(data), dtype=torch.float64).reshape(size), stride, boundary)
    with torch.no_grad():
        taps = fit(convolution, beta, half_width)
        return taps, certify(convolution, taps, shape, beta, relaxation)


def fitted(
    convolution: Convolution, shape: tuple[int, int], beta: float, relaxation: float, half_width: int
) -> tuple[Tensor, Certificate]:
    """The fit and its certificate, unscaled, remembered for the last problems."""
    return _fitted(*_problem(convolution, shape, beta, relaxation, half_width))


@untransformed
def _problem(convolution: Convolution, shape: tuple[int, int], beta: float, relaxation: float, half_width: int) -> Any:
    """What the fit depends on, by value."""
    psf = convolution.psf.double().contiguous()
    key = (psf.numpy().tobytes(), (psf.shape[0], psf.shape[1]), convolution.stride, convolution.boundary)
    return key, certified_shape(convolution, shape, half_width), beta, relaxation, half_width


@untransformed
@functools.lru_cache(maxsize=64)
def _scaled(
    key: tuple[bytes, tuple[int, int], int, str],
    shape: tuple[int, int],
    beta: float,
    relaxation: float,
    half_width: int,
) -> tuple[Tensor, Certificate]:
    taps, certificate = _fitted(key, shape, beta, relaxation, half_width)
    return taps * certificate.scale(), certificate.scaled()


def scaled(
    convolution: Convolution, shape: tuple[int, int], beta: float, relaxation: float, half_width: int
) -> tuple[Tensor, Certificate]:
    """As :func:`fitted`, scaled as it is used.

    The same tensor each time, so that it is placed on a GPU once.

    Raises:
        InvalidInput: Where C is not positive definite.
    """
    return _scaled(*_problem(convolution, shape, beta, relaxation, half_width))


@constant
def _described(
    op: LinearOperator, shape: Shape, device: torch.device, beta: float, relaxation: float, half_width: int
) -> tuple[Tensor, Tensor, str]:
    """The psf and the scaled taps on ``device``, and what is known of them."""
    convolution = op.convolution()
    assert convolution is not None
    taps, certificate = scaled(convolution, (shape[-2], shape[-1]), beta, relaxation, half_width)
    size = 2 * half_width + 1
    text = f"stencil {size} x {size} on the data grid, kappa = {certificate.kappa:.3f}, rho = {certificate.rho:.2e}"
    return placed(convolution.psf, device), placed(taps, device), text


class StencilDataStep(DataStep):
    """The data step whose C is a stencil: one kernel computes q + C (y - A x - beta q)."""

    def __init__(self, op: LinearOperator, y: Tensor, step: StencilStep, description: str) -> None:
        self._step = step = beside(step, y.device)
        super().__init__(
            op, y, step.beta, lambda r: kernels.stencil(r, step.taps, step.convolution.boundary), description, step
        )

    def __call__(self, x: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        c = self._step.convolution
        return kernels.woodbury(x, q, self.y, c.psf, c.stride, c.boundary, self._step.taps, self.beta)


class Stencil(StrictKeywords):
    """C = the best (2p + 1)^2 stencil for (beta I + A A^T)^-1, certified for the data's own size and boundary.

    At bind C is scaled so that kappa < 0.98 (``Certificate.scale``). C wraps for circular boundaries and sees zeros
    outside otherwise.

    Args:
        half_width: p >= 0. Larger is a closer inverse and more work an iteration.

    Raises:
        InvalidInput: For a half-width that is no whole number >= 0, and at ``bind`` for a C that is not
            positive definite.
        Unsupported: At ``bind``, for operators that are not strided convolutions.
    """

    def __init__(self, half_width: int = 3) -> None:
        self.half_width = check_count(half_width, "half_width", low=0)

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> DataStep:
        convolution = op.convolution()
        if convolution is None:
            raise Unsupported(
                "inverses.Stencil needs a strided convolution with one psf for all, such as operators.Blur; "
                f"{type(op).__name__} is none: "
                "use inverses.Exact() or inverses.ConjugateGradient()"
            )
        psf, taps, text = _described(op, fixed(y.shape, op), y.device, float(beta), float(relaxation), self.half_width)
        return StencilDataStep(
            op, y, StencilStep(Convolution(psf, convolution.stride, convolution.boundary), taps, beta), text
        )
