"""The data step for networks that see few iterations: as close to exact as it can be, from the first one on."""

from __future__ import annotations

import torch
from torch import Tensor

from ..contracts import BoundInverse, Convolution, Inverse, LinearOperator
from ..errors import StrictKeywords
from ..operators import Blur
from .conjugate_gradient import ConjugateGradient
from .exact import Exact
from .split import FAINT, planned
from .steps import DataStep

# A network sees the iterations that it was trained through and no others, so C must be close to exact from the first
# one on; "auto" would take a stencil that is certified to converge in the end. Eight iterations of motion deblurring on
# a crop of coffee: 33.3 dB where the image wraps and C is exact; where it is mirrored 28.9 with the stencil, and with
# conjugate gradients to 1e-3, 3e-3, 1e-2 33.3, 33.2 and 32.9, all in 1.9, 1.6 and 1.3 times the time of the exact one.
# Super-resolution with the wide blur: 27.1; 26.8 with the stencil; 27.2 with each of the others, in no more time. The
# second split comes to rest too late: docs/mathematics.md compares them.
ENOUGH = 3e-3


class EvenStart(DataStep):
    """The data step from ``x0 = A^T y / |A|^T |A| 1``, averages of the data as in :class:`Split`.

    It is as bright where few data look, at the frame of a valid boundary, as inside. A^T C y is dark there, and few
    iterations leave it so. Six of the restorer for photographs, x 4, 9 x 9 Gaussian, windows of four validation
    photographs, after A^T C y / max(A^T C A 1, 0.1) and after this: 27.93 and 28.03 dB, the last three rows 23.09 and
    23.86; a flat picture of 0.6 is off by 0.2 and by 0.005.
    """

    def guess(self) -> Tensor:
        pulled, a = self.op.adjoint(self.y), self.op.convolution()
        if a is None or any(k > n for k, n in zip(a.psf.shape, pulled.shape[2:], strict=True)):
            *_, reach = planned(self.op, self.y, None)[2]
        else:  # without spectra, which take memory
            magnitude = Blur(a.psf.abs(), stride=a.stride, boundary=a.boundary)
            reach = magnitude.adjoint(magnitude(torch.ones_like(pulled[:1, :1])))
        pixels = tuple(range(2, pulled.ndim))
        mean = pulled.sum(dim=pixels, keepdim=True) / reach.sum(dim=pixels, keepdim=True)
        faint = FAINT * reach.amax(dim=(1, *pixels), keepdim=True)
        return ((pulled + faint * mean) / (reach + faint)).to(self.y.dtype)


class Close(StrictKeywords):
    """The exact inverse where the operator states a structure, else conjugate gradients to 3e-3.

    Images that wrap, psfs no wider than the stride, separable ones and resizing have such a structure. Where the
    operator states a window the gradients have a circulant preconditioner, and two or three steps do.

    Args:
        even: Whether images that wrap start from averages of the data, too, where a stride leaves pixels out: A^T C y
            is the image of least norm there, full of waves that no datum sees, and six iterations leave it so. Two
            validation photographs, x 2 and x 4, the denoiser of photographs: 18.9 and 12.9 dB from there, 28.7 and
            24.3 dB from averages. Networks that were trained from another start want that.
    """

    def __init__(self, *, even: bool = True) -> None:
        self.even = even

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> BoundInverse:
        exact = Exact()
        known = exact.structure(op, y)
        window = None if y.is_complex() else op.window()
        gradients = ConjugateGradient(ENOUGH, preconditioner=None if window is None else "circulant")
        inverse: Inverse = gradients if known is None else exact
        step = inverse.bind(op, y, beta, relaxation)
        if window is not None and isinstance(step, DataStep) and (known is None or self._uneven(window.convolution)):
            return EvenStart(op, y, beta, step.apply, step.describe())
        return step

    def _uneven(self, a: Convolution) -> bool:
        """Whether A^T C y is darker where fewer data look."""
        taps = a.psf.shape[-a.axes :]
        framed = a.boundary == "valid" and max(taps) > a.stride
        return framed or (self.even and 1 < a.stride < min(taps))
