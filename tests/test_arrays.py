"""Arrays of other libraries come in and go out as themselves, on their memory and in the order of their streams."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import fastip
from cases.arrays import CALLS, FLOATING, OP, SHAPE, VIEWS, values
from cases.pretended import CUDA, pretended
from fastip import metrics, operators, priors
from fastip.arrays import as_tensor, from_dlpack
from fastip.errors import InvalidInput


class Foreign:
    """An array of another library.

    NumPy's memory behind the protocol and nothing else, with a record of what it was asked.
    """

    def __init__(self, array: np.ndarray, asked: list[dict[str, Any]] | None = None) -> None:
        self.array, self.asked = array, [] if asked is None else asked
        self.dtype, self.ndim = array.dtype, array.ndim

    def __dlpack__(self, **options: Any) -> Any:
        self.asked.append(dict(options))
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()  # type: ignore[return-value]

    @property
    def strides(self) -> tuple[int, ...]:
        return self.array.strides

    def __getitem__(self, index: Any) -> Foreign:
        return Foreign(self.array[index], self.asked)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A library whose arrays are Foreign, under a name of its own."""
    module = ModuleType("foreignlib")

    def taken(value: Any) -> Foreign:
        found = np.from_dlpack(value)
        return Foreign(found if found.flags.writeable else value.numpy())  # what PyTorch 2.6 gives is read-only

    module.from_dlpack = taken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "foreignlib", module)
    monkeypatch.setattr(Foreign, "__module__", "foreignlib.core")
    yield module


# ---- in and out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("wrap", [np.asarray, Foreign], ids=["numpy", "foreign"])
def test_memory_is_shared_both_ways(library: ModuleType, wrap: Callable[[np.ndarray], Any], dtype: Any) -> None:
    array = values(3, 5, dtype=dtype)
    tensor, back = as_tensor(wrap(array), "y")
    assert tensor.data_ptr() == array.ctypes.data and tensor.numpy().dtype == dtype
    result = back(tensor)
    assert type(result) is (np.ndarray if wrap is np.asarray else Foreign)
    plain = getattr(result, "array", result)
    assert plain.ctypes.data == array.ctypes.data and np.array_equal(plain, array)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("wrap", [np.asarray, Foreign], ids=["numpy", "foreign"])
def test_views_keep_their_values(library: ModuleType, wrap: Callable[[np.ndarray], Any], view: str, dtype: Any) -> None:
    array = VIEWS[view](values(7, 8, dtype=dtype, seed=3))
    tensor, _ = as_tensor(wrap(array), "y")
    assert np.array_equal(tensor.numpy(), array)
    assert (tensor.data_ptr() == array.ctypes.data) is all(stride > 0 for stride in array.strides)


def test_arrays_that_must_not_be_written_are_copied() -> None:
    array = values(4, 5)
    array.flags.writeable = False
    tensor, _ = as_tensor(array, "y")
    tensor.zero_()
    assert array.any()


def test_byte_order_is_turned() -> None:
    array = values(4, 5).astype(">f4")
    tensor, _ = as_tensor(array, "y")
    assert tensor.dtype == torch.float32 and np.array_equal(tensor.numpy(), array)


def test_results_leave_without_gradient_and_lazy_marks(library: ModuleType) -> None:
    for wrap in (np.asarray, Foreign):
        _, back = as_tensor(wrap(values(3)), "y")
        z = torch.tensor([1 + 2j, 3 - 4j], requires_grad=True)
        assert np.array_equal(np.asarray(getattr(back(z.conj()), "array", back(z.conj()))), [1 - 2j, 3 + 4j])
        imaginary = back(z.conj().imag)
        assert np.array_equal(np.asarray(getattr(imaginary, "array", imaginary)), [-2.0, 4.0])


def test_a_library_may_name_its_own_namespace() -> None:
    """As the array API has it; the module of the type, here that of the test, has no from_dlpack."""

    class Named(Foreign):
        def __array_namespace__(self) -> Any:
            return type("space", (), {"from_dlpack": staticmethod(lambda value: Named(np.from_dlpack(value)))})

    _, back = as_tensor(Named(values(3)), "y")
    assert type(back(torch.ones(2))) is Named


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.bool_])
def test_whole_numbers_are_refused_in_the_same_words(library: ModuleType, dtype: Any) -> None:
    array = np.ones((2, 3), dtype=dtype)
    messages = []
    for wrap, name in ((np.asarray, "NumPy"), (Foreign, "foreignlib")):
        with pytest.raises(
            InvalidInput,
            match=rf"y is a {name} array of dtype {np.dtype(dtype)}; expected float32 .*y\.astype\('float32'\)",
        ) as refusal:
            as_tensor(wrap(array), "y")
        messages.append(str(refusal.value).replace(name, "..."))
    assert messages[0] == messages[1]


def test_a_library_that_takes_nothing_back_is_refused_before_the_work() -> None:
    with pytest.raises(InvalidInput, match="has no from_dlpack"):
        fastip.admm(Foreign(values(*SHAPE)), OP, priors.L1(1e-2))  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [BufferError, RuntimeError, TypeError, ValueError, AssertionError])
def test_what_pytorch_cannot_take_is_refused(library: ModuleType, error: type[Exception]) -> None:
    class Broken(Foreign):
        def __dlpack__(self, **options: Any) -> Any:
            raise error("no such memory")

    with pytest.raises(InvalidInput, match=r"y is Broken of .* float32, which PyTorch cannot take \(no such memory\)"):
        as_tensor(Broken(values(3)), "y")


@pytest.mark.parametrize("value", [[1.0, 2.0], 3.0, "y", None, object()])
def test_other_things_are_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="y is .*expected a torch tensor, a NumPy array or a CuPy array"):
        as_tensor(value, "y")


# ---- streams ---------------------------------------------------------------------------------------------------------


class OnGpu(Foreign):
    """It says that it is on a GPU; its memory is on the CPU, so that only the protocol is looked at."""

    def __dlpack__(self, **options: Any) -> Any:
        self.asked.append(dict(options))
        options.pop("stream")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 1


@pytest.mark.parametrize("current, expected", [(0, 1), (77, 77)])
def test_an_array_is_asked_for_on_the_current_stream_of_its_device(
    monkeypatch: pytest.MonkeyPatch, current: int, expected: int
) -> None:
    """0 is the default stream, whose number in the protocol is 1."""
    devices = []

    def stream(device: Any) -> Any:
        devices.append(str(device))
        return type("Stream", (), {"cuda_stream": current})()

    monkeypatch.setattr(torch.cuda, "current_stream", stream)
    array = OnGpu(values(2, 3))
    tensor = from_dlpack(array, "y")
    assert np.array_equal(tensor.numpy(), array.array)
    assert devices == ["cuda:1"] and [options["stream"] for options in array.asked] == [expected]


def test_no_stream_is_named_for_memory_of_the_cpu(library: ModuleType) -> None:
    array = Foreign(values(2, 3))
    _, back = as_tensor(array, "y")
    back(torch.ones(2))
    assert all(options.get("stream") is None for options in array.asked) and array.asked


def test_results_are_handed_over_with_their_device_current(
    library: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch refuses to hand over what lies on another device than the current one."""
    entered: list[Any] = []

    class Device:
        def __init__(self, device: Any) -> None:
            self.device = device

        def __enter__(self) -> None:
            entered.append(self.device)

        def __exit__(self, *_: Any) -> None:
            entered.append("left")

    monkeypatch.setattr(torch.cuda, "device", Device)
    library.from_dlpack = lambda value: (entered.append("taken"), value.__dlpack_device__())[1]  # type: ignore[attr-defined]
    _, back = as_tensor(Foreign(values(3)), "y")
    with pretended() as gpu:
        assert back(gpu.put(torch.ones(2))) == (2, 0)
        assert not gpu.waits
    assert entered == [CUDA, "taken", "left"]


# ---- through the library ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
def test_every_door_takes_arrays(library: ModuleType, call: str) -> None:
    y = values(*SHAPE, seed=5)
    expected = CALLS[call](torch.from_numpy(y.copy()))
    numpy, foreign = CALLS[call](y), CALLS[call](Foreign(y))
    assert type(numpy) is np.ndarray and type(foreign) is Foreign
    assert np.array_equal(numpy, expected.numpy()) and np.array_equal(foreign.array, expected.numpy())


def test_complex_data_give_real_images(library: ModuleType) -> None:
    op, x = operators.MaskedFourier(np.ones((9, 11))), values(*SHAPE, seed=6)
    y = op(Foreign(x))
    assert type(y) is Foreign and y.dtype == np.complex64
    back = fastip.wiener(y, op, 1e-3).x
    assert type(back) is Foreign and back.dtype == np.float32
    np.testing.assert_allclose(back.array, x / 1.001, atol=1e-5)


def test_parameters_may_be_arrays(library: ModuleType) -> None:
    taps = values(3, 4, dtype=np.float64, seed=7)
    for given in (taps, Foreign(taps), Foreign(taps[::-1])):
        expected = taps[::-1] if isinstance(given, Foreign) and given.strides[0] < 0 else taps
        assert np.array_equal(operators.Blur(given).psf.numpy(), expected)
    whole = Foreign(np.ones((3, 4), dtype=np.int32))
    assert operators.Blur(whole).psf.dtype == torch.float64


def test_metrics_take_arrays(library: ModuleType) -> None:
    x, reference = values(2, 1, 16, 17, seed=8), values(2, 1, 16, 17, seed=9)
    for metric in (metrics.psnr, metrics.nmse, metrics.ssim):
        expected = metric(torch.from_numpy(x), torch.from_numpy(reference))
        assert torch.equal(metric(x, reference), expected) and torch.equal(
            metric(Foreign(x), Foreign(reference)), expected
        )
