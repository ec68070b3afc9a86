"""CuPy: its arrays on their memory, in the order of its streams.

No memory is given away that one of them still reads.
"""

from __future__ import annotations

import gc
import sys
import weakref
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cases.arrays import CALLS, FLOATING, SHAPE, VIEWS, values
from cases.pretended import CUDA
from fastip import arrays
from fastip.arrays import as_tensor
from fastip.errors import InvalidInput

# ---- how results are handed over, on stand-ins -----------------------------------------------------------------------


class Result:
    """It says that it is on a GPU; its memory is that of ``base``, on the CPU. ``log``: what it was asked for."""

    device, is_cuda = CUDA, True

    def __init__(self, base: np.ndarray) -> None:
        self.memory, self.log = torch.from_numpy(base), list[Any]()

    def __dlpack__(self, *, stream: Any = -1, **options: Any) -> Any:
        if stream == 2:
            raise BufferError("per-thread default stream is not supported.")
        self.log.append(("exported", stream, options))
        return self.memory.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.memory.__dlpack_device__()  # type: ignore[return-value]

    def record_stream(self, stream: object) -> None:
        self.log.append(("marked", stream))

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.memory.untyped_storage()


@pytest.fixture(autouse=True)
def streams(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams are words; a GPU's own where there is one."""
    if request.node.get_closest_marker("gpu"):
        return
    monkeypatch.setattr(torch.cuda, "default_stream", lambda device: f"default of {device}")
    monkeypatch.setattr(torch.cuda, "ExternalStream", lambda pointer, device: f"{pointer} of {device}")


@pytest.mark.parametrize(
    "stream, marked", [(None, "default of cuda:0"), (1, "default of cuda:0"), (77, "77 of cuda:0"), (-1, None)]
)
def test_the_stream_that_asks_is_marked(stream: int | None, marked: str | None) -> None:
    result = Result(values(3))
    arrays._Handed(result, None).__dlpack__(stream=stream, max_version=(1, 0), copy=False)  # type: ignore[arg-type]
    assert result.log == [
        ("exported", stream, {"max_version": (1, 0), "copy": False}),
        *([("marked", marked)] if marked else []),
    ]


def test_a_stream_that_pytorch_refuses_is_not_marked() -> None:
    result = Result(values(3))
    with pytest.raises(BufferError):
        arrays._Handed(result, None).__dlpack__(stream=2)  # type: ignore[arg-type]
    assert not result.log


class Stream:
    """A stream of the other library."""


def test_a_stream_lives_until_its_memory_is_given_back() -> None:
    """PyTorch looks at the stream when the memory goes, which may be long after the library's own object went."""

    class Memory(np.ndarray):
        pass

    base, stream, seen = values(5).view(Memory), Stream(), list[bool]()
    alive = weakref.ref(stream)
    weakref.finalize(base, lambda: seen.append(alive() is not None))
    handed = arrays._Handed(Result(base), stream)  # type: ignore[arg-type]
    array = np.from_dlpack(Asking(handed, 77))
    del handed, stream, base
    gc.collect()
    assert alive() is not None and not seen
    del array
    gc.collect()
    assert seen == [True]
    for _ in range(64):
        arrays._recent.append(None)
    assert alive() is None


class Asking:
    """What a library's from_dlpack does: it asks on its stream."""

    def __init__(self, value: Any, stream: int) -> None:
        self.value, self.stream = value, stream

    def __dlpack__(self, **options: Any) -> Any:
        return self.value.__dlpack__(stream=self.stream)

    def __dlpack_device__(self) -> Any:
        return self.value.__dlpack_device__()


@pytest.mark.parametrize("has_streams", [True, False])
def test_results_are_handed_over_with_the_stream_of_the_library(
    monkeypatch: pytest.MonkeyPatch, has_streams: bool
) -> None:
    stream, result, library = Stream(), Result(values(3)), ModuleType("foreignlib")
    if has_streams:
        library.cuda = SimpleNamespace(get_current_stream=lambda stream=stream: stream)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "foreignlib", library)

    class Device:
        def __init__(self, device: object) -> None:
            assert device == CUDA

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(torch.cuda, "device", Device)

    def importer(value: Any) -> np.ndarray:
        return np.from_dlpack(Asking(value, 77))

    importer.__module__ = "foreignlib.core"
    alive = weakref.ref(stream)
    array = arrays._handed(importer, result)  # type: ignore[arg-type]
    assert result.log[-1] == ("marked", "77 of cuda:0") and np.array_equal(array, result.memory.numpy())
    del stream, library
    monkeypatch.undo()
    gc.collect()
    assert (alive() is not None) is has_streams


# ---- CuPy itself -----------------------------------------------------------------------------------------------------


SPIN = 'extern "C" __global__ void spin(long long n) { long long t = clock64(); while (clock64() - t < n) {} }'


@pytest.fixture
def cupy() -> Any:
    return pytest.importorskip("cupy")


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", FLOATING)
def test_cupy_shares_memory_both_ways(cupy: Any, dtype: Any) -> None:
    array = cupy.asarray(values(3, 5, dtype=dtype))
    tensor, back = as_tensor(array, "y")
    assert tensor.data_ptr() == array.data.ptr and tensor.device.index == array.device.id
    result = back(tensor)
    assert type(result) is cupy.ndarray and result.data.ptr == array.data.ptr and result.dtype == dtype


@pytest.mark.gpu
@pytest.mark.parametrize("view", VIEWS)
def test_views_of_cupy_keep_their_values(cupy: Any, view: str) -> None:
    host = values(7, 8, seed=3)
    turn = {**VIEWS, "repeated": lambda a: a[:, ::-1]}[view]
    tensor, _ = as_tensor(turn(cupy.asarray(host)), "y")
    assert np.array_equal(tensor.cpu().numpy(), turn(host))


@pytest.mark.gpu
def test_cupy_is_refused_in_the_words_of_numpy(cupy: Any) -> None:
    with pytest.raises(
        InvalidInput, match=r"y is a CuPy array of dtype uint8; expected float32 .*y\.astype\('float32'\) / 255"
    ):
        as_tensor(cupy.ones((2, 3), dtype=cupy.uint8), "y")


@pytest.mark.gpu
@pytest.mark.parametrize("call", CALLS)
def test_every_door_takes_cupy(cupy: Any, call: str) -> None:
    y = values(*SHAPE, seed=5)
    result = CALLS[call](cupy.asarray(y))
    assert type(result) is cupy.ndarray
    np.testing.assert_allclose(cupy.asnumpy(result), CALLS[call](y), rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("call", ["forward", "admm", "wiener"])
def test_streams_of_cupy_are_waited_for(cupy: Any, call: str) -> None:
    """The data are written behind a long kernel on a stream that does not block others.

    The result is read on it at once.
    """
    host = values(*SHAPE, seed=5)
    expected = CALLS[call](host)
    source, y = cupy.asarray(host), cupy.full(SHAPE, np.nan, dtype=np.float32)
    spin = cupy.RawKernel(SPIN, "spin")
    CALLS[call](source)
    cupy.cuda.Device().synchronize()
    with cupy.cuda.Stream(non_blocking=True) as stream:
        spin((1,), (1,), (np.int64(300_000_000),))  # longer than whatever the host does before it asks for the data
        cupy.copyto(y, source)
        assert not stream.done
        on_stream = cupy.array(CALLS[call](y))
    stream.synchronize()
    np.testing.assert_allclose(cupy.asnumpy(on_stream), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
def test_memory_dropped_while_cupy_reads_it_is_not_given_away(cupy: Any) -> None:
    """The next tensor, made at once on PyTorch's stream, must not lie where CuPy's stream still reads."""
    numbers, spin = 1 << 22, cupy.RawKernel(SPIN, "spin")
    _, back = as_tensor(cupy.zeros(1, dtype=np.float32), "y")
    spin((1,), (1,), (np.int64(1),))
    torch.cuda.empty_cache()
    cupy.cuda.Device().synchronize()
    with cupy.cuda.Stream(non_blocking=True) as stream:
        x, found = back(torch.full((numbers,), 3.0, device="cuda")), cupy.zeros(numbers, dtype=np.float32)
        place = x.data.ptr
        spin((1,), (1,), (np.int64(300_000_000),))
        cupy.copyto(found, x)
        del x
        other = torch.full((numbers,), -1.0, device="cuda")
        assert not stream.done and other.data_ptr() != place
        stream.synchronize()
        assert bool((found == 3).all())
    again = torch.empty(numbers, device="cuda")  # now the first memory is free
    assert again.data_ptr() == place


@pytest.mark.gpu
def test_arrays_outlive_their_stream(cupy: Any) -> None:
    _, back = as_tensor(cupy.zeros(1, dtype=np.float32), "y")
    for _ in range(3):
        with cupy.cuda.Stream(non_blocking=True):
            x = back(torch.full((1 << 20,), 3.0, device="cuda"))
        gc.collect()
        assert bool((x == 3).all())
        del x
        torch.full((1 << 20,), -1.0, device="cuda")
    torch.cuda.synchronize()
