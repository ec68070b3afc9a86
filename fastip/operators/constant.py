"""Parameters of operators: kept in float64 on the CPU, cast once for each dtype and device they meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInput, Unsupported


class Constant:
    """A float64 CPU tensor and its casts. A cast is made once; calls afterwards only look it up."""

    def __init__(self, value: Tensor) -> None:
        self.value = value
        self._casts: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def like(self, data: Tensor) -> Tensor:
        """The parameter in the (real) dtype and on the device of ``data``."""
        key = (data.dtype.to_real(), data.device)
        if key not in self._casts:
            self._casts[key] = self.value.to(dtype=key[0], device=key[1])
        return self._casts[key]

    def __getstate__(self) -> dict[str, Any]:
        return {"value": self.value, "_casts": {}}


def real_array(value: Any, name: str, dimensions: Sequence[int]) -> Tensor:
    """A copy of ``value`` (tensor, NumPy or CuPy array, nested sequence) as a float64 CPU tensor.

    Raises InvalidInput for complex, non-finite or empty values and a number of axes not in ``dimensions``; Unsupported if a gradient is asked of it.
    """
    if isinstance(value, Tensor):
        if value.requires_grad:
            raise Unsupported(f"{name} requires a gradient, but the parameters of an operator are constants; pass {name}.detach()")
        tensor = value
    elif hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray):
        tensor = torch.from_dlpack(value)
    else:
        tensor = _from_numpy(value, name)
    if tensor.is_complex():
        raise InvalidInput(f"{name} has dtype {tensor.dtype}; expected real numbers: take the real part")
    tensor = tensor.detach().to_dense() if tensor.layout != torch.strided else tensor.detach()
    tensor = tensor.to(dtype=torch.float64, device="cpu", copy=True).contiguous()
    if tensor.ndim not in dimensions:
        wanted = " or ".join(str(d) for d in dimensions)
        raise InvalidInput(f"{name} has shape {tuple(tensor.shape)}; expected {wanted} axes")
    if tensor.numel() == 0:
        raise InvalidInput(f"{name} has shape {tuple(tensor.shape)}, which is empty; expected at least one value")
    if not bool(torch.isfinite(tensor).all()):
        raise InvalidInput(f"{name} holds {int((~torch.isfinite(tensor)).sum())} values that are NaN or Inf; expected finite numbers")
    return tensor


def _from_numpy(value: Any, name: str) -> Tensor:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidInput(f"{name} is not an array of numbers: {error}") from None
    if array.dtype.kind not in "fiubc":
        raise InvalidInput(f"{name} is {type(value).__name__} of dtype {array.dtype}; expected an array of numbers")
    return torch.from_numpy(np.array(array, dtype=np.complex128 if array.dtype.kind == "c" else np.float64))
