"""The stop rule and the guard.

A solve stops when ``||y - A x - beta q|| <= tol ||y||`` and ``||x' - x|| <= tol max(||x||, ||x'||)`` for every image of
the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .arrays import accumulator
from .contracts import Status

# Iterations between looks: what a fused kernel runs on a plane while it is in cache. More run a solve further past its
# tolerance; fewer cost more passes through memory and more waits for a GPU.
EVERY = 5
# Iterations over which a growing data residual means an unstable inverse. Fewer would stop sound solves whose residual
# grows for a while; more let a diverging one run on.
PATIENCE = 20


def per_image(values: Tensor) -> Tensor:
    """Euclidean norm of each image of the batch, shape (b,); float32 for half precision."""
    return torch.linalg.vector_norm(values.detach().flatten(1), dim=1, dtype=accumulator(values.dtype))


def relative_change(x: Tensor, x_new: Tensor) -> Tensor:
    """``||x_new - x|| / max(||x||, ||x_new||)`` per image, shape (b,); absolute where both are zero."""
    size = per_image(x).maximum(per_image(x_new))
    return per_image(x_new.detach() - x.detach()) / torch.where(size > 0, size, torch.ones_like(size))


class StopRule:
    """Judges the two ratios every ``EVERY`` iterations and at the last one.

    Converged when both are <= tolerance for every image; unstable when one is not finite, or when a data ratio above 1
    has grown for ``PATIENCE`` iterations (below 1 it may grow for a while in a sound solve).

    Args:
        tolerance: >= 0; zero never looks, so that exactly ``iterations`` are run.
        iterations: The most that are run, >= 1.
    """

    def __init__(self, tolerance: float, iterations: int) -> None:
        self.tolerance, self.iterations = tolerance, iterations
        self.history: list[Tensor] = []
        self._growing = 0

    def due(self, iteration: int) -> bool:
        """Whether to look after this iteration, counted from 1."""
        return self.tolerance > 0 and (iteration % EVERY == 0 or iteration == self.iterations)

    def judge(self, ratios: Tensor) -> Status | None:
        """Record the ratios (2 x b: data, change) and return a status when the solve is over.

        A GPU is waited for here and nowhere else in a solve: once a look, for the ratios, which are judged on the CPU.
        """
        ratios = ratios.cpu()
        grown = bool(self.history) and bool(((ratios[0] > self.history[-1][0]) & (ratios[0] > 1)).any())
        self._growing = self._growing + 1 if grown else 0
        self.history.append(ratios)
        if not bool(torch.isfinite(ratios).all()) or self._growing * EVERY >= PATIENCE:
            return Status.UNSTABLE
        return Status.CONVERGED if bool((ratios <= self.tolerance).all()) else None

    def residuals(self, images: int) -> Tensor:
        """All looks so far: checks x 2 x b, float64 on the CPU."""
        return torch.stack(self.history).double() if self.history else torch.zeros(0, 2, images, dtype=torch.float64)
