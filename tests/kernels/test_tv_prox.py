"""The wavefront of dual steps against the reference loop, over several warm-started calls."""

import pytest
import torch

from fastip import kernels
from fastip.contracts import Pointwise
from fastip.kernels import reference
from fastip.kernels.family import Implementations

native = Implementations("native")

ISAS = ("base", "avx2", "avx512")


@pytest.mark.parametrize("each_isa", ISAS, indirect=True)
@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 1, 7), (2, 1, 9, 1), (2, 3, 33, 47), (3, 1, 2, 65)])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_equals_the_reference(steps, shape, dtype, isotropic, each_isa):
    generator = torch.Generator().manual_seed(steps + sum(shape))
    pointwise, weight, momentum = Pointwise(l1=0.1, l2=0.05, low=-0.5, high=0.8), 0.3, 0.6
    u, r = torch.zeros(2, *shape, dtype=dtype), torch.zeros(2, *shape, dtype=dtype)
    u64, r64 = u.double(), r.double()
    for k in range(4):
        v, step = torch.randn(shape, generator=generator, dtype=torch.float64), 0.4 + 0.3 * k

        def prox(a, step=step):
            return reference.soft_threshold(
                a, step * pointwise.l1, 1 / (1 + 2 * step * pointwise.l2), pointwise.low, pointwise.high
            )

        x, u64, r64 = reference.tv_prox(v, u64, r64, step, weight, momentum, steps, isotropic, prox)
        found, *_ = native.tv_prox(v.to(dtype), u, r, step, weight, momentum, steps, isotropic, pointwise)
        bound = 1e-13 if dtype is torch.float64 else 5e-5
        for a, b in ((found, x), (u, u64), (r, r64)):
            assert (a - b).abs().max() < bound


def test_threads_give_the_same_bits():
    v, before, results = torch.rand(1, 3, 70, 90), torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            u, r = torch.zeros(2, *v.shape), torch.zeros(2, *v.shape)
            results.append(native.tv_prox(v, u, r, 1.0, 0.1, 0.8, 5, True, Pointwise()))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("weight", [0.0, 1e-20, 1e-16, 1e-3])
def test_the_gradient_of_a_small_weight(weight: float) -> None:
    """x falls by D^T u with u on its bound, so its slope in the weight is that of the direction, down to 0."""
    v = torch.rand(1, 1, 6, 5, generator=torch.Generator().manual_seed(0))
    field, dual = torch.zeros(2, 1, 1, 6, 5), torch.zeros(2, 1, 1, 6, 5)
    given = torch.tensor(weight).reshape(1, 1, 1, 1).requires_grad_()
    x, *_ = kernels.tv_prox(v, field, dual, 0.5, given, 0.0, 1, True, lambda a: a)
    (slope,) = torch.autograd.grad((x * v).sum(), given)
    g = reference.differences(v)
    direction = g / torch.hypot(*g).clamp(min=1e-30)
    expected = -0.5 * (reference.differences_adjoint(direction) * v).sum()
    assert slope.item() == pytest.approx(expected.item(), rel=1e-4)
