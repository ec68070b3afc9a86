"""The denoiser that enlarges no distance.

Its bound against dense matrices and against what is found, and a solve that converges because of it.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import fastip
from cases.checks import dense_matrix, noise
from fastip import nets, operators, priors, psf, train
from fastip.data import Stored
from fastip.errors import InvalidInput
from fastip.nets.prior.nonexpansive_denoiser import conv_bound


def made(seed=0, spread=0.5, **options):
    """Random weights of norms well above 1 before they are divided."""
    torch.manual_seed(seed)
    net = nets.NonexpansiveDenoiser(**{"colours": 1, "factor": 2, "width": 8, "depth": 4} | options).double()
    for layer in net.layers:
        torch.nn.init.normal_(layer.weight, std=spread)
        torch.nn.init.normal_(layer.bias)
    return net.eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(6, 7), (14, 3), (16, 16)])
def test_the_bound_is_above_the_norm_and_near_it(size):
    weight = noise((5, 4, 3, 3), seed=size[0])
    norm = torch.linalg.matrix_norm(dense_matrix(lambda x: F.conv2d(x, weight, padding=1), (1, 4, *size)), 2)
    assert norm <= conv_bound(weight)
    periodic = F.pad(weight, (0, 13, 0, 13))
    exact = torch.linalg.matrix_norm(torch.fft.fft2(periodic).permute(2, 3, 0, 1), 2).max()
    assert (
        exact
        <= conv_bound(weight)
        < 1.02 * torch.linalg.matrix_norm(torch.fft.fft2(weight, s=(256, 256)).permute(2, 3, 0, 1), 2).max()
    )


def test_enforce_makes_it_firmly_nonexpansive():
    net = made()
    assert net.bound() > 2
    assert net.enforce() <= 1 + 1e-12 and net.bound() <= 1 + 1e-12
    for k in range(20):
        scale = 10.0 ** -(k % 4)
        a = noise((1, 1, 9, 11), seed=k)
        b = a + scale * noise((1, 1, 9, 11), seed=100 + k)
        moved = net(a) - net(b)
        assert moved.square().sum() <= (moved * (a - b)).sum() + 1e-12


def test_half_a_rotation_is_as_firm_as_can_be():
    """Weights that turn the channels of each pixel without a change of length.

    <D(a) - D(b), a - b> = |D(a) - D(b)|^2 where no pair changes its order.
    """
    net = made(width=4, depth=3, spread=0.0)
    for k, layer in enumerate(net.layers):
        layer.weight[:, :, 1, 1] = torch.linalg.qr(noise((4, 4), seed=k))[0]
    assert 1 <= net.bound() < 1.04
    a = noise((1, 1, 8, 8))
    moved = net(a + 1e-7 * noise(a.shape, seed=5)) - net(a)
    assert moved.square().sum() == pytest.approx(float((moved * noise(a.shape, seed=5)).sum() * 1e-7), rel=1e-4, abs=0)


def test_the_constant_that_is_found_is_below_the_bound():
    """Power iteration on the Jacobian of N, without enforcing: the bound holds for any weights."""
    net = made(spread=0.2)
    v = noise((1, 1, 12, 12))
    jacobian = torch.func.jacrev(lambda z: 2 * net(z) - z)(v).reshape(144, 144)
    found = float(torch.linalg.matrix_norm(jacobian, 2))
    assert 0.05 * net.bound() < found <= net.bound()


def test_training_keeps_it_near_one_and_makes_it_denoise():
    x = torch.nn.functional.interpolate(
        torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0)), size=(16, 16), mode="bicubic"
    ).clamp(0, 1)
    pictures = Stored((255 * x).numpy().astype(np.uint8), np.zeros(40))
    torch.manual_seed(0)
    net = train.prior(
        nets.NonexpansiveDenoiser(colours=1, width=16, depth=3),
        pictures,
        noise=0.1,
        steps=120,
        learning_rate=1e-2,
        average=0.9,
    ).net
    assert net.bound() < 1.5
    assert net.enforce() <= 1 + 1e-5
    v = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    assert (net(v) - x).square().mean() < 0.6 * (v - x).square().mean()


def test_the_solver_converges_with_it():
    """At every beta, to one image from any start; with its weights three times larger it does not."""
    op = operators.Blur(psf.gaussian(5, sigma=1.2).double(), stride=2)
    net = made(spread=0.5)
    net.enforce()
    y = op(noise((1, 1, 12, 14)))

    def change(net, beta, iterations=600):
        x = fastip.admm(y, op, priors.PixelShuffleAutoencoder(net), beta=beta, iterations=iterations, tolerance=0)
        after = fastip.admm(y, op, priors.PixelShuffleAutoencoder(net), beta=beta, iterations=1, tolerance=0, init=x)
        return float((after.x - x.x).norm() / x.x.norm())

    assert max(change(net, beta) for beta in (1e-2, 1e-1, 1.0)) < 1e-5
    for layer in net.layers:
        layer.weight.mul_(3.0)
    assert not change(net, 1e-1) < 1e-2


def test_an_odd_width_is_refused():
    with pytest.raises(InvalidInput, match="even"):
        nets.NonexpansiveDenoiser(width=7)
