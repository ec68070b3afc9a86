"""The largest singular value of an operator that is known only by what it does."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...arrays import check_products
from ...contracts import Apply, Shape

# At most, where the spectrum is crowded at its top: fewer end with a larger residual, a looser bound; more cost time.
STEPS = 300
CPU = torch.device("cpu")
# Of itself, by which the result may be too large; less takes more steps. Eight coils at every fourth line, whose
# spectrum is crowded at its top: 300 steps to 2e-6, 65 to 1e-4, 25 to 1e-3.
TOLERANCE, ROUGH = 1e-7, 1e-3


def _dot(a: Tensor, b: Tensor) -> float:
    """Re <a, b>: the inner product in which a real-linear operator and its adjoint are adjoint."""
    return torch.vdot(a.flatten(), b.flatten()).real.item()


def largest_singular_value(
    op: Any, shape: Shape, is_complex: bool, device: torch.device = CPU, tolerance: float = TOLERANCE
) -> float:
    """``||A||``: the root of :func:`largest_eigenvalue` of A^T A, its residual added, so that it is not too small.

    Args:
        op: An operator.
        shape: That of its images.
        is_complex: Whether these are complex.
        device: Where they are made.
        tolerance: Of the square, by which it may be too large.

    Returns:
        The largest singular value.
    """
    value, residual = largest_eigenvalue(
        lambda v: op.adjoint(op(v)), shape, is_complex, device=device, tolerance=tolerance
    )
    return math.sqrt(value + residual)


def largest_eigenvalue(
    apply: Apply,
    shape: Shape,
    is_complex: bool = False,
    steps: int = STEPS,
    device: torch.device = CPU,
    tolerance: float = TOLERANCE,
) -> tuple[float, float]:
    """That of a symmetric G >= 0, from below, with a residual, which is below the tolerance when it converges.

    From a fixed random ``v_1``, in float64, with three vectors of memory::

        G v_k = beta_{k-1} v_{k-1} + alpha_k v_k + beta_k v_{k+1}

    Orthogonality may be lost: that repeats eigenvalues of the tridiagonal matrix but moves none. Their sum is not below
    the true value in practice.

    Args:
        apply: v -> G v.
        shape: That of v.
        is_complex: Whether v is complex.
        steps: At most.
        device: Where v is made.
        tolerance: Of the residual, relative.

    Returns:
        The largest eigenvalue, >= 0, and its residual ``beta_k |s_k|``.

    References:
        Parlett, The Symmetric Eigenvalue Problem, 1998, chapter 13.
    """
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(shape, generator=generator, dtype=torch.complex128 if is_complex else torch.float64).to(device)
    v = v / math.sqrt(_dot(v, v))
    previous, beta = torch.zeros_like(v), 0.0
    diagonal: list[float] = []
    off: list[float] = []
    value = residual = 0.0
    with torch.no_grad():
        for k in range(steps):
            w = apply(v) - beta * previous
            diagonal.append(_dot(w, v))
            w = w - diagonal[-1] * v
            beta = math.sqrt(_dot(w, w))
            invariant = beta <= 1e-14 * max(abs(d) for d in diagonal)  # what is left is rounding, no direction
            # Looked at in each of the first steps, which are enough for few distinct values, then in every eighth: more
            # looks cost an eigenvalue problem each, fewer run further than needed.
            if invariant or k < 8 or k % 8 == 0 or k == steps - 1:
                value, residual = _top(diagonal, off, beta)
                if invariant or residual <= tolerance * value:
                    break
            off.append(beta)
            previous, v = v, w / beta
    return max(value, 0.0), residual


def _top(diagonal: list[float], off: list[float], beta: float) -> tuple[float, float]:
    """The largest eigenvalue of the tridiagonal matrix and its residual in the full space."""
    tridiagonal = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    if off:
        side = torch.tensor(off, dtype=torch.float64)
        tridiagonal += torch.diag(side, 1) + torch.diag(side, -1)
    values, vectors = torch.linalg.eigh(check_products(tridiagonal))
    return values[-1].item(), beta * abs(vectors[-1, -1].item())
