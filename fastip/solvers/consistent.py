"""The step that makes an image consistent with the data."""

from __future__ import annotations

from typing import Any

from ..arrays import as_tensor, check_finite, check_shape
from ..contracts import Inverse, LinearOperator
from ..errors import InvalidInput, strict_keywords
from ..tracing import real_dtype
from .arguments import check_data
from .pgd import BackProjection
from .whole import check_real_images

# Of ||A||^2. Larger leaves A x further off y, smaller makes the inverse worse conditioned.
EPSILON = 1e-6


@strict_keywords
def consistent(x: Any, y: Any, op: LinearOperator, *, inverse: str | Inverse = "auto", epsilon: float = EPSILON) -> Any:
    """``x + A^+ (y - A x)``: the image nearest to x that gives the data y, where A has full row rank.

    For data with little noise, after a solver that leaves A x off y, such as ``npgd``: pixels that are seen become
    those of the data.

    Args:
        x: An image, of the dtype and on the device of y.
        y: The data, as for ``admm``.
        op: The operator A.
        inverse: As for :class:`BackProjection`.
        epsilon: As for :class:`BackProjection`; smaller here, so that little of y - A x is left.

    Returns:
        An image of the kind of x.

    Raises:
        InvalidInput: A ValueError, for bad values.
        Unsupported: Where the inverse does not fit the operator.
    """
    y, _ = as_tensor(y, "y")
    x, restore = as_tensor(x, "x")
    check_real_images(op, "consistent")
    check_shape(x, check_data(y, op), "x", "the shape of the image")
    if x.dtype != real_dtype(y.dtype) or x.device != y.device:
        raise InvalidInput(
            f"x has dtype {x.dtype} on {x.device}; expected {real_dtype(y.dtype)} on {y.device}, as y: convert it"
        )
    check_finite(x, "x")
    return restore(BackProjection(inverse, epsilon=epsilon).bind(op, y)(x))
