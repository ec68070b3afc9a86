"""Small problems that the tests of inverses and solvers share, and independent answers to them."""

from __future__ import annotations

import torch
from torch import Tensor

from fastip import operators
from fastip.operators import psf


def spikes(*shape: int, seed: int = 0, density: float = 0.05) -> Tensor:
    """A sparse image, float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64) * (
        torch.rand(*shape, generator=generator, dtype=torch.float64) < density
    )


def observe(op: operators.Operator, x: Tensor, noise: float = 0.01, seed: int = 1) -> Tensor:
    """A x + noise."""
    clean = op(x)
    return clean + noise * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed), dtype=clean.dtype)


def matrix(op: operators.Operator, input_shape: tuple[int, ...]) -> Tensor:
    """A as a dense matrix, column by column, for a batch of one; float64."""
    size = torch.Size(input_shape[1:]).numel()
    columns = [op(e.reshape(1, *input_shape[1:])).flatten() for e in torch.eye(size, dtype=torch.float64)]
    return torch.stack(columns, dim=1)


def objective(op: operators.Operator, y: Tensor, x: Tensor, l1: float) -> float:
    """||y - A x||^2 + l1 ||x||_1 over the batch, in float64."""
    x, y = x.double(), y.double()
    return ((y - op(x)).square().sum() + l1 * x.abs().sum()).item()


def fista(op: operators.Operator, y: Tensor, l1: float, norm: float, iterations: int = 6000) -> Tensor:
    """The minimiser of ||y - A x||^2 + l1 ||x||_1 by accelerated proximal gradient with restart.

    Shares nothing with ADMM but A and its adjoint.
    """
    y = y.double()
    step = 1 / (2 * norm**2)
    x = v = torch.zeros_like(op.adjoint(y))
    t = 1.0
    for _ in range(iterations):
        u = v - step * 2 * op.adjoint(op(v) - y)
        x_new = torch.sign(u) * (u.abs() - step * l1).clamp(min=0)
        t_new = (1 + (1 + 4 * t * t) ** 0.5) / 2
        if ((v - x_new) * (x_new - x)).sum() > 0:
            t_new = t = 1.0
        v = x_new + (t - 1) / t_new * (x_new - x)
        x, t = x_new, t_new
    return x


def gaussian(stride: int, boundary: str, sigma: float = 1.6) -> operators.Blur:
    return operators.Blur(psf.gaussian(9, sigma=sigma), stride=stride, boundary=boundary)


def motion(boundary: str) -> operators.Blur:
    return operators.Blur(psf.motion(9, 45), boundary=boundary)
