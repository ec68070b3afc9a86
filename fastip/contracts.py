"""What operators, inverses, priors and solvers promise each other.

Symbols as in docs/mathematics.md: ``y = A x + n``, ``B = (beta I + A A^T)^-1``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from .solution import Solution as Solution
from .solution import Status as Status
from .terms import BoundFidelity as BoundFidelity
from .terms import BoundPrior as BoundPrior
from .terms import Fidelity as Fidelity
from .terms import Pointwise as Pointwise
from .terms import Suited as Suited

Shape = tuple[int, ...]
Apply = Callable[[Tensor], Tensor]  # a linear map of data or images, of the shape that it keeps


# ---- what A^T A (gram) or A A^T (cogram) looks like: operators describe, inverses decide ----------------------------


@dataclass(frozen=True)
class Scalar:
    """value * I."""

    value: float


@dataclass(frozen=True)
class Diagonal:
    """diag(values); ``values`` broadcasts against the data (cogram) or the image (gram)."""

    values: Tensor


@dataclass(frozen=True)
class Circulant:
    """``F^-1 spectrum F`` on the last axes; ``spectrum`` real float64 as of rfftn, (h, w // 2 + 1), >= 0.

    With axes in front of these, 1 or b and 1 or c, where images or channels differ.

    Attributes:
        spectrum: The eigenvalues.
        axes: How many the last axes are: 2 of images, 3 of volumes, whose spectrum is (d, h, w // 2 + 1).
    """

    spectrum: Tensor
    axes: int = 2


@dataclass(frozen=True)
class Cosine:
    """Diagonal under the orthonormal DCT-II of the last two axes; ``spectrum`` real float64 (h, w), >= 0.

    With axes in front of these, as of :class:`Circulant`.
    """

    spectrum: Tensor


@dataclass(frozen=True)
class Kronecker:
    """``V X H`` on every plane X, the last two axes; V (h, h) and H (w, w) symmetric, >= 0, float64."""

    vertical: Tensor
    horizontal: Tensor


@dataclass(frozen=True)
class Dense:
    """An explicit symmetric matrix acting on the flattened image or data; float64."""

    matrix: Tensor


Structure = Scalar | Diagonal | Circulant | Cosine | Kronecker | Dense


@dataclass(frozen=True)
class Convolution:
    """A itself as a strided convolution, the same for each channel.

    ``y[i] = sum_t psf[t] x[stride * i + k // 2 - t]`` (valid: ``+ k - 1 - t``).

    Attributes:
        psf: (kh, kw), float64 on the CPU.
        stride: Image pixels from one data point to the next, >= 1.
        boundary: "circular", "valid", "reflect" or "zero".
        axes: How many the last axes are: 2, and in a :class:`Window` of volumes 3, whose psf is (kd, kh, kw).
    """

    psf: Tensor
    stride: int
    boundary: str
    axes: int = 2


@dataclass(frozen=True)
class Window:
    """A = M H: a circular convolution H on a grid that is large enough, of which M sees weighted pixels.

    ``y[i] = weights[i] sum_t psf[t] x[stride * i + offset - t]``

    Attributes:
        convolution: psf, stride and boundary; here alone the psf can be 1 or b, 1 or c, kh, kw, too: one for each
            image or channel. "valid": every x that is read lies in the image, so that H may be
            circular on any grid that holds the image; "circular": on that of the image itself.
        weights: Real float64 on the CPU, 1 or b, 1 or c, h, w (volumes: d, h, w), on the grid of the data; None: all
            are 1.
    """

    convolution: Convolution
    weights: Tensor | None = None

    @property
    def offset(self) -> Shape:
        """What is read at i = 0 through the first tap."""
        valid, sides = self.convolution.boundary == "valid", self.convolution.psf.shape[-self.convolution.axes :]
        return tuple(k - 1 if valid else k // 2 for k in sides)


@runtime_checkable
class LinearOperator(Protocol):
    """A linear map A, its adjoint, and what is known of A A^T."""

    def __call__(self, x: Any) -> Any: ...
    def adjoint(self, y: Any) -> Any: ...
    def output_shape(self, input_shape: Shape) -> Shape: ...
    def input_shape(self, output_shape: Shape) -> Shape: ...
    def gram(self, input_shape: Shape) -> Structure | None: ...
    def cogram(self, output_shape: Shape) -> Structure | None: ...
    def convolution(self) -> Convolution | None: ...
    def window(self) -> Window | None: ...
    def norm(self, input_shape: Shape | None = None) -> float: ...
    def fingerprint(self) -> str: ...


# ---- the data step ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StencilStep:
    """A data step that a fused kernel can run: A a strided convolution, C a small symmetric stencil on the data grid.

    C wraps when the boundary is circular and sees zeros outside otherwise.

    Attributes:
        convolution: A.
        taps: C, (2p + 1, 2p + 1), float64 on the CPU; 1 x 1 is a scalar.
        beta: The penalty, > 0.
    """

    convolution: Convolution
    taps: Tensor
    beta: float


@dataclass(frozen=True)
class SpectralStep:
    """A data step that is pointwise in Fourier space (image side, exact): ``p_hat' = F guess + gain (p_hat - F x)``.

    Attributes:
        gain: ``g / (beta + g)`` with g the spectrum of A^T A, real, (h, w // 2 + 1).
        denominator: ``beta + g``, of the same layout.
        guess: The image ``(beta I + A^T A)^-1 A^T y``, b c h w.
        beta: The penalty, > 0.
    """

    gain: Tensor
    denominator: Tensor
    guess: Tensor
    beta: float


class Scales(NamedTuple):
    """What a solve is judged beside.

    Attributes:
        norm: ||A||, or a bound of it.
        sizes: ||y|| of each image, (b,) float64.
        floors: ||A^T y||, likewise.
    """

    norm: float
    sizes: Tensor
    floors: Tensor

    @property
    def unit(self) -> float:
        """A power of two that brings the data near 1, so that their squares neither overflow nor vanish."""
        largest = self.sizes.max().item() if len(self.sizes) else 0.0
        return 2.0 ** -min(max(math.frexp(largest)[1], -100), 100) if largest > 0 else 1.0


class BoundInverse(Protocol):
    """An inverse bound to an operator, the data and beta: the data step ``q' = q + C (y - A x - beta q)``."""

    beta: float
    inverts: bool  # whether a call from q = 0 applies C and nothing else: solvers without a prior need that

    @property
    def size(self) -> Tensor:
        """The denominator of norm: ``||y||`` (image side: ``||A^T y||``) per image, shape (b,)."""
        ...

    @property
    def floor(self) -> Tensor:
        """``||A^T y||`` per image, shape (b,)."""
        ...

    def start(self, x: Tensor | None = None) -> Tensor:
        """The zero dual, in the shape this step keeps (data side: like y; image side: p = A^T q, like x).

        A step that keeps more takes the rest from the first image, x or the guess.
        """
        ...

    def rescaled(self, q: Tensor, old: float) -> Tensor:
        """The dual of a step with another beta, ``old``, as this one's: ``q old / beta``."""
        ...

    def guess(self) -> Tensor:
        """x0 = A^T C y."""
        ...

    def __call__(self, x: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """(q', r) with r = y - A x - beta q (image side: A^T of it)."""
        ...

    def residual(self, x: Tensor, q: Tensor) -> Tensor:
        """r alone."""
        ...

    def pull(self, q: Tensor) -> Tensor:
        """The dual on the image grid: A^T q (image side: q itself). Differentiable."""
        ...

    def ahead(self, q: Tensor, new: Tensor) -> Tensor:
        """A^T (2 q' - q), q' being ``new``: the extrapolated dual on the image grid. Differentiable."""
        ...

    def norm(self, r: Tensor) -> Tensor:
        """``||r|| / ||y||`` per image (image side: over ``||A^T y||``), shape (b,); absolute where that is zero."""
        ...

    def pending(self, r: Tensor) -> Tensor:
        """``||A^T r||`` per image, shape (b,), or a bound of it (image side: the norm of r, which has A^T in it)."""
        ...

    def misfit(self, x: Tensor) -> Tensor:
        """``||y - A x||^2`` (with a fidelity D(A x)) per image, shape (b,)."""
        ...

    def scales(self) -> Scales:
        """What kernels that run whole solves judge by (image side: with a norm of 1, as A^T is in r already)."""
        ...

    def fused(self) -> StencilStep | SpectralStep | None:
        """The description from which a fused kernel runs this step, or None."""
        ...

    def why_unfused(self) -> str | None:
        """None where there is such a description, else what stands in its way, in words."""
        ...

    def describe(self) -> str:
        """One line for people: which inverse this is and what is known of its accuracy."""
        ...


class Inverse(Protocol):
    """Applies or approximates B = (beta I + A A^T)^-1."""

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> BoundInverse: ...


# ---- the prior step --------------------------------------------------------------------------------------------------


class Prior(Protocol):
    """Yields proximal steps; convex priors also state R."""

    def bind(self, y: Tensor, op: LinearOperator) -> BoundPrior: ...
    def value(self, x: Tensor) -> Tensor:
        """R(x) per image, shape (b,). Raises Unsupported for implicit priors."""
        ...

    def suggested_beta(self, op: LinearOperator, shape: Shape) -> float | None:
        """The beta that suits images of this shape (denoisers: noise^2 / sigma^2; else by weight and ``||A||``)."""
        ...

    def check_beta(self, beta: float) -> None:
        """Refuse, with InvalidInput, a beta that contradicts the prior's own parameters.

        A solver without beta passes 1 / (2 step).
        """
        ...
