"""An explicit sparse matrix."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..arrays import accumulator
from ..errors import InvalidInput, brief
from ..tracing import real_dtype
from .fixed import FixedShapes, check_sizes


class Sparse(FixedShapes):
    """y = M x for a sparse m x n matrix M, kept in compressed rows, and so is its transpose.

    The image is flattened in the order of its axes, and the data come as b x data_shape. Products run on the threads of
    torch, in float32 for half precision. Complex matrices take real images to complex data unless ``complex_image``.

    Args:
        matrix: M: a sparse matrix or array of SciPy, or a sparse tensor of torch; real or complex.
        image_shape: That of an image without the batch, with n numbers, e.g. (c, h, w).
        data_shape: That of its data, with m numbers; None: (m,).
        complex_image: Whether images are complex.

    Raises:
        InvalidInput: For another kind of matrix, one that is empty or has no entry, entries that are not finite, and
            shapes with other numbers of entries.
    """

    def __init__(
        self,
        matrix: Any,
        image_shape: Sequence[int],
        data_shape: Sequence[int] | None = None,
        *,
        complex_image: bool = False,
    ) -> None:
        with warnings.catch_warnings():  # torch calls its compressed rows a beta, once a process
            warnings.simplefilter("ignore", UserWarning)
            rows = _compressed(matrix)
            columns = rows.to_sparse_coo().t().coalesce().to_sparse_csr()
        m, n = rows.shape
        self.image_shape = check_sizes(image_shape, "image_shape")
        self.data_shape = (m,) if data_shape is None else check_sizes(data_shape, "data_shape")
        for name, shape, size, side in (
            ("image_shape", self.image_shape, n, "columns"),
            ("data_shape", self.data_shape, m, "rows"),
        ):
            if math.prod(shape) != size:
                raise InvalidInput(
                    f"{name} is {shape}, {math.prod(shape)} numbers; expected {size}, the {side} of a matrix of "
                    f"{m} x {n}"
                )
        self.complex_input = bool(complex_image)
        self.complex_output = rows.is_complex() or self.complex_input
        self._rows, self._columns = rows, columns
        self._casts: dict[tuple[bool, torch.dtype, torch.device], Tensor] = {}

    @property
    def matrix(self) -> Tensor:
        """M, as a sparse tensor in float64 or complex128."""
        return self._rows

    def _forward(self, x: Tensor) -> Tensor:
        return self._times(False, x).view(len(x), *self.data_shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        # M^H y = conj(M^T conj(y))
        found = self._times(True, y.conj().resolve_conj() if y.is_complex() else y)
        found = found.conj() if self.complex_input else found.real if found.is_complex() else found
        return found.resolve_conj().reshape(len(y), *self.image_shape)

    def _times(self, transposed: bool, v: Tensor) -> Tensor:
        """M or M^T times the rows of v, b x m or b x n; complex where either is."""
        matrix = self._like(transposed, v)
        columns = v.flatten(1).T
        if v.is_complex() and not matrix.is_complex():
            return torch.complex((matrix @ columns.real).T.contiguous(), (matrix @ columns.imag).T.contiguous())
        found = (matrix @ columns.to(matrix.dtype)).T.contiguous()
        return found if found.is_complex() else found.to(real_dtype(v.dtype))

    def _like(self, transposed: bool, v: Tensor) -> Tensor:
        dtype = accumulator(real_dtype(v.dtype))
        kept = self._columns if transposed else self._rows
        dtype = dtype.to_complex() if kept.is_complex() else dtype
        key = (transposed, dtype, v.device)
        if key not in self._casts:
            self._casts[key] = kept.to(dtype=dtype, device=v.device)
        return self._casts[key]

    def _parameters(self) -> tuple[Any, ...]:
        rows = self._rows
        values = torch.view_as_real(rows.values()) if rows.is_complex() else rows.values()
        places = (rows.crow_indices().double(), rows.col_indices().double())
        return (*places, values, self.image_shape, self.data_shape, self.complex_input)

    def absolute(self) -> Sparse | None:
        if self.complex_output:
            return None
        rows = self._rows
        sizes = torch.sparse_csr_tensor(rows.crow_indices(), rows.col_indices(), rows.values().abs(), rows.shape)
        return Sparse(sizes, self.image_shape, self.data_shape)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_casts": {}}

    def __repr__(self) -> str:
        m, n = self._rows.shape
        return f"Sparse(<{m}x{n}, {len(self._rows.values())} entries>, {self.image_shape}, {self.data_shape})"


def _compressed(matrix: Any) -> Tensor:
    """The matrix in compressed rows on the CPU, float64 or complex128, duplicates added."""
    if isinstance(matrix, Tensor):
        if matrix.layout == torch.strided or matrix.ndim != 2:
            raise InvalidInput(
                f"matrix is a tensor of shape {tuple(matrix.shape)}, layout {matrix.layout}; expected a sparse one of "
                "two dimensions: operators.Dense takes ordinary ones"
            )
        found = matrix.detach().cpu().to_sparse_coo().coalesce()
    elif hasattr(matrix, "tocoo") and getattr(matrix, "ndim", 2) == 2:
        coo = matrix.tocoo()
        places = torch.stack([torch.as_tensor(coo.row, dtype=torch.int64), torch.as_tensor(coo.col, dtype=torch.int64)])
        found = torch.sparse_coo_tensor(places, torch.as_tensor(coo.data), coo.shape).coalesce()
    else:
        raise InvalidInput(f"matrix is {brief(matrix)}; expected a sparse matrix of SciPy or torch, or operators.Dense")
    values = found.values().to(torch.complex128 if found.is_complex() else torch.float64)
    if not len(values) or not bool((values != 0).any()):
        raise InvalidInput(f"matrix of {tuple(found.shape)} has no entry; expected at least one that is not 0")
    if not bool(torch.isfinite(torch.view_as_real(values) if values.is_complex() else values).all()):
        raise InvalidInput("matrix has entries that are NaN or Inf; expected finite ones: look where they come from")
    return torch.sparse_coo_tensor(found.indices(), values, found.shape, is_coalesced=True).to_sparse_csr()
