"""Operators of one's own: what functions, matrices, modules and those of other libraries give, and what is refused."""

from __future__ import annotations

import dataclasses
import math
import pickle

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import nn

import fastip
from fastip import operators, priors, train
from fastip.errors import InvalidInput, Unsupported
from fastip.operators import adjointness


def roll(step):
    return lambda v: v.roll(step, dims=-1)


def shifted(**options):
    return operators.Function(roll(1), roll(-1), (1, 5, 6), (1, 5, 6), **options)


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Rows(operators.Operator):
    """The least that a subclass needs: two functions and two shapes."""

    def _forward(self, x):
        return x[..., ::2, :].clone()

    def _adjoint(self, y):
        x = y.new_zeros(self.input_shape(tuple(y.shape)))
        x[..., ::2, :] = y
        return x

    def output_shape(self, input_shape):
        return (*input_shape[:2], input_shape[2] // 2, input_shape[3])

    def input_shape(self, output_shape):
        return (*output_shape[:2], 2 * output_shape[2], output_shape[3])


# ---- what they give --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["scipy", "array", "torch coo", "torch csr", "duplicates"])
def test_a_sparse_matrix_of_any_kind(kind):
    matrix = scipy.sparse.random(9, 20, 0.3, random_state=0, format="csr")
    given = {
        "scipy": matrix.tocsc(),
        "array": scipy.sparse.coo_array(matrix),
        "torch coo": torch.from_numpy(matrix.toarray()).to_sparse(),
        "torch csr": torch.from_numpy(matrix.toarray()).to_sparse_csr(),
        "duplicates": scipy.sparse.coo_matrix(
            (np.tile(matrix.tocoo().data / 2, 2), (np.tile(matrix.tocoo().row, 2), np.tile(matrix.tocoo().col, 2))),
            shape=matrix.shape,
        ),
    }[kind]
    op, x = operators.Sparse(given, (1, 4, 5), (3, 3)), random(3, 1, 4, 5)
    assert torch.allclose(op(x).flatten(1), x.flatten(1) @ torch.from_numpy(matrix.toarray()).T, atol=1e-14)
    assert op.norm() == pytest.approx(np.linalg.norm(matrix.toarray(), 2), rel=1e-6)
    again = pickle.loads(pickle.dumps(op))
    assert torch.equal(again(x), op(x)) and again.fingerprint() == op.fingerprint() and op.lasting
    other = operators.Sparse(2 * matrix, (1, 4, 5), (3, 3))
    assert other.fingerprint() != op.fingerprint()


def test_a_module_is_its_matrix_and_not_moved_by_its_training():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.AvgPool2d(2), nn.Flatten())
    op, x = operators.Module(net, (1, 8, 8)), random(2, 1, 8, 8)
    before = op(x)
    with torch.no_grad():
        assert torch.allclose(before, net.double()(x)) and op.data_shape == (18,)
        net[0].weight.mul_(2)
    assert torch.equal(op(x), before) and op.lasting
    assert op.fingerprint() != operators.Module(net, (1, 8, 8)).fingerprint()


@pytest.mark.parametrize("many", [False, True])
def test_operators_of_scipy(many):
    matrix = scipy.sparse.random(6, 12, 0.4, random_state=1, format="csr")
    linear = scipy.sparse.linalg.LinearOperator(
        matrix.shape,
        lambda v: matrix @ v,
        lambda v: matrix.T @ v,
        dtype=np.float64,
        **({"matmat": lambda v: matrix @ v, "rmatmat": lambda v: matrix.T @ v} if many else {}),
    )
    op, x = operators.wrap(linear, (3, 4)), random(2, 3, 4)
    expected = operators.Sparse(matrix, (3, 4))
    assert torch.allclose(op(x), expected(x)) and torch.allclose(op.adjoint(op(x)), expected.adjoint(expected(x)))
    assert op(x.float()).dtype == torch.float32 and not op.lasting
    assert isinstance(op(x.numpy()), np.ndarray)


def test_complex_operators_of_scipy_take_real_images():
    matrix = random(5, 8).numpy() + 1j * random(5, 8, seed=1).numpy()
    op, x = operators.wrap(scipy.sparse.linalg.aslinearoperator(matrix), (8,)), random(2, 8)
    y = op(x)
    assert y.dtype == torch.complex128 and torch.allclose(y, (x + 0j) @ torch.from_numpy(matrix).T)
    assert torch.allclose(op.adjoint(y), (y @ torch.from_numpy(matrix).conj()).real)


class Physics(nn.Module):
    """As those of deepinv: A and A_adjoint of batches, in the precision of its buffers."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weights", torch.rand(1, 1, 4, 4))

    def A(self, x):
        assert x.dtype == self.weights.dtype
        return (self.weights * x)[..., 1:]

    def A_adjoint(self, y):
        return self.weights * nn.functional.pad(y, (1, 0))


def test_operators_with_A_and_A_adjoint_keep_their_precision():
    physics = Physics()
    op, x = operators.wrap(physics, (1, 4, 4)), random(2, 1, 4, 4)
    assert op.data_shape == (1, 4, 3) and op(x).dtype == torch.float64
    assert torch.allclose(op(x), physics.A(x.float()).double())
    largest = float(physics.weights[..., 1:].max())
    assert largest * (1 - 1e-6) <= op.norm() <= largest * (1 + 5e-4)


def test_one_image_at_a_time():
    def one(image):
        assert image.ndim == 3
        return image.flip(-1)

    op, x = operators.Function(*2 * [operators.each(one)], (1, 3, 4), (1, 3, 4)), random(3, 1, 3, 4)
    assert torch.equal(op(x), x.flip(-1))


def test_what_a_function_gives_back_is_copied():
    buffer = torch.zeros(1, 1, 5, 6, dtype=torch.float64)
    op = operators.Function(lambda x: buffer.copy_(x), lambda y: y, (1, 5, 6), (1, 5, 6))
    x = random(1, 1, 5, 6)
    first = op(x)
    op(2 * x)
    assert torch.equal(first, x) and op.adjoint(x).data_ptr() != x.data_ptr()


@pytest.mark.parametrize("boundary", ["circular", "zero", "reflect", "valid"])
def test_sums_of_blurs_are_one_blur_where_they_see_alike(boundary):
    a, b = random(3, 5, seed=1), random(4, 2, seed=2)
    if boundary == "valid":
        b = random(3, 5, seed=3)
    op = operators.Blur(a, boundary=boundary) - 2 * operators.Blur(b, boundary=boundary)
    x = random(2, 1, 9, 8)
    assert torch.allclose(op(x), operators.Blur(a, boundary=boundary)(x) - 2 * operators.Blur(b, boundary=boundary)(x))
    merged = op.convolution()
    assert torch.allclose(operators.Blur(merged.psf, boundary=boundary)(x), op(x), atol=1e-12)
    assert sum([operators.Blur(a), operators.Blur(b)]).cogram((1, 1, 8, 8)) is not None


def test_a_varying_blur_is_that_of_each_region():
    psfs, x = random(2, 3, 3, seed=4), random(1, 2, 12, 20)
    left = (torch.arange(20) < 10).double().expand(12, 20)
    op = operators.Varying(psfs, torch.stack([left, 1 - left]), boundary="zero")
    y = op(x)
    for k, part in ((0, slice(0, 9)), (1, slice(11, 20))):
        assert torch.allclose(y[..., part], operators.Blur(psfs[k], boundary="zero")(x)[..., part])


# ---- what lasts ------------------------------------------------------------------------------------------------------


def test_a_function_without_a_name_is_like_no_other(tmp_path):
    a, b, named = shifted(), shifted(), shifted(fingerprint="shift, 1")
    assert a.fingerprint() != b.fingerprint() and not (2 * a @ operators.Identity()).lasting
    assert named.fingerprint() == shifted(fingerprint="shift, 1").fingerprint() and named.lasting
    assert named.fingerprint() != shifted(fingerprint="shift, 2").fingerprint()
    subclass = Rows()
    assert pickle.loads(pickle.dumps(subclass)).fingerprint() == subclass.fingerprint() != Rows().fingerprint()


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: operators.Sparse(np.eye(3), (3,)), "expected a sparse matrix of SciPy or torch"),
        (lambda: operators.Sparse(torch.eye(3), (3,)), "operators.Dense takes ordinary ones"),
        (lambda: operators.Sparse(scipy.sparse.csr_matrix((3, 4)), (4,)), "has no entry"),
        (lambda: operators.Sparse(scipy.sparse.eye(3) * math.nan, (3,)), "NaN or Inf"),
        (lambda: operators.Sparse(scipy.sparse.eye(6), (2, 2)), "image_shape is .*expected 6, the columns"),
        (lambda: operators.Sparse(scipy.sparse.eye(6), (6,), (5,)), "data_shape is .*expected 6, the rows"),
        (lambda: operators.Sparse(scipy.sparse.eye(6), 6), "expected its sizes without the batch"),
        (lambda: operators.Function(1, roll(1), (2,), (2,)), "forward is 1"),
        (lambda: operators.Function(roll(1), roll(1), (2,), ()), "data_shape is"),
        (lambda: shifted(fingerprint=3), "expected a name"),
        (lambda: operators.Module(lambda x: x, (1, 4, 4)), "expected a linear torch.nn.Module"),
        (lambda: operators.Module(nn.Conv2d(1, 1, 3), (1, 4, 4)), "images of zeros, so it is not linear"),
        (lambda: operators.Module(nn.ReLU(), (1, 4, 4)), "is not linear: net"),
        (lambda: operators.Module(nn.Conv2d(2, 1, 3, bias=False), (1, 4, 4)), "does not take a batch of images"),
        (lambda: operators.wrap(3, (4,)), "neither matvec and rmatvec nor A and A_adjoint"),
        (lambda: operators.wrap(scipy.sparse.linalg.aslinearoperator(np.eye(4)), (5,)), "image_shape is .*expected 4"),
        (lambda: operators.each(3), "expected a function of one image"),
        (lambda: operators.Blur(np.ones((3, 3))) + operators.MaskedFourier(torch.ones(4, 4)), "mix real and complex"),
        (lambda: operators.Varying(np.ones((2, 3, 3)), np.ones((3, 8, 8))), "2 psfs and 3 weights"),
    ],
)
def test_refused_when_they_are_made(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()


@pytest.mark.parametrize(
    "forward, message",
    [
        (lambda x: x.numpy(), "ndarray; return a tensor: operators.wrap"),
        (lambda x: x[0], "shape .*operators.each"),
        (lambda x: x.double(), "keep the precision"),
        (lambda x: x + 1j, "keep the precision"),
        (lambda x: x.to("meta"), "work on the device"),
    ],
)
def test_what_comes_back_is_checked(forward, message):
    op = operators.Function(forward, roll(1), (1, 5, 6), (1, 5, 6))
    if message == "keep the precision" and forward(torch.ones(1)).is_complex():
        op = operators.Function(roll(1), lambda y: y.real, (1, 5, 6), (1, 5, 6), complex_data=True)
        with pytest.raises(InvalidInput, match=r"forward gave torch.float32.*complex64"):
            op(torch.ones(1, 1, 5, 6))
        return
    with pytest.raises(InvalidInput, match=message):
        op(torch.ones(1, 1, 5, 6))


def test_what_is_no_operator_is_not_added():
    for act in (lambda op: op + 1, lambda op: 1 + op, lambda op: op - "a", lambda op: op + np.ones(3)):
        with pytest.raises(TypeError):
            act(operators.Blur(np.ones((3, 3))))


def test_sums_of_other_shapes():
    op = operators.Blur(np.ones((3, 3)), boundary="valid") + operators.Blur(np.ones((5, 5)), boundary="valid")
    with pytest.raises(InvalidInput, match="A \\+ B adds data of one shape"):
        op(torch.ones(1, 1, 9, 9))


# ---- the adjoint, before the first solve -----------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [roll(1), lambda y: 1.01 * y.roll(-1, dims=-1), lambda y: y.flip(-1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("solve", ["admm", "pgd", "wiener"])
def test_a_wrong_adjoint_is_refused(wrong, dtype, solve):
    op = operators.Function(roll(1), wrong, (1, 5, 6), (1, 5, 6))
    y = random(2, 1, 5, 6, dtype=dtype)
    with pytest.raises(InvalidInput, match="the adjoint of Function is not that of its forward: <A x, y> is"):
        if solve == "wiener":
            fastip.wiener(y, op, 0.1)
        else:
            getattr(fastip, solve)(y, op, priors.TV(1e-2))


def test_a_scale_of_a_hundredth_is_seen_on_a_large_image():
    shapes = (1, 512, 512), (1, 512, 512)  # <A x, y> of random data is small there
    y = random(1, 1, 512, 512, dtype=torch.float32)
    with pytest.raises(InvalidInput, match="the adjoint of Function"):
        adjointness.check_adjoint(operators.Function(roll(1), lambda v: 1.01 * v.roll(-1, -1), *shapes), y.shape, y)
    adjointness.check_adjoint(operators.Function(roll(1), roll(-1), *shapes), y.shape, y)


def test_the_adjoint_is_tried_once_for_each_object_shape_and_precision(monkeypatch):
    calls = []
    op = operators.Function(lambda x: (calls.append(1), x)[1], lambda y: y, (1, 5, 6), (1, 5, 6))
    y = random(2, 1, 5, 6)
    tried = []
    monkeypatch.setattr(
        adjointness, "inner_products", lambda *given, real=adjointness.inner_products: tried.append(1) or real(*given)
    )
    for given in (y, y, y[:1], y.float(), y.float()):
        adjointness.check_adjoint(op, tuple(given.shape), given)
    assert len(tried) == 2
    adjointness.check_adjoint(operators.Blur(np.ones((3, 3))), (1, 1, 5, 6), y)
    adjointness.check_adjoint(operators.Mask(torch.ones(5, 6)) @ operators.Identity(), (1, 1, 5, 6), y)
    assert len(tried) == 2  # what fastip wrote is not tried
    adjointness.check_adjoint(operators.Mask(torch.ones(5, 6)) @ op, (1, 1, 5, 6), y)
    adjointness.check_adjoint(Rows(), (1, 1, 10, 6), y)
    assert len(tried) == 4


def test_the_adjoint_is_tried_on_a_batch_that_has_an_operator_for_each_image():
    op = operators.Mask(random(2, 1, 5, 6)) @ shifted()
    y = random(2, 1, 5, 6)
    adjointness.check_adjoint(op, y.shape, y)
    wrong = operators.Mask(random(2, 1, 5, 6)) @ operators.Function(roll(1), roll(1), (1, 5, 6), (1, 5, 6))
    with pytest.raises(InvalidInput, match="the adjoint of Composition"):
        adjointness.check_adjoint(wrong, y.shape, y)


def test_objects_of_other_classes_are_tried():
    @dataclasses.dataclass
    class Other:  # no Operator, and unhashable
        step: int

        def __call__(self, x):
            return x.roll(1, -1)

        def adjoint(self, y):
            return y.roll(self.step, -1)

        def output_shape(self, shape):
            return shape

    y = random(1, 1, 5, 6)
    adjointness.check_adjoint(Other(-1), y.shape, y)
    with pytest.raises(InvalidInput, match="the adjoint of Other"):
        adjointness.check_adjoint(Other(1), y.shape, y)


def test_what_is_of_fastip_is_asked_once_for_its_parameters(monkeypatch):
    op = operators.Sparse(scipy.sparse.eye(30), (1, 5, 6), (1, 5, 6))
    y = random(1, 1, 5, 6)
    adjointness.check_adjoint(op, y.shape, y)
    monkeypatch.setattr(op, "_parameters", lambda: pytest.fail("a solve looks at every entry"))
    adjointness.check_adjoint(op, y.shape, y)


@pytest.mark.parametrize(
    "make",
    [
        lambda: shifted(),
        lambda: operators.Sparse(scipy.sparse.eye(30), (1, 5, 6), (1, 5, 6)),
        lambda: operators.Module(nn.Conv2d(1, 1, 3, padding=1, bias=False), (1, 5, 6)),
    ],
)
def test_they_are_solved_and_have_gradients(make):
    op = make()
    y = random(2, 1, 5, 6).requires_grad_()
    solution = fastip.admm(
        y, op, priors.L1(1e-2), iterations=3, tolerance=0, inverse=fastip.inverses.GradientDescent(1)
    )
    assert torch.autograd.grad(solution.x.square().sum(), y)[0].abs().sum() > 0


def test_what_is_no_operator_gets_advice():
    y = torch.ones(1, 1, 5, 6)
    for given, advice in (
        (scipy.sparse.eye(30), "operators.Sparse"),
        (np.eye(30), "operators.Dense"),
        (nn.Identity(), "operators.Module"),
        (roll(1), "operators.Function"),
        (scipy.sparse.linalg.aslinearoperator(np.eye(30)), "operators.wrap"),
        (operators.Blur, "operators.Blur"),
    ):
        with pytest.raises(InvalidInput, match=advice):
            fastip.admm(y, given, priors.TV(1e-2))


class NamedRows(Rows):
    def _parameters(self):
        return ("rows",)


def test_files_refuse_what_does_not_last(tmp_path):
    path, given = tmp_path / "c.safetensors", {"beta": 0.1, "steps": 2, "size": 16}
    with pytest.raises(Unsupported, match="fingerprint='what it computes"):  # before the first step
        train.inverse(Rows(), output=path, **given)
    learned = train.inverse(Rows(), **given)
    with pytest.raises(Unsupported, match="fingerprint='what it computes"):
        fastip.save_inverse(path, learned)
    assert not list(tmp_path.iterdir())
    train.inverse(NamedRows(), output=path, **given)
    assert fastip.load_inverse(path).trained.fingerprint == NamedRows().fingerprint()
