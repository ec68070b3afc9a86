"""C from a few products with A A^T: its large part by a random sketch, a number for the rest."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...arrays import accumulator, check_count
from ...contracts import LinearOperator, Shape
from ...errors import InvalidInput, StrictKeywords, Unsupported
from ...operators.base.lanczos import CPU, largest_eigenvalue
from ...placement import Constant
from ...tracing import check_traceable, untransformed
from ..steps import DataStep

REST = 60  # Lanczos steps for what the sketch leaves: its residual is added, so that fewer give a larger bound
TOGETHER = 16  # columns of the sketch in one batch: more take more memory


class Sketch(NamedTuple):
    """A A^T nearly: ``vectors diag(values) vectors^T``, and a bound of what is left.

    Attributes:
        vectors: Orthonormal, m x rank.
        values: The eigenvalues, rank.
        rest: >= ||A A^T - vectors diag(values) vectors^T||.
    """

    vectors: Constant
    values: Constant
    rest: float


class Nystrom(StrictKeywords):
    """C = (beta + mu + G_k)^-1 with G_k = (G S) (S^T G S)^+ (G S)^T, a sketch of G = A A^T, and mu >= ||G - G_k||.

    G_k is below G and G below G_k + mu, so that lambda_max(C (beta I + G)) <= 1: certified for every relaxation < 2. It
    is made once for an operator, by ``rank`` products with A A^T and some 60 more for mu, and kept with it; an
    iteration costs 2 rank products a datum beside A and A^T. It pays where a few directions of the
    data carry most of A A^T: tomography, coils of MRI, lensless cameras.

    Args:
        rank: Columns of the random sketch S, >= 1.

    Raises:
        InvalidInput: For a rank that is no whole number >= 1, and at ``bind`` one above the numbers of an image's data.
        Unsupported: At ``bind`` for an operator that differs from image to image, and inside torch.compile: bind it
            before, by one solve.

    References:
        Tropp, Yurtsever, Udell and Cevher, Fixed-rank approximation of a positive-semidefinite matrix from streaming
        data, 2017; Frangella, Tropp and Udell, Randomized Nyström preconditioning, 2023.
    """

    def __init__(self, rank: int = 64) -> None:
        self.rank = check_count(rank, "rank", low=1)

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> DataStep:
        check_traceable("Nystrom", "its sketch is random products with A A^T", "solve once before")
        sketch = sketched(op, tuple(y.shape), self.rank, y.is_complex(), getattr(op, "home", CPU))
        like = _rows(y)
        vectors, values = sketch.vectors.like(like), sketch.values.like(like)
        rest = beta + sketch.rest
        weights = 1 / (rest + values) - 1 / rest

        def apply(r: Tensor) -> Tensor:
            rows = _rows(r)
            return _data(rows / rest + ((rows @ vectors) * weights) @ vectors.T, r)

        left = sketch.rest / float(sketch.values.value.max())
        text = f"rank {self.rank} of A A^T by a random sketch, {left:.1e} of it left, kappa <= 1"
        return DataStep(op, y, beta, apply, text)


def _rows(v: Tensor) -> Tensor:
    """Each image's data as one row of real numbers: A A^T of real images is linear in these alone."""
    parts = torch.view_as_real(v.resolve_conj()) if v.is_complex() else v.to(accumulator(v.dtype))
    return parts.flatten(1)


def _data(rows: Tensor, like: Tensor) -> Tensor:
    if like.is_complex():
        return torch.view_as_complex(rows.view(*like.shape, 2))
    return rows.view(like.shape).to(like.dtype)


# The last eight by operator, shape, rank and place: an equal operator of another solve finds that of the first. Fewer
# make sketches anew where solves take turns, more hold memory.
_sketches: OrderedDict[tuple[Any, ...], Sketch] = OrderedDict()
KEPT = 8


def sketched(op: LinearOperator, shape: Shape, rank: int, is_complex: bool, device: torch.device = CPU) -> Sketch:
    """The sketch of an operator on data of ``shape``, remembered by its fingerprint."""
    key = (op.fingerprint(), shape[1:], rank, device)
    if key not in _sketches:
        _sketches[key] = _sketch(op, (1, *shape[1:]), rank, is_complex, device)
        while len(_sketches) > KEPT:
            _sketches.popitem(last=False)
    _sketches.move_to_end(key)
    return _sketches[key]


@untransformed
@torch.no_grad()
def _sketch(op: LinearOperator, shape: Shape, rank: int, is_complex: bool, device: torch.device) -> Sketch:
    m = math.prod(shape) * (2 if is_complex else 1)
    if rank > m:
        raise InvalidInput(f"rank is {rank}, and an image's data are {m} numbers; expected at most {m}")
    try:
        op.input_shape(shape)
    except InvalidInput:
        raise Unsupported(
            f"inverses.Nystrom makes one sketch for all images, and {type(op).__name__} differs for each of "
            "a batch: solve them one by one, or use inverses.Scalar()"
        ) from None
    generator = torch.Generator().manual_seed(0)
    like = torch.empty(shape, dtype=torch.complex128 if is_complex else torch.float64, device=device)

    def gram(rows: Tensor) -> Tensor:
        data = [_data(part, like.expand(len(part), *shape[1:])) for part in rows.split(TOGETHER)]
        return torch.cat([_rows(op(op.adjoint(part))) for part in data])

    test = torch.linalg.qr(torch.randn(m, rank, generator=generator, dtype=torch.float64).to(device))[0]
    image = gram(test.T.contiguous()).T
    # G + shift in place of G keeps the small matrix away from rounding; it is taken off the eigenvalues again.
    shift = math.sqrt(m) * torch.finfo(torch.float64).eps * float(torch.linalg.matrix_norm(image))
    image = image + shift * test
    small = test.T @ image
    factor = torch.linalg.cholesky((small + small.T) / 2)
    half = torch.linalg.solve_triangular(factor, image.T, upper=False).T
    vectors, singular, _ = torch.linalg.svd(half, full_matrices=False)
    values = (singular.square() - shift).clamp_min(0)

    def left(v: Tensor) -> Tensor:
        row = _rows(v)
        return _data(gram(row) - ((row @ vectors) * values) @ vectors.T, v)

    rest, residual = largest_eigenvalue(left, shape, is_complex, steps=REST, device=device)
    return Sketch(Constant(vectors), Constant(values), rest + residual + shift)
