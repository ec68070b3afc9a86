"""The circulant preconditioner of conjugate gradients: A A^T as it is, its near inverse, the answer in few steps."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from cases.checks import noise, relative
from cases.pretended import pretended
from cases.problems import matrix
from fastip import inverses, operators, priors, psf
from fastip.errors import InvalidInput, Unsupported
from fastip.inverses.circulant import Circulant

Blur, Mask, Gradients = operators.Blur, operators.Mask, inverses.ConjugateGradient
WEIGHTS = noise((8, 9), seed=4).abs()
HOLES = noise((8, 9), seed=5) > -0.7
OPERATORS: dict[str, Any] = {
    "valid": Blur(psf.shake(6, 2), boundary="valid"),
    "stride 2": Blur(psf.shake(7, 2), 2, "valid"),
    "stride 3, even": Blur(noise((4, 6), seed=3).abs() / 10, 3, "valid"),
    "psf narrower than the stride": Blur(psf.box(2), 4, "valid"),
    "circular": Blur(psf.shake(6, 1)),
    "circular, stride 2": Blur(psf.shake(6, 1), 2),
    "holes": Mask(HOLES) @ Blur(psf.motion(3, 40), boundary="valid"),
    "weights": Mask(WEIGHTS) @ Blur(psf.shake(6, 2)),
    "mask": Mask(WEIGHTS),
    "wider than the data": Blur(psf.shake(13, 2), boundary="valid"),
}


def data(op: Any, dtype: torch.dtype = torch.float64) -> Tensor:
    return noise((2, 3, 8, 9), seed=1).to(dtype)


@pytest.mark.parametrize("name", OPERATORS)
def test_it_is_a_a_t_and_nearly_its_inverse(name: str) -> None:
    op = OPERATORS[name]
    y = data(op)
    near = Circulant(op, y, 0.1)
    assert relative(near.gram(y), op(op.adjoint(y))) < 1e-12

    def dense(apply: Any) -> Tensor:
        return torch.stack([apply(e.reshape(1, 1, 8, 9)).flatten() for e in torch.eye(72, dtype=torch.float64)], dim=1)

    inverse, gram = dense(near.inverse), matrix(op, op.input_shape((1, 1, 8, 9)))
    assert relative(inverse, inverse.T) < 1e-12 and float(torch.linalg.eigvalsh(inverse).min()) > 0
    if name in ("circular", "circular, stride 2"):  # nothing wraps that should not
        assert relative(inverse, torch.linalg.inv(0.1 * torch.eye(72, dtype=torch.float64) + gram @ gram.T)) < 1e-10


@pytest.mark.parametrize("name", OPERATORS)
def test_the_step_is_that_without_it(name: str) -> None:
    op = OPERATORS[name]
    y = data(op)
    plain = Gradients(1e-12).bind(op, y, 0.05)
    step = Gradients(1e-12, preconditioner="circulant").bind(op, y, 0.05)
    x, q = noise(tuple(op.input_shape(y.shape)), seed=7), noise(tuple(y.shape), seed=8)
    for a, b in ((step(x, q)[0], plain(x, q)[0]), (step.guess(), plain.guess())):
        assert relative(op.adjoint(a) if a.shape == y.shape else a, op.adjoint(b) if b.shape == y.shape else b) < 1e-8


def test_few_steps_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera shake 25 wide, beta 1e-3, to 3e-3 of the data: at most 9 steps, and more than twice as many without."""
    op = Blur(psf.shake(25, 1), boundary="valid")
    y = op(torch.rand(1, 1, 90, 95, generator=torch.Generator().manual_seed(1)))
    counts = {"circulant": 0, None: 0}

    def counted(kind: str | None, function: Any) -> Any:
        def count(*given: Any) -> Any:
            counts[kind] += 1
            return function(*given)

        return count

    monkeypatch.setattr(Circulant, "gram", counted("circulant", Circulant.gram))
    found = {}
    for kind in counts:
        step = Gradients(3e-3, preconditioner=kind).bind(op, y, 1e-3)
        monkeypatch.setattr(step, "op", op)
        if kind is None:
            monkeypatch.setattr(Blur, "adjoint", counted(None, Blur.adjoint))
        found[kind] = step.apply(y)
    assert 1 <= counts["circulant"] <= 9 and counts[None] > 2 * counts["circulant"], counts
    for q in found.values():
        assert float((y - 1e-3 * q - op(op.adjoint(q))).norm() / y.norm()) < 4e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_solve_ends_where_the_exact_inverse_ends(dtype: torch.dtype) -> None:
    op, prior = OPERATORS["holes"], priors.ElasticNet(0.02, 0.1) + priors.Box(0.1, 0.8)
    y = op(torch.rand(op.input_shape((2, 3, 8, 9)), dtype=torch.float64).to(dtype))
    how: dict[str, Any] = {"beta": 0.1, "iterations": 300, "tolerance": 0}
    known = fastip.admm(y, op, prior, inverse=inverses.Exact(), **how).x
    found = fastip.admm(y, op, prior, inverse=Gradients(1e-6, preconditioner="circulant"), **how).x
    assert relative(found, known) < 1e-4


def test_batches_sizes_and_half_precision() -> None:
    op = OPERATORS["stride 2"]
    y = data(op, torch.float32)
    y[1] *= 1e4
    y[0, 1] = 0
    inverse = Gradients(1e-4, preconditioner="circulant")
    both = inverse.bind(op, y, 0.05)(torch.zeros(op.input_shape(y.shape)), torch.zeros_like(y))[0]
    for k in range(2):
        alone = inverse.bind(op, y[k : k + 1], 0.05)(torch.zeros(op.input_shape((1, 3, 8, 9))), 0 * y[k : k + 1])[0]
        assert relative(both[k : k + 1], alone) < 1e-5
    small = inverse.bind(op, y * 2.0**-80, 0.05)(torch.zeros(op.input_shape(y.shape)), torch.zeros_like(y))[0]
    assert relative(small * 2.0**80, both) < 1e-5
    half = inverse.bind(op, y.clamp(-3, 3).half(), 0.05).guess()
    assert half.dtype == torch.float16 and relative(half.float(), inverse.bind(op, y.clamp(-3, 3), 0.05).guess()) < 3e-3


def test_on_a_device() -> None:
    op = OPERATORS["valid"]
    y = data(op, torch.float32)
    inverse = Gradients(1e-4, preconditioner="circulant")
    expected = fastip.admm(y, op, priors.L2(0.05), beta=0.1, inverse=inverse, iterations=5, tolerance=0).x
    with pretended() as gpu:
        found = fastip.admm(gpu.put(y), op, priors.L2(0.05), beta=0.1, inverse=inverse, iterations=5, tolerance=0).x
        assert relative(gpu.get(found), expected) < 1e-4


def test_gradients_of_the_data() -> None:
    op, along = OPERATORS["valid"], noise((1, 1, 8, 9), seed=5)
    y = noise((1, 1, 8, 9), seed=6)

    def value(y: Tensor) -> Tensor:
        how: dict[str, Any] = {"beta": 0.1, "inverse": Gradients(1e-12, preconditioner="circulant")}
        return fastip.admm(y, op, priors.L2(0.05), **how, iterations=3, tolerance=0).x.square().sum()

    leaf = y.clone().requires_grad_()
    value(leaf).backward()
    assert leaf.grad is not None
    slope = float(value(y + 1e-5 * along) - value(y - 1e-5 * along)) / 2e-5
    assert float((leaf.grad * along).sum()) == pytest.approx(slope, rel=1e-6)


def test_what_is_refused() -> None:
    with pytest.raises(InvalidInput, match="expected 'circulant' or None"):
        Gradients(preconditioner="jacobi")
    with pytest.raises(InvalidInput, match="for side='data'"):
        Gradients(side="image", preconditioner="circulant")
    inverse = Gradients(preconditioner="circulant")
    mirrored = Blur(psf.shake(6, 1), boundary="reflect")
    with pytest.raises(Unsupported, match="weighted pixels of a circular convolution"):
        inverse.bind(mirrored, data(mirrored), 0.1)
    with pytest.raises(Unsupported, match="takes real data"):
        inverse.bind(OPERATORS["valid"], data(None).to(torch.complex64), 0.1)
    again = pickle.loads(pickle.dumps(inverse))
    assert (again.preconditioner, again.side, again.tolerance) == ("circulant", "data", 1e-5)


@pytest.mark.parametrize("op", [OPERATORS["valid"], Blur(psf.shake(6, 1), boundary="reflect")], ids=repr)
def test_auto_is_close_to_exact_for_a_denoiser_with_a_level_for_each_iteration(op: Any) -> None:
    """A stencil, which converges in the end, leaves the few iterations of plug and play far from their result."""
    y = op(torch.rand(op.input_shape((1, 1, 40, 44)), dtype=torch.float64))

    def solve(inverse: Any, sigma: Any) -> Tensor:
        prior = priors.Denoiser(lambda v, level: torch.nn.functional.avg_pool2d(v, 3, 1, 1), sigma=sigma)
        found: Tensor = fastip.admm(y, op, prior, beta=2e-3, inverse=inverse, iterations=3, tolerance=0).x
        return found

    exact, auto, stencil = (
        op(solve(inverse, sigma))
        for inverse, sigma in ((Gradients(1e-10), [0.1] * 3), ("auto", [0.1] * 3), ("auto", 0.1))
    )
    assert relative(auto, exact) < 0.5 * relative(stencil, exact)
