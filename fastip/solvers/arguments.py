"""What the solvers check at the door, and the defaults they fill in."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arrays import (
    HALF,
    ZEROS,
    as_tensor,
    check_finite,
    check_number,
    check_shape,
    floating,
    four_dimensions,
    not_finite,
)
from ..contracts import BoundInverse, BoundPrior, Fidelity, Inverse, LinearOperator, Prior, Shape, Solution
from ..errors import InvalidInput, Unsupported, brief
from ..operators.adjointness import check_adjoint
from ..tracing import (
    bare,
    check_traceable,
    check_uncaptured,
    check_unmapped,
    real_dtype,
    transformed,
    untransformed,
)

SUPPORTED = (torch.float32, torch.float64, torch.complex64, torch.complex128)
ASKED = ("bind", "suggested_beta", "check_beta")  # of a prior, before anything else


def check_data(y: Tensor, op: LinearOperator, fidelity: Fidelity | None = None) -> Shape:
    """Refuse data that ``op`` cannot have produced, or that holds NaN or Inf; returns the shape of the image.

    What does not count in the fidelity may be anything.
    """
    if isinstance(op, type) or not isinstance(op, LinearOperator):
        raise InvalidInput(f"op is {brief(op)}; expected an operator: {_operator_of(op)}")
    if y.dtype in HALF and not y.is_cuda:
        raise InvalidInput(
            f"y has dtype {y.dtype} on {y.device}; "
            "expected float32 or float64, half precision is taken on GPUs only: convert with y.float()"
        )
    if y.dtype not in (*SUPPORTED, *HALF):
        raise InvalidInput(
            f"y has dtype {y.dtype}; expected float32 or float64 (complex for MaskedFourier): "
            f"convert with {floating(y.dtype, 'y')}"
        )
    if y.numel() == 0:
        raise InvalidInput(f"y has shape {tuple(y.shape)}, which is empty; expected at least one number")
    if y.ndim < 2:
        raise InvalidInput(
            f"y has shape {tuple(y.shape)}; expected a batch, b m for operators of vectors and else b c h w: "
            f"{_batched(tuple(y.shape), op)}"
        )
    if y.is_meta:
        raise InvalidInput("y is on the meta device, which holds no data; expected a tensor on a CPU or GPU")
    shape = op.input_shape(tuple(y.shape))
    check_shape(
        y, op.output_shape(shape), "y", f"the shape that {type(op).__name__} gives for an image of shape {tuple(shape)}"
    )
    if fidelity is not None:
        fidelity.check(y)
    known = y if fidelity is None else fidelity.known(y)
    _check_finite(known, op)
    check_adjoint(op, tuple(shape), y)
    _check_given(known, op)
    return shape


def _operator_of(value: Any) -> str:
    """What makes an operator of what was given in its place."""
    if isinstance(value, type):
        return "make one, e.g. operators.Blur(psf.gaussian(9, sigma=1.6), stride=4)"
    if isinstance(value, torch.nn.Module) and not hasattr(value, "A_adjoint"):
        return "a linear module becomes one by operators.Module(net, image_shape)"
    if hasattr(value, "tocoo") or (isinstance(value, Tensor) and value.layout != torch.strided):
        return "a sparse matrix becomes one by operators.Sparse(matrix, image_shape)"
    if isinstance(value, (Tensor, np.ndarray)):
        return "a matrix becomes one by operators.Dense(matrix, image_shape), a psf by operators.Blur(psf)"
    if hasattr(value, "rmatvec") or hasattr(value, "A_adjoint"):
        return "one of another library becomes one by operators.wrap(obj, image_shape)"
    if callable(value):
        return "it and its adjoint become one by operators.Function(forward, adjoint, image_shape, data_shape)"
    return "e.g. operators.Blur(psf.gaussian(9, sigma=1.6), stride=4)"


def unmasked(y: Any, fidelity: Fidelity | None) -> tuple[Any, Fidelity | None]:
    """A masked array of NumPy as an ordinary one, and the fidelity for which what it masks does not count."""
    if not isinstance(y, np.ma.MaskedArray) or not np.ma.getmaskarray(y).any():
        return y, fidelity
    mask = torch.from_numpy(np.ma.getmaskarray(y).copy())
    if mask.all():
        raise InvalidInput("all values of y are masked, so that no datum counts; expected one that is not")
    from ..fidelities import Squares  # loaded by those who need it

    return y.filled(0), (Squares() if fidelity is None else fidelity).without(mask)


def check_fidelity(fidelity: Any) -> Fidelity | None:
    """``fidelity`` when it can be bound; None for plain squares."""
    if fidelity is None:
        return None
    if isinstance(fidelity, type) or not isinstance(fidelity, Fidelity):
        raise InvalidInput(
            f"fidelity is {brief(fidelity)}; expected an object of fastip.fidelities, such as "
            "fidelities.Clipped(high=1.0), or None for squares"
        )
    return None if fidelity.plain else fidelity


def _batched(shape: Shape, op: LinearOperator) -> str:
    """What makes a batch of data with fewer than two dimensions: what ``op`` takes."""
    try:
        op.input_shape((1,) * (2 - len(shape)) + shape)
    except InvalidInput:
        return four_dimensions(shape)
    return f"add what is missing in front, with [{', '.join(['None'] * (2 - len(shape)))}]"


def _check_finite(y: Tensor, op: LinearOperator) -> None:
    """Refuse NaN and Inf, also where ``op`` drops them: a zero times NaN is NaN."""
    count = not_finite(y)
    if not count:
        return
    # What op drops has no part in A^T; numbers that differ do not cancel in it.
    random = untransformed(torch.rand)(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
    dropped = not bool(bare(op.adjoint((random.to(y.device) * ~torch.isfinite(y)).to(y.dtype))).any())
    filled = f"torch.nan_to_num(y, {ZEROS}), in NumPy numpy.nan_to_num with the same"
    advice = (
        f"the operator drops them, but they are computed with all the same, so fill them with 0: {filled}"
        if dropped
        else f"replace them, e.g. by {filled}"
    )
    if not dropped and y.ndim == 4 and not y.is_complex():
        advice += "; to leave them out of the data as well compose operators.Mask(mask) @ op, mask 0 there"
    raise InvalidInput(f"y holds {count} values that are NaN or Inf; expected finite numbers: {advice}")


def _check_given(y: Tensor, op: LinearOperator) -> None:
    """Refuse data that no image gives, where ``op`` knows it and their values may be looked at."""
    check = getattr(op, "check_measured", None)
    hidden = torch.compiler.is_compiling() or transformed()
    if check is None or hidden or (y.is_cuda and torch.cuda.is_current_stream_capturing()):
        return
    check(y.detach())


def check_seen(norm: float, op: LinearOperator) -> float:
    """The norm of ``op``, refused where it is 0."""
    if norm == 0:
        raise InvalidInput(
            f"the operator is zero ({type(op).__name__}), so the data say nothing about the image; "
            "expected one that sees something: check its psf, mask or matrix"
        )
    return norm


def check_relaxation(value: float) -> float:
    """0 < relaxation < 2."""
    number = check_number(value, "relaxation", low=0.0, strict=True)
    if number >= 2:
        raise InvalidInput(f"relaxation is {value!r}; expected 0 < relaxation < 2: 1 is none, which suits every prior")
    return number


def check_exact(relaxation: float, prox: BoundPrior, prior: Prior) -> None:
    """Refuse over-relaxation where the prox is inexact: it excites the momentum of the dual steps, for good."""
    if relaxation > 1 and not prox.exact:
        name = type(prior).__name__
        raise InvalidInput(
            f"relaxation is {relaxation:g} and each call of {name} takes a few steps towards its prox, which "
            "over-relaxation keeps from settling; expected at most 1 (larger ones gain nothing here)"
        )


def check_tolerance(value: float, y: Tensor) -> float:
    """tolerance >= 0; inside torch.compile, and while a CUDA graph of a solve of ``y`` is captured, 0.

    A graph does not stop by what it finds.
    """
    tolerance = check_number(value, "tolerance", low=0.0)
    if tolerance > 0:
        reason = (
            f"a solve with tolerance={tolerance:g}",
            "when it stops depends on the data",
            "pass tolerance=0 and a number of iterations",
        )
        check_traceable(*reason)
        check_unmapped(y, *reason)
        check_uncaptured(y.device, *reason)
    return tolerance


def check_inverse(inverse: Any) -> Inverse:
    """``inverse`` when it can be bound."""
    if not callable(getattr(inverse, "bind", None)) or isinstance(inverse, type):
        raise InvalidInput(
            f"inverse is {brief(inverse)}; expected 'auto' or an object such as inverses.Exact() or inverses.Stencil(3)"
        )
    return inverse


def check_inverts(step: BoundInverse, solver: str) -> BoundInverse:
    """``step`` when it applies a C, which a solver without a prior step needs."""
    if not step.inverts:
        raise Unsupported(
            f"{solver} needs an inverse that is applied by itself, but this one ({step.describe()}) is a step of "
            "fastip.admm alone: use inverse='auto' or inverses.ConjugateGradient()"
        )
    return step


def check_prior(prior: Any) -> Prior:
    """``prior`` when it can be bound."""
    if isinstance(prior, type) or not all(callable(getattr(prior, name, None)) for name in ASKED):
        advice = (
            "priors.Projector(net) or priors.Denoiser(net, sigma=0.1)"
            if isinstance(prior, torch.nn.Module)
            else "priors.TV(weight=1e-3)"
        )
        raise InvalidInput(
            f"prior is {brief(prior)}; expected an object of fastip.priors, or of a class derived from its Prior, "
            f"such as {advice}"
        )
    return prior


def initial(init: Any, step: BoundInverse, shape: Shape, like: Tensor) -> tuple[Tensor, Tensor]:
    """(x0, q0) from nothing, an image, or a Solution to resume (its dual rescaled to the new beta)."""
    if init is None:
        return step.guess(), step.start()
    resumed: Tensor | None = None
    if isinstance(init, Solution):
        q = step.start()
        if init.q is None or init.q.shape != q.shape or init.q.dtype != q.dtype:
            raise InvalidInput(
                f"init is a Solution whose dual is {_told(init.q)}; this inverse keeps {_told(q)}: "
                "resume with the same inverse and precision, or pass init=solution.x"
            )
        if init.q.device != q.device:
            raise InvalidInput(
                f"init is a Solution on {init.q.device}; expected one on {q.device}, as y: "
                "pass init=solution.x moved there"
            )
        check_finite(init.q, "the dual of init")
        resumed = init.q if init.beta is None else step.rescaled(init.q, init.beta)
        init = init.x
    x, _ = as_tensor(init, "init")
    check_shape(x, shape, "init", "the shape of the image")
    real = real_dtype(like.dtype)
    if x.dtype != real or x.device != like.device:
        raise InvalidInput(
            f"init has dtype {x.dtype} on {x.device}; expected {real} on {like.device}, as y: convert it"
        )
    check_finite(x, "init")
    x = x.clone()  # the fused kernel writes its result over x
    return x, step.start(x) if resumed is None else resumed


def _told(q: Tensor | None) -> str:
    return "missing" if q is None else f"{tuple(q.shape)} {q.dtype}"


def start(init: Any, guess: Tensor, shape: Shape) -> Tensor:
    """x0: the guess, an image, or the image of a Solution."""
    if init is None:
        return guess
    x, _ = as_tensor(init.x if isinstance(init, Solution) else init, "init")
    check_shape(x, shape, "init", "the shape of the image")
    if x.dtype != guess.dtype or x.device != guess.device:
        raise InvalidInput(
            f"init has dtype {x.dtype} on {x.device}; expected {guess.dtype} on {guess.device}, as y: convert it"
        )
    check_finite(x, "init")
    return x
