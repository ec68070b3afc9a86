"""Fidelities: what stands for ``||y - A x||^2`` in ``fastip.admm(y, op, prior, fidelity=...)``.

``D(A x) + R(x)`` is minimised, D a sum over the data: ``Squares(weights)``, ``Poisson(background)``, ``Absolute()``,
``Huber(width)``, ``Clipped(high, low)``.
"""

from .absolute import Absolute as Absolute
from .clipped import Clipped as Clipped
from .huber import Huber as Huber
from .poisson import Poisson as Poisson
from .saturated import saturated as saturated
from .squares import Squares as Squares
