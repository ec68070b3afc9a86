"""The compiled extension ``fastip._C``: whether it is there, its devices and dtypes, how tensors are handed to it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch  # before _C: torch's OpenMP runtime is then the only one of the process
from torch import Tensor

from .._version import __version__
from ..errors import DeviceError, InvalidInput, Unsupported
from ..placement import uploaded
from .reference import BOUNDARIES

REMEDY = "install fastip again where a C++ compiler is (in a clone: make)"


def _absence(error: ImportError) -> str:
    """Why the extension cannot be imported; Python's own words for a file that is not there name a circular import."""
    if find_spec(".._C", __package__):
        return f"fastip/_C cannot be loaded: {error}"
    own = {f"_C{suffix}" for suffix in EXTENSION_SUFFIXES}
    others = sorted({path.name for path in Path(__file__).parents[1].glob("_C.*.so")} - own)
    return f"fastip/_C is not there for this Python, only {', '.join(others)}" if others else "fastip/_C is not there"


def share_openmp() -> None:
    """Load libgomp for the whole process, where PyTorch has not: the extension takes it from there.

    PyTorch's wheels bring one under a name of their own and load it so; those of other sources may not.
    """
    if sys.platform == "linux" and not hasattr(ctypes.CDLL(None), "GOMP_parallel"):
        with contextlib.suppress(OSError):
            ctypes.CDLL("libgomp.so.1", mode=ctypes.RTLD_GLOBAL)


_missing: str | None = None
share_openmp()
try:
    from .. import _C
except ImportError as error:
    _missing = _absence(error)
else:
    # An older extension may lack what is asked for here.
    _version, _boundaries = (getattr(_C, name, "unknown") for name in ("version", "boundaries"))
    if _version != __version__:
        _missing = f"fastip/_C is of version {_version}, the package of {__version__}"
    elif _boundaries != BOUNDARIES:
        _missing = f"fastip/_C knows the boundaries {_boundaries}, the package {BOUNDARIES}"

DTYPES = {torch.float32: 0, torch.float64: 1, torch.float16: 2, torch.bfloat16: 3}
CPU_DTYPES = (torch.float32, torch.float64)
LARGEST_PLANE = 2**31 - 1  # pixels that the GPU kernels count in 32 bits


# ---- what is compiled ------------------------------------------------------------------------------------------------


def why_missing() -> str | None:
    """None where the extension is loaded, else the reason."""
    return _missing


@functools.cache
def why_no_gpu(device: int = 0) -> str | None:
    """None where the extension holds GPU kernels that run on this device, else the reason."""
    if _missing:
        return f"no compiled extension to use ({_missing})"
    if not _C.cuda_compiled:
        return "the extension was compiled without CUDA"
    devices, message = _C.cuda_devices()
    if not devices:
        return f"the extension finds no CUDA device ({message})"
    trouble = _C.cuda.trouble(device)
    return f"the extension has no code that CUDA device {device} can run ({trouble})" if trouble else None


def isa() -> str:
    """The instruction set in use.

    Raises:
        InvalidInput: Where FASTIP_CPU_ISA names one that is unknown or that this machine lacks.
    """
    try:
        return _C.isa()
    except ValueError as error:
        raise InvalidInput(str(error)) from None


def describe() -> dict[str, Any]:
    """ISA, ISAs that this machine can run, OpenMP, CUDA: for ``fastip info``."""
    devices, message = _C.cuda_devices()
    return {
        "isa": isa(),
        "isas": _C.isas(),
        "openmp": _C.openmp,
        "threads": torch.get_num_threads() if _C.openmp else 1,
        "cuda_compiled": _C.cuda_compiled,
        "cuda_devices": devices,
        "cuda": message,
    }


# ---- tensors to pointers ---------------------------------------------------------------------------------------------


def target(tensor: Tensor) -> tuple[Any, Any]:
    """The functions for the device of ``tensor``, and their last argument.

    That is the number of threads, or the device and its current stream.

    Raises:
        Unsupported: For a dtype that no compiled kernel of the device takes.
    """
    if tensor.dtype not in (CPU_DTYPES if tensor.is_cpu else DTYPES):
        raise Unsupported(
            f"the compiled kernels do not take {tensor.dtype} on {tensor.device.type}: "
            "fastip.kernels takes the reference for it"
        )
    if tensor.is_cpu:
        return _C, torch.get_num_threads()
    return _C.cuda, (tensor.device.index, torch.cuda.current_stream(tensor.device).cuda_stream)


def run(function: Any, arguments: Any, like: Tensor, where: Any) -> Any:
    """Call a compiled family for tensors such as ``like``; function and where are those of :func:`target`.

    Raises:
        DeviceError: Where CUDA reports a failure.
    """
    try:
        return function(arguments, DTYPES[like.dtype], where)
    except RuntimeError as error:
        if like.is_cpu:
            raise
        family = function.__name__
        instead = (
            "where memory is short pass fewer images at a time; after a fault of the device start the process again"
        )
        failed = f"the CUDA kernel {family} failed on {like.device} ({error})"
        raise DeviceError(f"{failed}; {instead}; FASTIP_BACKEND=reference does without it") from error


def address(tensor: Tensor | None) -> int:
    """Of its first number; 0 for None."""
    return 0 if tensor is None else tensor.data_ptr()


def addresses(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of an argument struct with the address of each tensor, 0 for None, in its place."""
    return {name: address(v) if v is None or isinstance(v, Tensor) else v for name, v in fields.items()}


def plain(tensor: Tensor) -> Tensor:
    """``tensor`` contiguous, without lazy negation."""
    return (tensor.resolve_neg() if tensor.is_neg() else tensor).contiguous()


def weights(values: Tensor, like: Tensor) -> Tensor:
    """A psf or a stencil as contiguous float64 on the device of ``like``.

    A copy to a GPU is made once for each content, and waited for then.
    """
    values = plain(values.detach().to(torch.float64))
    if values.device == like.device or not (values.is_cpu and like.is_cuda):
        return values.to(like.device)
    return uploaded(values, like.device)
