"""Compressed sensing by sparsity alone: the Lasso in orthonormal bases of the image.

The basis and the weight are chosen on other pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import operators, priors
from ...errors import strict_keywords
from ...solvers.pgd import Nesterov, pgd
from .compressed_sensing import errors

# of the least weight at which all coefficients are 0; wide enough for the best to lie inside, and PATIENCE ends it
WEIGHTS = (1.0, 0.6, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
# For each weight, from the solution of the one before. On digits the least mean errors are those of 5000 iterations
# to 1.1 %, where they are above 1e-3.
ITERATIONS, TOLERANCE = 200, 1e-4
PATIENCE = 2  # less takes a ripple of the error for its end, more solves for weights that are far too small

Turn = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Basis:
    """An orthonormal transform T of each channel.

    Args:
        title: Its name on the page.
        forward: Gives the coefficients of an image, b c h w too.
        inverse: Gives the image.
    """

    title: str
    forward: Turn
    inverse: Turn


@strict_keywords
def bases(side: int) -> dict[str, tuple[Basis, ...]]:
    """The bases for images of this side, by the name of their kind.

    Wavelets have as many levels as leave an approximation of 2 to 4 pixels a side.
    """
    levels = int(math.log2(side)) - 1
    kinds = [priors.Wavelet(0.0, name, levels=levels) for name in ("haar", "db4")]
    waves = tuple(Basis(prior.wavelet.name, prior.transform, prior.inverse) for prior in kinds)
    return {
        "pixels": (Basis("pixels", _same, _same),),
        "DCT": (Basis("DCT", _cosines, _from_cosines),),
        "wavelet": waves,
    }


def _same(x: Tensor) -> Tensor:
    return x


def _cosines(x: Tensor) -> Tensor:
    """C x C^T, the two-dimensional DCT-II."""
    rows, columns = (_cosine(size).to(x) for size in x.shape[-2:])
    return rows @ x @ columns.T


def _from_cosines(coefficients: Tensor) -> Tensor:
    rows, columns = (_cosine(size).to(coefficients) for size in coefficients.shape[-2:])
    return rows.T @ coefficients @ columns


def _cosine(size: int) -> Tensor:
    """The orthonormal DCT-II: C[k, j] = c_k cos(pi (2 j + 1) k / 2 n), c_0 = sqrt(1 / n), else sqrt(2 / n); float64."""
    k, j = torch.meshgrid(*[torch.arange(size, dtype=torch.float64)] * 2, indexing="ij")
    matrix = (2 / size) ** 0.5 * torch.cos(math.pi * (2 * j + 1) * k / (2 * size))
    matrix[0] *= 0.5**0.5
    return matrix


@strict_keywords
def turned(op: operators.Dense, basis: Basis) -> operators.Dense:
    """A T^T, from coefficients to data: its rows are the coefficients of the rows of A, because T is orthonormal."""
    shape = op.image_shape
    assert shape is not None
    rows = op.matrix.reshape(-1, *shape)
    return operators.Dense(basis.forward(rows).flatten(1), shape)


@strict_keywords
def path(y: Tensor, op: operators.Dense, basis: Basis, *, weights: Sequence[float] = WEIGHTS) -> Iterator[Tensor]:
    """The images of the Lasso for each weight in turn, the largest first: ``x = T^T s``.

    With ``W = 2 max |T A^T y|`` for each image, so that with weight >= 1 s is 0::

        s = argmin ||y - A T^T s||^2 + weight W ||s||_1

    FISTA with restarts; each weight starts from the solution of the last, which is close.

    Args:
        y: b m.
        op: ``A T^T``, see :func:`turned`.
        basis: ``T``.
        weights: In falling order.

    Yields:
        The images for each weight, b c h w.

    References:
        Tibshirani, Regression shrinkage and selection via the Lasso, 1996; the path: Friedman, Hastie and Tibshirani,
        2010.
    """
    largest = 2 * op.adjoint(y).abs().amax(dim=(1, 2, 3), keepdim=True)
    s = None
    for weight in weights:
        s = pgd(
            y, op, priors.L1(weight * largest), momentum=Nesterov(), iterations=ITERATIONS, tolerance=TOLERANCE, init=s
        ).x
        yield basis.inverse(s)


@dataclass(frozen=True)
class Chosen:
    """The basis, the operator from its coefficients to data, and the weight."""

    basis: Basis
    op: operators.Dense
    weight: float

    def images(self, y: Tensor) -> Tensor:
        """The Lasso's images for these data, by the path down to the weight."""
        *_, last = path(y, self.op, self.basis, weights=[weight for weight in WEIGHTS if weight >= self.weight])
        return last


@strict_keywords
def choose(op: operators.Dense, kind: Sequence[Basis], y: Tensor, truth: Tensor) -> Chosen:
    """The basis of a kind and the weight of least mean error on pictures whose truth is known.

    They are not those of the comparison. A path ends after PATIENCE weights in a row that are no better than the best
    so far: the error falls to its least and rises again.
    """
    best, least = None, math.inf
    for basis in kind:
        own, last = turned(op, basis), [math.inf]
        for weight, x in zip(WEIGHTS, path(y, own, basis), strict=True):
            error = float(errors(x, truth).mean())
            if error < least:
                best, least = Chosen(basis, own, weight), error
            last.append(error)
            if min(last) < min(last[-PATIENCE:]):
                break
    assert best is not None
    return best
