"""Operators of other libraries, by the names that they have for A and A^T."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..contracts import Shape
from ..errors import InvalidInput, brief
from ..tracing import real_dtype
from .base.door import check_sizes
from .function import Function


def wrap(
    obj: Any,
    image_shape: Sequence[int],
    data_shape: Sequence[int] | None = None,
    *,
    complex_image: bool = False,
    fingerprint: str | None = None,
) -> Function:
    """The operator of another library: of SciPy, pylops or CuPy (matvec, rmatvec), or of deepinv (A, A_adjoint).

    Those with matvec work on vectors of NumPy, or of CuPy where the data are there, in their own dtype; images and data
    are flattened for them, and batches go through matmat where they have it. Those with A take batches of tensors.

    Args:
        obj: It, with a pair of these methods.
        image_shape: That of an image without the batch, e.g. (c, h, w).
        data_shape: That of its data without the batch; None: (m,) of an ``obj.shape`` of (m, n), else as A gives them.
        complex_image: Whether images are complex.
        fingerprint: As of :class:`Function`.

    Returns:
        An operator, which a first solve checks as any of one's own.

    Raises:
        InvalidInput: For an object without such methods, and shapes that do not fit it.
    """
    sizes = check_sizes(image_shape, "image_shape")
    if callable(getattr(obj, "matvec", None)) and callable(getattr(obj, "rmatvec", None)):
        return _of_vectors(obj, sizes, data_shape, fingerprint, complex_image)
    if callable(getattr(obj, "A", None)) and callable(getattr(obj, "A_adjoint", None)):
        return _of_batches(obj, sizes, data_shape, fingerprint, complex_image)
    raise InvalidInput(
        f"obj is {brief(obj)}, which has neither matvec and rmatvec nor A and A_adjoint; give the two functions to "
        "operators.Function(forward, adjoint, image_shape, data_shape), a matrix to operators.Dense or Sparse, a "
        "module to operators.Module"
    )


def _of_vectors(
    obj: Any, image: Shape, data: Sequence[int] | None, fingerprint: str | None, complex_image: bool
) -> Function:
    m, n = (int(side) for side in obj.shape)
    sizes = (m,) if data is None else check_sizes(data, "data_shape")
    for name, shape, size in (("image_shape", image, n), ("data_shape", sizes, m)):
        if math.prod(shape) != size:
            raise InvalidInput(
                f"{name} is {shape}, {math.prod(shape)} numbers; expected {size} for {type(obj).__name__} of {m} x {n}"
            )
    is_complex = np.dtype(getattr(obj, "dtype", None) or np.float64).kind == "c"
    return Function(
        _Vectors(obj.matvec, getattr(obj, "matmat", None), sizes, type(obj).__module__),
        _Vectors(obj.rmatvec, getattr(obj, "rmatmat", None), image, type(obj).__module__),
        *(image, sizes),
        complex_image=complex_image,
        complex_data=is_complex or complex_image,
        fingerprint=fingerprint,
    )


class _Vectors:
    """A product with vectors of NumPy, or of CuPy, as a function of a batch of tensors."""

    def __init__(self, one: Callable[[Any], Any], many: Callable[[Any], Any] | None, sizes: Shape, module: str) -> None:
        self.one, self.many, self.sizes = one, many, sizes
        self.on_gpu = module.split(".")[0] in ("cupy", "cupyx")

    def __call__(self, batch: Tensor) -> Tensor:
        columns = self._given(batch.detach().flatten(1)).T
        if self.many is not None:
            found = self.many(columns)
        else:
            found = _stacked([self.one(column) for column in columns.T]).T
        result = torch.from_dlpack(found) if self.on_gpu else torch.from_numpy(np.ascontiguousarray(found))
        dtype = real_dtype(batch.dtype)
        result = result.to(device=batch.device, dtype=dtype.to_complex() if result.is_complex() else dtype)
        return result.T.reshape(len(batch), *self.sizes)

    def _given(self, rows: Tensor) -> Any:
        if not self.on_gpu:
            return rows.resolve_conj().cpu().numpy()
        import cupy

        return cupy.from_dlpack(rows.resolve_conj().cuda())


def _stacked(columns: list[Any]) -> Any:
    """Rows of one array, by the library of the first."""
    return sys.modules[type(columns[0]).__module__.split(".")[0]].stack([column.ravel() for column in columns])


def _of_batches(
    obj: Any, image: Shape, data: Sequence[int] | None, fingerprint: str | None, complex_image: bool
) -> Function:
    forward, adjoint = _Batches(obj, obj.A), _Batches(obj, obj.A_adjoint)
    with torch.no_grad():
        found = forward(torch.zeros(1, *image, dtype=torch.complex64 if complex_image else torch.float32))
    if not isinstance(found, Tensor):
        raise InvalidInput(
            f"{type(obj).__name__}.A gave {brief(found)}; expected one tensor: wrap its parts, and Stack them"
        )
    sizes = tuple(found.shape[1:])
    if data is not None and check_sizes(data, "data_shape") != sizes:
        raise InvalidInput(f"data_shape is {tuple(data)}, and {type(obj).__name__}.A gives {sizes}; leave it out")
    return Function(
        *(forward, adjoint, image, sizes),
        complex_image=complex_image,
        complex_data=found.is_complex(),
        fingerprint=fingerprint,
    )


class _Batches:
    """A function of batches that works in the precision of the buffers of its module, and gives that of the data."""

    def __init__(self, owner: Any, function: Callable[[Tensor], Any]) -> None:
        self.owner, self.function = owner, function

    def __call__(self, batch: Tensor) -> Any:
        found = self.function(batch.to(self._own(batch)))
        if not isinstance(found, Tensor):
            return found
        dtype = real_dtype(batch.dtype)
        return found.to(dtype.to_complex() if found.is_complex() else dtype)

    def _own(self, batch: Tensor) -> torch.dtype:
        """Float32 modules do not take float64, in which norms are computed."""
        buffers = self.owner.buffers() if isinstance(self.owner, torch.nn.Module) else ()
        kinds = [real_dtype(b.dtype) for b in buffers if b.ndim and (b.is_floating_point() or b.is_complex())]
        dtype = kinds[0] if kinds else real_dtype(batch.dtype)
        return dtype.to_complex() if batch.is_complex() else dtype
