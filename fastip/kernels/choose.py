"""Which implementation of a family runs: its name, and why not a faster one."""

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
from . import extension
from .triton import start

NATIVE, TRITON, REFERENCE = CHOICES = ("native", "triton", "reference")
OPERATOR = "operator"  # of torch.ops.fastip, for gradients and graphs; raw kernels run behind it

_transforms = getattr(torch._C._functorch, "peek_interpreter_stack", lambda: None)  # None outside vmap, grad, jvp


@functools.cache
def choice() -> str:
    """``native``, ``triton`` or ``reference``: what FASTIP_BACKEND asks for, else native.

    Warns once where nothing was asked for and nothing is compiled.

    Raises:
        InvalidInput: For an unknown FASTIP_BACKEND or FASTIP_CPU_ISA, for native where there is no compiled extension,
            and for triton where it is missing.
    """
    asked = os.environ.get("FASTIP_BACKEND", "")
    if asked and asked not in CHOICES:
        known = "native (the compiled kernels), triton or reference"
        raise InvalidInput(f"FASTIP_BACKEND is {asked!r}; expected {known}, or leave it unset")
    missing, no_triton = extension.why_missing(), start.why_missing() if asked == TRITON else None
    if asked == NATIVE and missing:
        given = f"FASTIP_BACKEND is 'native' but there is no compiled extension to use ({missing})"
        raise InvalidInput(f"{given}; {extension.REMEDY}, or unset it")
    if no_triton:
        raise InvalidInput(f"FASTIP_BACKEND is 'triton' but Triton cannot be used: {no_triton}, or unset it")
    if asked in (TRITON, REFERENCE):
        return asked
    if missing:
        slow = f"fastip runs its slow pure-torch kernels on CPUs: no compiled extension to use ({missing})"
        warnings.warn(f"{slow}; {extension.REMEDY}", stacklevel=4)
    else:
        extension.isa()
    return NATIVE


# ---- what the tensors allow ------------------------------------------------------------------------------------------


def _why_unfit(images: Sequence[Tensor]) -> str | None:
    """None where these are plain tensors of one dtype that hold something."""
    for image in images:
        if image.dtype not in extension.DTYPES:
            return f"a tensor is {image.dtype}; the fast kernels take real floating ones"
        if image.dtype != images[0].dtype:
            return f"a tensor is {image.dtype}, another {images[0].dtype}; the fast kernels take one dtype for all"
        if image.numel() == 0:
            return "a tensor is empty"
        if type(image) is not Tensor and type(image) is not Parameter:
            return f"a {type(image).__name__} is not a plain tensor"
        if image.device != images[0].device:
            return f"a tensor is on {image.device}, another on {images[0].device}"
    return None


def _on_cpu(image: Tensor) -> tuple[str, str | None]:
    if choice() == TRITON:
        if start.interpreted():
            return TRITON, None
        return REFERENCE, "FASTIP_BACKEND is 'triton', which runs on a GPU; this tensor is on the CPU"
    if choice() == REFERENCE:
        return REFERENCE, "FASTIP_BACKEND is 'reference'"
    if extension.why_missing():
        return REFERENCE, f"no compiled extension to use ({extension.why_missing()})"
    if image.dtype not in extension.CPU_DTYPES:
        return REFERENCE, f"a tensor is {image.dtype}; the compiled kernels for CPUs take float32 or float64"
    return NATIVE, None


def _on_gpu(image: Tensor) -> tuple[str, str | None]:
    if choice() == REFERENCE:
        return REFERENCE, "FASTIP_BACKEND is 'reference'"
    if image.ndim >= 2 and image.shape[-1] * image.shape[-2] > extension.LARGEST_PLANE:
        pixels = f"{image.shape[-2]} x {image.shape[-1]}"
        return REFERENCE, f"a plane of {pixels} pixels; the GPU kernels take up to {extension.LARGEST_PLANE}"
    no_native = extension.why_no_gpu(image.device.index or 0) if choice() == NATIVE else "not asked for"
    if no_native is None:
        return NATIVE, None
    no_triton = start.why_missing()
    if no_triton is None:
        return TRITON, None
    return REFERENCE, f"{no_native}, and Triton cannot be used: {no_triton}"


def _choose(images: Sequence[Tensor]) -> tuple[str, str | None]:
    """The implementation for these tensors, gradients left aside, and the reason where it is the reference."""
    unfit = _why_unfit(images)
    if unfit:
        return REFERENCE, unfit
    if images[0].is_cpu:
        return _on_cpu(images[0])
    if images[0].is_cuda:
        return _on_gpu(images[0])
    return REFERENCE, f"the tensor is on {images[0].device}; the fast kernels run on 'cpu' and 'cuda'"


def raw(images: Sequence[Tensor]) -> str:
    """``native``, ``triton`` or ``reference``: what takes these tensors where no gradient is asked for."""
    return _choose(images)[0]


# ---- what is asked of the result -------------------------------------------------------------------------------------


def _differentiated(tensors: Sequence[Any]) -> bool:
    return torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in tensors)


def _transformed() -> bool:
    return _transforms() is not None or forward_ad._current_level >= 0


def why_reference(images: Sequence[Tensor], parameters: Sequence[Any] = ()) -> str | None:
    """Why raw kernels, compiled or Triton's, do not take these tensors.

    Args:
        images: The tensors that decide, one or more.
        parameters: What else the call is given (psf, weights), which matters for gradients only.

    Returns:
        None where they take them, else the reason in words.

    Raises:
        InvalidInput: Where FASTIP_BACKEND or FASTIP_CPU_ISA asks for what is not there.
    """
    if torch.compiler.is_compiling():
        return "torch.compile traces the registered operators"
    if _transformed():
        return "torch.func and forward-mode derivatives go through the reference kernels"
    reason = _choose(images)[1]
    if reason is None and _differentiated([*images, *parameters]):
        return "a gradient is asked for, which the raw kernels do not have"
    return reason


def why_no_solve(images: Sequence[Tensor], tolerance: float) -> str | None:
    """None where a whole solve on these tensors is one call, else the reason.

    That call is a raw kernel or, in a compiled graph, the registered operator.
    """
    if not torch.compiler.is_compiling():
        return why_reference(images)
    if tolerance > 0:
        return "a compiled graph does not stop by what it finds"
    return "a gradient is asked for; the operator of a whole solve has none" if _differentiated(images) else None


def implementation(images: Sequence[Tensor], parameters: Sequence[Any] = ()) -> str:
    """What a call with these tensors runs: the operator where a graph or a gradient is asked for, else a raw kernel."""
    if torch.compiler.is_compiling():
        return OPERATOR
    if _transformed():
        return REFERENCE
    name = raw(images)
    return OPERATOR if name != REFERENCE and (_differentiated(parameters) or _differentiated(images)) else name


# ---- for people ------------------------------------------------------------------------------------------------------


def describe(images: Sequence[Tensor]) -> str:
    """Which kernels these tensors take, and why not faster ones.

    Args:
        images: The tensors that decide, one or more.

    Returns:
        A line of words: compiled, Triton or reference, the device or the reason.

    Raises:
        InvalidInput: Where FASTIP_BACKEND or FASTIP_CPU_ISA asks for what is not there.
    """
    name, place = implementation(images), images[0].device
    if REFERENCE in (name, raw(images)):
        return f"reference, because: {why_reference(images)}"
    behind = ", through torch.ops.fastip for the gradient (total variation: reference)" if name == OPERATOR else ""
    if raw(images) == TRITON:
        asked = choice() == TRITON
        why = "FASTIP_BACKEND asks for it" if asked else extension.why_no_gpu(place.index or 0)
        return f"Triton, on {place}, because: {why}{behind}"
    return f"compiled, on {place}" + (f" ({extension.isa()})" if images[0].is_cpu else "") + behind


def available() -> dict[str, Any]:
    """What this installation can run.

    Returns:
        ``compiled``, ``backend`` and ``triton`` ("available" or why not); where nothing is compiled the ``reason``,
        else the ``isa`` in use, ``isas`` that this machine can run, ``openmp``, ``threads``, ``cuda_compiled``,
        ``cuda_devices`` and in ``cuda`` the driver's word on them.

    Raises:
        InvalidInput: Where FASTIP_BACKEND or FASTIP_CPU_ISA asks for what is not there.
    """
    missing, triton = extension.why_missing(), start.why_missing() or "available"
    if missing:
        backend = REFERENCE if choice() == NATIVE else choice()
        reason = f"{missing}: {extension.REMEDY}"
        return {"compiled": False, "reason": reason, "backend": backend, "triton": triton}
    return {"compiled": True, "backend": choice(), **extension.describe(), "triton": triton}
