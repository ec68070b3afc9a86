"""The Woodbury identity: K = (beta I + A^T A)^-1 on the image grid from an inverse on the data grid."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..arrays import as_tensor, check_image, check_normal, check_number
from ..contracts import Inverse, LinearOperator
from ..errors import Unsupported
from .steps import DataStep, FourierStep, ImageStep


def woodbury(inverse: Inverse, op: LinearOperator, beta: float) -> Callable[[Tensor], Tensor]:
    """K with K v = (v - A^T C A v) / beta, which is (beta I + A^T A)^-1 v when C = (beta I + A A^T)^-1.

    Args:
        inverse: C, an object of ``fastip.inverses``, bound anew for each v.
        op: The operator A.
        beta: The penalty, > 0.

    Returns:
        K, a callable v -> K v. v is b c h w, the shape of an image of ``op``, and comes back in the same
        shape and kind.

    Raises:
        InvalidInput: For beta <= 0; K raises it for what is no image.
        Unsupported: K raises it where the inverse does not state how it applies itself.
    """
    beta = check_number(beta, "beta", low=0.0, strict=True)

    def apply(v: Tensor) -> Tensor:
        tensor, restore = as_tensor(v, "v")
        check_image(tensor, "v")
        check_normal(beta, "beta", tensor.dtype)
        av = op(tensor)
        step = inverse.bind(op, av.detach(), beta)
        if isinstance(step, DataStep):
            return restore((tensor - op.adjoint(step.apply(av))) / beta)
        if isinstance(step, ImageStep):
            return restore(step.apply(tensor))
        if isinstance(step, FourierStep):
            return restore(step.pull(torch.fft.rfft2(tensor) * step.weight))
        expected = "expected an object of fastip.inverses such as inverses.Exact() or inverses.Stencil()"
        raise Unsupported(f"{type(inverse).__name__} does not state how it applies its inverse; {expected}")

    return apply
