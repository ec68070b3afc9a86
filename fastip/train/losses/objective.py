"""What a trained inverse minimises, and the noise that it is trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ... import nets
from ...contracts import LinearOperator
from ..engine import schedule

InverseNet = nets.InverseNet | nets.PaperInverseNet


class Objective(nn.Module):
    """How far the net C is from B, in the mean over noise e.

    For a linear net the first, for another the second, where p = 1::

        (mean ((I - C B^-1)^p e)^2)^(1/p)
        mean (e - C B^-1 e)^2 + mean (e - B^-1 C e)^2

    For a symmetric C, as a linear net is, the second's two terms have the same expectation, and one is left out.
    Called with e (b c h w), beta (a number or (b,)) and p; returns the loss. ``scale`` s: the net fits s B, so that
    it starts near the right size whatever ``||A||`` and beta are; divide it by s in the end.
    """

    def __init__(self, net: InverseNet, op: LinearOperator, scale: float = 1.0) -> None:
        super().__init__()
        self.net, self.op = net, op
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))
        self.scale: Tensor

    def forward(self, e: Tensor, beta: float | Tensor, power: int) -> Tensor:
        if self.net.linear:
            for _ in range(power):
                e = e - self.net(self.inverse(e, beta), beta).to(e)
            return e.square().mean() ** (1 / power)
        first = e - self.net(self.inverse(e, beta), beta).to(e)
        second = e - self.inverse(self.net(e, beta).to(e), beta)
        return first.square().mean() + second.square().mean()

    def inverse(self, e: Tensor, beta: float | Tensor) -> Tensor:
        """B^-1 e / s."""
        scale = self.scale.to(e)
        weight = beta.to(e)[:, None, None, None] if isinstance(beta, Tensor) else beta
        return (weight * e + self.op(self.op.adjoint(e))) / scale

    def suit(self, e: Tensor, beta: float | Tensor) -> None:
        """Choose s so that the loss on e is minimal over a factor of C.

        It is ``||C B^-1 e||^2 / <e, C B^-1 e>`` for s = 1.
        """
        with torch.no_grad():
            image = self.net(self.inverse(e, beta), beta)
            along = float((e * image).sum())
        if along > 0:
            self.scale /= along / float(image.square().sum())


@dataclass(frozen=True)
class Noise:
    """e ~ N(0, I), beta and p of a step, drawn from (seed, step, rank) alone.

    Args:
        shape: b c h w of e.
        beta: (low, high), from which each image has a log-uniform number; one number where both are the same.
        seed: Of e and beta.
        steps: Of the whole training, by which p rises.
        power: The last p.
    """

    shape: tuple[int, int, int, int]
    beta: tuple[float, float]
    seed: int
    steps: int
    power: int

    def __call__(self, step: int, rank: int) -> tuple[Tensor, float | Tensor, int]:
        generator = torch.Generator().manual_seed(schedule.stream(self.seed, step, rank))
        e = torch.randn(self.shape, generator=generator)
        low, high = self.beta
        power = schedule.power(step, self.steps, self.power)
        if low == high:
            return e, low, power
        along = torch.rand(self.shape[0], generator=generator)
        return e, (math.log(low) + along * math.log(high / low)).exp(), power
