"""Operators of SciPy, pylops and CuPy. Theirs of ours: ``op.as_linear_operator(image_shape)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import InvalidInput, brief
from ..operators import Function, wrap


def from_linear_operator(
    linop: Any,
    image_shape: Sequence[int],
    data_shape: Sequence[int] | None = None,
    *,
    complex_image: bool = False,
    fingerprint: str | None = None,
) -> Function:
    """The operator of a LinearOperator of SciPy, pylops or CuPy: :func:`fastip.operators.wrap` of one of these alone.

    It works on flat vectors in its own dtype, on batches by matmat where it has one; results come back in the precision
    of what was given. Differentiable, by its adjoint. Pickles where linop does.

    Args:
        linop: It, with shape (m, n), matvec and rmatvec.
        image_shape: That of an image without the batch, e.g. (c, h, w): n numbers.
        data_shape: That of its data without the batch: m numbers; None: (m,).
        complex_image: Whether images are complex.
        fingerprint: As of :class:`fastip.operators.Function`.

    Returns:
        An operator, which a first solve checks as any of one's own.

    Raises:
        InvalidInput: For anything without these, and shapes that do not fit it.
    """
    missing = [name for name in ("shape", "matvec", "rmatvec") if not hasattr(linop, name)]
    if missing:
        raise InvalidInput(
            f"linop is {brief(linop)}, without {' and '.join(missing)}; expected a LinearOperator of SciPy, pylops or "
            "CuPy: scipy.sparse.linalg.aslinearoperator makes one of a matrix"
        )
    return wrap(linop, image_shape, data_shape, complex_image=complex_image, fingerprint=fingerprint)
