"""Fingerprints: the same in every process, different when any parameter differs."""

from __future__ import annotations

import copy
import math
import subprocess
import sys

import pytest
import torch

from cases.operators import operator_cases
from fastip.operators import Blur, Composition, Dense, Downsample, Identity, Mask, MaskedFourier, Stack, ToGray, psf

SCRIPT = """
import torch
from fastip.operators import *
from fastip.operators import psf
ops = [
    Blur(psf.gaussian(5, 1.1), stride=2, boundary="valid"),
    Mask(torch.eye(3)),
    ToGray() @ Identity(),
    Stack([2.0 * Downsample(2), Identity().T]),
]
print([op.fingerprint() for op in ops])
"""


def test_the_same_in_another_process(monkeypatch):
    first = [
        Blur(psf.gaussian(5, 1.1), stride=2, boundary="valid"),
        Mask(torch.eye(3)),
        ToGray() @ Identity(),
        Stack([2.0 * Downsample(2), Identity().T]),
    ]
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == str([op.fingerprint() for op in first])
    assert all(len(op.fingerprint()) == 64 for op in first)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_case_has_its_own(dtype):
    prints = [case.make(dtype).fingerprint() for case in operator_cases()]
    assert len(set(prints)) == len(prints)
    assert prints == [case.make(dtype).fingerprint() for case in operator_cases()]


def test_every_parameter_counts():
    kernel = torch.rand(3, 4, dtype=torch.float64)
    changed = kernel.clone()
    changed[2, 3] += 1e-6
    m = torch.rand(4, 4)
    ops = [
        Blur(kernel),
        Blur(changed),
        Blur(kernel.T),
        Blur(kernel.reshape(4, 3)),
        Blur(kernel, stride=2),
        *[Blur(kernel, boundary=boundary) for boundary in ("valid", "reflect", "zero")],
        2.0 * Blur(kernel),
        -Blur(kernel),
        Blur(kernel).T,
        Downsample(2),
        Downsample(3),
        Mask(m),
        MaskedFourier(m),
        Dense(m),
        Dense(m, image_shape=(1, 2, 2)),
        Dense(m, image_shape=(4, 1, 1)),
        ToGray(),
        ToGray((0.3, 0.3, 0.4)),
        Identity(),
        Stack([Identity()]),
        Stack([Identity(), Mask(m)]),
        Stack([Mask(m), Identity()]),
        Composition(Mask(m), Identity()),
        Composition(Identity(), Mask(m)),
        Stack([Stack([Identity(), Mask(m)]), Mask(m)]),
        Stack([Identity(), Stack([Mask(m), Mask(m)])]),
    ]
    assert len({op.fingerprint() for op in ops}) == len(ops)


@pytest.mark.parametrize("seed", range(20))
def test_the_rounding_of_a_processor_does_not_count(seed):
    draw = torch.Generator().manual_seed(seed)
    kernel = torch.rand(3, 4, dtype=torch.float64, generator=draw).exp() * 10.0 ** (4 * seed - 40)
    kernel[0, 0] = 0.0
    shift = 4 * torch.finfo(torch.float64).eps * kernel.max() * torch.randn(3, 4, dtype=torch.float64, generator=draw)
    assert not torch.equal(kernel, kernel + shift)
    assert Blur(kernel).fingerprint() == Blur(kernel + shift).fingerprint()
    assert (
        ((1.0 + 4e-16) * Blur(kernel)).fingerprint()
        == (1.0 * Blur(kernel)).fingerprint()
        != ((1.0 + 1e-6) * Blur(kernel)).fingerprint()
    )


@pytest.mark.parametrize("value", [1 / 4096, 3 / 4096, 1 / 3, 0.1, 1.0, 1e9, 5.0])
def test_the_last_bit_of_a_size_does_not_count(value):
    """Also where the size itself is a tie in decimal digits, or just below a power of two."""
    near = [math.nextafter(value, 0), value, math.nextafter(value, math.inf)]
    assert len({(factor * Identity()).fingerprint() for factor in near}) == 1
    assert len({Blur(torch.full((8, 8), entry, dtype=torch.float64)).fingerprint() for entry in near}) == 1


def test_many_small_entries_count_beside_a_large_one():
    psf = torch.full((401, 401), 2e-8, dtype=torch.float64)
    psf[200, 200] = 1.0
    alone = torch.zeros(401, 401, dtype=torch.float64)
    alone[200, 200] = 1.0
    assert Blur(psf).fingerprint() != Blur(alone).fingerprint()
    matrix = torch.randn(4, 4, dtype=torch.float64)
    matrix[0, 0] = 1e9
    other = matrix.clone()
    other[1:] = matrix[1:].roll(1, dims=1)
    assert Dense(matrix).fingerprint() != Dense(other).fingerprint()
    assert Dense(matrix[:3]).fingerprint() != Dense(matrix).fingerprint() != Dense(matrix.T).fingerprint()


def test_it_is_computed_once(monkeypatch):
    """Every solve asks for it; a copy that is pickled asks again."""
    for op in (Blur(psf.gaussian(5, 1.1)), Dense(torch.rand(3, 4)), 2.0 * Identity()):
        first, copied = op.fingerprint(), copy.deepcopy(op)
        assert not any("fingerprint" in name for name in copied.__dict__)
        with monkeypatch.context() as patch:
            patch.setattr(type(op), "_fingerprint", lambda self: "again")
            assert op.fingerprint() == first and copied.fingerprint() == "again"


def test_zero_has_no_sign():
    assert (-0.0 * Identity()).fingerprint() == (0.0 * Identity()).fingerprint()


def test_extreme_numbers():
    ops = [
        Blur(torch.tensor([[1.0, value]], dtype=torch.float64))
        for value in (0.0, 5e-324, 1.0, 1e300, 1.7976931348623157e308)
    ]
    assert len({op.fingerprint() for op in ops}) == len(ops) - 1  # beside 1 the least of all numbers is nothing
    assert (
        len({(factor * Identity()).fingerprint() for factor in (5e-324, 1e-300, 1.0, 1e300, 1.7976931348623157e308)})
        == 5
    )


def test_the_form_in_which_a_parameter_came_does_not_count():
    kernel = torch.tensor([[1.0, 0.0, 2.0]])
    same = [
        kernel,
        kernel.double(),
        kernel.numpy(),
        kernel.int().numpy(),
        [[1, -0.0, 2]],
        torch.tensor([[1.0], [-0.0], [2.0]]).T,
    ]
    assert len({Blur(given).fingerprint() for given in same}) == 1
