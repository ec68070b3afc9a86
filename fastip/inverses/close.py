"""The data step for networks that see few iterations: as close to exact as it can be, from the first one on."""

from __future__ import annotations

import torch
from torch import Tensor

from ..contracts import BoundInverse, Inverse, Kronecker, LinearOperator
from ..errors import StrictKeywords
from .conjugate_gradient import ConjugateGradient
from .exact import Exact
from .split import Split
from .steps import DataStep

# A network sees the iterations that it was trained through and no others, so C must be close to exact from the first
# one on; "auto" would take a stencil that is certified to converge in the end. Eight iterations of motion deblurring on
# a crop of coffee: 33.3 dB where the image wraps and C is exact; where it is mirrored 28.9 with the stencil, and with
# conjugate gradients to 1e-3, 3e-3, 1e-2 33.3, 33.2 and 32.9, all in 1.9, 1.6 and 1.3 times the time of the exact one.
# Super-resolution with the wide blur: 27.1; 26.8 with the stencil; 27.2 with each of the others, in no more time.
ENOUGH = 3e-3
# Four validation photographs, valid, super-resolution with the wide blur: 23.9 dB from A^T C y, which is dark on the
# frame that no datum looks at straight, 24.8 and 24.9 from the even start with 0.3 and 0.1 here. Little blur and
# deblurring: the same to 0.02 dB.
LEAST = 0.1


class EvenStart(DataStep):
    """The data step from ``x0 = A^T C y / max(A^T C A 1, 0.1)``.

    It is as bright where few data look, at the frame of a valid boundary, as inside.
    """

    def guess(self) -> Tensor:
        shape = self.op.input_shape(tuple(self.y.shape))
        seen = self.op.adjoint(self.apply(self.op(torch.ones(shape, dtype=self.y.dtype, device=self.y.device))))
        return super().guess() / seen.clamp_min(LEAST)


class Close(StrictKeywords):
    """The exact inverse where the operator states a structure, else a second split, else conjugate gradients to 3e-3.

    Images that wrap, psfs no wider than the stride, separable ones and resizing have such a structure; the second split
    (:class:`Split`) is for what states a window.

    Args:
        data_beta: That of the second split; None leaves it out.
    """

    def __init__(self, data_beta: float | None = None) -> None:
        self.split = None if data_beta is None else Split(data_beta)

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> BoundInverse:
        exact = Exact()
        known = exact.structure(op, y)
        if known is None and self.split is not None and op.window() is not None:
            return self.split.bind(op, y, beta, relaxation)
        inverse: Inverse = ConjugateGradient(ENOUGH) if known is None else exact
        step = inverse.bind(op, y, beta, relaxation)
        if known is not None and not isinstance(known[1], Kronecker):
            return step
        convolution = op.convolution()
        if convolution is not None and convolution.boundary == "valid" and isinstance(step, DataStep):
            return EvenStart(op, y, beta, step.apply, step.describe())
        return step
