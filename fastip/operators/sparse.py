"""An explicit sparse matrix."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..arrays import HALF, accumulator
from ..contracts import Shape
from ..errors import InvalidInput, brief
from ..tracing import check_traceable, real_dtype
from .base.door import check_sizes
from .base.work import ENTRY
from .fixed import FixedShapes


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
        found = _entries(matrix)
        m, n = found.shape
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
        self.complex_output = found.is_complex() or self.complex_input
        self._rows, self._columns = _compressed(found), _compressed(found.t().coalesce())
        self._casts: dict[tuple[bool, torch.dtype, torch.device], Tensor] = {}

    @property
    def matrix(self) -> Tensor:
        """M, as a tensor in compressed rows, float64 or complex128."""
        return self._rows.tensor()

    def _forward(self, x: Tensor) -> Tensor:
        return self._times(False, x).view(len(x), *self.data_shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        # M^H y = conj(M^T conj(y))
        found = self._times(True, y.conj().resolve_conj() if y.is_complex() else y)
        found = found.conj() if self.complex_input else found.real if found.is_complex() else found
        return found.resolve_conj().reshape(len(y), *self.image_shape)

    def _times(self, transposed: bool, v: Tensor) -> Tensor:
        """M or M^T times the rows of v, b x m or b x n; complex where either is."""
        if self.complex_output and v.dtype in HALF:
            raise InvalidInput(
                f"the image has dtype {v.dtype}; complex data have no half precision: convert to float32"
            )
        matrix = self._like(transposed, v)
        columns = v.flatten(1).T
        if v.is_complex() and not matrix.is_complex():
            return torch.complex((matrix @ columns.real).T.contiguous(), (matrix @ columns.imag).T.contiguous())
        found = (matrix @ columns.to(matrix.dtype)).T.contiguous()
        return found if found.is_complex() else found.to(real_dtype(v.dtype))

    def _like(self, transposed: bool, v: Tensor) -> Tensor:
        check_traceable("operators.Sparse", "it has no graph of compressed rows", "use operators.Dense")
        dtype = accumulator(real_dtype(v.dtype))
        kept = self._columns if transposed else self._rows
        dtype = dtype.to_complex() if kept.values.is_complex() else dtype
        key = (transposed, dtype, v.device)
        if key not in self._casts:
            self._casts[key] = kept.tensor().to(dtype=dtype, device=v.device)
        return self._casts[key]

    def _parameters(self) -> tuple[Any, ...]:
        values = self._rows.values
        values = torch.view_as_real(values) if values.is_complex() else values
        places = (self._rows.starts.double(), self._rows.places.double())
        return (*places, values, self.image_shape, self.data_shape, self.complex_input)

    def products(self, input_shape: Shape) -> float:
        return ENTRY * input_shape[0] * len(self._rows.values)

    def absolute(self) -> Sparse | None:
        if self.complex_output:
            return None
        sizes = dataclasses.replace(self._rows, values=self._rows.values.abs()).tensor()
        return Sparse(sizes, self.image_shape, self.data_shape)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_casts": {}}

    def __repr__(self) -> str:
        m, n = self._rows.shape
        return f"Sparse(<{m}x{n}, {len(self._rows.values)} entries>, {self.image_shape}, {self.data_shape})"


@dataclasses.dataclass(frozen=True)
class _Compressed:
    """Compressed rows, part by part: torch copies no such tensor, and pickles none in old versions."""

    starts: Tensor
    places: Tensor
    values: Tensor
    shape: tuple[int, int]

    def tensor(self) -> Tensor:
        with warnings.catch_warnings():  # torch calls it a beta, once a process
            warnings.simplefilter("ignore", UserWarning)
            return torch.sparse_csr_tensor(self.starts, self.places, self.values, self.shape, check_invariants=True)


def _compressed(entries: Tensor) -> _Compressed:
    """From coordinates in the order of rows."""
    rows, places = entries.indices()
    starts = torch.zeros(entries.shape[0] + 1, dtype=torch.int64)
    starts[1:] = torch.bincount(rows, minlength=entries.shape[0]).cumsum(0)
    return _Compressed(starts, places.clone(), entries.values(), (entries.shape[0], entries.shape[1]))


def _entries(matrix: Any) -> Tensor:
    """The matrix by coordinates on the CPU, float64 or complex128, duplicates added."""
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
        found = torch.sparse_coo_tensor(places, torch.as_tensor(coo.data), coo.shape, check_invariants=True).coalesce()
    else:
        raise InvalidInput(f"matrix is {brief(matrix)}; expected a sparse matrix of SciPy or torch, or operators.Dense")
    values = found.values().to(torch.complex128 if found.is_complex() else torch.float64)
    if not len(values) or not bool((values != 0).any()):
        raise InvalidInput(f"matrix of {tuple(found.shape)} has no entry; expected at least one that is not 0")
    if not bool(torch.isfinite(torch.view_as_real(values) if values.is_complex() else values).all()):
        raise InvalidInput("matrix has entries that are NaN or Inf; expected finite ones: look where they come from")
    return torch.sparse_coo_tensor(found.indices(), values, found.shape, check_invariants=True).coalesce()
