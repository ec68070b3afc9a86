"""The one place that chooses between the compiled kernels and the reference, and that can say why."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from ..errors import InvalidInput
from . import extension, native, reference

CHOICES = ("native", "reference")

_transforms = getattr(torch._C._functorch, "peek_interpreter_stack", lambda: None)  # None outside vmap, grad, jvp


@functools.cache
def choice() -> str:
    """``native`` or ``reference``: what FASTIP_BACKEND asks for, else native where the extension is compiled. Warns once where it is not.

    Raises InvalidInput for an unknown FASTIP_BACKEND or FASTIP_CPU_ISA, and for native where there is no compiled extension.
    """
    asked = os.environ.get("FASTIP_BACKEND", "")
    if asked and asked not in CHOICES:
        raise InvalidInput(f"FASTIP_BACKEND is {asked!r}; expected one of {', '.join(CHOICES)}, or leave it unset")
    missing = extension.why_missing()
    if asked == "native" and missing:
        raise InvalidInput(f"FASTIP_BACKEND is 'native' but the compiled extension is missing ({missing}); reinstall fastip with a C++ compiler, or unset it")
    if asked == "reference":
        return asked
    if missing:
        warnings.warn(f"fastip runs on its slow pure-torch kernels: no compiled extension ({missing}); reinstall fastip with a C++ compiler", stacklevel=4)
        return "reference"
    extension.isa()
    return "native"


def _differentiated(tensors: Sequence[Any]) -> bool:
    if forward_ad._current_level >= 0:
        return True
    return torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in tensors)


def why_reference(images: Sequence[Tensor], parameters: Sequence[Any] = ()) -> str | None:
    """None where the compiled kernels take these tensors, else the reason in words. ``parameters`` (psf, weights) matter for gradients only."""
    if torch.compiler.is_compiling() or _transforms() is not None:
        return "torch.compile and torch.func trace the reference kernels"
    if choice() == "reference":
        return f"no compiled extension ({extension.why_missing()})" if extension.why_missing() else "FASTIP_BACKEND is 'reference'"
    dtype = images[0].dtype
    for image in images:
        if not image.is_cpu:
            return f"the tensor is on {image.device}; the compiled kernels run on the CPU"
        if image.dtype not in extension.CPU_DTYPES or image.dtype != dtype:
            return f"dtype {image.dtype}; the compiled kernels take float32 or float64, the same for all tensors"
        if image.numel() == 0:
            return "a tensor is empty"
        if type(image) is not Tensor and type(image) is not Parameter:
            return f"a {type(image).__name__} is not a plain tensor"
    if _differentiated(images) or _differentiated(parameters):
        return "a gradient is asked for; the raw compiled kernels are not differentiable"
    return None


def select(images: Sequence[Tensor], parameters: Sequence[Any] = ()) -> Any:
    """The module, ``native`` or ``reference``, whose kernels these tensors take."""
    return native if why_reference(images, parameters) is None else reference


def available() -> dict[str, Any]:
    """What this installation can run, for people: compiled or why not, instruction sets, OpenMP, CUDA devices or the driver's message."""
    missing = extension.why_missing()
    if missing:
        return {"compiled": False, "reason": missing, "backend": choice()}
    return {"compiled": True, "backend": choice(), **extension.describe()}
