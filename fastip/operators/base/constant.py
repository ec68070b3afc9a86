"""Parameters of operators: kept in float64 on the CPU, cast and moved once for each dtype and device they meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...arrays import from_dlpack
from ...errors import InvalidInput, Unsupported
from ...tracing import check_traceable, constant, real_dtype


def borrowed(constant: Tensor) -> Tensor:
    """``constant``, whose memory is not used again before the current stream of its GPU is done with it; it may have been made on another one."""
    if constant.is_cuda and type(constant) is Tensor and not torch.compiler.is_compiling():
        constant.record_stream(torch.cuda.current_stream(constant.device))
    return constant


class Constant:
    """A float64 CPU tensor and its casts. A cast is made once; calls afterwards only look it up."""

    def __init__(self, value: Tensor) -> None:
        self.value = value
        self.casts: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def like(self, data: Tensor) -> Tensor:
        """The parameter in the (real) dtype and on the device of ``data``."""
        return borrowed(*_cast(self, real_dtype(data.dtype), data.device))

    def on(self, device: torch.device) -> Tensor:
        """The parameter itself, float64, on ``device``: what kernels take as weights."""
        if (
            device == self.value.device or device.type == "mps"
        ):  # which has no float64: kernels cast what they are given
            return self.value
        return borrowed(*_cast(self, torch.float64, device))

    def __getstate__(self) -> dict[str, Any]:
        return {"value": self.value, "casts": {}}


@constant
def _cast(parameter: Constant, dtype: torch.dtype, device: torch.device) -> tuple[Tensor]:
    key = (dtype, device)
    if key not in parameter.casts:
        parameter.casts[key] = parameter.value.to(dtype=dtype, device=device)
    return (parameter.casts[key],)


def real_array(value: Any, name: str, dimensions: Sequence[int]) -> Tensor:
    """A copy of ``value`` (tensor, NumPy or CuPy array, nested sequence) as a float64 CPU tensor.

    Raises InvalidInput for complex, non-finite or empty values and a number of axes not in ``dimensions``; Unsupported if a gradient is asked of it.
    """
    check_traceable(f"the making of an operator from its {name}", "its values are looked at", "make it before")
    if isinstance(value, Tensor):
        if value.requires_grad:
            raise Unsupported(
                f"{name} requires a gradient, but the parameters of an operator are constants; pass {name}.detach()"
            )
        tensor = value
    elif hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray):
        tensor = from_dlpack(value, name)
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
        raise InvalidInput(
            f"{name} holds {int((~torch.isfinite(tensor)).sum())} values that are NaN or Inf; expected finite numbers"
        )
    return tensor


def _from_numpy(value: Any, name: str) -> Tensor:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidInput(f"{name} is not an array of numbers: {error}") from None
    if array.dtype.kind not in "fiubc":
        raise InvalidInput(f"{name} is {type(value).__name__} of dtype {array.dtype}; expected an array of numbers")
    return torch.from_numpy(np.array(array, dtype=np.complex128 if array.dtype.kind == "c" else np.float64))
