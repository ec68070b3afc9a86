"""Arrays at the door: NumPy and CuPy come in and go out as themselves (DLPack), and bad data is refused before any work."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import InvalidInput

REAL = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
COMPLEX = (torch.complex64, torch.complex128)


def as_tensor(value: Any, name: str) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """``value`` as a tensor (zero copy where memory allows) and the function that turns a result back into its kind.

    Tensors, NumPy arrays (read-only and negative-stride ones are copied) and anything with ``__dlpack__`` (CuPy) are taken.
    Raises InvalidInput for anything else.
    """
    if isinstance(value, Tensor):
        return value, lambda t: t
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fc" or value.dtype.itemsize > 16 or value.dtype in (np.longdouble, np.clongdouble):
            raise InvalidInput(
                f"{name} is a NumPy array of dtype {value.dtype}; expected float32 or float64 (images in [0, 1]), e.g. {name}.astype('float32') / 255"
            )
        copy = not value.flags.writeable or any(s < 0 for s in value.strides) or not value.dtype.isnative
        tensor = torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder("=")) if copy else value)
        return tensor, lambda t: t.detach().cpu().numpy()
    if hasattr(value, "__dlpack__"):
        module = __import__(type(value).__module__.split(".")[0])
        return torch.from_dlpack(value), lambda t: module.from_dlpack(t.detach())
    raise InvalidInput(f"{name} is {type(value).__name__}; expected a torch tensor, a NumPy array or a CuPy array")


def check_real(tensor: Tensor, name: str) -> None:
    """Refuse integer, boolean and complex tensors."""
    if tensor.dtype not in REAL:
        hint = "take the real part" if tensor.dtype in COMPLEX else "convert with .float(), images in [0, 1]"
        raise InvalidInput(f"{name} has dtype {tensor.dtype}; expected a real floating type (float32 or float64): {hint}")


def check_image(tensor: Tensor, name: str) -> None:
    """Refuse anything that is not a non-empty real ``b c h w`` tensor."""
    check_real(tensor, name)
    if tensor.ndim != 4:
        raise InvalidInput(f"{name} has shape {tuple(tensor.shape)}; expected four dimensions b c h w: add the missing ones with [None]")
    if tensor.numel() == 0:
        raise InvalidInput(f"{name} has shape {tuple(tensor.shape)}, which is empty; expected at least one pixel")


def check_finite(tensor: Tensor, name: str) -> None:
    """Refuse NaN and Inf (one pass over the data: the sum of a finite tensor of ordinary size is finite)."""
    detached = tensor.detach()
    if math.isfinite(abs(complex(detached.sum().item()))):
        return
    bad = int((~torch.isfinite(detached)).sum())
    if bad:
        raise InvalidInput(
            f"{name} holds {bad} values that are NaN or Inf; replace them first, e.g. torch.nan_to_num, or mask those pixels with operators.Mask"
        )


def check_shape(tensor: Tensor, expected: Sequence[int], name: str, why: str) -> None:
    """Refuse a tensor whose shape differs from ``expected``."""
    if tuple(tensor.shape) != tuple(expected):
        raise InvalidInput(f"{name} has shape {tuple(tensor.shape)}; expected {tuple(expected)}: {why}")


def check_number(value: Any, name: str, *, low: float = -math.inf, strict: bool = False) -> float:
    """``value`` as a float, refused unless finite and ``>= low`` (``> low`` when ``strict``)."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InvalidInput(f"{name} is {value!r}; expected a number") from None
    if not math.isfinite(number) or number < low or (strict and number == low):
        bound = f"a finite number {'>' if strict else '>='} {low:g}" if low > -math.inf else "a finite number"
        raise InvalidInput(f"{name} is {value!r}; expected {bound}")
    return number


def check_count(value: Any, name: str, *, low: int) -> int:
    """``value`` as an int, refused unless it is a whole number ``>= low``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise InvalidInput(f"{name} is {value!r}; expected a whole number >= {low}")
    return int(value)
