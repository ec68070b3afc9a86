"""A GPU that is not there: tensors that say cuda:0 and compute on the CPU.

All that would make the host wait for a real one is recorded::

    with pretended() as gpu:
        solution = fastip.admm(gpu.put(y), op, prior)
        gpu.waits  # [Event(operation, place in fastip)]: numbers that were read, copies from one device to the other
        gpu.get(solution.x)  # the values

What PyTorch refuses on a GPU is refused here: tensors of two devices in one operation (but for a scalar of the CPU in a
pointwise one), numpy(), pointers; and so are tolist() and nonzero(), which would wait.

torch._subclasses.FakeTensorMode has no values, so an inverse cannot be set up under it, and on PyTorch without CUDA it
cannot index a CUDA tensor. There are no gradients here: autograd without a CUDA device ends the process, so everything
runs under torch.no_grad().
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

import fastip

CUDA = torch.device("cuda", 0)
ROOT = str(Path(fastip.__file__).parent)
# each waits for the device
READS = (
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "equal",
    "is_nonzero",
    "_linalg_check_errors",
    "_unique2",
    "unique_dim",
)
# floats in an order that changes
ATOMICS = ("index_add", "index_add_", "scatter_add", "scatter_add_", "scatter_reduce", "bincount", "cumsum")
# done at once: below the level where operations arrive nobody looks at the mark on a tensor
LAZY = {"_conj": torch.conj_physical, "_neg_view": torch.neg}


class Event(NamedTuple):
    """An operation and the innermost line of fastip that asked for it."""

    operation: str
    place: str


def ours(events: list[Event]) -> list[Event]:
    """All but those of three functions of the reference kernels, which serve devices that have no others.

    They place small tables at each call.
    """
    return [
        event
        for event in events
        if not (
            event.place.startswith("kernels/reference.py") and event.place.split()[-1] in ("extend", "fold", "limit")
        )
    ]


class Far(Tensor):
    """A tensor on the pretended device; ``inner`` holds its values."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Far:
        options = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        far = Tensor._make_wrapper_subclass(cls, inner.shape, **options, device=CUDA)
        far.inner = inner
        return far

    def __repr__(self) -> str:
        return f"Far({self.inner!r})"

    @classmethod
    def __torch_function__(cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__getitem__:  # these ask for a device guard, which PyTorch without CUDA lacks
            return _device().index(args[0], args[1])
        if func is Tensor.data_ptr:
            raise RuntimeError("the pretended device has no pointers")
        if func is Tensor.copy_:
            return _device().run(torch.ops.aten.copy_.default, args, kwargs or {})
        if func is Tensor.contiguous:
            form = (kwargs or {}).get("memory_format", torch.contiguous_format)
            return args[0] if args[0].is_contiguous(memory_format=form) else args[0].clone(memory_format=form)
        if func is Tensor.__setitem__:
            return _device().assign(*args)
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _device().run(func, args, kwargs or {})


class Pretended(TorchDispatchMode):
    """The device and its record."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[Event] = []
        self.atomics: list[Event] = []
        self.capturing = False  # whether a CUDA graph is being captured: then nothing may wait

    def wait(self, operation: str) -> None:
        """Record it, and refuse it in a capture, as a GPU does."""
        self.waits.append(Event(operation, _place()))
        if self.capturing and ours(self.waits[-1:]):
            raise RuntimeError(f"operation not permitted when stream is capturing: {operation}, {_place()}")

    def put(self, tensor: Tensor) -> Tensor:
        """A copy on the device; not recorded."""
        return Far(tensor.detach().clone())

    def get(self, tensor: Tensor) -> Tensor:
        """The values; not recorded."""
        assert isinstance(tensor, Far), f"a tensor on {tensor.device}, expected {CUDA}"
        assert tensor.shape == tensor.inner.shape and tensor.dtype == tensor.inner.dtype
        return tensor.inner

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.run(func, args, kwargs or {})

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """One operation on the values, with the device and the record that it would have."""
        name = func.overloadpacket.__name__
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        far = [t for t in tensors if isinstance(t, Far)]
        target = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
        if target is not None:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        if far:
            self._check(func, name, tensors)
        if name in ("_to_copy", "copy_") and len({t.device for t in tensors} | ({target} if target else set())) > 1:
            self.wait("copy between devices")
        if far and (name in READS or (name.startswith("index") and any(t.dtype == torch.bool for t in tensors[1:]))):
            self.wait(name)
        if far and name in ATOMICS and far[0].dtype.is_floating_point:
            self.atomics.append(Event(name, _place()))
        if far and name in LAZY:
            return Far(LAZY[name](far[0].inner))
        result = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
        if name in ("equal", "_local_scalar_dense"):
            return result
        on_device = (
            target.type == "cuda" if target is not None else isinstance(args[0], Far) if name == "copy_" else bool(far)
        )
        return tree_map(lambda t: self._wrapped(t, far), result) if on_device else result

    def _wrapped(self, result: Any, given: list[Far]) -> Any:
        """In-place operations give back what they were given."""
        if not isinstance(result, Tensor):
            return result
        return next((t for t in given if t.inner is result), Far(result))

    def _check(self, func: Any, name: str, tensors: list[Tensor]) -> None:
        near = [t for t in tensors if not isinstance(t, Far)]
        if name == "copy_" or all(t.ndim == 0 and torch.Tag.pointwise in func.tags for t in near):
            return
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but {name} got some on {CUDA} and some on {near[0].device}"
        )

    def index(self, far: Far, index: Any) -> Tensor:
        self._check_index(index)
        return Far(far.inner[tree_map(_inner, index)])

    def assign(self, target: Tensor, index: Any, value: Any) -> None:
        self._check_index(index)
        if isinstance(target, Far) != isinstance(value, Far) and isinstance(value, Tensor):
            self.wait("copy between devices")
        _inner(target)[tree_map(_inner, index)] = _inner(value)

    def _check_index(self, index: Any) -> None:
        tensors = [t for t in tree_leaves(index) if isinstance(t, Tensor)]
        if any(t.dtype == torch.bool or not isinstance(t, Far) for t in tensors):
            self.wait("index by a mask or from the CPU")


_current: list[Pretended] = []


def _device() -> Pretended:
    return _current[-1]


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, Far) else value


def _place() -> str:
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith(ROOT):
            return f"{frame.f_code.co_filename.removeprefix(ROOT + '/')}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "the test"


@contextmanager
def pretended() -> Iterator[Pretended]:
    """The pretended device for the time of the block, without gradients."""
    device, before, overwritten = (
        Pretended(),
        torch._C._only_lift_cpu_tensors(),
        torch.__future__.get_overwrite_module_params_on_conversion(),
    )
    _current.append(device)
    # net.to(device) makes new parameters: old ones cannot hold tensors of another class
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device="cuda:0") is then a copy that can be seen
    try:
        capturing = mock.patch.object(torch.cuda, "is_current_stream_capturing", lambda: device.capturing)
        with mock.patch.object(torch.cuda, "_lazy_init", lambda: None), capturing, torch.no_grad(), device:
            yield device
    finally:
        torch._C._set_only_lift_cpu_tensors(before)
        torch.__future__.set_overwrite_module_params_on_conversion(overwritten)
        _current.pop()
