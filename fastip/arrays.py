"""Arrays at the door.

NumPy and CuPy arrays come in and go out as themselves (DLPack), and bad data is refused before any work.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import forks as forks
from .errors import InvalidInput, brief
from .tracing import bare

REAL = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
COMPLEX = (torch.complex64, torch.complex128)
HALF = (torch.float16, torch.bfloat16)
ZEROS = "nan=0, posinf=0, neginf=0"  # of nan_to_num, which makes the largest number of Inf without them


def as_tensor(value: Any, name: str) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """``value`` as a tensor on its own device, and the function that turns a result back into its kind.

    Memory is shared where it allows. A result goes back without its gradient, on the device it is on: to NumPy on the
    CPU, to the others by their own ``from_dlpack``.

    Args:
        value: A tensor, which comes and goes as it is; a NumPy array (read-only, byte-swapped and negative-stride ones
            are copied); or an array with ``__dlpack__`` such as those of CuPy, see :func:`from_dlpack`.
        name: What messages call it.

    Returns:
        The tensor and the way back.

    Raises:
        InvalidInput: For anything else, for arrays that do not hold floating-point or complex numbers, and for masked
            arrays of NumPy, whose mask would be lost.
    """
    if isinstance(value, Tensor):
        return value, lambda t: t
    if isinstance(value, np.ndarray):
        check_unmasked(value, name)
        if value.dtype.kind not in "fc" or value.dtype.itemsize > 16 or value.dtype in (np.longdouble, np.clongdouble):
            raise InvalidInput(_not_floating(value, name))
        copy = not value.flags.writeable or any(s < 0 for s in value.strides) or not value.dtype.isnative
        tensor = torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder("=")) if copy else value)
        return tensor, lambda t: _bare(t).cpu().numpy()
    if not (hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__")):
        expected = "expected a torch tensor, a NumPy array or a CuPy array"
        raise InvalidInput(f"{name} is {type(value).__name__}; {expected}: numpy.asarray makes one of lists and images")
    back = _importer(value, name)
    tensor = from_dlpack(value, name)
    if tensor.dtype not in (*REAL, *COMPLEX):
        raise InvalidInput(_not_floating(value, name))
    return tensor, lambda t: _handed(back, _bare(t))


def from_dlpack(value: Any, name: str) -> Tensor:
    """An array with ``__dlpack__`` as a tensor on the same memory; one with negative strides is copied, on its device.

    On a GPU the array is asked for it with PyTorch's current stream of its device, so its library orders what it has
    queued on its own current stream before whatever PyTorch does next, and nothing waits on the host; the way back does
    the same in the other direction. Work that was queued on any other stream is for the caller to order.

    Args:
        value: The array.
        name: What messages call it.

    Returns:
        The tensor.

    Raises:
        InvalidInput: Where PyTorch cannot take the array.
    """
    backwards = [axis for axis, stride in enumerate(getattr(value, "strides", None) or ()) if stride < 0]
    if backwards:
        value = value[tuple(slice(None, None, -1) if axis in backwards else slice(None) for axis in range(value.ndim))]
    try:
        tensor = torch.from_dlpack(value)
    except (AssertionError, BufferError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        given = (
            f"{name} is {type(value).__name__} of {type(value).__module__} "
            f"and dtype {getattr(value, 'dtype', 'unknown')}"
        )
        raise InvalidInput(
            f"{given}, which PyTorch cannot take ({error}); expected float32 or float64 on a device of this PyTorch"
        ) from error
    return tensor.flip(backwards) if backwards else tensor


def _importer(value: Any, name: str) -> Callable[[Any], Any]:
    """``from_dlpack`` of the library that ``value`` comes from."""
    spaces = [value.__array_namespace__()] if hasattr(value, "__array_namespace__") else []
    spaces += [sys.modules.get(kind.__module__.split(".")[0]) for kind in type(value).__mro__]
    for space in spaces:
        importer = getattr(space, "from_dlpack", None)
        if importer is not None:
            return importer
    raise InvalidInput(
        f"{name} is {type(value).__name__}, whose library has no from_dlpack to give a result back; "
        "expected a NumPy or CuPy array, or a tensor"
    )


def _handed(importer: Callable[[Any], Any], tensor: Tensor) -> Any:
    """A result in another library, which passes the stream it works on.

    PyTorch hands over only what lies on its current device.
    """
    if not tensor.is_cuda:
        return importer(tensor)
    with torch.cuda.device(tensor.device):
        return importer(_Handed(tensor, _stream_of(importer)))


def _stream_of(importer: Callable[[Any], Any]) -> Any:
    """The object of the stream that the importer's library works on now, where it has one as CuPy has; else None."""
    library = sys.modules.get(str(getattr(importer, "__module__", "")).split(".")[0])
    current = getattr(getattr(library, "cuda", None), "get_current_stream", None)
    return None if current is None else current()


class _Handed:
    """A result on its way to another library, whose memory outlives the other stream's work.

    PyTorch uses the memory again only after the work that the other stream has queued by the time it is dropped. A
    tensor's own export orders PyTorch's stream before the other one and no more: an array dropped while a kernel reads
    it would give its memory to the next tensor. When the memory is given back PyTorch marks the place on that stream,
    so ``stream``, the object, lives as long as the memory.
    """

    def __init__(self, tensor: Tensor, stream: Any) -> None:
        self._tensor, self._stream = tensor, stream

    def __dlpack_device__(self) -> tuple[Any, int]:
        return self._tensor.__dlpack_device__()

    def __dlpack__(self, *, stream: int | None = None, **options: Any) -> Any:
        """The memory for ``stream``: None or 1, the default one; -1, none; else a pointer; PyTorch refuses 2."""
        capsule = self._tensor.__dlpack__(stream=stream, **options)
        if stream == -1:
            return capsule
        if stream is None or stream == 1:
            self._tensor.record_stream(torch.cuda.default_stream(self._tensor.device))
            return capsule
        self._tensor.record_stream(torch.cuda.ExternalStream(stream, device=self._tensor.device))
        weakref.finalize(self._tensor.untyped_storage(), _recent.append, self._stream)
        return capsule


# Streams whose memory is being given back: a storage is finalized just before PyTorch marks the stream. A short queue
# could drop a stream before its mark when many storages go at once; a long one keeps more unused streams alive.
_recent: deque[Any] = deque(maxlen=64)


def _bare(tensor: Tensor) -> Tensor:
    """Without gradient, lazy conjugation and lazy negation, which no other library knows."""
    return tensor.detach().resolve_conj().resolve_neg()


def _not_floating(value: Any, name: str) -> str:
    library = (
        "NumPy"
        if isinstance(value, np.ndarray)
        else "CuPy"
        if type(value).__module__.split(".")[0] == "cupy"
        else type(value).__module__.split(".")[0]
    )
    kind, _, bits = str(getattr(value.dtype, "name", value.dtype)).rpartition(".")[2].partition("int")
    largest = f" / {2 ** int(bits) - 1}" if kind == "u" else ""
    given = f"{name} is a {library} array of dtype {value.dtype}"
    return f"{given}; expected float32 or float64 (images in [0, 1]), e.g. {name}.astype('float32'){largest}"


def check_unmasked(value: np.ndarray, name: str) -> None:
    """Refuse a masked array of NumPy that masks something: as a tensor it would lose its mask."""
    count = int(np.ma.getmaskarray(value).sum()) if isinstance(value, np.ma.MaskedArray) else 0
    if count:
        raise InvalidInput(
            f"{name} is a NumPy array with {count} values masked, which would count as if they were not; expected one "
            f"without a mask: give {name}.filled(0), and for data compose operators.Mask(~{name}.mask) @ op"
        )


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """The precision in which numbers of this one are summed and inverted: float32 for half precision, else its own."""
    return torch.float32 if dtype in HALF else dtype


def check_real(tensor: Tensor, name: str) -> None:
    """Refuse integer, boolean and complex tensors."""
    if tensor.dtype not in REAL:
        code = floating(tensor.dtype, name)
        hint = f"take the real part, {name}.real" if tensor.dtype in COMPLEX else f"convert with {code}"
        raise InvalidInput(
            f"{name} has dtype {tensor.dtype}; expected a real floating type (float32 or float64): {hint}"
        )


def floating(dtype: torch.dtype, name: str) -> str:
    """The code that makes a real floating tensor of ``name``, of this dtype; unsigned integers become [0, 1]."""
    unsigned = not (dtype.is_signed or dtype.is_complex or dtype is torch.bool)
    return f"{name}.float()" + (f" / {torch.iinfo(dtype).max} (images in [0, 1])" if unsigned else "")


def four_dimensions(shape: Sequence[int]) -> str:
    """What to do with an image of this shape, which has another number of dimensions."""
    given = len(shape)
    if given > 4:
        return f"make one batch of the first {given - 3}, as x.flatten(0, {given - 4}) does"
    if given == 3 and shape[2] in (1, 3, 4) and shape[0] not in (1, 3, 4):
        return "as h w c it needs its colours first: x.permute(2, 0, 1)[None], in NumPy x.transpose(2, 0, 1)[None]"
    return f"add what is missing in front, with [{', '.join(['None'] * (4 - given))}]"


def check_image(tensor: Tensor, name: str) -> None:
    """Refuse anything that is not a non-empty real ``b c h w`` tensor."""
    check_real(tensor, name)
    if tensor.ndim != 4:
        raise InvalidInput(
            f"{name} has shape {tuple(tensor.shape)}; expected four dimensions b c h w: {four_dimensions(tensor.shape)}"
        )
    if tensor.numel() == 0:
        raise InvalidInput(f"{name} has shape {tuple(tensor.shape)}, which is empty; expected at least one pixel")


def not_finite(*tensors: Tensor) -> int:
    """How many values of tensors on one device are NaN or Inf.

    One pass over them, and one wait for a GPU: the sum of finite numbers of ordinary size is finite. While
    torch.compile traces, and while a CUDA graph is captured, there are no values yet to look at: none.
    """
    on_gpu = any(tensor.is_cuda for tensor in tensors)
    if torch.compiler.is_compiling() or (on_gpu and torch.cuda.is_current_stream_capturing()):
        return 0
    tensors = tuple(bare(tensor) for tensor in tensors)
    total = sum(tensor.detach().sum(dtype=accumulator(tensor.dtype)) for tensor in tensors)
    if not isinstance(total, Tensor) or math.isfinite(abs(complex(total.item()))):
        return 0
    return sum(int((~torch.isfinite(tensor.detach())).sum()) for tensor in tensors)


def check_finite(tensor: Tensor, name: str) -> None:
    """Refuse NaN and Inf, where there are values to look at."""
    bad = not_finite(tensor)
    if bad:
        raise InvalidInput(
            f"{name} holds {bad} values that are NaN or Inf; expected finite numbers: replace them, e.g. by "
            f"torch.nan_to_num(x, {ZEROS})"
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
        raise InvalidInput(f"{name} is {brief(value)}; expected a number") from None
    if not math.isfinite(number) or number < low or (strict and number == low):
        bound = f"a finite number {'>' if strict else '>='} {low:g}" if low > -math.inf else "a finite number"
        raise InvalidInput(f"{name} is {value!r}; expected {bound}")
    return number


NEAR_ONE = (
    "where the operator has a norm near 1 every useful one lies between, so scale it, (1 / norm) * op, and the data too"
)


def check_normal(number: float, name: str, dtype: torch.dtype, advice: str = NEAR_ONE) -> float:
    """``number`` > 0, refused unless it is a normal number of the sums that data of ``dtype`` have."""
    limits = torch.finfo(accumulator(dtype))
    if not limits.tiny <= number <= limits.max:
        raise InvalidInput(
            f"{name} is {number:g}; expected {limits.tiny:.3g} to {limits.max:.3g}, the normal numbers of "
            f"float{limits.bits}: {advice}"
        )
    return number


def check_products(values: Tensor) -> Tensor:
    """``values``, made of products with an operator, refused where they overflowed."""
    if not bool(torch.isfinite(values).all()):
        raise InvalidInput(
            "products with A and A^T overflow float64; expected an operator whose norm is near 1, as that of a psf "
            "that sums to 1 is: scale it, (1 / norm) * op, and the data with it"
        )
    return values


def check_count(value: Any, name: str, *, low: int) -> int:
    """``value`` as an int, refused unless it is a whole number ``>= low``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise InvalidInput(f"{name} is {brief(value)}; expected a whole number >= {low}")
    return int(value)


def check_counts(**values: Any) -> None:
    """Refuse the first of these that is no whole number >= 1, by its name."""
    for name, value in values.items():
        check_count(value, name, low=1)


def power_of_two(sizes: Tensor) -> Tensor:
    """A power of two within a factor 2 above each size, up to 2^100 (float64: 2^1000); 2 for the size 0.

    Multiplying and dividing by it are exact.
    """
    most = 2.0 ** (1000 if sizes.dtype == torch.float64 else 100)
    kept = torch.where(sizes > 0, sizes, torch.ones_like(sizes)).clamp(1 / most, most)
    return kept / torch.frexp(kept).mantissa


def energy(x: Tensor) -> Tensor:
    """``||x||^2`` for each entry of the batch, b; real, also of complex x.

    Float32 of half precision, whose sums of squares would be infinite.
    """
    parts = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    return parts.flatten(1).to(accumulator(parts.dtype)).square().sum(dim=1)
