"""What fidelities promise the data step: the term of the objective that the data are in."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


class BoundFidelity(Protocol):
    """D in one solve: convex, differentiable, a sum over the data, v of their shape."""

    @property
    def y(self) -> Tensor:
        """The data, finite everywhere, in the precision of the solve."""
        ...

    @property
    def weights(self) -> Tensor | None:
        """What the data count beside each other, which broadcasts to y; None: alike."""
        ...

    def prox(self, v: Tensor, scale: Tensor, penalty: float) -> Tensor:
        """``argmin_u D(scale u) + penalty ||u - v||^2``, for penalty > 0 and any scale."""
        ...

    def slope(self, v: Tensor) -> Tensor:
        """``-D'(v) / 2``, which of ``||y - v||^2`` is y - v."""
        ...

    def value(self, v: Tensor) -> Tensor:
        """D(v) per image, shape (b,)."""
        ...


@runtime_checkable
class Fidelity(Protocol):
    """What stands for ``||y - v||^2``, v = A x."""

    plain: bool  # whether it is just that
    curvature: float  # what the default penalties are made for: that of D beside that of ||y - v||^2

    def known(self, y: Tensor) -> Tensor:
        """y, with zeros in the place of what does not count.

        Raises:
            InvalidInput: Where the fidelity does not fit the shape of y.
        """
        ...

    def bind(self, y: Tensor, dtype: torch.dtype) -> BoundFidelity:
        """D for these data, in this precision."""
        ...

    def describe(self) -> str:
        """A few words for people."""
        ...
