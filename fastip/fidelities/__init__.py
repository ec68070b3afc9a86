"""Fidelities: what stands for ``||y - A x||^2`` in ``fastip.admm(y, op, prior, fidelity=...)``.

``D(A x) + R(x)`` is minimised, D a sum over the data: ``Squares(weights)``, ``Clipped(high, low)``.
"""

from .clipped import Clipped as Clipped
from .saturated import saturated as saturated
from .squares import Squares as Squares
