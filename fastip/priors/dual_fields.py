"""What bound priors with dual fields share: the fields are kept from one call to the next, and go with a solution."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from .prior import BoundWithout, Weight, check_state


class WithDualFields(BoundWithout):
    """Keeps fields such as those of ``own``; of them the first ``duals`` grow with the weight.

    ``name`` is that of the prior, for messages.
    """

    exact = False

    def __init__(self, name: str, weight: Weight, own: tuple[Tensor, ...], duals: int) -> None:
        self._name, self._weight, self._own, self._duals = name, weight, own, duals
        self._fields: tuple[Tensor, ...] = ()

    @abstractmethod
    def __call__(self, v: Tensor, step: float) -> Tensor: ...

    def state(self) -> tuple[Tensor, ...]:
        """The fields and the weight; empty before the first call."""
        if not self._fields:
            return ()
        return (*(field.detach() for field in self._fields), torch.as_tensor(self._weight).detach())

    def fields(self) -> tuple[Tensor, ...]:
        """The fields with their graph; empty before the first call."""
        return self._fields

    def resume(self, state: tuple[Tensor, ...]) -> None:
        """Go on with these, the dual ones scaled to this weight: a path of weights then takes half the iterations."""
        check_state(state[:-1], self._own, self._name)
        *fields, weight = state
        own = torch.as_tensor(self._weight).detach().to(weight)
        if not torch.equal(weight, own):
            scale = torch.where(weight > 0, own / weight, torch.zeros_like(weight))
            fields[: self._duals] = [field * scale for field in fields[: self._duals]]
        self._fields = tuple(field.clone() for field in fields)
