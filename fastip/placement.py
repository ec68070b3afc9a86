"""A constant on a device, once: what operators, inverses, priors and kernels hold is copied at its first use there.

A solve then waits for no copy, and can be captured in a CUDA graph once it has run.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from .tracing import check_uncaptured, constant, real_dtype, untransformed


def borrowed(values: Tensor) -> Tensor:
    """``values``, whose memory is not used again before the current stream of its GPU is done with it.

    It may have been made on another one.
    """
    if values.is_cuda and type(values) is Tensor and not torch.compiler.is_compiling():
        values.record_stream(torch.cuda.current_stream(values.device))
    return values


# ---- as it is --------------------------------------------------------------------------------------------------------

# Tensor -> {device: its copy there}; copies live as long as what they were made from.
_copies: Any = WeakTensorKeyDictionary()


def placed(values: Tensor, device: torch.device) -> Tensor:
    """A constant of a solve on ``device``: itself, or a copy that is made once, however often it is asked for."""
    if values.device == device or device.type == "mps":  # which has no float64: whoever uses the constant casts it
        return values
    if torch.compiler.is_compiling():
        return values.to(device)
    copies = _copies.setdefault(values, {})
    if device not in copies:
        copies[device] = untransformed(values.to)(device)
    return borrowed(copies[device])


# ---- in the precision of the data ------------------------------------------------------------------------------------


class Constant:
    """A tensor and its casts. A cast is made once; calls afterwards only look it up.

    Args:
        value: The tensor; of operators float64 on the CPU. It must not change.
    """

    def __init__(self, value: Tensor) -> None:
        self.value = value
        self.casts: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def like(self, data: Tensor) -> Tensor:
        """The constant in the (real) dtype and on the device of ``data``."""
        return borrowed(*_cast(self, real_dtype(data.dtype), data.device))

    def on(self, device: torch.device) -> Tensor:
        """The constant itself, float64, on ``device``: what kernels take as weights."""
        # MPS has no float64: kernels cast what they are given.
        if device == self.value.device or device.type == "mps":
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


# ---- found again by content ------------------------------------------------------------------------------------------


class Uploads:
    """Small tensors on GPUs, found again by content: the last 64, and those that a captured graph reads.

    The latter live on with the graph.
    """

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[Any, ...], Tensor] = OrderedDict()
        self._captured: dict[tuple[Any, ...], Tensor] = {}

    def get(self, values: Tensor, device: torch.device) -> Tensor:
        """``values``, on the CPU, on ``device``.

        Raises:
            Unsupported: While a CUDA graph is captured, for values that are not there yet.
        """
        key = (values.numpy().tobytes(), values.dtype, tuple(values.shape), device)
        found = self._captured.get(key)
        if found is not None:
            return found
        if key not in self._last:
            what, why = "weights that are not on the GPU yet", "their copy is waited for"
            check_uncaptured(device, what, why, "run the solve once before capturing")
            self._last[key] = values.to(device)
            if len(self._last) > 64:  # more hold memory of solves long over; fewer copy, and wait, again
                self._last.popitem(last=False)
        self._last.move_to_end(key)
        found = self._last[key]
        if torch.cuda.is_current_stream_capturing():
            self._captured[key] = found
        else:
            found.record_stream(torch.cuda.current_stream(device))  # its memory stays while this stream may read it
        return found


uploaded = Uploads().get  # (values on the CPU, device) -> the same there
