"""The one place that chooses between the compiled kernels, Triton's and the reference, and that can say why."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from ..errors import InvalidInput
from . import extension, native, reference, triton_families

CHOICES = ("native", "triton", "reference")

_transforms = getattr(torch._C._functorch, "peek_interpreter_stack", lambda: None)  # None outside vmap, grad, jvp


@functools.cache
def choice() -> str:
    """``native``, ``triton`` or ``reference``: what FASTIP_BACKEND asks for, else native. Warns once where nothing was asked for and nothing is compiled.

    Raises InvalidInput for an unknown FASTIP_BACKEND or FASTIP_CPU_ISA, for native where there is no compiled extension, and for triton where it is missing.
    """
    asked = os.environ.get("FASTIP_BACKEND", "")
    if asked and asked not in CHOICES:
        raise InvalidInput(f"FASTIP_BACKEND is {asked!r}; expected one of {', '.join(CHOICES)}, or leave it unset")
    missing, no_triton = extension.why_missing(), triton_families.why_missing() if asked == "triton" else None
    if asked == "native" and missing:
        raise InvalidInput(f"FASTIP_BACKEND is 'native' but the compiled extension is missing ({missing}); reinstall fastip with a C++ compiler, or unset it")
    if no_triton:
        raise InvalidInput(f"FASTIP_BACKEND is 'triton' but Triton cannot be used ({no_triton}); pip install 'fastip[triton]', or unset it")
    if asked in ("triton", "reference"):
        return asked
    if missing:
        warnings.warn(f"fastip runs its slow pure-torch kernels on CPUs: no compiled extension ({missing}); reinstall fastip with a C++ compiler", stacklevel=4)
    else:
        extension.isa()
    return "native"


# ---- what the tensors allow ------------------------------------------------------------------------------------------


def _why_unfit(images: Sequence[Tensor]) -> str | None:
    """None where these are plain tensors of one dtype that hold something."""
    for image in images:
        if image.dtype not in extension.DTYPES or image.dtype != images[0].dtype:
            return f"dtype {image.dtype}; the fast kernels take real floating tensors, all of the same dtype"
        if image.numel() == 0:
            return "a tensor is empty"
        if type(image) is not Tensor and type(image) is not Parameter:
            return f"a {type(image).__name__} is not a plain tensor"
        if image.device != images[0].device:
            return f"a tensor is on {image.device}, another on {images[0].device}"
    return None


def _on_cpu(image: Tensor) -> tuple[ModuleType, str | None]:
    if choice() == "triton":
        return (
            (triton_families, None)
            if triton_families.interpreted()
            else (reference, "FASTIP_BACKEND is 'triton', which runs on a GPU; this tensor is on the CPU")
        )
    if choice() == "reference":
        return reference, "FASTIP_BACKEND is 'reference'"
    if extension.why_missing():
        return reference, f"no compiled extension ({extension.why_missing()})"
    if image.dtype not in extension.CPU_DTYPES:
        return reference, f"dtype {image.dtype}; the compiled kernels for CPUs take float32 or float64, the same for all tensors"
    return native, None


def _on_gpu(image: Tensor) -> tuple[ModuleType, str | None]:
    if choice() == "reference":
        return reference, "FASTIP_BACKEND is 'reference'"
    if image.ndim >= 2 and image.shape[-1] * image.shape[-2] > extension.LARGEST_PLANE:
        return reference, f"a plane of {image.shape[-2]} x {image.shape[-1]} pixels; the GPU kernels take up to {extension.LARGEST_PLANE}"
    no_native = extension.why_no_gpu(image.device.index or 0) if choice() == "native" else "not asked for"
    if no_native is None:
        return native, None
    no_triton = triton_families.why_missing()
    return (triton_families, None) if no_triton is None else (reference, f"{no_native}, and Triton cannot be used ({no_triton})")


def _choose(images: Sequence[Tensor]) -> tuple[ModuleType, str | None]:
    """The module for these tensors, gradients left aside, and the reason where it is the reference."""
    unfit = _why_unfit(images)
    if unfit:
        return reference, unfit
    if images[0].is_cpu:
        return _on_cpu(images[0])
    if images[0].is_cuda:
        return _on_gpu(images[0])
    return reference, f"the tensor is on {images[0].device}; the fast kernels run on CPUs and GPUs"


def raw(images: Sequence[Tensor]) -> Any:
    """The module, ``native``, ``triton_families`` or ``reference``, whose kernels take these tensors where no gradient is asked for."""
    return _choose(images)[0]


# ---- what is asked of the result ---------------------------------------------------------------------------------------


def _differentiated(tensors: Sequence[Any]) -> bool:
    return torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in tensors)


def _transformed() -> bool:
    return _transforms() is not None or forward_ad._current_level >= 0


def why_reference(images: Sequence[Tensor], parameters: Sequence[Any] = ()) -> str | None:
    """None where raw kernels, compiled or Triton's, take these tensors, else the reason in words. ``parameters`` (psf, weights) matter for gradients only."""
    if torch.compiler.is_compiling():
        return "torch.compile traces the registered operators"
    if _transformed():
        return "torch.func and forward-mode derivatives go through the reference kernels"
    reason = _choose(images)[1]
    if reason is None and _differentiated([*images, *parameters]):
        return "a gradient is asked for; the raw kernels are not differentiable, the registered operators are"
    return reason


def why_no_solve(images: Sequence[Tensor], tolerance: float) -> str | None:
    """None where a whole solve on these tensors is one call, of a raw kernel or, in a compiled graph, of the registered operator; else the reason."""
    if not torch.compiler.is_compiling():
        return why_reference(images)
    if tolerance > 0:
        return "a compiled graph does not stop by what it finds"
    return "a gradient is asked for; the operator of a whole solve has none" if _differentiated(images) else None


def select(images: Sequence[Tensor], parameters: Sequence[Any] = ()) -> Any:
    """The module whose kernels these tensors take: the registered operators where a graph or a gradient is asked for, else the raw kernels."""
    from . import library  # it registers operators whose implementations come back to ``raw``

    if torch.compiler.is_compiling():
        return library
    if _transformed():
        return reference
    module = raw(images)
    return library if module is not reference and _differentiated([*images, *parameters]) else module


def describe(images: Sequence[Tensor]) -> str:
    """Which kernels these tensors take, in words, and why not faster ones."""
    reason = why_reference(images)
    if reason is not None:
        return f"reference, because: {reason}"
    place = images[0].device
    if raw(images) is triton_families:
        asked = choice() == "triton"
        return f"Triton, on {place}, because: {'FASTIP_BACKEND asks for it' if asked else extension.why_no_gpu(place.index or 0)}"
    return f"compiled, on {place}" + (f" ({extension.isa()})" if images[0].is_cpu else "")


def available() -> dict[str, Any]:
    """What this installation can run, for people: compiled or why not, instruction sets, OpenMP, CUDA devices or the driver's message, Triton or why not."""
    missing, triton = extension.why_missing(), triton_families.why_missing() or "available"
    if missing:
        return {"compiled": False, "reason": missing, "backend": "reference" if choice() == "native" else choice(), "triton": triton}
    return {"compiled": True, "backend": choice(), **extension.describe(), "triton": triton}
