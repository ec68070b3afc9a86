"""What a CUDA graph cannot capture, on a pretended device.

It is refused before CUDA breaks the capture off, and failures of CUDA are said in words.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from cases.pretended import CUDA, Pretended, pretended
from fastip import inverses, operators, placement, priors, psf
from fastip.contracts import Convolution, Pointwise, Scales, Status, StencilStep
from fastip.errors import DeviceError, FastipError, Unsupported
from fastip.kernels import choose, extension, solve, whole_solve
from fastip.kernels.family import Implementations
from fastip.solvers import fused, pgd, wiener
from fastip.stopping import StopRule

native = Implementations("native")

OP, SMOOTH = (operators.Blur(psf.gaussian(5, sigma=1.1), stride=stride) for stride in (2, 1))
STEP = StencilStep(Convolution(OP.psf, 2, "circular"), torch.ones(1, 1, dtype=torch.float64), 0.3)
L1, TV = priors.L1(1e-3), priors.TV(1e-3)
Solve = Callable[[Tensor, float], Any]
SOLVES: dict[str, Solve] = {
    "admm": lambda y, t: fastip.admm(y, OP, L1, beta=0.1, iterations=2, tolerance=t),
    "admm, its loop": lambda y, t: fastip.admm(
        y, OP, TV, beta=0.1, inverse=inverses.Stencil(1), iterations=2, tolerance=t
    ),
    "admm, in Fourier space": lambda y, t: fastip.admm(
        y, SMOOTH, L1, beta=0.1, inverse=inverses.Exact(), iterations=2, tolerance=t
    ),
    "pgd": lambda y, t: pgd(y, OP, L1, iterations=2, tolerance=t),
    "wiener": lambda y, t: wiener(y, OP, 0.1, iterations=2, tolerance=t),
}


@pytest.mark.parametrize("solve", SOLVES.values(), ids=list(SOLVES))
def test_a_solve_that_looks_is_not_captured(solve: Solve) -> None:
    with pretended() as gpu:
        y = gpu.put(torch.rand(1, 2, 8, 8))
        solve(y, 1e-3)
        solve(y, 0.0)
        gpu.capturing = True
        gpu.waits.clear()
        with pytest.raises(
            Unsupported,
            match="CUDA graph cannot capture a solve with tolerance=0.001, "
            "because when it stops depends on the data; pass tol",
        ):
            solve(y, 1e-3)
        assert not gpu.waits
        solve(y, 0.0)


@pytest.mark.parametrize("name", ["native", "triton", "reference"])
def test_no_kernel_of_a_whole_solve_looks_in_a_capture(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever would run: the refusal comes before the choice."""
    if name == "triton":
        pytest.importorskip("triton")
    ran: list[str] = []
    monkeypatch.setattr(solve, name, lambda *arguments: ran.append(name))
    monkeypatch.setattr(choose, "implementation", lambda images, parameters: name)
    step, prior = SimpleNamespace(fused=lambda: STEP, scales=lambda: None), SimpleNamespace(pointwise=Pointwise)
    with pretended() as gpu:
        x, y = gpu.put(torch.rand(1, 1, 8, 8)), gpu.put(torch.rand(1, 1, 4, 4))
        gpu.capturing = True
        with pytest.raises(Unsupported, match="pass tolerance=0"):
            fused.admm(step, prior, x, y, y, StopRule(1e-3, 5), 1.0)  # type: ignore[arg-type]
        assert not ran
        fused.admm(step, prior, x, y, y, StopRule(0.0, 5), 1.0)  # type: ignore[arg-type]
        gpu.capturing = False
        fused.admm(step, prior, x, y, y, StopRule(1e-3, 5), 1.0)  # type: ignore[arg-type]
        assert len(ran) == 2


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The pretended device, with a current stream."""
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: None)
    monkeypatch.setattr(Tensor, "record_stream", lambda tensor, stream: None)
    with pretended() as device:
        yield device


def test_new_weights_are_not_captured(gpu: Pretended) -> None:
    uploads, known, new = placement.Uploads(), torch.rand(3, 3), torch.rand(3, 3)
    before = uploads.get(known, CUDA)
    gpu.capturing = True
    assert uploads.get(known, CUDA) is before
    with pytest.raises(
        Unsupported, match="weights that are not on the GPU yet, because .*; run the solve once before capturing"
    ):
        uploads.get(new, CUDA)
    gpu.capturing = False
    assert torch.equal(gpu.get(uploads.get(new, CUDA)), new)


def test_new_places_of_triton_are_not_captured(gpu: Pretended) -> None:
    """The psf itself may lie on the GPU; where its entries go in the table is known on the CPU first."""
    pytest.importorskip("triton")
    from fastip.kernels.triton import cells

    cells._places.cache_clear()
    taps, weights = cells.taps(3, 4, 2, "zero"), gpu.put(torch.rand(3, 4, dtype=torch.float64))
    gpu.capturing = True
    with pytest.raises(Unsupported, match="run the solve once before capturing"):
        cells.table(weights, taps, torch.float32, CUDA)
    gpu.capturing = False
    expected = cells.table(gpu.get(weights), taps, torch.float32, torch.device("cpu"))
    assert torch.equal(gpu.get(cells.table(weights, taps, torch.float32, CUDA)), expected)
    gpu.capturing = True
    assert torch.equal(gpu.get(cells.table(weights, taps, torch.float32, CUDA)), expected)
    cells._places.cache_clear()


# ---- failures --------------------------------------------------------------------------------------------------------


def strided_conv(*arguments: object) -> None:
    raise RuntimeError("launch of a kernel: cudaErrorIllegalAddress, an illegal access")


def test_what_cuda_reports_is_an_error_of_fastip() -> None:
    with pretended() as gpu:
        with pytest.raises(
            DeviceError,
            match="CUDA kernel strided_conv failed on cuda:0 .*cudaErrorIllegalAddress.*; .*FASTIP_BACKEND=reference",
        ) as error:
            extension.run(strided_conv, None, gpu.put(torch.ones(2)), None)
        assert isinstance(error.value, FastipError) and isinstance(error.value.__cause__, RuntimeError)
    with pytest.raises(RuntimeError) as plain:
        extension.run(strided_conv, None, torch.ones(2), None)
    assert not isinstance(plain.value, FastipError)


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_the_history_of_a_solve_lies_on_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """It grows with the iterations that are allowed, so no page-locked memory.

    The looks that were taken are copied once.
    """
    given: list[Tensor] = []

    def run(x: Tensor, q: Tensor, y: Tensor, fields: dict[str, Any]) -> tuple[Tensor, Tensor, tuple[int, int, int]]:
        history = fields["history"]
        given.append(history)
        if len(history):
            history[:2] = 0.5
        return x, q, (10, 2 if len(history) else 0, 1)

    monkeypatch.setattr(whole_solve, "on_gpu", run)
    monkeypatch.setattr(extension, "weights", lambda values, like: values)
    with pretended() as gpu:
        x, y = gpu.put(torch.rand(3, 1, 8, 8)), gpu.put(torch.rand(3, 1, 4, 4))
        ones = gpu.put(torch.ones(3, dtype=torch.float64))
        rule = StopRule(1e-3, 5001, Scales(1.0, ones, ones))
        *_, status, residuals = native.solve(STEP, Pointwise(), x, y, y, rule, 1.0)
        assert given[0].device == CUDA and given[0].shape == (1001, 2, 3)
        assert [event.operation for event in gpu.waits] == ["_local_scalar_dense", "copy between devices"]
        assert status is Status.CONVERGED and torch.equal(residuals, torch.full((2, 2, 3), 0.5, dtype=torch.float64))
        gpu.waits.clear()
        assert native.solve(STEP, Pointwise(), x, y, y, StopRule(0.0, 50), 1.0)[4].shape == (0, 2, 3) and not gpu.waits
