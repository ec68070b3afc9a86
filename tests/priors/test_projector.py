"""Projector: what it does in a solve, precisions, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fastip
from cases.generators import Linear, Nearest, dcgan, encoder
from fastip import nets, operators, priors
from fastip.errors import InvalidInput, Unsupported


def projector() -> nets.Projector:
    return nets.Projector(dcgan(), encoder()).eval()


def test_the_prox_is_the_network_whatever_the_step() -> None:
    net, v = projector(), torch.rand(3, 1, 28, 28)
    bound = priors.Projector(net).bind(v, operators.Identity())
    assert torch.equal(bound(v, 0.1), net(v)) and torch.equal(bound(v, 7.0), net(v)) and bound.pointwise() is None


def test_weights_of_another_precision() -> None:
    net, v = projector(), torch.rand(2, 1, 28, 28, dtype=torch.float64)
    x = priors.Projector(net).bind(v, operators.Identity())(v, 1.0)
    assert x.dtype == torch.float64
    torch.testing.assert_close(x, net(v.float()).double(), rtol=0, atol=0)
    wide = net.double()
    x = priors.Projector(wide).bind(v.float(), operators.Identity())(v.float(), 1.0)
    assert x.dtype == torch.float32
    torch.testing.assert_close(x, wide(v.float().double()).float(), rtol=0, atol=0)


def test_admm_and_pgd_take_it() -> None:
    """With an exact projector both find the image of a linear generator that gives the data."""
    generator = Linear(latent=3)
    truth = generator.sample(2, seed=1)
    op = operators.Dense(
        torch.randn(40, 144, generator=torch.Generator().manual_seed(0), dtype=torch.float64), image_shape=(1, 12, 12)
    )
    prior = priors.Projector(Nearest(generator))
    y = op(truth)
    for solution in (
        fastip.admm(y, op, prior, beta=5.0, iterations=300, tolerance=0),
        fastip.pgd(y, op, prior, iterations=1500, tolerance=0),
    ):
        torch.testing.assert_close(solution.x, truth, rtol=0, atol=1e-7)


def test_gradients_reach_the_network() -> None:
    net = nn.Conv2d(1, 1, 3, padding=1).double().eval()
    v = torch.rand(1, 1, 5, 6, dtype=torch.float64)
    y = operators.Downsample(2)(torch.rand(1, 1, 6, 8, dtype=torch.float64))
    x = fastip.npgd(y, operators.Downsample(2), priors.Projector(net), iterations=3, tolerance=0).x
    gradients = torch.autograd.grad(x.square().sum(), list(net.parameters()))
    assert all(g.abs().max() > 0 for g in gradients)
    assert torch.autograd.gradcheck(
        lambda a: priors.Projector(net).bind(v, operators.Identity())(a, 1.0), v.requires_grad_()
    )


def test_what_is_refused() -> None:
    net, v = projector(), torch.rand(2, 1, 28, 28)
    for stranger in (torch.clone, None, nets.Projector, "digits.safetensors"):
        with pytest.raises(InvalidInput, match="expected a network"):
            priors.Projector(stranger)  # type: ignore[arg-type]
    for wrong in (torch.rand(2, 3, 28, 28), torch.rand(1, 1, 28, 27)):
        with pytest.raises(InvalidInput, match="this Projector projects images"):
            priors.Projector(net).bind(wrong, operators.Identity())
    with pytest.raises(InvalidInput, match="b c h w"):
        priors.Projector(nn.Linear(7, 7).eval()).bind(torch.rand(2, 7), operators.Dense(torch.eye(7)))
    with pytest.raises(InvalidInput, match=r"\(2, 1, 26, 26\).*expected the same shape"):
        priors.Projector(nn.Conv2d(1, 1, 3).eval()).bind(v, operators.Identity())(v, 1.0)
    with pytest.raises(InvalidInput, match=r"training mode.*eval\(\)"):
        priors.Projector(net.train()).bind(v, operators.Identity())
    with pytest.raises(Unsupported, match="prox alone"):
        priors.Projector(net).value(v)
