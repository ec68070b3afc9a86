"""What becomes a parameter of an operator: any array of numbers, kept in float64, or complex128, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...arrays import ZEROS, check_unmasked, from_dlpack
from ...errors import InvalidInput, Unsupported
from ...tracing import bare, check_traceable, check_unmapped, untransformed


def real_array(value: Any, name: str, dimensions: Sequence[int], of: str = "an operator") -> Tensor:
    """A copy of ``value`` (tensor, NumPy or CuPy array, nested sequence) as a float64 CPU tensor.

    Args:
        value: What becomes a parameter of an operator.
        name: What messages call it.
        dimensions: The numbers of axes that it can have.
        of: Whose parameter it becomes.

    Returns:
        The copy, contiguous.

    Raises:
        InvalidInput: For complex, non-finite or empty values and another number of axes.
        Unsupported: If a gradient is asked of it, and inside torch.compile.
    """
    return _copied(_constant(value, name, of), name, dimensions, torch.float64)


def complex_array(value: Any, name: str, dimensions: Sequence[int], of: str = "an operator") -> Tensor:
    """As :func:`real_array`, of numbers that may be complex, as complex128."""
    return _copied(_constant(value, name, of), name, dimensions, torch.complex128)


def _constant(value: Any, name: str, of: str) -> Any:
    """``value``, which is refused where it asks for a gradient and where a function is traced or mapped."""
    check_traceable(f"the making of {of} from its {name}", "its values are looked at", "make it before")
    if not isinstance(value, Tensor):
        return value
    if value.requires_grad:
        raise Unsupported(f"{name} requires a gradient, but the parameters of {of} are constants; pass {name}.detach()")
    check_unmapped(value, f"the {name} of {of}", "it is a constant", "make one operator for each")
    return bare(value)


@untransformed
def _copied(value: Any, name: str, dimensions: Sequence[int], dtype: torch.dtype) -> Tensor:
    if isinstance(value, Tensor):
        tensor = value
    elif hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray):
        tensor = from_dlpack(value, name)
    else:
        tensor = _from_numpy(value, name)
    if tensor.is_complex() and not dtype.is_complex:
        raise InvalidInput(f"{name} has dtype {tensor.dtype}; expected real numbers: take the real part")
    tensor = tensor.detach().to_dense() if tensor.layout != torch.strided else tensor.detach()
    tensor = tensor.to(dtype=dtype, device="cpu", copy=True).contiguous()
    if tensor.ndim not in dimensions:
        wanted = " or ".join(str(d) for d in dimensions)
        raise InvalidInput(f"{name} has shape {tuple(tensor.shape)}; expected {wanted} axes: reshape it or take a part")
    if tensor.numel() == 0:
        raise InvalidInput(f"{name} has shape {tuple(tensor.shape)}, which is empty; expected at least one value")
    if not bool(torch.isfinite(tensor).all()):  # nan_to_num takes no complex numbers
        advice = "replace them" if tensor.is_complex() else f"replace them, e.g. by torch.nan_to_num(x, {ZEROS})"
        raise InvalidInput(
            f"{name} holds {int((~torch.isfinite(tensor)).sum())} values that are NaN or Inf; expected finite numbers: "
            f"{advice}"
        )
    return tensor


def _from_numpy(value: Any, name: str) -> Tensor:
    if isinstance(value, np.ndarray):
        check_unmasked(value, name)
    if hasattr(value, "toarray"):  # of SciPy, which np.asarray would wrap as it is
        kind = f"a sparse {type(value).__name__}"
        raise InvalidInput(f"{name} is {kind}; expected an array of numbers: give {name}.toarray()")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidInput(f"{name} is no array of numbers ({error}); expected rows of the same length") from None
    if array.dtype.kind not in "fiubc":
        raise InvalidInput(f"{name} is {type(value).__name__} of dtype {array.dtype}; expected an array of numbers")
    return torch.from_numpy(np.array(array, dtype=np.complex128 if array.dtype.kind == "c" else np.float64))
