"""``op.window()``: M H built from what it states, tap by tap, is the dense matrix of the operator."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from cases.checks import noise, relative
from cases.operators import operator_cases
from cases.problems import matrix
from fastip import operators
from fastip.contracts import Window

Blur, Mask = operators.Blur, operators.Mask


def built(window: Window, shape: tuple[int, ...], output: tuple[int, ...]) -> Tensor:
    """weights[i] sum_t psf[t] x[stride i + offset - t] as a matrix, by loops; indices wrap where the boundary does."""
    c, a, size, data = shape[1], window.convolution, shape[2:], output[2:]
    rows = torch.zeros(c, *data, c, *size, dtype=torch.float64)
    weights = (
        torch.ones(c, *data, dtype=torch.float64) if window.weights is None else window.weights[0].expand(c, *data)
    )
    psf = a.psf.reshape(-1, *a.psf.shape[-a.axes :]).expand(c, *(-1,) * a.axes)  # of the channels of one image
    at = torch.meshgrid(*map(torch.arange, data), indexing="ij")
    for tap in itertools.product(*map(range, psf.shape[1:])):
        seen = [a.stride * i + offset - t for i, offset, t in zip(at, window.offset, tap, strict=True)]
        if a.boundary == "circular":
            seen = [i % n for i, n in zip(seen, size, strict=True)]
        assert all(i.min() >= 0 and i.max() < n for i, n in zip(seen, size, strict=True))
        for n in range(c):
            rows[(n, *at, n, *seen)] += weights[n] * psf[(n, *tap)]
    return rows.reshape(c * math.prod(data), c * math.prod(size))


def blur(kh: int, kw: int, stride: int = 1, boundary: str = "valid") -> operators.Blur:
    return Blur(noise((kh, kw), seed=10 * kh + kw), stride=stride, boundary=boundary)


SIZES = [(1, 1), (2, 3), (3, 2), (5, 4), (4, 5), (6, 7)]
PLAIN = [
    pytest.param(blur(kh, kw, stride, boundary), kh, kw, stride, boundary, id=f"{boundary}-{kh}x{kw}-s{stride}")
    for kh, kw in SIZES
    for stride in (1, 2, 3, 4)
    for boundary in ("valid", "circular")
]


@pytest.mark.parametrize("op, kh, kw, stride, boundary", PLAIN)
def test_blurs(op: Any, kh: int, kw: int, stride: int, boundary: str) -> None:
    shape = (1, 1, 2 * stride + kh, 3 * stride + kw) if boundary == "valid" else (1, 1, 7 * stride, 7 * stride)
    window = op.window()
    assert window is not None
    assert relative(built(window, shape, op.output_shape(shape)), matrix(op, shape)) < 1e-14


MASK = noise((4, 5), seed=1)
CUBE = Blur(noise((2, 3, 1), seed=4), boundary="valid", axes=3)
COMPOSED = {
    "mask": (Mask(MASK), (1, 2, 4, 5)),
    "mask of channels": (Mask(noise((2, 4, 5), seed=2)), (1, 2, 4, 5)),
    "holes after a valid blur": (Mask(MASK > 0) @ blur(3, 2), (1, 2, 6, 6)),
    "weights of channels after a strided blur": (Mask(noise((2, 4, 5), seed=2)) @ blur(4, 3, 2), (1, 2, 10, 11)),
    "holes after a circular blur": (Mask(MASK) @ blur(3, 4, 1, "circular"), (1, 1, 4, 5)),
    "two masks": (Mask(MASK) @ (Mask(MASK > 0) @ blur(2, 3)), (1, 1, 5, 7)),
    "a mask and two blurs": ((Mask(MASK) @ blur(2, 3)) @ blur(3, 2), (1, 1, 7, 8)),
    "scaled": (2.0 * (Mask(MASK) @ (-3.0 * blur(2, 3))), (1, 1, 5, 7)),
    "a multiple of a mask": (2.0 * Mask(MASK) @ blur(2, 3), (1, 1, 5, 7)),
    "a scaled identity after a mask": ((0.5 * operators.Identity()) @ Mask(MASK) @ blur(2, 3), (1, 1, 5, 7)),
    "holes in cubes": (Mask(noise((3, 2, 4), seed=3), axes=3) @ operators.Downsample(2, axes=3), (1, 2, 6, 4, 8)),
    "scaled, of volumes": (2.0 * (Mask(noise((3, 2, 4), seed=3), axes=3) @ (-1.0 * CUBE)), (1, 1, 4, 4, 4)),
    "holes in boxes": (Mask(MASK) @ operators.Downsample(3), (1, 1, 12, 15)),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_compositions(name: str) -> None:
    op, shape = COMPOSED[name]
    window = op.window()
    assert window is not None
    assert relative(built(window, shape, op.output_shape(shape)), matrix(op, shape)) < 1e-14


@pytest.mark.parametrize("case", operator_cases(), ids=lambda case: case.id)
def test_every_operator_that_states_one(case: Any) -> None:
    """A window is stated where it is one, and where a convolution with no border or a wrapping one is known."""
    op, shape = case.make(torch.float64), case.input_shape
    window, convolution = op.window(), op.convolution()
    if convolution is not None:
        assert (window is not None) == (convolution.boundary in ("valid", "circular"))
    if window is None or (case.id.startswith("blur-") and window.convolution.psf.ndim == 2):
        return
    whole = window.convolution.axes + 2
    if any(t is not None and t.ndim == whole and len(t) > 1 for t in (window.weights, window.convolution.psf)):
        return  # images differ: tests/operators/test_several_psfs.py
    shape = (1, *shape[1:])
    assert relative(built(window, shape, op.output_shape(shape)), matrix(op, shape)) < 1e-14


NONE = {
    "zero": blur(3, 3, 1, "zero"),
    "reflect": Mask(MASK) @ blur(3, 3, 1, "reflect"),
    "a blur after a mask": blur(2, 2) @ Mask(MASK),
    "a mask in between": Mask(torch.ones(3, 4)) @ blur(2, 2) @ Mask(MASK),
    "mirrored volumes": Blur(noise((2, 3, 1), seed=4), boundary="reflect", axes=3),
    "two blurs of volumes": CUBE @ CUBE,
    "grey": operators.ToGray() @ blur(2, 2),
    "the adjoint": blur(2, 2).T,
    "stacked": operators.Stack([blur(2, 2), blur(2, 2)]),
    "dense": operators.Dense(noise((4, 9))),
    "boxes after a valid blur that wraps": blur(2, 2, 1, "circular") @ blur(3, 3, 1, "valid"),
}


@pytest.mark.parametrize("name", NONE)
def test_others_state_none(name: str) -> None:
    assert NONE[name].window() is None
