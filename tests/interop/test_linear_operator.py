"""Operators of SciPy and pylops as those of fastip, and back."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch

import fastip
from cases.operators import draw, operator_cases
from cases.programs import PYTHON
from fastip import interop, operators, priors
from fastip.errors import InvalidInput, Unsupported

pylops = pytest.importorskip("pylops")


def alone(case) -> bool:
    """Whether it takes one image: not where it differs from image to image."""
    try:
        case.make(torch.float64).output_shape((1, *case.input_shape[1:]))
    except InvalidInput:
        return False
    return True


CASES = [case for case in operator_cases() if alone(case)]
every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


@every
def test_pylops_finds_the_adjoint(case):
    linear = case.make(torch.float64).as_linear_operator(case.input_shape[1:])
    for flag in range(4) if linear.dtype.kind == "c" else (0,):
        assert pylops.utils.dottest(linear, *linear.shape, complexflag=flag, rtol=1e-10, atol=1e-10)


@every
def test_there_and_back(case):
    op = case.make(torch.float32)
    linear = op.as_linear_operator(case.input_shape[1:], dtype="float32")
    assert linear.dtype == (np.complex64 if op.complex_input or op.complex_output else np.float32)
    columns = draw(linear.shape[1], 3).numpy().astype(linear.dtype)
    found = linear.matmat(columns)
    assert found.dtype == linear.dtype == linear.matvec(columns[:, 0]).dtype == linear.rmatvec(found[:, 0]).dtype
    assert np.allclose(found, np.stack([linear.matvec(column) for column in columns.T], 1), atol=1e-6)
    if op.complex_input:
        return
    again = interop.from_linear_operator(linear, case.input_shape[1:], op.output_shape(case.input_shape)[1:])
    x = draw(*case.input_shape).float()
    assert again(x).dtype == op(x).dtype and torch.allclose(again(x), op(x), atol=1e-6)
    assert torch.allclose(again.adjoint(op(x)), op.adjoint(op(x)), atol=1e-5)


def test_columns_are_one_batch():
    batches = []
    op = operators.Function(
        lambda x: (batches.append(len(x)), x)[1], lambda y: (batches.append(len(y)), y)[1], (4,), (4,)
    )
    linear = op.as_linear_operator((4,))
    linear.matmat(np.ones((4, 5))), linear.rmatmat(np.ones((4, 6)))
    assert np.array_equal(linear.matmat(np.ones((4, 2)) * 1j), np.ones((4, 2)) * 1j)  # real and imaginary parts
    assert batches == [5, 6, 4]


@pytest.mark.parametrize("weight", [0.1, 1.0])
def test_lsqr_is_the_solve_with_l2(weight):
    op = operators.Blur(draw(5, 5) / 25, stride=2, boundary="valid")
    y = op(draw(1, 2, 15, 13))
    linear = op.as_linear_operator((2, 15, 13))
    found = scipy.sparse.linalg.lsqr(linear, y.numpy().ravel(), damp=weight**0.5, atol=1e-12, btol=1e-12)[0]
    solution = fastip.admm(y, op, priors.L2(weight), tolerance=1e-10, iterations=2000)
    assert np.allclose(found.reshape(2, 15, 13), solution.x[0].numpy(), atol=1e-7)


def test_complex_data_are_seen_by_complex_images():
    mask = draw(6, 8) > 0
    linear = operators.MaskedFourier(mask).as_linear_operator((1, 6, 8))
    x = (draw(48) + 1j * draw(48, seed=1)).numpy()
    expected = mask.numpy() * np.fft.fft2(x.reshape(6, 8), norm="ortho")
    assert np.allclose(linear.matvec(x).reshape(6, 8), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pylops_in_a_solve(dtype):
    psf = np.outer([1, 2, 3], [2, 1, 1]).astype(dtype) / 24
    theirs = pylops.signalprocessing.Convolve2D((12, 10), h=psf, offset=(1, 1), dtype=dtype)
    op, native = interop.from_linear_operator(theirs, (1, 12, 10), (1, 12, 10)), operators.Blur(psf, boundary="zero")
    y = native(draw(2, 1, 12, 10).to(torch.from_numpy(psf).dtype))
    solve = [fastip.admm(y, one, priors.TV(1e-2), beta=0.05, tolerance=1e-6, iterations=500).x for one in (op, native)]
    assert solve[0].dtype == y.dtype and torch.allclose(*solve, atol=1e-4)
    data = y.clone().requires_grad_()
    op.adjoint(data).square().sum().backward()
    assert torch.allclose(data.grad, 2 * op(op.adjoint(y)), atol=1e-5)
    assert torch.allclose(pickle.loads(pickle.dumps(op))(y), op(y))


def test_it_lives_in_the_algebra_of_pylops():
    op = operators.Blur(draw(3, 3))
    linear = pylops.aslinearoperator(op.as_linear_operator((1, 6, 7)))
    both = pylops.VStack([linear, 0.5 * pylops.Identity(42)])
    x = draw(1, 1, 6, 7)
    expected = torch.cat([op(x).flatten(), x.flatten() / 2])
    assert np.allclose(both @ x.numpy().ravel(), expected.numpy())
    again = pickle.loads(pickle.dumps(op.as_linear_operator((1, 6, 7))))
    assert np.allclose(again @ x.numpy().ravel(), op(x).numpy().ravel())


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: interop.from_linear_operator(np.eye(3), (3,)), "without matvec and rmatvec; expected a Linear"),
        (lambda: interop.from_linear_operator(pylops.Identity(6), (5,)), "image_shape is .*expected 6"),
        (lambda: interop.from_linear_operator(pylops.Identity(6), (6,), (2, 2)), "data_shape is .*expected 6"),
        (lambda: operators.Identity().as_linear_operator(6), "expected its sizes without the batch"),
        (lambda: operators.Identity().as_linear_operator((6,), dtype="int32"), "dtype is 'int32'; expected one of"),
        (lambda: operators.Identity().as_linear_operator((6,), dtype="so"), "dtype is 'so'; expected one of"),
        (lambda: operators.Mask(torch.ones(2, 1, 3, 3)).as_linear_operator((1, 3, 3)), "the image has shape"),
        (lambda: operators.Downsample(2).as_linear_operator((1, 3, 3)), "factor 2 does not divide"),
        (
            lambda: (operators.MaskedFourier(torch.ones(2, 3)) @ operators.MaskedFourier(torch.ones(2, 3)).T)
            .as_linear_operator((1, 2, 3)),
            "not linear over complex numbers",
        ),
    ],
)  # fmt: skip
def test_refused(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()


def test_without_scipy(monkeypatch):
    monkeypatch.delitem(sys.modules, "fastip.operators.base.flat", raising=False)
    monkeypatch.setitem(sys.modules, "scipy.sparse.linalg", None)
    with pytest.raises(Unsupported, match="not installed: pip install"):
        operators.Identity().as_linear_operator((4,))


def test_no_peer_is_imported_before_it_is_used():
    import subprocess

    code = (
        "import sys, fastip; from fastip import interop, operators; operators.Identity(); "
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'scipy', 'pylops', 'deepinv', 'cupy'}))"
    )
    said = subprocess.run([*PYTHON, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
