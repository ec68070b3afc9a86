"""An operator of fastip on flattened vectors, as those of SciPy and pylops are: it alone needs SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...contracts import Shape
from ...errors import InvalidInput, Unsupported, brief
from .door import check_sizes

try:
    from scipy.sparse.linalg import LinearOperator
except ImportError as error:
    raise Unsupported(
        "as_linear_operator makes an operator of SciPy, which is not installed: pip install 'fastip[mat]'"
    ) from error

PRECISIONS: dict[str, type[np.floating[Any]]] = {
    "float32": np.float32,
    "complex64": np.float32,
    "float64": np.float64,
    "complex128": np.float64,
}


def flattened(op: Any, image_shape: Sequence[int], dtype: Any) -> Flattened:
    """As :meth:`fastip.operators.Operator.as_linear_operator`."""
    sizes = check_sizes(image_shape, "image_shape")
    try:
        precision = PRECISIONS[np.dtype(dtype).name]
    except (TypeError, KeyError):
        expected = ", ".join(PRECISIONS)
        raise InvalidInput(f"dtype is {brief(dtype)}; expected one of {expected}, as a text or of NumPy") from None
    made = Flattened(op, sizes, tuple(op.output_shape((1, *sizes))[1:]), precision)
    if op.complex_input and op.complex_output:
        x = np.random.default_rng(0).standard_normal(made.shape[1])
        if not np.allclose(made.matvec(1j * x), 1j * made.matvec(x), rtol=1e-3, atol=1e-5):
            raise InvalidInput(
                f"{type(op).__name__} takes real parts in between, so it is not linear over complex numbers, and no "
                "LinearOperator; give its parts one by one"
            )
    return made


class Flattened(LinearOperator):
    """A on vectors; over complex numbers, where A is linear over the real ones alone.

    Args:
        op: A.
        image_shape: That of an image without the batch.
        data_shape: That of its data.
        precision: The real type of NumPy that is computed with.
    """

    def __init__(self, op: Any, image_shape: Shape, data_shape: Shape, precision: type[np.floating[Any]]) -> None:
        self.op, self.image_shape, self.data_shape, self.precision = op, image_shape, data_shape, precision
        self.complex = np.result_type(precision, np.complex64)
        is_complex = op.complex_input or op.complex_output
        shape = math.prod(data_shape), math.prod(image_shape)
        super().__init__(self.complex if is_complex else np.dtype(precision), shape)

    def _matmat(self, columns: Any) -> Any:
        return self._columns(self.op, columns, self.image_shape, self.op.complex_input)

    def _rmatmat(self, columns: Any) -> Any:
        return self._columns(self.op.adjoint, columns, self.data_shape, self.op.complex_output)

    def _matvec(self, vector: Any) -> Any:
        return self._matmat(vector.reshape(-1, 1))[:, 0]

    def _rmatvec(self, vector: Any) -> Any:
        return self._rmatmat(vector.reshape(-1, 1))[:, 0]

    def _columns(self, function: Callable[[Any], Any], columns: Any, sizes: Shape, takes_complex: bool) -> Any:
        rows, count = np.asarray(columns).T, columns.shape[1]
        if takes_complex:
            rows = rows.astype(self.complex)
            given = [rows] if self.op.complex_input and self.op.complex_output else [rows, -1j * rows]
        else:
            given = [
                part.astype(self.precision) for part in ((rows.real, rows.imag) if np.iscomplexobj(rows) else [rows])
            ]
        found = function(np.concatenate(given).reshape(-1, *sizes)).reshape(len(given) * count, -1)
        found = found if len(given) == 1 else found[:count] + 1j * found[count:]
        return found.T.astype(np.result_type(self.dtype, found.dtype), copy=False)
