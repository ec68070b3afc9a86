"""Generators for the tests.

A linear one, whose projector, restricted eigenvalues and solutions are known exactly, small networks, and small
pictures.
"""

from __future__ import annotations

import math
import os
import signal
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastip import data, nets


class Linear(nets.Generator):
    """x = offset + W z, float64, W with singular values between 0.5 and 2: R(G) is an affine subspace."""

    def __init__(self, shape: tuple[int, int, int] = (1, 12, 12), latent: int = 4, seed: int = 0) -> None:
        super().__init__()
        self.shape, self.latent = shape, latent
        generator = torch.Generator().manual_seed(seed)
        basis, _ = torch.linalg.qr(torch.randn(math.prod(shape), latent, generator=generator, dtype=torch.float64))
        turn, _ = torch.linalg.qr(torch.randn(latent, latent, generator=generator, dtype=torch.float64))
        self.weight = nn.Parameter(basis * torch.linspace(0.5, 2.0, latent, dtype=torch.float64) @ turn)
        self.offset = nn.Parameter(0.1 * torch.randn(math.prod(shape), generator=generator, dtype=torch.float64))
        self.basis = basis  # orthonormal columns that span the range of W
        self.eval().requires_grad_(False)

    def config(self) -> dict[str, Any]:
        return {}

    def draw(self, z: Tensor) -> Tensor:
        return (self.offset + z @ self.weight.T).unflatten(1, self.shape)


class Nearest(nn.Module):
    """The exact projector on the range of a :class:`Linear`, led astray.

    Its answer is ``noise`` away from the nearest image, inside the range and away from ``far``.
    """

    def __init__(self, generator: Linear, noise: float = 0.0, far: Tensor | None = None) -> None:
        super().__init__()
        self.generator, self.noise, self.far = generator, noise, far
        self.shape = generator.shape
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        g = self.generator
        nearest = ((x.flatten(1) - g.offset) @ g.basis @ g.basis.T + g.offset).reshape(x.shape)
        if self.far is None:
            return nearest
        away = nearest - self.far
        return nearest + self.noise * away / away.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]


def restricted(op: Any, generator: Linear) -> tuple[float, float]:
    """The exact alpha and beta: the extreme squared singular values of A on the range."""
    columns = op(generator.basis.T.unflatten(1, generator.shape))
    values = torch.linalg.svdvals(columns.flatten(1)).square()
    return float(values.min()), float(values.max())


def dcgan(seed: int = 0, **changed: Any) -> nets.DCGANGenerator:
    """A small one of random weights that vary from place to place, with running statistics of its own, in eval mode."""
    torch.manual_seed(seed)
    net = nets.DCGANGenerator(**{"size": 28, "width": 3, "latent": 5} | changed)
    return settled(net)


def encoder(seed: int = 1, **changed: Any) -> nets.DCGANEncoder:
    torch.manual_seed(seed)
    return settled(nets.DCGANEncoder(**{"size": 28, "width": 3, "outputs": 5} | changed))


def settled(net: Any) -> Any:
    """The network in eval mode, with larger weights, and statistics of BatchNorm that are not those it began with."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and not hasattr(module, "parametrizations"):
            nn.init.normal_(module.weight, std=0.3)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.normal_(module.bias, std=0.3)
    return net.eval().requires_grad_(False)


def pictures(count: int = 40, size: int = 28, colours: int = 1, seed: int = 0) -> data.Stored:
    """Smooth shades with an edge."""
    generator = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.rand(count, colours, 4, 4, generator=generator), size=(size, size), mode="bicubic")
    edges = torch.where(
        torch.arange(size) < torch.randint(4, size - 4, (count, 1, 1, 1), generator=generator), 0.4, 0.0
    )
    return data.Stored((255 * (0.5 * coarse + edges).clamp(0, 1)).numpy().astype(np.uint8), np.zeros(count))


def same(one: nn.Module, two: nn.Module) -> bool:
    """Whether two networks have the same weights, bit for bit."""
    a, b = one.state_dict(), two.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def stop_at(step: int) -> Any:
    """A report that interrupts this process after so many steps, as Ctrl-C does."""

    def report(done: int, loss: float) -> None:
        if done == step:
            os.kill(os.getpid(), signal.SIGINT)

    return report
