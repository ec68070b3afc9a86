"""The data step of another data term than ``||y - A x||^2``: the second split again, with the prox of D in it."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from ...contracts import Fidelity, LinearOperator
from ...kernels.split_reference import corner
from ...stopping import per_image
from ..split import Split, SplitStep, planned, reached, spread


class FidelitySplit:
    """:class:`fastip.inverses.Split` for ``D(A x) + R(x)``: its u' is ``argmin_u D(M u) + e ||u - (2 H X - s)||^2``.

    D may be any convex function of each datum by itself, and convergence is that of the split. data_beta None is 0.1
    times the largest squared weight of a datum, times what D is beside squares.

    Args:
        split: The inverse, with its data_beta.
        fidelity: D.
        stiff: What D is at the data, beside squares: its curvature, and more where its slope jumps.
    """

    def __init__(self, split: Split, fidelity: Fidelity, stiff: float) -> None:
        self.split, self.fidelity, self.stiff = split, fidelity, stiff

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> FidelityStep:
        y = self.fidelity.known(y)
        numbers = planned(op, y, self.split.data_beta, self.stiff)
        return FidelityStep(self.fidelity, op, y, beta, *numbers, warm=self.split.warm)


class FidelityStep(SplitStep):
    """:class:`FidelitySplit` in one solve.

    Args:
        fidelity: D.
        step: What a SplitStep takes.
        warm: Steps of the second split alone at the start.
    """

    def __init__(self, fidelity: Fidelity, *step: Any, warm: int = 0) -> None:
        super().__init__(*step, warm=warm)
        self._fidelity, self._term = fidelity, fidelity.bind(self.y, self._seen.dtype)
        self._nothing = torch.zeros_like(self._seen)
        self.smooth = self._term.smooth

    def _taken(self, wide: Tensor) -> Tensor:
        """The pixels of the grid at which there are data: a view."""
        return wide[corner(self.y.shape[2:], self._stride)]

    def _counted(self) -> tuple[Tensor, Tensor]:
        weights = self._term.weights
        if weights is None:
            return self.op.adjoint(self._term.least.to(self.y.dtype)), self._reach
        seen = (self._weights.square() * weights).expand(-1, -1, *self.y.shape[2:])
        reach = reached(spread(seen, self._stride, self._grid), self._magnitudes)
        return self.op.adjoint(weights * self._term.least), self._cut(reach)

    def _agreed(self, blurred: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """(0, u'): ``argmin_u D(M u) + e ||u - v||^2`` for v = 2 H X - s."""
        ahead = torch.sub(blurred, s - blurred)
        found = ahead.clone()
        self._taken(found).copy_(self._term.prox(self._taken(ahead), self._weights, self.data_beta))
        return self._nothing, found

    def _misfitted(self, blurred: Tensor) -> Tensor:
        """``-M D'(M H x) / 2``, which of squares is M (y - M H x)."""
        slope = self._term.slope(self._weights * self._taken(blurred))
        return spread(self._weights * slope, self._stride, self._grid)

    def optimality(
        self, x: tuple[Tensor, Tensor], q: tuple[Tensor, Tensor], pulled: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of a D that is not smooth, with nu its slope at M u', ``M nu = 2 e (H X - s')``.

        Returns:
            ``||beta (x - x' + 2 p' - p) + A^T nu / 2||``, ``D(A x') + D*(nu) - <nu, A x'>`` and what D comes to where
            nothing is seen, per image.
        """
        p, new = q[0][:, 0], q[1][:, 0]
        beside = self._wide(self._cut(new)) - new
        mixed = self._wide(x[0] + self._cut(new - p)) + beside  # X
        slope = 2 * self.data_beta * self._taken(self._convolved(mixed) - q[1][:, 1])
        back = self._spectrum.conj() * self._spectra(spread(slope, self._stride, self._grid))
        back = self._cut(self._pixels(back))
        error = self.beta * (x[0] - x[1] + pulled) + 0.5 * back
        seen = self._weights != 0
        nu = torch.where(seen, slope / torch.where(seen, self._weights, 1.0), 0.0)
        apart = self._term.apart(self.op(x[1]).to(nu.dtype), nu)
        apart = torch.where(seen, apart, torch.zeros_like(apart))
        return per_image(error), apart.flatten(1).sum(dim=1), self._term.whole()

    @functools.cached_property
    def floor(self) -> Tensor:
        """``||A^T D'(0)|| / 2``, which of squares is ``||A^T y||``."""
        return per_image(self.op.adjoint(self._term.pulled))

    def misfit(self, x: Tensor) -> Tensor:
        """D(A x), beyond its least."""
        return self._term.value(self.op(x).to(self._term.y.dtype))

    def describe(self) -> str:
        return f"{super().describe()}, {self._fidelity.describe()}"
