"""What clipped data are worth: a picture with highlights beyond white, blurred, clipped there, and restored."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import fastip
from cases.checks import noise
from fastip import fidelities, operators, priors, psf

LIGHT = priors.Box(0.0, float("inf"))


def scene(size: int = 48) -> Tensor:
    """Lamps of up to three times white before a dark wall with patches, 1 2 size size."""
    x = torch.full((1, 2, size, size), 0.1, dtype=torch.float64)
    random = torch.Generator().manual_seed(3)
    for k in range(20):
        i, j = (int(torch.randint(0, size - 6, (1,), generator=random)) for _ in range(2))
        side, value = (9, 0.6) if k < 10 else (6, 2.0 + k / 20)
        x[:, :, i : i + side, j : j + side] = value * torch.rand(1, 2, 1, 1, generator=random).clamp(min=0.6)
    return x


def psnr(x: Tensor, truth: Tensor) -> float:
    return float(-10 * (x - truth).square().mean().log10())


def test_highlights_come_back() -> None:
    truth = scene()
    op = operators.Blur(psf.motion(9, angle=30), boundary="valid")
    y = op(truth)
    y = (y + 0.01 * noise(y.shape, seed=2)).clamp(0, 1)
    assert 0.1 < float((y >= 1).double().mean()) < 0.2

    def best(fidelity: Any) -> Tensor:
        solved = (
            fastip.admm(y, op, priors.TV(weight) + LIGHT, fidelity=fidelity, iterations=250, tolerance=1e-3)
            for weight in (1e-3, 3e-3, 1e-2)
        )
        return max((found.x for found in solved), key=lambda x: psnr(x, truth))

    plain, clipped = best(None), best(fidelities.Clipped(high=1.0))
    assert psnr(clipped, truth) > psnr(plain, truth) + 5.5
    # as a file has it, too
    assert psnr(clipped.clamp(0, 1), truth.clamp(0, 1)) > psnr(plain.clamp(0, 1), truth.clamp(0, 1)) + 4
    # and what is bright comes above white
    assert clipped[truth > 1.5].mean() > 1.4 > plain[truth > 1.5].mean()
    grouped = best(fidelities.Clipped(fidelities.saturated(y)))
    assert psnr(grouped, truth) > psnr(plain, truth) + 5.5
