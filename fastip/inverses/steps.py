"""The three ways to keep the dual: on the data grid, on the image grid, and on the image grid in Fourier space."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from ..arrays import HALF, accumulator
from ..contracts import Apply, Circulant, Convolution, LinearOperator, Scales, SpectralStep, StencilStep
from ..operators.base import convolutions
from ..placement import placed
from ..stopping import per_image, ratio


def beside(step: StencilStep, device: torch.device) -> StencilStep:
    """The step with its weights on ``device``, copied once.

    A whole solve then waits for none, and can be captured in a CUDA graph.
    """
    c = step.convolution
    return StencilStep(Convolution(placed(c.psf, device), c.stride, c.boundary), placed(step.taps, device), step.beta)


class Inverting:
    """What steps share that apply a C and keep the dual alone."""

    inverts = True
    beta: float

    def rescaled(self, q: Tensor, old: float) -> Tensor:
        return q * (old / self.beta)

    def ahead(self, q: Tensor, new: Tensor) -> Tensor:
        return self.pull(2 * new - q)

    def pull(self, q: Tensor) -> Tensor:
        raise NotImplementedError


class DataStep(Inverting):
    """q' = q + C (y - A x - beta q) with q on the data grid; ``apply`` is C.

    Fixed points solve the problem exactly whatever C is.
    """

    def __init__(
        self,
        op: LinearOperator,
        y: Tensor,
        beta: float,
        apply: Apply,
        description: str,
        stencil: StencilStep | None = None,
    ) -> None:
        self.op, self.y, self.beta, self.apply = op, y, beta, apply
        self._description, self._stencil = description, None if stencil is None else beside(stencil, y.device)

    @functools.cached_property
    def size(self) -> Tensor:
        return per_image(self.y)

    def start(self, x: Tensor | None = None) -> Tensor:
        return torch.zeros_like(self.y)

    def guess(self) -> Tensor:
        return self.op.adjoint(self.apply(self.y))

    def residual(self, x: Tensor, q: Tensor) -> Tensor:
        """y - A x - beta q."""
        return torch.sub(self.y - self.op(x), q, alpha=self.beta)

    def __call__(self, x: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        r = self.residual(x, q)
        return q + self.apply(r), r

    def pull(self, q: Tensor) -> Tensor:
        return self.op.adjoint(q)

    def norm(self, r: Tensor) -> Tensor:
        return ratio(per_image(r), self.size)

    def pending(self, r: Tensor) -> Tensor:
        bound = self.bound
        return per_image(self.op.adjoint(r)) if bound is None else bound * per_image(r)

    @functools.cached_property
    def bound(self) -> float | None:
        """Of ``||A||``, for convolutions that have one at hand; with None A^T is applied instead."""
        convolution = self.op.convolution()
        if convolution is None or convolution.boundary == "reflect":
            return None
        return convolutions.norm_bound(convolution)

    @functools.cached_property
    def floor(self) -> Tensor:
        return per_image(self.op.adjoint(self.y))

    def misfit(self, x: Tensor) -> Tensor:
        return per_image(self.y - self.op(x)).square()

    def scales(self) -> Scales:
        norm = self.bound
        return Scales(float("inf") if norm is None else norm, self.size, self.floor)

    def fused(self) -> StencilStep | None:
        return self._stencil

    def why_unfused(self) -> str | None:
        if self._stencil is not None:
            return None
        if self.op.convolution() is None:
            name = type(self.op).__name__
            return f"A ({name}) is no strided convolution of one psf, and on the data grid only those run fused"
        return f"C is not applied as one small stencil (it is: {self.describe()})"

    def describe(self) -> str:
        return self._description


class ImageStep(Inverting):
    """p' = p + K (A^T (y - A x) - beta p) with p = A^T q on the image grid.

    ``apply`` is K = (beta I + A^T A)^-1 or close to it.
    """

    def __init__(self, op: LinearOperator, y: Tensor, beta: float, apply: Apply, description: str) -> None:
        self.op, self.y, self.beta, self.apply = op, y, beta, apply
        self._pulled = op.adjoint(y)
        self._description = description
        self.size = self.floor = per_image(self._pulled)

    def start(self, x: Tensor | None = None) -> Tensor:
        return torch.zeros_like(self._pulled)

    def guess(self) -> Tensor:
        return self.apply(self._pulled)

    def residual(self, x: Tensor, q: Tensor) -> Tensor:
        """A^T (y - A x) - beta p."""
        return torch.sub(self._pulled - self.op.adjoint(self.op(x)), q, alpha=self.beta)

    def __call__(self, x: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        r = self.residual(x, q)
        return q + self.apply(r), r

    def pull(self, q: Tensor) -> Tensor:
        return q

    def norm(self, r: Tensor) -> Tensor:
        return ratio(per_image(r), self.size)

    def pending(self, r: Tensor) -> Tensor:
        return per_image(r)

    def misfit(self, x: Tensor) -> Tensor:
        return per_image(self.y - self.op(x)).square()

    def scales(self) -> Scales:
        return Scales(1.0, self.size, self.floor)

    def fused(self) -> None:
        return None

    def why_unfused(self) -> str:
        return f"the data step is on the image grid, where only an FFT runs fused (it is: {self.describe()})"

    def describe(self) -> str:
        return self._description


class FourierStep(Inverting):
    """The image side with A^T A = F^-1 g F, exact, p staying in Fourier space.

    p' = offset + gain (p - F x), gain = g / (beta + g). An iteration costs one rfftn and one irfftn. ``gram`` has g,
    real float64 (h, w // 2 + 1), with axes in front where images or channels differ, or volumes it is of. Images in
    half precision are transformed in float32.
    """

    def __init__(self, op: LinearOperator, y: Tensor, beta: float, gram: Circulant, description: str) -> None:
        self.op, self.y, self.beta = op, y, beta
        pulled = op.adjoint(y)
        self._stored = pulled.dtype
        self._dims = tuple(range(-gram.axes, 0))
        self._shape, pulled = pulled.shape[-gram.axes :], pulled.to(accumulator(pulled.dtype))
        g = gram.spectrum.to(pulled.device)
        self.weight = (1 / (beta + g)).to(pulled.dtype)
        self._gain = (g / (beta + g)).to(pulled.dtype)
        self._denominator = (beta + g).to(pulled.dtype)
        self._offset = torch.fft.rfftn(pulled, dim=self._dims) * self.weight
        self.size = self.floor = per_image(pulled)
        self._description = description
        self._first: Tensor | None = None

    def start(self, x: Tensor | None = None) -> Tensor:
        return torch.zeros_like(self._offset)

    def guess(self) -> Tensor:
        if self._first is None:
            self._first = self.pull(self._offset)
        return self._first

    def residual(self, x: Tensor, q: Tensor) -> Tensor:
        """F (A^T (y - A x) - beta p)."""
        return self(x, q)[1]

    def __call__(self, x: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.fft.rfftn(x.to(self._gain.dtype), dim=self._dims)
        new = torch.addcmul(self._offset, self._gain, q - seen)
        return new, (new - q) * self._denominator

    def pull(self, q: Tensor) -> Tensor:
        return torch.fft.irfftn(q, s=self._shape, dim=self._dims).to(self._stored)

    def norm(self, r: Tensor) -> Tensor:
        return ratio(self.pending(r), self.size)

    def pending(self, r: Tensor) -> Tensor:
        # Parseval over the half plane: columns 0 and w / 2 stand for themselves, the others for two.
        twice = r.detach().clone()
        twice[..., 1 : (self._shape[-1] + 1) // 2] *= 2**0.5
        return per_image(twice) / math.prod(self._shape) ** 0.5

    def misfit(self, x: Tensor) -> Tensor:
        return per_image(self.y - self.op(x)).square()

    def scales(self) -> Scales:
        return Scales(1.0, self.size, self.floor)

    def fused(self) -> SpectralStep | None:
        if self.why_unfused() is not None:
            return None
        return SpectralStep(self._gain, self._denominator, self.guess(), self.beta)

    def why_unfused(self) -> str | None:
        if len(self._dims) > 2:
            return "fused solves are for images b c h w, and these are volumes"
        if self._gain.ndim > 2:
            return "A differs from image to image or channel to channel, and a fused solve has one filter for all"
        if self._stored not in HALF:
            return None
        return f"images of {self._stored} go through the FFT in float32, which no fused solve does"

    def describe(self) -> str:
        return self._description
