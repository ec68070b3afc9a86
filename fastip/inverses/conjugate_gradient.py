"""The baselines with an inner loop: conjugate gradients and gradient descent on the least-squares step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..arrays import accumulator, check_count, check_number, power_of_two
from ..contracts import Apply, LinearOperator
from ..errors import InvalidInput, StrictKeywords, brief
from ..stopping import per_image
from ..tracing import bare, check_traceable, norm, real_dtype
from .circulant import Circulant
from .steps import DataStep, ImageStep


def _broadcast(values: Tensor, like: Tensor) -> Tensor:
    """One number for each image, shaped to broadcast against ``like``."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Re <a, b> per image, shaped to broadcast against a."""
    product = (a * b.conj()).real if a.is_complex() else a * b
    return _broadcast(product.flatten(1).sum(dim=1), a)


def _power(b: Tensor) -> Tensor:
    """A power of two near the largest number of each image, shaped to broadcast against b."""
    parts = torch.view_as_real(b.resolve_conj()) if b.is_complex() else b
    return _broadcast(power_of_two(parts.detach().abs().flatten(1).amax(dim=1)), b)


def _itself(v: Tensor) -> Tensor:
    return v


def conjugate_gradient(matrix: Apply, b: Tensor, target: Tensor, maximum: int, nearly: Apply = _itself) -> Tensor:
    """Solve matrix(x) = b from x = 0 for each image, in at least one step.

    An image is frozen when it is done, when its residual is mere rounding of b, or when rounding makes the curvature
    useless, so the others go on undisturbed. Each is solved at a size near 1, so that squares neither overflow nor
    vanish: b of any size, with 0 for 0. Each step waits for a GPU to say whether an image is left: an inner loop must
    ask.

    Args:
        matrix: Symmetric positive definite.
        b: The right-hand sides, one for each image.
        target: ``||b - matrix(x)||`` to stop at, absolute, of shape (b, 1, ...).
        maximum: Steps at most.
        nearly: The preconditioner, symmetric positive definite: an inverse of the matrix, more or less.

    Returns:
        x, of the shape of ``b``.
    """
    power = _power(b)
    b, target = b / power, target / power
    x, r, p = torch.zeros_like(b), b, nearly(b)
    rr, rz = _dot(r, r), _dot(r, p)
    target = target.maximum(torch.finfo(b.dtype).eps * rr.sqrt())  # below it nothing is gained, and squares may vanish
    active = rr > 0
    for _ in range(maximum):
        ap = matrix(p)
        curvature = _dot(p, ap)
        active = active & (curvature > 0) & torch.isfinite(curvature)
        alpha = torch.where(active, rz / torch.where(active, curvature, 1.0), torch.zeros_like(rz))
        x = x + alpha * p
        r = r - alpha * ap
        active = active & (_dot(r, r).sqrt() > target)
        if not bool(bare(active).any()):
            break
        z = nearly(r)
        new = _dot(r, z)
        gamma = torch.where(active, new / torch.where(active, rz, 1.0), torch.zeros_like(rz))
        p, rz = z + gamma * p, new
    return x * power


class _Solved(torch.autograd.Function):
    """matrix^-1 b, which is its own derivative, to the tolerance of the loop.

    That of the loop itself is another where few steps do: a step depends on b beyond its direction.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(b: Tensor, solve: Apply, transposed: Apply) -> Tensor:
        return solve(b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *_, ctx.transposed = inputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Solved.apply(gradients[0], ctx.transposed, ctx.transposed), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        found: Tensor = _Solved.apply(tangents[0], ctx.transposed, ctx.transposed)
        return found


class ConjugateGradient(StrictKeywords):
    """(beta I + A A^T)^-1 by conjugate gradients, warm-started from the last iterate.

    The step solves for the correction to q (or p), so the previous iterate is the starting point and any remaining
    error is seen again by the next iteration. Half precision goes through float32. Its gradient is that of the inverse,
    by conjugate gradients again.

    Args:
        tolerance: The residual relative to ``||y||`` (image side: ``||A^T y||``), > 0; at least one step is
            always taken.
        side: "data" for (beta I + A A^T)^-1 on the data grid, "image" for (beta I + A^T A)^-1 on the image grid.
        maximum: Steps at most, >= 1.
        preconditioner: None, or "circulant" on the data side: (beta I + m K)^-1 with K the circular convolution whose
            weighted pixels A A^T is, m their mean square. For what states ``op.window()``: blurs with a valid or
            circular boundary, masks, and masks after these. A camera shake 31 pixels wide on a valid boundary then
            takes a few steps in place of some twenty.

    Raises:
        InvalidInput: For a tolerance that is not > 0, another side or preconditioner, and a maximum that is no whole
            number >= 1.
        Unsupported: At ``bind`` inside torch.compile, because the inner loop stops by what it finds; and with a
            preconditioner for another operator or complex data.

    References:
        Chan and Ng, Conjugate gradient methods for Toeplitz systems, 1996.
    """

    def __init__(
        self, tolerance: float = 1e-5, *, side: str = "data", maximum: int = 1000, preconditioner: str | None = None
    ) -> None:
        self.tolerance = check_number(tolerance, "tolerance", low=0.0, strict=True)
        self.maximum = check_count(maximum, "maximum", low=1)
        if side not in ("data", "image"):
            raise InvalidInput(f"side is {side!r}; expected 'data' or 'image'")
        if preconditioner not in (None, "circulant"):
            raise InvalidInput(f"preconditioner is {brief(preconditioner)}; expected 'circulant' or None")
        if preconditioner and side == "image":
            raise InvalidInput("preconditioner='circulant' is for side='data'; leave one of the two out")
        self.side, self.preconditioner = side, preconditioner

    def _target(self, b: Tensor) -> Tensor:
        """The residual to stop at, beside b."""
        return _broadcast(self.tolerance * per_image(b).to(real_dtype(b.dtype)), b)

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> DataStep | ImageStep:
        check_traceable(
            "ConjugateGradient",
            "its inner loop stops by what it finds",
            "use inverses.Stencil(), Exact() or GradientDescent()",
        )
        kept = accumulator(y.dtype)
        reference = y.to(kept) if self.side == "data" else op.adjoint(y.to(kept))
        target = self._target(reference)

        def apply(matrix: Apply, r: Tensor, nearly: Apply = _itself) -> Tensor:
            def solve(b: Tensor) -> Tensor:
                return conjugate_gradient(matrix, b, target, self.maximum, nearly)

            def transposed(b: Tensor) -> Tensor:
                return conjugate_gradient(matrix, b, self._target(b), self.maximum, nearly)

            wide = r.to(accumulator(r.dtype))
            watched = torch.is_grad_enabled() and r.requires_grad
            found: Tensor = _Solved.apply(wide, solve, transposed) if watched else solve(wide)
            return found.to(r.dtype)

        text = f"conjugate gradients on the {self.side} side to {self.tolerance:g}: an inner loop"
        if self.preconditioner is not None:
            near = Circulant(op, y, beta)
            text = text.replace(":", f", {self.preconditioner} preconditioner:")
            return DataStep(op, y, beta, lambda r: apply(lambda v: beta * v + near.gram(v), r, near.inverse), text)
        if self.side == "data":
            return DataStep(op, y, beta, lambda r: apply(lambda v: beta * v + op(op.adjoint(v)), r), text)
        return ImageStep(op, y, beta, lambda r: apply(lambda v: beta * v + op.adjoint(op(v)), r), text)


class GradientDescent(StrictKeywords):
    """C = gradient steps on the least-squares problem: symmetric, positive definite, kappa < 1.

    The step size is ``1 / (beta + ||A||^2)``.

    Args:
        steps: Their number, >= 1.

    Raises:
        InvalidInput: For ``steps`` that are no whole number >= 1.
    """

    def __init__(self, steps: int = 10) -> None:
        self.steps = check_count(steps, "steps", low=1)

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> DataStep:
        size = 1 / (beta + norm(op, op.input_shape(tuple(y.shape))) ** 2)

        def apply(r: Tensor) -> Tensor:
            stored, r = r.dtype, r.to(accumulator(r.dtype))
            e = size * r
            for _ in range(self.steps - 1):
                e = e + size * (r - beta * e - op(op.adjoint(e)))
            return e.to(stored)

        text = "one gradient step" if self.steps == 1 else f"{self.steps} gradient steps: an inner loop"
        return DataStep(op, y, beta, apply, text)
