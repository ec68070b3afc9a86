"""The family ``tv_prox``: projected dual steps towards the prox of total variation and of a pointwise prior."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..contracts import Pointwise
from . import extension, reference, shapes
from .extension import plain
from .family import Family


def _native(
    v: Tensor,
    u: Tensor,
    r: Tensor,
    step: float,
    weight: float | Tensor,
    momentum: float,
    steps: int,
    isotropic: bool,
    prox: Pointwise | Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """u and r are overwritten; weights that are tensors take the reference."""
    if isinstance(weight, Tensor) or not isinstance(prox, Pointwise):
        return reference.tv_prox(v, u, r, step, weight, momentum, steps, isotropic, prox)
    shapes.check_fields(v, u, r)
    v = plain(v)
    b, c, h, w = v.shape
    out = torch.empty_like(v)
    pointers = {"v": v.data_ptr(), "u": u.data_ptr(), "r": r.data_ptr(), "out": out.data_ptr()}
    sizes = {"planes": b * c, "h": h, "w": w, "steps": steps, "isotropic": isotropic}
    numbers = {"step": step, "weight": weight, "momentum": momentum, **prox.at(step)}
    functions, where = extension.target(v)
    extension.run(functions.tv_prox, functions.TvArgs(**pointers, **sizes, **numbers), v, where)
    return out, u, r


tv_prox = Family(reference.tv_prox, native=_native, triton="tv_prox", images=(0, 1, 2))
