"""Solves of complex images: by their parts, as real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor

from ..arrays import COMPLEX, as_tensor
from ..contracts import Fidelity, LinearOperator, Prior, Shape, Solution
from ..errors import InvalidInput, Unsupported
from ..operators.base.parts import from_parts, to_parts
from ..operators.complex import in_parts
from .arguments import check_prior
from .monitor import Callback, State


class Problem(NamedTuple):
    """What a solver works with: for real images what it was given, for complex ones their parts.

    Attributes:
        y: The data.
        op: The operator of real images.
        prior: Likewise.
        init: The first image, or a Solution.
        shape: That of the real image.
        callback: What sees whole images.
        whole: Makes an image whole.
    """

    y: Tensor
    op: LinearOperator
    prior: Prior
    init: Any
    shape: Shape
    callback: Callback | None
    whole: Callable[[Tensor], Tensor]


def real_problem(
    y: Tensor,
    op: LinearOperator,
    prior: Prior,
    shape: Shape,
    *,
    init: Any = None,
    fidelity: Fidelity | None = None,
    callback: Callback | None = None,
) -> Problem:
    """The problem of the parts where images are complex, else that which was given.

    Raises:
        InvalidInput: For a prior that is none, and a first image that is not complex.
        Unsupported: For a prior that takes real images alone.
    """
    if not getattr(op, "complex_input", False):
        return Problem(y, op, prior, init, shape, callback, _same)
    make = getattr(check_prior(prior), "of_parts", None)
    if make is None:
        raise Unsupported(
            f"{type(prior).__name__} takes real images and those of {type(op).__name__} are complex; expected a prior "
            "that has of_parts, such as priors.TV(1e-3)"
        )
    prior, real = make(), in_parts(op, apart=fidelity is None)  # type: ignore[arg-type]  # checked there
    y = y if real.complex_output or not y.is_complex() else to_parts(y)
    init = replace(init, x=_parts(init.x)) if isinstance(init, Solution) else None if init is None else _parts(init)
    seen = None if callback is None else _Whole(callback)
    return Problem(y, real, prior, init, tuple(real.input_shape(tuple(y.shape))), seen, from_parts)


def check_real_images(op: LinearOperator, solver: str) -> None:
    """Refuse an operator of complex images, which the solver does not take."""
    if getattr(op, "complex_input", False):
        raise Unsupported(
            f"{solver} takes operators of real images, and those of {type(op).__name__} are complex; "
            "use fastip.admm or fastip.pgd"
        )


def _same(x: Tensor) -> Tensor:
    return x


def _parts(x: Any) -> Tensor:
    tensor, _ = as_tensor(x, "init")
    if tensor.dtype not in COMPLEX:
        raise InvalidInput(f"init has dtype {tensor.dtype} and images are complex; convert with init.to(y.dtype)")
    if tensor.ndim < 2:
        raise InvalidInput(f"init has shape {tuple(tensor.shape)}; expected a batch of images, b c h w")
    return to_parts(tensor)


class _Whole:
    """A callback that sees complex images."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    def __call__(self, state: State) -> bool | None:
        return self._callback(replace(state, x=from_parts(state.x)))
