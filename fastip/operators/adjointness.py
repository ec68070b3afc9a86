"""Whether an operator of one's own has the adjoint that it says: one test by inner products before its first solve."""

from __future__ import annotations

import functools
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..contracts import Shape
from ..errors import InvalidInput
from ..tracing import real_dtype, untransformed
from .base.linear_map import LinearMap

# What <A x, y> and <x, A^T y> may differ by, of ||A x|| ||y||: the rounding of long sums, and of programs that work in
# float32 inside. A shift of the adjoint by one pixel is off by a few hundredths, another scale by all of it.
WITHIN = {torch.float64: 1e-6, torch.float32: 1e-4, torch.float16: 3e-2, torch.bfloat16: 1e-1}

_seen: WeakKeyDictionary[Any, set[tuple[Any, ...]]] = WeakKeyDictionary()


def check_adjoint(op: Any, shape: Shape, y: Tensor) -> None:
    """Refuse an operator whose adjoint is none, for images of ``shape`` and data like y.

    It is tried once for each object, shape, precision and device; the operators of fastip are not, and nothing is while
    torch.compile traces or a CUDA graph is captured.
    """
    if torch.compiler.is_compiling() or (isinstance(op, LinearMap) and op.proven):
        return
    if y.is_cuda and torch.cuda.is_current_stream_capturing():
        return
    if isinstance(op, LinearMap):
        op.at_home(y.device)
    shape = _least(op, shape)
    key, seen = (shape, y.dtype, y.device), _seen_by(op)
    if key in seen:
        return
    dtype = real_dtype(y.dtype)
    for first, second, size in inner_products(op, shape, dtype, y.device):
        if not abs(first - second) <= WITHIN[dtype] * size:
            raise InvalidInput(
                f"the adjoint of {type(op).__name__} is not that of its forward: <A x, y> is {first:.6g} and "
                f"<x, A^T y> {second:.6g} for random x and y; expected equal numbers: mend adjoint, "
                "for a real matrix A its transpose, for a complex one the conjugate of that"
            )
    seen.add(key)


@untransformed
def inner_products(op: Any, shape: Shape, dtype: torch.dtype, device: torch.device) -> list[tuple[float, float, float]]:
    """(Re <A x, y>, Re <x, A^T y>, ||A x|| ||y||) for a random y, and for y = A x, which sees small faults of size."""
    draw = functools.partial(drawn, dtype, device, torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = draw(shape, getattr(op, "complex_input", False))
        ax = op(x)
        data = draw(tuple(ax.shape), ax.is_complex())
        return [(_inner(ax, y), _inner(x, op.adjoint(y)), _size(ax) * _size(y)) for y in (data, ax)]


def drawn(
    dtype: torch.dtype, device: torch.device, generator: torch.Generator, sizes: Shape, is_complex: bool
) -> Tensor:
    """Random normal numbers, or complex ones whose parts are of ``dtype``."""
    values = torch.randn((*sizes, 2) if is_complex else sizes, generator=generator, dtype=torch.float64)
    values = torch.view_as_complex(values) if is_complex else values
    return values.to(dtype.to_complex() if is_complex else dtype).to(device)


def _seen_by(op: Any) -> set[tuple[Any, ...]]:
    """What was tried of an object; nothing of one that cannot be told from others (a dataclass that compares)."""
    try:
        return _seen.setdefault(op, set())
    except TypeError:
        return set()


def _least(op: Any, shape: Shape) -> Shape:
    """One image, or as many as an operator takes that differs from image to image."""
    try:
        op.output_shape((1, *shape[1:]))
    except InvalidInput:
        return shape
    return (1, *shape[1:])


def _inner(a: Tensor, b: Tensor) -> float:
    wide = torch.complex128 if a.is_complex() or b.is_complex() else torch.float64
    return float(torch.vdot(a.flatten().to(wide), b.flatten().to(wide)).real)


def _size(a: Tensor) -> float:
    return float(torch.linalg.vector_norm(a.to(torch.complex128 if a.is_complex() else torch.float64)))
