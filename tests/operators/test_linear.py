"""Every operator of the table, by property.

New operators are tested by existing: the first test fails until cases/operators.py has a line for them.
"""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch

from cases.checks import (
    adjointness,
    data_for,
    gradient_is_adjoint,
    image_for,
    linearity,
    noise,
    operator_matrix,
    real_vector,
    relative,
    structure_matrix,
)
from cases.operators import operator_cases, public_operator_classes
from fastip import inverses, operators
from fastip.contracts import Circulant, Cosine, Scalar
from fastip.errors import FastipError, InvalidInput
from fastip.inverses import auto

CASES = operator_cases()
every = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
small = [case for case in CASES if math.prod(case.input_shape) <= 300]
every_small = pytest.mark.parametrize("case", small, ids=[case.id for case in small])


def test_every_public_operator_has_a_case():
    tested = {type(case.make(torch.float64)) for case in CASES}
    assert set(public_operator_classes()) <= tested, "add a line to tests/cases.py"
    assert len(public_operator_classes()) >= 11 and len({case.id for case in CASES}) == len(CASES)


@every
@pytest.mark.parametrize("dtype, bound", [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["float32", "float64"])
def test_adjoint_by_dot_product(case, dtype, bound):
    op = case.make(dtype)
    for seed in (0, 10):
        assert adjointness(op, case.input_shape, dtype, seed=seed) <= bound


@every
def test_matrix_forward_adjoint_and_transpose(case):
    op = case.make(torch.float64)
    shape = case.input_shape
    matrix = operator_matrix(op, shape)
    x, y = image_for(op, shape, seed=3), data_for(op, shape, seed=4)
    assert relative(real_vector(op(x)), matrix @ real_vector(x)) <= 1e-12
    assert relative(real_vector(op.adjoint(y)), matrix.T @ real_vector(y)) <= 1e-12
    assert torch.equal(op.T(y), op.adjoint(y)) and torch.equal(op.T.adjoint(x), op(x))
    assert op.T.T is op or (isinstance(op, operators.Adjoint) and op.T.T.fingerprint() == op.fingerprint())


@every
def test_linear_and_independent_of_the_rest_of_the_batch(case):
    op = case.make(torch.float64)
    x, z = image_for(op, case.input_shape, seed=5), image_for(op, case.input_shape, seed=6)
    assert linearity(op, x, z) <= 1e-12
    changed = x.clone()
    changed[-1] = z[-1]
    assert torch.allclose(op(changed)[:-1], op(x)[:-1], rtol=1e-12, atol=1e-12)


@every
def test_shapes_go_round(case):
    op = case.make(torch.float64)
    data = op.output_shape(case.input_shape)
    assert op.input_shape(data) == tuple(case.input_shape) and isinstance(data, tuple)
    assert op(image_for(op, case.input_shape)).shape == data
    assert op.T.output_shape(data) == tuple(case.input_shape) and op.T.input_shape(case.input_shape) == data


EXPECTED = {  # (A^T A, A A^T); a structure that is lost costs the closed form of the inverse
    "blur-circular-3x3-s1": ("Circulant", "Circulant"),
    "blur-circular-3x5-s2": (None, "Circulant"),
    "blur-circular-2x2-s2": (None, "Scalar"),
    "blur-circular-34x33-s1": ("Circulant", "Circulant"),
    "blur-valid-3x3-s1": (None, None),
    "blur-valid-3x2-s3": (None, "Scalar"),
    "blur-zero-3x2-s3": (None, "Diagonal"),
    "blur-reflect-3x2-s3": (None, "Diagonal"),
    "blur-reflect-4x5-s5": (None, "Diagonal"),
    "blur-zero-4x5-s5": (None, "Diagonal"),
    "blur-reflect-2x2-s2": (None, "Scalar"),
    "blur-reflect-3x3-s1": (None, None),
    "blur-zero-3x3-s1": (None, None),
    "gaussian-reflect": ("Cosine", "Cosine"),
    "identity": ("Scalar", "Scalar"),
    "downsample-3": (None, "Scalar"),
    "mask-weights": ("Diagonal", "Diagonal"),
    "separable": (None, "Kronecker"),
    "separable-tall": ("Kronecker", None),
    "resize": (None, "Kronecker"),
    "resize-area": (None, "Scalar"),
    "resize-pair": (None, "Kronecker"),
    "grey-of-resize": (None, "Kronecker"),
    "blur-zero-1x5-s1": (None, "Kronecker"),
    "blur-reflect-1x5-s1": (None, "Kronecker"),
    "blur-valid-1x5-s1": (None, "Kronecker"),
    "grey": (None, "Scalar"),
    "dense-wide": (None, "Dense"),
    "dense-tall": ("Dense", None),
    "masked-fourier-odd": ("Circulant", None),
    "grey-of-blur": (None, "Circulant"),
    "blur-of-grey": (None, "Circulant"),
    "mask-of-downsample": (None, "Diagonal"),
    "downsample-of-blur": (None, "Circulant"),
    "blur-of-blur": (None, "Circulant"),
    "fourier-of-blur": ("Circulant", None),
    "adjoint-of-blur": ("Circulant", None),
    "stack-of-blurs": ("Circulant", None),
    "stack-of-masks": ("Diagonal", None),
    "negative-fourier": ("Circulant", None),
}


@every
def test_gram_and_cogram_equal_the_matrices(case):
    op = case.make(torch.float64)
    shape = case.input_shape
    gram, cogram = op.gram(shape), op.cogram(op.output_shape(shape))
    kinds = tuple(None if s is None else type(s).__name__ for s in (gram, cogram))
    assert kinds == EXPECTED.get(case.id, kinds)
    if gram is None and cogram is None:
        return
    matrix = operator_matrix(op, shape)
    if gram is not None:
        product = matrix.T @ matrix
        assert relative(of_both(op.complex_input, structure_matrix(gram, shape)), product) <= 1e-12
    if cogram is not None:
        product = matrix @ matrix.T
        assert relative(of_both(op.complex_output, structure_matrix(cogram, op.output_shape(shape))), product) <= 1e-12


def of_both(is_complex, matrix):
    """A structure of complex numbers, on their parts beside each other: it acts on both alike."""
    return torch.kron(matrix, torch.eye(2, dtype=matrix.dtype)) if is_complex else matrix


def test_the_expectations_name_existing_cases():
    assert set(EXPECTED) <= {case.id for case in CASES}


@every
def test_norm_is_the_largest_singular_value(case):
    op = case.make(torch.float64)
    matrix = operator_matrix(op, case.input_shape)
    smaller = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    exact = torch.linalg.eigvalsh(smaller)[-1].sqrt().item()
    larger = 1e-6 if op.products(case.input_shape) is not None else 5e-4  # those of one's own are known roughly
    if isinstance(op, operators.Sense):  # it states a bound, which random masks and coils are far from
        larger = 1.5
    for norm in (op.norm(case.input_shape), op.T.norm(op.output_shape(case.input_shape))):
        assert exact * (1 - 1e-9) <= norm <= exact * (1 + larger)
    try:
        bound = op.norm()
    except InvalidInput as error:
        assert "pass it" in str(error)
    else:
        assert bound >= exact * (1 - 1e-9)


@every_small
def test_gradients_to_second_order_in_both_directions(case):
    op = case.make(torch.float64)
    x, y = image_for(op, case.input_shape).requires_grad_(), data_for(op, case.input_shape).requires_grad_()
    for function, argument in ((op, x), (op.adjoint, y)):
        fast = argument.numel() > 24
        assert torch.autograd.gradcheck(function, argument, fast_mode=fast, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(function, argument, fast_mode=True)


@every
def test_gradient_is_the_adjoint_and_back(case):
    op = case.make(torch.float64)
    x, y = image_for(op, case.input_shape), data_for(op, case.input_shape)
    assert gradient_is_adjoint(op, op.adjoint, x, y) <= 1e-14
    assert gradient_is_adjoint(op.adjoint, op, y, x) <= 1e-14


@every
def test_gradient_of_a_sum_arrives_expanded(case):
    op = case.make(torch.float64)
    x = image_for(op, case.input_shape).requires_grad_()
    y = op(x)
    (gradient,) = torch.autograd.grad((y.real if y.is_complex() else y).sum(), x)
    assert relative(gradient, op.adjoint(torch.ones_like(y))) <= 1e-12


@every
def test_numpy_in_numpy_out_read_only_and_strided(case):
    op = case.make(torch.float64)
    for function, tensor in ((op, image_for(op, case.input_shape)), (op.adjoint, data_for(op, case.input_shape))):
        expected = function(tensor)
        array = tensor.numpy().copy()
        frozen = array.copy()
        frozen.flags.writeable = False
        reversed_view = array[::-1].copy()[::-1]
        fortran = np.asfortranarray(array)
        spaced = np.repeat(array, 2, axis=-1)[..., ::2]
        for given in (array, frozen, reversed_view, fortran, spaced, array.astype(array.dtype.newbyteorder(">"))):
            result = function(given)
            assert isinstance(result, np.ndarray) and result.dtype == expected.numpy().dtype
            assert np.allclose(result, expected.numpy(), rtol=1e-12, atol=1e-12)
        assert np.array_equal(array, tensor.numpy())


@every
def test_strided_tensors_and_fresh_results(case):
    op = case.make(torch.float64)
    for function, tensor in ((op, image_for(op, case.input_shape)), (op.adjoint, data_for(op, case.input_shape))):
        expected = function(tensor)
        spaced = tensor.repeat_interleave(2, dim=-1)[..., ::2]
        transposed = tensor.transpose(0, -1).contiguous().transpose(0, -1)
        for given in (spaced, transposed):
            assert relative(function(given), expected) <= 1e-12
        before = tensor.clone()
        function(tensor).mul_(0)
        assert torch.equal(tensor, before), "the result shares memory with the input"
        assert torch.equal(function(tensor), expected), "a call changed the operator"


def test_lazily_negated_and_conjugated_tensors():
    x = torch.imag(torch.complex(torch.randn(1, 1, 6, 8), torch.randn(1, 1, 6, 8)).conj())
    assert x.is_neg()
    op = operators.Blur(torch.rand(3, 3))
    assert torch.allclose(op(x), op(x.resolve_neg().clone()))
    fourier = operators.MaskedFourier(torch.rand(6, 8))
    y = fourier(torch.randn(1, 1, 6, 8)).conj()
    assert torch.allclose(fourier.adjoint(y), fourier.adjoint(y.resolve_conj()))


@every
def test_float32_is_close_to_float64(case):
    op = case.make(torch.float64)
    x, y = image_for(op, case.input_shape), data_for(op, case.input_shape)
    assert relative(op(image_for(op, case.input_shape, torch.float32)), op(x)) <= 1e-5
    assert relative(op.adjoint(data_for(op, case.input_shape, torch.float32)), op.adjoint(y)) <= 1e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@every
def test_half_precision(case, dtype):
    op = case.make(torch.float64)
    x = image_for(op, case.input_shape)
    if "fourier" in case.id or op.complex_output:  # there is no half-precision Fourier transform
        with pytest.raises(InvalidInput, match="float32|complex64"):
            op((x.real if op.complex_input else x).to(dtype))
        return
    assert op(x.to(dtype)).dtype == dtype
    bound = 20 * torch.finfo(dtype).eps
    assert relative(op(x.to(dtype)).double(), op(x)) <= bound
    y = data_for(op, case.input_shape)
    assert relative(op.adjoint(y.to(dtype)).double(), op.adjoint(y)) <= bound


@every
def test_copies_and_pickles_are_the_same_operator(case):
    op = case.make(torch.float64)
    x = image_for(op, case.input_shape)
    expected = op(x)
    for twin in (copy.deepcopy(op), pickle.loads(pickle.dumps(op)), case.make(torch.float64)):
        assert twin.fingerprint() == op.fingerprint()
        assert torch.equal(twin(x), expected)


def test_works_after_first_use_in_inference_mode():
    for case in CASES:
        op = case.make(torch.float64)
        x = image_for(op, case.input_shape)
        with torch.inference_mode():
            op(x.clone())
        x = x.requires_grad_()
        y = op(x)
        (y.abs() ** 2).sum().backward()
        assert x.grad is not None


def test_inside_a_network_and_a_larger_graph():
    torch.manual_seed(0)
    op = operators.ToGray() @ operators.Blur(torch.rand(3, 3), stride=2)
    layer = torch.nn.Conv2d(3, 3, 3, padding=1)
    y = torch.randn(2, 1, 4, 4)
    loss = (op(layer(op.adjoint(y))) - y).square().sum()
    loss.backward()
    step = 1e-3
    with torch.no_grad():
        before = loss.item()
        for p in layer.parameters():
            p -= step * p.grad
    assert (op(layer(op.adjoint(y))) - y).square().sum().item() < before


# ---- algebra ---------------------------------------------------------------------------------------------------------


def test_algebra_equals_matrix_algebra():
    a, b = (
        operators.Blur(torch.rand(3, 2, dtype=torch.float64), stride=2),
        operators.Mask(torch.rand(6, 8, dtype=torch.float64)),
    )
    shape = (1, 1, 6, 8)
    ma, mb = operator_matrix(a, shape), operator_matrix(b, shape)
    assert relative(operator_matrix(a @ b, shape), ma @ mb) <= 1e-14
    assert relative(operator_matrix((a @ b).T, (1, 1, 3, 4)), (ma @ mb).T) <= 1e-14
    assert relative(operator_matrix(2.0 * a, shape), 2 * ma) <= 1e-14
    assert relative(operator_matrix(a * 3, shape), 3 * ma) <= 1e-14
    assert relative(operator_matrix(np.float64(0.5) * a, shape), 0.5 * ma) <= 1e-14
    assert relative(operator_matrix(torch.tensor(0.5) * a, shape), 0.5 * ma) <= 1e-14
    assert relative(operator_matrix(-a, shape), -ma) <= 1e-14
    assert relative(operator_matrix(a.T @ a, shape), ma.T @ ma) <= 1e-13
    assert relative(operator_matrix(operators.Stack([a, a @ b]), shape), torch.cat([ma, ma @ mb])) <= 1e-14


def test_scaling_by_zero_has_norm_zero():
    assert (0.0 * operators.Blur(torch.rand(3, 3))).norm((1, 1, 8, 8)) == 0.0


def test_grey_commutes_with_what_is_channelwise():
    blur = operators.Blur(torch.rand(3, 3, dtype=torch.float64), stride=2, boundary="reflect")
    grey = operators.ToGray()
    x = torch.randn(1, 3, 8, 6, dtype=torch.float64)
    assert relative((grey @ blur)(x), (blur @ grey)(x)) <= 1e-14
    fits = operators.Blur(torch.rand(3, 2, dtype=torch.float64), stride=3, boundary="zero")
    assert (
        type((grey @ fits).cogram((1, 1, 2, 3)))
        is type((fits @ grey).cogram((1, 1, 2, 3)))
        is type(fits.cogram((1, 1, 2, 3)))
    )
    # A mask with channels does not commute, and says nothing.
    assert (grey @ operators.Mask(torch.rand(3, 4, 4))).cogram((1, 1, 4, 4)) is None


@pytest.mark.parametrize("boundary", ["circular", "reflect", "zero", "valid"])
def test_half_sized_grey_has_a_scalar_inverse(boundary):
    """A = box B times grey G: A A^T = ||w||^2 B B^T = ||w||^2 / 4 I on any boundary and size, and "auto" takes it.

    The data step then is the dense solve.
    """
    op = operators.Blur(operators.psf.box(2), stride=2, boundary=boundary) @ operators.ToGray()
    for b, h, w in ((1, 3, 5), (3, 1, 2), (2, 4, 4)):
        shape, y = (b, 3, 2 * h, 2 * w), noise((b, 1, h, w), seed=h)
        assert adjointness(op, shape, torch.float64, seed=w) <= 1e-14
        cogram = op.cogram(tuple(y.shape))
        assert isinstance(cogram, Scalar) and cogram.value == pytest.approx(
            (0.299**2 + 0.587**2 + 0.114**2) / 4, rel=1e-14
        )
        matrix, beta = operator_matrix(op, shape), 0.03
        inverse = auto.choose(op, y, beta, pointwise=False)
        assert type(inverse) is inverses.Exact and "scalar" in inverse.bind(op, y, beta).describe()
        solved = torch.linalg.solve(matrix @ matrix.T + beta * torch.eye(y.numel(), dtype=y.dtype), y.flatten())
        assert relative(inverse.bind(op, y, beta).guess().flatten(), matrix.T @ solved) <= 1e-13
        means = torch.nn.functional.avg_pool2d(operators.ToGray()(noise(shape, seed=w)), 2)
        assert relative(op(noise(shape, seed=w)), means) <= 1e-14


@pytest.mark.parametrize(
    "make",
    [lambda a, g: a @ g, lambda a, g: g @ a, lambda a, g: 2.0 * (a @ (0.5 * g))],
    ids=["blur-grey", "grey-blur", "scaled"],
)
@pytest.mark.parametrize("boundary, kind", [("circular", Circulant), ("reflect", Cosine)])
def test_blurred_grey_keeps_the_structure_of_the_blur(make, boundary, kind):
    """A A^T = ||w||^2 B B^T in closed form, so the inverse needs no inner loop."""
    blur, grey = operators.Blur(operators.psf.gaussian(3, 0.8), boundary=boundary), operators.ToGray((0.5, -0.2, 0.9))
    op, y = make(blur, grey), noise((2, 1, 5, 7), seed=3)
    matrix = operator_matrix(op, (2, 3, 5, 7))
    cogram = op.cogram(tuple(y.shape))
    assert isinstance(cogram, kind) and relative(structure_matrix(cogram, tuple(y.shape)), matrix @ matrix.T) <= 1e-13
    assert type(auto.choose(op, y, 0.1, pointwise=False)) is inverses.Exact


def test_registry_walk_fails_for_an_operator_without_a_case(monkeypatch):
    class Forgotten(operators.Identity):
        pass

    monkeypatch.setattr(operators, "Forgotten", Forgotten, raising=False)
    monkeypatch.setattr(operators, "__all__", [*operators.__all__, "Forgotten"])
    with pytest.raises(AssertionError, match=r"tests/cases\.py"):
        test_every_public_operator_has_a_case()


def test_error_family():
    assert issubclass(InvalidInput, FastipError) and issubclass(InvalidInput, ValueError)
