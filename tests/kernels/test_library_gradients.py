"""The derivatives of torch.ops.fastip.

Against finite differences to second order, and against the reference's own, kinks included.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from cases.library import (
    BOUNDARIES,
    CASES,
    DIFFERENTIABLE,
    Draw,
    arguments,
    exactly,
    formula,
    op,
    tensors,
    with_gradients,
)
from fastip.errors import Unsupported
from fastip.kernels import reference
from fastip.kernels.family import Implementations

library = Implementations("operator")


def gradients(function: Callable[..., Any], values: tuple[Any, ...], seed: int = 0) -> list[Tensor]:
    """Of a random linear form of the results, for every tensor argument."""
    values = with_gradients(values)
    generator = torch.Generator().manual_seed(seed)
    results = [t for t in tensors(function(*values)) if t.requires_grad]
    weights = [
        torch.randn(t.shape, dtype=torch.complex128 if t.is_complex() else torch.float64, generator=generator).to(
            t.dtype
        )
        for t in results
    ]
    return list(torch.autograd.grad(results, inputs_of(values), weights))


def inputs_of(values: tuple[Any, ...]) -> list[Tensor]:
    return [v for v in values if isinstance(v, Tensor)]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_finite_differences(name: str) -> None:
    """First and second order, in every tensor argument."""
    for seed in range(4):
        values = with_gradients(small(name, 40 + seed))
        assert gradcheck(op(name), values)
        assert gradgradcheck(op(name), values)


def small(name: str, seed: int) -> tuple[Any, ...]:
    """Arguments with few numbers: the Jacobian of the Jacobian is a large matrix."""
    seed *= 1000
    while True:
        values = arguments(name, seed)
        if sum(v.numel() for v in values if isinstance(v, Tensor)) <= 120:
            return values
        seed += 4  # the same boundary


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_equal_to_the_reference(name: str) -> None:
    for seed in range(24):
        values = arguments(name, seed)
        for result, expected, value in zip(
            gradients(op(name), values), gradients(formula(name), values), inputs_of(values), strict=True
        ):
            assert (result.shape, result.dtype) == (value.shape, value.dtype)
            torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "name, dtype",
    [
        (n, d)
        for n in DIFFERENTIABLE
        for d in (torch.float32, torch.bfloat16)
        if n != "spectral_step" or d == torch.float32
    ],
)
def test_other_precisions(name: str, dtype: torch.dtype) -> None:
    """Each gradient has the dtype of its argument and an error of the size of the images' precision.

    The gradients of psf and taps keep float64.
    """
    for seed in range(60, 66):
        values = arguments(name, seed, dtype)
        exact = gradients(formula(name), exactly(values))
        for result, expected, value in zip(gradients(op(name), values), exact, inputs_of(values), strict=True):
            assert (result.shape, result.dtype) == (value.shape, value.dtype)
            tolerance = 200 * torch.finfo(dtype).eps * max(1.0, float(expected.abs().max()))
            torch.testing.assert_close(result.to(expected.dtype), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["strided_conv", "strided_conv_adjoint"])
def test_gradient_of_the_psf_is_summed_in_float32(name: str) -> None:
    """Half precision images: it is exact for their values up to float32, and keeps the dtype of the psf."""
    for seed in range(4):
        values = arguments(name, seed, torch.bfloat16)
        image, psf = values[0], values[1].clone().requires_grad_()
        y = op(name)(image, psf, *values[2:])
        g = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed)).to(torch.bfloat16)
        (result,) = torch.autograd.grad(y, psf, g)
        (expected,) = torch.autograd.grad(op(name)(image.double(), psf, *values[2:]), psf, g.double())
        assert result.dtype == psf.dtype
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_the_backward_is_the_adjoint(boundary: str, stride: int) -> None:
    """<g, A x> = <A^T g, x>, also on sizes that the stride does not divide."""
    for seed in range(6):
        d = Draw(seed, stride=stride, boundary=boundary)
        x = d.image(divides=False).requires_grad_()
        y = library.strided_conv(x, d.psf, stride, boundary)
        g = d.normal(*y.shape)
        (pulled,) = torch.autograd.grad(y, x, g)
        torch.testing.assert_close((g * y).sum(), (pulled * x).sum(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_only_what_is_asked_for(name: str) -> None:
    """One argument with a gradient at a time: its gradient is the one it has among all."""
    values = arguments(name, 7)
    where = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
    weights = [torch.randn_like(t) for t in tensors(op(name)(*values))]
    whole = with_gradients(values)
    together = torch.autograd.grad(tensors(op(name)(*whole)), [whole[i] for i in where], weights)
    for i, expected in zip(where, together, strict=True):
        alone = values[i].clone().requires_grad_()
        (result,) = torch.autograd.grad(tensors(op(name)(*values[:i], alone, *values[i + 1 :])), alone, weights)
        torch.testing.assert_close(result, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("used", [0, 1])
def test_data_step_of_which_one_result_is_used(used: int) -> None:
    """An unrolled solve uses q' alone; r has no gradient then, and taps none where r alone is used."""
    values = arguments("woodbury", 9)
    grads = [
        torch.autograd.grad(f(*v)[used].square().sum(), inputs_of(v), allow_unused=True)
        for f, v in both("woodbury", values)
    ]
    for result, expected in zip(*grads, strict=True):
        assert (result is None) == (expected is None)
        if result is not None:
            torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-10)


def both(name: str, values: tuple[Any, ...]) -> list[tuple[Callable[..., Any], tuple[Any, ...]]]:
    return [(op(name), with_gradients(values)), (formula(name), with_gradients(values))]


def test_beta_as_a_tensor() -> None:
    *values, _ = arguments("woodbury", 11)
    results = []
    for function in (library.woodbury, reference.woodbury):
        beta = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
        new, r = function(*values, beta)
        results.append(torch.autograd.grad(new.square().sum() + r.sum(), beta)[0])
    torch.testing.assert_close(*results, rtol=1e-11, atol=1e-11)


EDGES = torch.tensor([-1.0, -0.5, -0.25, -0.0, 0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64)


@pytest.mark.parametrize("low, high", [(-math.inf, math.inf), (0.0, math.inf), (-0.25, 0.25), (0.25, 0.25)])
@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("kind", [float, EDGES.new_tensor, EDGES.new_full])
def test_kinks(kind: Callable[..., Any], threshold: float, low: float, high: float) -> None:
    """At |v| = threshold and on the borders of the box the gradients are those that torch gives the formula."""
    t = EDGES.new_full(EDGES.shape, threshold) if kind == EDGES.new_full else kind(threshold)
    values = (EDGES, t, torch.ones((), dtype=torch.float64) if isinstance(t, Tensor) else 1.0, low, high, None)
    results = gradients(library.soft_threshold, values, seed=2), gradients(reference.soft_threshold, values, seed=2)
    for result, expected in zip(*results, strict=True):
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("mixed", ["threshold", "shrink", "both"])
def test_a_number_and_a_tensor(mixed: str) -> None:
    v = torch.randn(2, 3, 5, 7, dtype=torch.float32)
    t = torch.tensor([0.3, 0.2, 0.5])[:, None, None] if mixed != "shrink" else 0.3
    shrink = torch.tensor(0.7) if mixed != "threshold" else 0.7
    expected = reference.soft_threshold(v, t, shrink, 0.0, 1.0)
    result = library.soft_threshold(v, t, shrink, 0.0, 1.0)
    assert torch.equal(result, expected) and result.dtype == v.dtype
    values = (v, t, shrink, -0.5, 0.5)
    for a, b in zip(
        gradients(library.soft_threshold, values), gradients(reference.soft_threshold, values), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shrink", [0.5, torch.tensor(0.5)])
def test_a_number_below_zero_is_no_threshold(shrink: float | Tensor) -> None:
    v = torch.randn(1, 1, 5, 7)
    assert torch.equal(library.soft_threshold(v, -0.3, shrink), reference.soft_threshold(v, -0.3, shrink))
    results = (
        gradients(library.soft_threshold, (v, -0.3, shrink)),
        gradients(reference.soft_threshold, (v, -0.3, shrink)),
    )
    for result, expected in zip(*results, strict=True):
        torch.testing.assert_close(result, expected)


def test_complex_gradient_is_a_descent_direction() -> None:
    """A step against it lowers a real loss: the convention is torch's, dL/d re + i dL/d im."""
    values = with_gradients(arguments("spectral_step", 5))

    def loss(*v: Any) -> Tensor:
        ahead, new = op("spectral_step")(*v)
        return ahead.abs().square().sum() + new.imag.square().sum()

    before = loss(*values)
    inputs = inputs_of(values)
    for i, g in enumerate(torch.autograd.grad(before, inputs)):
        moved = [v - 1e-6 * g if j == i else v for j, v in enumerate(inputs)]
        expected = -1e-6 * g.abs().square().sum().item()
        assert (loss(*moved, values[-1]) - before).item() == pytest.approx(expected, rel=1e-3)


def test_a_whole_solve_has_no_gradient() -> None:
    values = with_gradients(arguments("admm", 1))
    x, q = op("admm")(*values)
    with pytest.raises(Unsupported, match="call fastip.admm"):
        (x.sum() + q.sum()).backward()


def test_all_but_the_solve() -> None:
    assert set(CASES) - set(DIFFERENTIABLE) == {"admm"}
