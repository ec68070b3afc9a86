"""Solves in graphs, and inside torch.func and torch.vmap.

torch.compile: what depends on the operator and the sizes alone is worked out while it traces. It and CUDA graphs refuse
the rest.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch

from .errors import Unsupported

Function = TypeVar("Function", bound=Callable[..., Any])
transformed = torch._C._are_functorch_transforms_active  # of torch.func and torch.vmap; not of forward mode alone
_PARTS = {torch.complex32: torch.float16, torch.complex64: torch.float32, torch.complex128: torch.float64}


def constant(function: Function) -> Function:
    """Mark a function of operators, numbers and sizes from :func:`fixed` as one whose result belongs to the graph.

    torch.compile calls it while it traces. The graph serves the very objects it was traced with, which must not change.
    It takes the bare tensors of two calls for one: return a tuple of them. As torch.compiler.assume_constant_result,
    which would import the compiler, two seconds, with the package. Outside torch.compile it is :func:`untransformed`.
    """
    outside = untransformed(function)
    outside._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return outside


def untransformed(function: Function) -> Function:
    """Call a function outside of torch.func and torch.vmap, also from inside: its result may be kept for later calls.

    What is computed inside belongs to the transform, which leaves an empty shell of it when it ends. Its arguments are
    no data.
    """

    @functools.wraps(function)
    def outside(*arguments: Any, **keywords: Any) -> Any:
        if not transformed():
            return function(*arguments, **keywords)
        from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

        with temporarily_clear_interpreter_stack():
            return function(*arguments, **keywords)

    return outside  # type: ignore[return-value]


def bare(tensor: torch.Tensor) -> torch.Tensor:
    """The values inside torch.func and torch.vmap, with the mapped axes; else the tensor itself."""
    if transformed():  # as torch.func.debug_unwrap, which PyTorch has from 2.7 on
        while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor


def check_unmapped(tensor: torch.Tensor, what: str, why: str, instead: str) -> None:
    """Refuse, inside torch.vmap only, what depends on the values of the data."""
    if transformed() and bare(tensor).shape != tensor.shape:
        raise Unsupported(f"torch.vmap cannot map {what}, because {why}; {instead}, or give the images as one batch")


def fixed(shape: Iterable[int], op: Any) -> tuple[int, ...]:
    """``shape`` as numbers, one graph for each: a set-up belongs to its sizes.

    An ``op`` that treats all images alike is asked about one of them.
    """
    sizes = tuple(operator.index(n) for n in list(shape)[1:])
    alike = getattr(op, "channelwise", False) or getattr(op, "pixelwise", False)
    return (1 if alike else operator.index(next(iter(shape))), *sizes)


def norm(op: Any, shape: Iterable[int]) -> float:
    """``||A||`` on images of this shape."""
    return _norm(op, fixed(shape, op))


@constant
def _norm(op: Any, shape: tuple[int, ...]) -> float:
    return float(op.norm(shape))


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the real and the imaginary part: dtype.to_real(), which torch.compile cannot trace."""
    return _PARTS.get(dtype, dtype)


def check_traceable(what: str, why: str, instead: str) -> None:
    """Refuse, inside torch.compile only, what depends on the values of the data."""
    if torch.compiler.is_compiling():
        raise Unsupported(
            f"torch.compile cannot trace {what}, because {why}; {instead}, or leave it outside the compiled function"
        )


def check_uncaptured(device: torch.device, what: str, why: str, instead: str) -> None:
    """Refuse, while a CUDA graph is captured only, what would make the host wait for ``device``.

    CUDA would break the capture off.
    """
    if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        raise Unsupported(f"a CUDA graph cannot capture {what}, because {why}; {instead}")
