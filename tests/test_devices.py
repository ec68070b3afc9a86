"""Data on a GPU stay there.

Every operator, inverse and prior on a pretended device, with what would make the host wait for a real one counted.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cases.checks import data_for, image_for, noise, relative
from cases.devices import BETA, INVERSES, SINGLE, net_of, quiet, same
from cases.gpu import plain_float32 as plain_float32
from cases.operators import Case, operator_cases
from cases.pretended import CUDA, ours, pretended
from cases.priors import CASES as PRIORS
from cases.priors import SHAPE, network
from fastip import inverses, nets, operators, priors
from fastip.operators import psf

# ---- the instrument --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "act",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x.cpu(),
        lambda x: torch.zeros(3).to(x),
        lambda x: x[x > 0],
        lambda x: x[torch.tensor([0, 1])],
        lambda x: torch.tensor(2.0, device=x.device),
        lambda x: x.copy_(torch.zeros(3)),
        lambda x: torch.equal(x, x),
        lambda x: torch.linalg.cholesky(torch.outer(x, x) + 9 * torch.eye(3, device=x.device)),
    ],
)
def test_what_waits_is_seen(act: Callable[[Tensor], Any]) -> None:
    with pretended() as gpu:
        x = gpu.put(torch.tensor([1.0, -2.0, 3.0]))
        assert not gpu.waits
        act(x)
        assert gpu.waits


@pytest.mark.parametrize(
    "act", [lambda x: x.tolist(), lambda x: x.nonzero(), lambda x: x.numpy(), lambda x: x.data_ptr()]
)
def test_what_cannot_be_pretended_is_refused(act: Callable[[Tensor], Any]) -> None:
    with pretended() as gpu, pytest.raises(RuntimeError):
        act(gpu.put(torch.ones(3)))


@pytest.mark.parametrize(
    "act",
    [
        lambda x: x + torch.zeros(3),
        lambda x: torch.cat([x, torch.zeros(1)]),
        lambda x: x.index_select(0, torch.tensor([0])),
    ],
)
def test_two_devices_are_refused(act: Callable[[Tensor], Any]) -> None:
    with pretended() as gpu, pytest.raises(RuntimeError, match="same device"):
        act(gpu.put(torch.ones(3)))


def test_arithmetic_waits_for_nothing() -> None:
    with pretended() as gpu:
        x = gpu.put(torch.tensor([1.0, -2.0, 3.0]))
        y = torch.where(x > 0, 2 * x, torch.zeros_like(x)) + torch.arange(3, device=x.device)
        y[1:] = 5.0
        assert not gpu.waits and gpu.get(y).tolist() == [2.0, 5.0, 5.0]
        y.index_add(0, torch.zeros(1, dtype=torch.int64, device=x.device), x[:1])
        assert gpu.atomics


# ---- operators -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", operator_cases(), ids=lambda case: case.id)
def test_operators(case: Case) -> None:
    op = case.make(torch.float32)
    if isinstance(op, (operators.Sparse, operators.Module)) or "non-uniform" in case.id:
        pytest.skip("the pretended device has neither sparse matrices, gradients of networks nor FINUFFT")
    x, y = image_for(op, case.input_shape, torch.float32), data_for(op, case.input_shape, torch.float32)
    with pretended() as gpu:
        far_x, far_y = gpu.put(x), gpu.put(y)
        forward, adjoint = quiet(gpu, lambda: op(far_x)), quiet(gpu, lambda: op.adjoint(far_y))
        same(gpu, forward, op(x))
        same(gpu, adjoint, op.adjoint(y))


def test_parameters_may_come_from_anywhere() -> None:
    taps = psf.gaussian(5, sigma=1.1)
    with pretended() as gpu:
        op = operators.Blur(gpu.put(taps)) @ operators.Mask(gpu.put(torch.ones(6, 7)))
        assert op.left.psf.device.type == "cpu" and torch.equal(op.left.psf, taps)


# ---- inverses --------------------------------------------------------------------------------------------------------


def test_every_inverse_is_here() -> None:
    shown = [getattr(inverses, name) for name in dir(inverses)]
    public = {kind for kind in shown if inspect.isclass(kind) and callable(getattr(kind, "bind", None))}
    assert public == {type(bound.inverse) for bound in INVERSES.values()}


@pytest.mark.parametrize("name", INVERSES)
def test_inverses(name: str) -> None:
    inverse, op, shape, looks = INVERSES[name]
    x, y = image_for(op, shape, torch.float32), data_for(op, shape, torch.float32)
    near = inverse.bind(op, y, BETA)
    with pretended() as gpu:
        far_x = gpu.put(x)
        step = inverse.bind(op, gpu.put(y), BETA)
        same(gpu, step.guess(), near.guess(), 1e-3)
        same(gpu, step.start(), near.start(), 1)
        same(gpu, step.size, near.size)
        q, expected = step.start(), near.start()
        if looks:
            new, r = step(far_x, q)
        else:
            new, r = quiet(gpu, lambda: step(far_x, q))
            quiet(gpu, lambda: step.pull(new))
            quiet(gpu, lambda: step.norm(r))
        near_new, near_r = near(x, expected)
        same(gpu, new, near_new, 1e-3)
        same(gpu, r, near_r, 1e-3)
        same(gpu, step.pull(new), near.pull(near_new), 1e-3)
        same(gpu, step.norm(r), near.norm(near_r), 1e-3)


def test_only_an_inner_loop_looks() -> None:
    inverse, op, shape, _ = INVERSES["conjugate-data"]
    with pretended() as gpu:
        step = inverse.bind(op, gpu.put(data_for(op, shape, torch.float32)), BETA)
        gpu.waits.clear()
        step(gpu.put(image_for(op, shape, torch.float32)), step.start())
        assert {event.place.split(":")[0] for event in ours(gpu.waits)} == {"inverses/conjugate_gradient.py"}


# ---- priors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case, per_channel",
    [(case, several) for case in PRIORS for several in (False, True)[: 1 + (case.weighted and case.channels)]],
    ids=str,
)
def test_priors(case: Any, per_channel: bool) -> None:
    """A weight per channel stays on the CPU, where it was made: it is moved once."""
    weight = torch.tensor([0.02, 0.03, 0.01], dtype=torch.float64).reshape(1, 3, 1, 1) if per_channel else 0.02
    prior, v = case.make(weight), noise(SHAPE, torch.float32)
    near = prior if not hasattr(prior, "net") else priors.PixelShuffleAutoencoder(network().float(), sigma=0.1)
    expected = near.bind(v, operators.Identity())
    with pretended() as gpu:
        far = gpu.put(v)
        prior = (
            near if not hasattr(near, "net") else priors.PixelShuffleAutoencoder(network().float().to(CUDA), sigma=0.1)
        )
        bound = prior.bind(far, operators.Identity())
        same(gpu, quiet(gpu, lambda: bound(far, 0.4)), [expected(v, 0.4) for _ in range(2)][1])


def test_a_network_in_tiles() -> None:
    net = net_of(nets.PixelShuffleAutoencoder, colours=1, widths=(4,), blocks=(1,))
    torch.nn.init.normal_(net.tail.weight, std=0.1, generator=torch.Generator().manual_seed(3))
    v = noise((2, 1, 40, 37), torch.float32)
    near = nets.Tiled(net, tile=nets.Tiled.smallest(net))(v, None, 0.1)
    with pretended() as gpu:
        tiled, far = nets.Tiled(net, tile=nets.Tiled.smallest(net)).to(CUDA), gpu.put(v)
        same(gpu, quiet(gpu, lambda: tiled(far, None, 0.1)), near)


# ---- on a real device ------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.parametrize("case", operator_cases(), ids=lambda case: case.id)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_operators_on_a_gpu(case: Case, dtype: torch.dtype) -> None:
    op = case.make(dtype)
    x, y = image_for(op, case.input_shape, dtype), data_for(op, case.input_shape, dtype)
    tolerance = SINGLE if dtype == torch.float32 else 1e-12
    for far, near in ((op(x.to("cuda")), op(x)), (op.adjoint(y.to("cuda")), op.adjoint(y))):
        assert far.is_cuda and far.dtype == near.dtype and relative(far.cpu(), near) < tolerance


@pytest.mark.gpu
@pytest.mark.parametrize("name", INVERSES)
def test_inverses_on_a_gpu(name: str) -> None:
    inverse, op, shape, _ = INVERSES[name]
    x, y = image_for(op, shape, torch.float32), data_for(op, shape, torch.float32)
    near, far = inverse.bind(op, y, BETA), inverse.bind(op, y.to("cuda"), BETA)
    for a, b in zip(far(x.to("cuda"), far.start()), near(x, near.start()), strict=True):
        assert a.is_cuda and relative(a.cpu(), b) < 1e-3
