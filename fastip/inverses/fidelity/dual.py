"""The data step of another data term as a prox: line one for any operator, with a number or a diagonal for A A^T."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from ...arrays import accumulator
from ...contracts import BoundFidelity, Fidelity, LinearOperator
from ...contracts import Scalar as Number
from ...placement import placed
from ...stopping import per_image
from ...tracing import real_dtype
from ..certificate import LIMIT, weights
from ..exact import Exact
from ..general.bounded import Diagonal, Scalar
from ..steps import DataStep

# Of the largest bound of A A^T: data that see less than this step no further, so that sigma stays an ordinary number.
FAINT = 1e-6


class FidelityDual:
    """``D(A x) + R(x)`` with the dual of the data alone, whatever A is.

    L bounds A A^T, a number or a diagonal::

        q' = -prox_{sigma D*}(-2 beta q + sigma A x) / 2 beta        sigma = 0.98 * 2 beta / ((a - a^2 / 4) L)

    and for squares with weights W, with a step that is a little longer::

        q' = q + C (W (y - A x) - beta q)        C = 0.98 / (a beta / 2 + (a - a^2 / 4) L W)

    With Exact, A A^T the diagonal L itself, ``C = 1 / (beta + L W)``.

    Args:
        inverse: Scalar, Diagonal, or Exact, which says what L is.
        fidelity: D.
    """

    def __init__(self, inverse: Scalar | Diagonal | Exact, fidelity: Fidelity) -> None:
        self.inverse, self.fidelity = inverse, fidelity

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> TermStep:
        y = self.fidelity.known(y)
        term = self.fidelity.bind(y, accumulator(real_dtype(y.dtype)))
        own, gram = weights(beta, relaxation)
        if isinstance(self.inverse, Exact):
            bound, how = diagonal(self.inverse, op, y), "exact, pointwise"
            c = 1 / (beta + bound * _weights(term))
            return TermStep(op, y, beta, c, bound, term, f"{how}, {self.fidelity.describe()}")
        bound = self.inverse.bound(op, y)
        how = "a number by the norm of A" if isinstance(bound, float) else "a number for each datum by the entries of A"
        if self.fidelity.quadratic:
            c = LIMIT / (own + gram * bound * _weights(term))
            return TermStep(op, y, beta, c, bound, term, f"{how}, {self.fidelity.describe()}")
        limits = _at_least(bound)
        sigma = LIMIT * 2 * beta / (gram * limits)
        return ProxStep(op, y, beta, sigma, limits, term, f"a prox in line one, {how}, {self.fidelity.describe()}")


def diagonal(inverse: Exact, op: LinearOperator, y: Tensor) -> Tensor | float:
    """A A^T, which is a number or a diagonal, in the precision of y."""
    known = inverse.structure(op, y)
    assert known is not None
    structure = known[1]
    if isinstance(structure, Number):
        return structure.value
    return placed(structure.values, y.device).to(accumulator(real_dtype(y.dtype)))  # type: ignore[union-attr]


def _weights(term: BoundFidelity) -> Tensor | float:
    return 1.0 if term.weights is None else term.weights


def _at_least(bound: Tensor | float) -> Tensor | float:
    if isinstance(bound, Tensor):
        largest = bound.amax()
        return bound.clamp_min(FAINT * torch.where(largest > 0, largest, torch.ones_like(largest)))
    return bound or 1.0


class TermStep(DataStep):
    """:class:`FidelityDual` of squares with weights in one solve, and what all such steps share.

    Half precision goes through float32; the dual is of the shape of the data.

    Args:
        op: A.
        y: The data.
        beta: The penalty.
        c: C.
        bound: L.
        term: D.
        description: For people.
    """

    inverts = False

    def __init__(
        self,
        op: LinearOperator,
        y: Tensor,
        beta: float,
        c: Tensor | float,
        bound: Tensor | float,
        term: BoundFidelity,
        description: str,
    ) -> None:
        super().__init__(op, y, beta, lambda r: c * r, description)
        self._term, self._limits = term, _at_least(bound)

    def _seen(self, x: Tensor) -> Tensor:
        """A x in the precision of the term."""
        return self.op(x).to(self._term.y.dtype)

    def start(self, x: Tensor | None = None) -> Tensor:
        return torch.zeros_like(self._term.y)

    def guess(self) -> Tensor:
        """``A^T y / L``, each datum as it counts beside the others."""
        a = self._term.weights
        shares = 1.0 if a is None else a / a.amax()
        return self.pull(self._term.least * shares / self._limits)

    def pull(self, q: Tensor) -> Tensor:
        return self.op.adjoint(q.to(self.y.dtype))

    def residual(self, x: Tensor, q: Tensor) -> Tensor:
        """``-D'(A x) / 2 - beta q``."""
        return torch.sub(self._term.slope(self._seen(x)), q, alpha=self.beta)

    def pending(self, r: Tensor) -> Tensor:
        return super().pending(r.to(self.y.dtype))

    @functools.cached_property
    def floor(self) -> Tensor:
        """``||A^T D'(0)|| / 2``, which of squares is ``||A^T y||``."""
        return per_image(self.pull(self._term.pulled))

    def misfit(self, x: Tensor) -> Tensor:
        """D(A x), beyond its least."""
        return self._term.value(self._seen(x))

    def why_unfused(self) -> str:
        return f"no fused solve has this data term (it is: {self.describe()})"


class ProxStep(TermStep):
    """:class:`FidelityDual` of any D in one solve.

    Args:
        op: A.
        y: The data.
        beta: The penalty.
        sigma: The step of the dual, a number or one for each datum.
        bound: L.
        term: D.
        description: For people.
    """

    def __init__(
        self,
        op: LinearOperator,
        y: Tensor,
        beta: float,
        sigma: Tensor | float,
        bound: Tensor | float,
        term: BoundFidelity,
        description: str,
    ) -> None:
        super().__init__(op, y, beta, sigma / (2 * beta), bound, term, description)
        self._sigma = sigma
        self.smooth = term.smooth

    def __call__(self, x: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """(q', u - A x), q' being ``-D'(u) / 2 beta``."""
        nu = self._term.conjugate(self._sigma * self._seen(x) - 2 * self.beta * q, self._sigma)
        new = nu / (-2 * self.beta)
        return new, (new - q) * (2 * self.beta / self._sigma)

    def optimality(
        self, x: tuple[Tensor, Tensor], q: tuple[Tensor, Tensor], pulled: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of a D that is not smooth, with nu = -2 beta q' a slope of it where q' was found.

        Returns:
            ``beta ||x - x' + A^T (q' - q)||``, ``D(A x') + D*(nu) - <nu, A x'>`` and what D comes to where nothing is
            seen, per image.
        """
        moved = x[0] - x[1] + pulled - self.pull(q[1])
        apart = self._term.apart(self._seen(x[1]), -2 * self.beta * q[1])
        return self.beta * per_image(moved), apart.flatten(1).sum(dim=1), self._term.whole()
