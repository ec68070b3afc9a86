"""Total variation slab by slab: the steps of :func:`.variation.variation_prox` in place, without new tensors.

Five steps on a volume of 95 x 319 x 319 in float32, two threads: 5 to 8 s as whole tensors, most of it for memory that
is taken and moved, and 0.45 s so; VectorTV of an image of 512 x 512: 0.058 and 0.023 s.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..contracts import Pointwise
from .choose import why_reference
from .reference import soft_threshold
from .variation import Kind

# Values of a slab. Half as many take 8 % longer on two threads, an eighth three times as long, because each call wakes
# them; with all in one the memory for the images beside it is that of five whole ones.
SLAB = 2**20


def fits(v: Tensor, u: Tensor, r: Tensor, weight: float | Tensor, kind: Kind, prox: object) -> bool:
    """Whether the fields may be overwritten: no gradient is asked for, on a CPU, no difference across the border."""
    known = isinstance(prox, Pointwise) and kind.boundary == "reflect" and kind.over in ((), (0,), (0, 2))
    own = all(t.is_cpu and t.dtype == v.dtype for t in (v, u, r)) and v.dtype in (torch.float32, torch.float64)
    return known and own and u is not r and why_reference((v, u, r), (weight,)) is None


def variation_slabs(
    v: Tensor,
    u: Tensor,
    r: Tensor,
    step: float,
    weight: float | Tensor,
    momentum: float,
    steps: int,
    kind: Kind,
    prox: Pointwise,
) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`.variation.variation_prox`, u and r overwritten.

    Args:
        v: Images, b c h w, or volumes, b c d h w.
        u: The dual field.
        r: Its extrapolation.
        step: That of the prox, > 0.
        weight: Of total variation, >= 0; a tensor broadcasts and is one for each image or channel.
        momentum: Of the extrapolation, 0 to 1.
        steps: How many are taken, >= 0.
        kind: Which lengths are limited.
        prox: The numbers of f.

    Returns:
        (x, u, r).
    """
    work = _Slabs(v, step, weight, momentum, kind, prox)
    for _ in range(steps):
        work.advance(u, r)
    x = torch.empty_like(v, memory_format=torch.contiguous_format)
    for first, last in work.slabs:
        x[:, :, first:last] = work.primal(u, first, last)
    return x, u, r


class _Slabs:
    def __init__(
        self, v: Tensor, step: float, weight: float | Tensor, momentum: float, kind: Kind, prox: Pointwise
    ) -> None:
        self.v, self.step, self.momentum, self.kind, self.prox = v, step, momentum, kind, prox
        self.weight = weight.to(v) if isinstance(weight, Tensor) else weight
        self.size = kind.bound * step
        deep, each = v.shape[2], math.prod(v.shape) // v.shape[2]
        thick = min(max(1, SLAB // each), deep)
        self.slabs = [(first, min(first + thick, deep)) for first in range(0, deep, thick)]
        own = (*v.shape[:2], thick + 1, *v.shape[3:])
        self.x, self.g, self.length = v.new_empty(own), v.new_empty(len(kind.spacing), *own), v.new_empty(own)
        self.edge = torch.empty_like(v[:, :, :1])  # the first slice of x of the next slab

    def primal(self, r: Tensor, first: int, last: int) -> Tensor:
        """``prox(v - step D^T r)`` in these slices."""
        x = self.x[:, :, : last - first]
        x.copy_(self.v[:, :, first:last])
        for field, dim, h in zip(r, range(2, x.ndim), self.kind.spacing, strict=True):
            x.add_(field[:, :, first:last], alpha=self.step / h)
            if dim == 2:  # the neighbour may lie in the slab before
                before = max(first - 1, 0)
                x[:, :, before + 1 - first :].sub_(field[:, :, before : last - 1], alpha=self.step / h)
            else:
                n = x.shape[dim] - 1
                x.narrow(dim, 1, n).sub_(field[:, :, first:last].narrow(dim, 0, n), alpha=self.step / h)
        numbers = self.prox.at(self.step)
        if numbers["threshold"] == 0 and numbers["shrink"] == 1:
            return x.clamp_(numbers["low"], numbers["high"])
        return x.copy_(soft_threshold(x, **numbers))  # type: ignore[arg-type]  # four floats

    def advance(self, u: Tensor, r: Tensor) -> None:
        """One step; of each slab from the old r, whose slice before it is no longer needed: its x is kept."""
        deep = self.v.shape[2]
        for first, last in self.slabs:
            end = min(last + 1, deep)
            if first == 0:
                self.primal(r, 0, end)
            else:
                if end > first + 1:
                    self._behind(r, first, end)
                self.x[:, :, :1] = self.edge
            if last < deep:
                self.edge.copy_(self.x[:, :, last - first : last - first + 1])
            self._dual(u[:, :, :, first:last], r[:, :, :, first:last], self.x[:, :, : end - first])

    def _behind(self, r: Tensor, first: int, end: int) -> None:
        """x of the slices first + 1 to end, in its place."""
        whole = self.x
        self.x = whole[:, :, 1:]
        self.primal(r, first + 1, end)
        self.x = whole

    def _dual(self, u: Tensor, r: Tensor, x: Tensor) -> None:
        """``u' = limit(r + D x / size)`` and ``r' = u' + momentum (u' - u)`` of a slab; x has a slice more, if any."""
        n = u.shape[3]
        new = self.g[:, :, :, :n]
        for field, old, dim, h in zip(new, r, range(2, x.ndim), self.kind.spacing, strict=True):
            field.copy_(old)
            own = x if dim == 2 else x[:, :, :n]
            steps = own.shape[dim] - 1
            part = field.narrow(dim, 0, steps)
            part.add_(own.narrow(dim, 1, steps), alpha=1 / (h * self.size))
            part.sub_(own.narrow(dim, 0, steps), alpha=1 / (h * self.size))
        if self.kind.threshold > 0:
            new.mul_(self.weight / (self.weight + self.kind.threshold / self.size))
        self._limit(new)
        torch.lerp(u, new, 1 + self.momentum, out=r)
        u.copy_(new)

    def _limit(self, new: Tensor) -> None:
        """Lengths above the weight are made as long as it; hypot neither overflows nor vanishes."""
        if not self.kind.over:
            torch.clamp(new, -self.weight, self.weight, out=new)  # type: ignore[arg-type]  # two numbers or two tensors
            return
        length = self.length[:, :, : new.shape[3]]
        parts = [field[:, c : c + 1] for field in new for c in range(new.shape[2])] if 2 in self.kind.over else [*new]
        length = length[:, :1] if 2 in self.kind.over else length
        torch.hypot(parts[0], parts[-1] if len(parts) > 1 else torch.zeros_like(parts[0]), out=length)
        for part in parts[1:-1]:
            torch.hypot(length, part, out=length)
        tiny = torch.finfo(new.dtype).tiny
        if isinstance(self.weight, Tensor):
            torch.maximum(length, self.weight.clamp_min(tiny), out=length)
        else:
            length.clamp_(min=max(self.weight, tiny))
        torch.div(torch.as_tensor(self.weight, dtype=new.dtype), length, out=length)
        new.mul_(length)
