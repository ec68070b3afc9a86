"""Triton's interpreter: a test file run again where it is on, and an eye on the memory that the kernels use there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cases.programs import PYTHON
from fastip.contracts import Convolution, StencilStep
from fastip.kernels.family import Implementations
from fastip.kernels.triton import start

triton = Implementations("triton")

INTERPRETED = start.interpreted()
# a few units in the last place of a result
EPS = {torch.float64: 1e-14, torch.float32: 3e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
PHASES = 1024  # more than the barriers that a program passes


def run_again(file: str) -> None:
    """Runs a test file in a process where Triton interprets its kernels.

    The variable counts when a kernel is defined.
    """
    pytest.importorskip("triton")
    path = os.pathsep.join(p for p in sys.path if p)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("FASTIP_", "PYTEST_"))}
    environment |= {"PYTHONPATH": path, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [
        *PYTHON,
        "-m",
        "pytest",
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "-q",
        "--durations=5",
        file,
    ]
    result = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, timeout=600
    )
    print(result.stdout[-4000:])
    assert result.returncode == 0, result.stdout + result.stderr


# ---- memory ----------------------------------------------------------------------------------------------------------


class Inspector:
    """Every access to memory of the launches of a test: inside the tensors that the launch was given, and never a race.

    Programs of a launch run in any order, so what one writes no other may read or write. So do the threads of a program
    between two barriers, a thread being one place of a block.
    """

    def __init__(self, builder: Any) -> None:
        self.builder, self.launches = builder, 0

    def begin(self, arguments: Iterable[Any]) -> None:
        tensors = [t for t in arguments if isinstance(t, Tensor)]
        assert all(t.is_contiguous() for t in tensors)
        self.ranges = [(t.data_ptr(), t.data_ptr() + t.numel() * t.element_size()) for t in tensors]
        self.reads: list[np.ndarray] = []
        self.writes: list[np.ndarray] = []
        self.program, self.phase, self.launches = -1, 0, self.launches + 1

    def access(self, pointers: np.ndarray, mask: np.ndarray, seen: list[np.ndarray]) -> None:
        if self.program != self.builder.grid_idx[0]:
            self.program, self.phase = self.builder.grid_idx[0], 0
        mask = np.broadcast_to(mask, pointers.shape).ravel() != 0
        addresses, threads = pointers.ravel()[mask].astype(np.int64), np.flatnonzero(mask) + (pointers.size << 32)
        inside = np.zeros(addresses.shape, bool)
        for first, last in self.ranges:
            inside |= (addresses >= first) & (addresses < last)
        assert inside.all(), "a kernel reaches outside the memory that it was given"
        seen.append(
            np.stack([addresses, np.full_like(addresses, self.program), addresses * PHASES + self.phase, threads])
        )

    def end(self) -> None:
        if self.writes:
            written = np.concatenate(self.writes, axis=1)
            for used in (written, np.concatenate([written[:, :0], *self.reads], axis=1)):
                assert alone(written[0], written[1], used[0], used[1]), "a race between programs"
                assert alone(written[2], written[3], used[2], used[3]), "a race between threads"


def alone(written: np.ndarray, writers: np.ndarray, used: np.ndarray, users: np.ndarray) -> bool:
    """Whether what is written is used by its one writer only."""
    places, number = np.unique(written, return_inverse=True)
    writer = np.empty_like(places)
    writer[number] = writers
    at = np.searchsorted(places, used).clip(max=len(places) - 1)
    return not bool(((places[at] == used) & (writer[at] != users)).any())


@pytest.fixture
def inspected(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inspector]:
    """Looks at every access to memory; new memory is full of NaN, so that what is not written shows."""
    from triton import runtime

    interpreter = runtime.interpreter
    builder, call = type(interpreter.interpreter_builder), interpreter.GridExecutor.__call__
    inspector = Inspector(interpreter.interpreter_builder)
    load, store = builder.create_masked_load, builder.create_masked_store

    def launch(self: Any, *arguments: Any, **named: Any) -> None:
        inspector.begin(arguments)
        call(self, *arguments, **named)
        inspector.end()

    def loaded(self: Any, pointers: Any, mask: Any, *rest: Any) -> Any:
        inspector.access(pointers.data, mask.data, inspector.reads)
        return load(self, pointers, mask, *rest)

    def stored(self: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        inspector.access(pointers.data, mask.data, inspector.writes)
        return store(self, pointers, value, mask, *rest)

    def barrier(self: Any) -> None:
        inspector.phase += 1

    monkeypatch.setattr(interpreter.GridExecutor, "__call__", launch)
    monkeypatch.setattr(builder, "create_masked_load", loaded)
    monkeypatch.setattr(builder, "create_masked_store", stored)
    monkeypatch.setattr(builder, "create_barrier", barrier)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield inspector
    torch.use_deterministic_algorithms(before)
    assert inspector.launches > 0


# ---- problems --------------------------------------------------------------------------------------------------------


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def kernel(kh: int, kw: int, seed: int = 0) -> Tensor:
    """Random weights whose sizes sum to one."""
    psf = draw(kh, kw, seed=seed)
    return psf / psf.abs().sum()


def image_size(h: int, w: int, kh: int, kw: int, stride: int, boundary: str) -> tuple[int, int]:
    return ((h - 1) * stride + kh, (w - 1) * stride + kw) if boundary == "valid" else (h * stride, w * stride)


def assert_close(found: Tensor, expected: Tensor, dtype: torch.dtype, units: float = 1.0) -> None:
    """``found`` is of that dtype, shape and value, to rounding."""
    assert found.dtype == dtype and found.shape == expected.shape
    error = (found.double() - expected).abs().max()
    assert float(error) <= units * EPS[dtype] * max(1.0, float(expected.abs().max())), float(error)


def problem(
    kh: int, kw: int, stride: int, half: int, h: int, w: int, images: tuple[int, int], boundary: str
) -> tuple[StencilStep, Tensor, Tensor, Tensor]:
    """(step, x, q, y), float64: psf kh x kw, C of (2 half + 1)^2 taps, data h x w, images b c."""
    step = StencilStep(
        Convolution(kernel(kh, kw, seed=kh), stride, boundary), kernel(2 * half + 1, 2 * half + 1, seed=kw) / 2, 0.3
    )
    x = draw(*images, *image_size(h, w, kh, kw, stride, boundary), seed=3)
    return step, x, draw(*images, h, w, seed=4), draw(*images, h, w, seed=5)
