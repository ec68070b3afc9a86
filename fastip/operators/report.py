"""What can be known of an operator of one's own before a solve: its adjoint, linearity, norm, cost, and "auto"."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..contracts import LinearOperator, Shape
from ..errors import FastipError, InvalidInput, brief, strict_keywords
from .adjointness import WITHIN, drawn, inner_products
from .base.door import check_sizes

LINEAR = 10  # times what the adjoint may be off: three products and two sums round more than one


@dataclass(frozen=True)
class Report:
    """What :func:`check` found of an operator.

    Attributes:
        operator: Its class.
        image_shape: That of an image, without the batch.
        data_shape: That of its data, without the batch.
        dtype: The precision that it was tried in.
        adjoint: ``|<A x, y> - <x, A^T y>| / (||A x|| ||y||)``, the larger of two: for a random x, with a random y and
            with y = A x.
        linear: ``||A (2 a - 3 b) - (2 A a - 3 A b)|| / ||A (2 a - 3 b)||`` for random a and b.
        norm: ||A||, the largest singular value.
        forward: Seconds of A x for one image, the fastest of three.
        backward: Seconds of A^T y, likewise.
        auto: What ``inverse="auto"`` takes with total variation, as ``fastip.explain`` says it.
    """

    operator: str
    image_shape: Shape
    data_shape: Shape
    dtype: torch.dtype
    adjoint: float
    linear: float
    norm: float
    forward: float
    backward: float
    auto: str

    @property
    def right(self) -> bool:
        """Whether it is a linear operator with its adjoint, to the precision that it was tried in."""
        limit = WITHIN[self.dtype]
        return self.adjoint <= limit and self.linear <= LINEAR * limit

    def __str__(self) -> str:
        sizes = (" x ".join(map(str, shape)) for shape in (self.image_shape, self.data_shape))
        limit = WITHIN[self.dtype]
        lines = (
            ("operator", f"{self.operator}, images {' to data '.join(sizes)}, tried in {self.dtype}"),
            ("adjoint", f"off by {self.adjoint:.1e}{_verdict(self.adjoint, limit)}"),
            ("linear", f"off by {self.linear:.1e}{_verdict(self.linear, LINEAR * limit)}"),
            ("norm", f"{self.norm:.6g}"),
            ("cost", f"A x {1e3 * self.forward:.3g} ms, A^T y {1e3 * self.backward:.3g} ms an image"),
            ("auto", self.auto.replace("\n", "\n            ")),
        )
        return "\n".join(f"{name:10}  {text}" for name, text in lines)


def _verdict(off: float, limit: float) -> str:
    return "" if off <= limit else f": WRONG, expected at most {limit:.0e}"


@strict_keywords
def check(
    op: LinearOperator,
    image_shape: Sequence[int],
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Report:
    """Try an operator on random images, print what was found, and return it.

    Args:
        op: The operator A, of fastip or of one's own.
        image_shape: That of an image without the batch, e.g. (c, h, w).
        dtype: float32 or float64: the precision of real images, or of the parts of complex ones.
        device: Where the images are.

    Returns:
        A :class:`Report`; ``print`` shows it, and its ``right`` says whether a solve takes the operator.

    Raises:
        InvalidInput: For what is no operator, and an image_shape that it does not take.
    """
    if isinstance(op, type) or not isinstance(op, LinearOperator):
        raise InvalidInput(f"op is {brief(op)}; expected an operator, e.g. operators.Function(forward, adjoint, ...)")
    if dtype not in (torch.float32, torch.float64):
        raise InvalidInput(f"dtype is {brief(dtype)}; expected torch.float32 or torch.float64")
    place, shape = torch.device(device), (1, *check_sizes(image_shape, "image_shape"))
    pairs = inner_products(op, shape, dtype, place)
    generator, is_complex = torch.Generator().manual_seed(1), bool(getattr(op, "complex_input", False))
    with torch.no_grad():
        a, b = (drawn(dtype, place, generator, shape, is_complex) for _ in range(2))
        data, y = op(2 * a - 3 * b), op(a)
        linear = _relative(data - (2 * y - 3 * op(b)), data)
        forward, backward = _seconds(lambda: op(a)), _seconds(lambda: op.adjoint(y))
    found = Report(
        operator=type(op).__name__,
        image_shape=shape[1:],
        data_shape=tuple(y.shape[1:]),
        dtype=dtype,
        adjoint=max(abs(first - second) / size if size else abs(second) for first, second, size in pairs),
        linear=linear,
        norm=op.norm(shape),
        forward=forward,
        backward=backward,
        auto=_auto(op, y),
    )
    print(found)
    return found


def _auto(op: LinearOperator, y: Tensor) -> str:
    from ..explanation import usual  # what stands on operators is asked at the time of the call

    try:
        return usual(op, y)
    except FastipError as error:
        return f"refused: {error}"


def _relative(difference: Tensor, of: Tensor) -> float:
    size = torch.linalg.vector_norm(of).item()
    return torch.linalg.vector_norm(difference).item() / size if size else 0.0


def _seconds(call: Callable[[], Any]) -> float:
    taken = []
    for _ in range(4):
        start = time.perf_counter()
        call()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return min(taken[1:])
