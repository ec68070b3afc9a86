"""Whatever ``admm`` is called with: it answers with an image or refuses in words, and changes no argument.

FASTIP_SEED=N begins with another seed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

import fastip
import slow
from cases import calls
from fastip.contracts import Status
from fastip.errors import FastipError

COUNT, FIRST = slow.count(1000, 20000), int(os.environ.get("FASTIP_SEED", "0"))
PARTS = 4  # tests, so that workers share them
LONGEST = 60  # seconds of one call: some hang for ever, or they are over in a second
# Of the image's largest value: rounding after 40 iterations, beta 1e-3 and sums in another order.
AGREEMENT = {torch.float32: 2e-2, torch.float64: 1e-7}


@contextmanager
def in_time(seed: int) -> Iterator[None]:
    def over(*_: Any) -> None:
        raise TimeoutError(f"call {seed} has not ended after {LONGEST} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def solved(call: calls.Call) -> fastip.Solution:
    return fastip.admm(call.y, call.op, call.prior, **call.keywords)


def check(call: calls.Call, found: fastip.Solution) -> None:
    y, x = torch.as_tensor(call.y), torch.as_tensor(found.x)
    assert isinstance(found.x, np.ndarray) == isinstance(call.y, np.ndarray)
    assert tuple(x.shape) == tuple(call.op.input_shape(tuple(y.shape)))
    assert x.dtype == (y.real.dtype if y.is_complex() else y.dtype)
    if found.status is Status.UNSTABLE:
        return
    assert bool(torch.isfinite(x).all()), "NaN or Inf without a word"
    assert call.low - 1e-6 <= float(x.min()) and float(x.max()) <= call.high + 1e-6, "outside the box"
    if found.status is Status.CONVERGED:
        assert bool((found.residuals[-1, 1] <= call.keywords["tolerance"]).all())


def check_reference(call: calls.Call, found: fastip.Solution, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same by the formulas of kernels/reference.py, as many iterations."""
    with monkeypatch.context() as changed:
        changed.setenv("FASTIP_BACKEND", "reference")
        plain = fastip.admm(
            call.y, call.op, call.prior, **call.keywords | {"tolerance": 0, "iterations": found.iterations}
        )
    x, right = torch.as_tensor(found.x), torch.as_tensor(plain.x)
    size = float(right.abs().max().clamp(min=1.0))
    assert float((x - right).abs().max()) <= AGREEMENT[x.dtype] * size, "another image than the formulas give"


@pytest.mark.parametrize("part", range(PARTS))
def test_every_call_answers_or_refuses(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    faults, refused, answered, compared = [], 0, 0, 0
    threads = torch.get_num_threads()
    for seed in range(FIRST + part, FIRST + COUNT, PARTS):
        try:
            with in_time(seed):
                call = calls.call(seed)
                before = [image.clone() for image in call.images]
                found = solved(call)
                check(call, found)
                if call.ordinary and found.status is not Status.UNSTABLE and seed % 3 == 0:
                    check_reference(call, found, monkeypatch)
                    compared += 1
            answered += 1
            same = all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(before, call.images, strict=True))
            assert same, "an argument was changed"
            assert torch.get_num_threads() == threads
        except FastipError as error:
            refused += 1
            if len(str(error)) < 20:
                faults.append(f"{seed}: refused without an explanation: {error}")
        except Exception as error:  # whatever it is, it is what this test looks for
            faults.append(f"{seed}: {type(error).__name__}: {error}")
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults)
    # Calls that are all refused would test nothing.
    assert answered > (COUNT // PARTS) // 3 and compared > (COUNT // PARTS) // 20 and refused > 0
