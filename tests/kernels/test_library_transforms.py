"""torch.ops.fastip under torch.func.vmap, against a loop, and under torch.autocast."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from cases.library import CASES, DIFFERENTIABLE, arguments, op, tensors
from fastip import kernels
from fastip.kernels import choose, reference
from fastip.kernels.family import Implementations

library = Implementations("operator")

ENTRIES = 3


def stacked(
    name: str, seed: int, mapped: set[int]
) -> tuple[tuple[Any, ...], tuple[int | None, ...], list[tuple[Any, ...]]]:
    """Arguments with a further dimension for those in ``mapped``, where it is, and the arguments of each entry."""
    values, draw = arguments(name, seed), random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    changed, dims = list(values), [None] * len(values)
    for i in mapped:
        scale = 1 + 0.5 * torch.rand(ENTRIES, dtype=torch.float64, generator=generator)
        entries = [values[i] * factor for factor in scale]
        dims[i] = draw.randrange(values[i].ndim + 1)
        changed[i] = torch.stack(entries, dim=dims[i])
    each = [
        tuple(v if d is None else v.select(d, n) for v, d in zip(changed, dims, strict=True)) for n in range(ENTRIES)
    ]
    return tuple(changed), tuple(dims), each


def choices(name: str) -> list[set[int]]:
    """All tensors, each alone, and the images together."""
    where = [i for i, v in enumerate(arguments(name, 0)) if isinstance(v, Tensor)]
    return [set(where), *({i} for i in where), set(where[:3])]


@pytest.mark.parametrize("name", CASES)
def test_vmap_is_a_loop(name: str) -> None:
    for seed in (20, 21, 22, 23):
        values = arguments(name, seed)
        for mapped in choices(name):
            mapped = {i for i in mapped if isinstance(values[i], Tensor)}
            if not mapped:
                continue
            changed, dims, each = stacked(name, seed, mapped)
            results = tensors(vmap(op(name), in_dims=dims)(*changed))
            for result, expected in zip(
                results, zip(*(tensors(op(name)(*one)) for one in each), strict=True), strict=True
            ):
                torch.testing.assert_close(result, torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_vmap_of_vmap_and_of_no_entries() -> None:
    x, psf = torch.randn(2, 3, 1, 2, 6, 8, dtype=torch.float64), torch.rand(3, 3, dtype=torch.float64)
    result = vmap(vmap(lambda v: torch.ops.fastip.strided_conv(v, psf, 2, "reflect")), in_dims=1)(x)
    expected = reference.strided_conv(x.movedim(1, 0).reshape(6, 2, 6, 8), psf, 2, "reflect").reshape(3, 2, 1, 2, 3, 4)
    torch.testing.assert_close(result, expected)
    empty = vmap(lambda v: torch.ops.fastip.strided_conv(v, psf, 2, "zero"))(x[0, :, :, :, :4][:, :0])
    assert empty.shape == (3, 0, 2, 2, 4)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradient_of_vmap(name: str) -> None:
    """Backward through a mapped op, in the image, is the gradient of each entry."""
    changed, dims, each = stacked(name, 25, {0})
    image = changed[0].requires_grad_()
    results = tensors(vmap(op(name), in_dims=dims)(image, *changed[1:]))
    (result,) = torch.autograd.grad(sum(t.abs().square().sum() for t in results), image)
    for n, one in enumerate(each):
        v = one[0].detach().clone().requires_grad_()
        (expected,) = torch.autograd.grad(sum(t.abs().square().sum() for t in tensors(op(name)(v, *one[1:]))), v)
        torch.testing.assert_close(result.select(dims[0], n), expected, rtol=1e-11, atol=1e-11)


def test_functional_gradients_by_the_reference() -> None:
    """PyTorch has no torch.func.grad of registered ops; fastip.kernels takes the reference there."""
    x, psf = torch.randn(3, 1, 2, 6, 6, dtype=torch.float64), torch.rand(3, 3, dtype=torch.float64)
    results = vmap(grad(lambda v: kernels.strided_conv(v, psf, 2, "circular").square().sum()))(x)
    for result, image in zip(results, x, strict=True):
        y = library.strided_conv(image, psf, 2, "circular")
        torch.testing.assert_close(result, 2 * library.strided_conv_adjoint(y, psf, 2, "circular"))


# ---- autocast --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("backend", ["chosen", "reference"])
def test_autocast_lowers_nothing(name: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit by bit the results and gradients without it, also where the reference's convolution runs inside."""
    if backend == "reference":
        monkeypatch.setattr(choose, "raw", lambda images: choose.REFERENCE)
    values = tuple(
        v.float() if isinstance(v, Tensor) and not v.is_complex() and v.ndim > 2 else v for v in arguments(name, 33)
    )
    inputs = [v for v in values if isinstance(v, Tensor)]
    for v in inputs:
        v.requires_grad_(name in DIFFERENTIABLE)
    outside = tensors(op(name)(*values))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = tensors(op(name)(*values))
        assert torch.is_autocast_enabled("cpu")
        gradients = torch.autograd.grad([t.real.sum() for t in inside], inputs) if name in DIFFERENTIABLE else ()
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(inside, outside, strict=True))
    if gradients:
        expected = torch.autograd.grad([t.real.sum() for t in outside], inputs)
        assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(gradients, expected, strict=True))


def test_autocast_promotes_what_a_network_lowered() -> None:
    """A float32 y meets a bfloat16 image: the data step is float32, and so is the prox of their sum.

    Each gradient keeps the dtype of its argument.
    """
    x, q, y, *rest = (v.float() if isinstance(v, Tensor) and v.ndim == 4 else v for v in arguments("woodbury", 34))
    network, image = torch.nn.Conv2d(x.shape[1], x.shape[1], 1), x.clone()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = network(image)
        new, r = library.woodbury(x, q, y, *rest)
        shrunk = library.soft_threshold(x, 0.1, add=image)
    assert x.dtype == torch.bfloat16 and {new.dtype, r.dtype, shrunk.dtype} == {torch.float32}
    torch.testing.assert_close(new, reference.woodbury(x.float(), q, y, *rest)[0], rtol=1e-5, atol=1e-5)
    (to_x,) = torch.autograd.grad(new.sum() + shrunk.sum(), x, retain_graph=True)
    assert to_x.dtype == torch.bfloat16
    new.sum().backward()
    assert network.weight.grad is not None and network.weight.grad.abs().sum() > 0


def test_solve_of_images_of_two_precisions() -> None:
    x, *rest = arguments("admm", 35, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result, _ = torch.ops.fastip.admm(x.to(torch.bfloat16), *rest)
    assert torch.equal(result, torch.ops.fastip.admm(x.to(torch.bfloat16).float(), *rest)[0])
