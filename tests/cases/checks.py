"""Property helpers: what must hold for every operator, prior and inverse, in one line each.

The inner product is Re <a, b>, so a complex operator on real images is tested by the same lines; its matrix keeps real
and imaginary parts as rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from fastip.contracts import Circulant, Cosine, Dense, Diagonal, Kronecker, Scalar, Structure

Map = Callable[[Any], Any]


def noise(
    shape: Sequence[int], dtype: torch.dtype = torch.float64, *, seed: int = 0, is_complex: bool = False
) -> Tensor:
    """Reproducible standard normal values; complex of the matching precision on request."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator, dtype=torch.float64)
    if is_complex:
        return torch.complex(values, torch.randn(*shape, generator=generator, dtype=torch.float64)).to(
            dtype.to_complex()
        )
    return values.to(dtype)


def image_for(op: Any, shape: Sequence[int], dtype: torch.dtype = torch.float64, *, seed: int = 0) -> Tensor:
    """A random image that ``op`` takes."""
    return noise(shape, dtype, seed=seed, is_complex=op.complex_input)


def data_for(op: Any, shape: Sequence[int], dtype: torch.dtype = torch.float64, *, seed: int = 1) -> Tensor:
    """Random data for an image of ``shape``."""
    return noise(op.output_shape(tuple(shape)), dtype, seed=seed, is_complex=op.complex_output)


def dot(a: Tensor, b: Tensor) -> float:
    """Re <a, b> in float64."""
    wide = torch.complex128 if a.is_complex() else torch.float64
    return torch.vdot(a.flatten().to(wide), b.flatten().to(wide)).real.item()


def size(a: Tensor) -> float:
    """||a||."""
    return math.sqrt(dot(a, a))


def relative(a: Tensor, b: Tensor) -> float:
    """||a - b|| / ||b||, absolute where b is 0. The shapes must agree."""
    assert a.shape == b.shape, f"shapes {tuple(a.shape)} and {tuple(b.shape)} differ"
    return size(a.to(b.dtype) - b) / (size(b) or 1.0)


def adjointness(op: Any, shape: Sequence[int], dtype: torch.dtype, *, seed: int = 0) -> float:
    """|<A x, y> - <x, A^T y>| / (||A x|| ||y|| + ||x|| ||A^T y||) for random x and y."""
    x, y = image_for(op, shape, dtype, seed=seed), data_for(op, shape, dtype, seed=seed + 1)
    ax, aty = op(x), op.adjoint(y)
    assert ax.shape == y.shape and aty.shape == x.shape
    assert ax.dtype == y.dtype and aty.dtype == x.dtype
    return abs(dot(ax, y) - dot(x, aty)) / (size(ax) * size(y) + size(x) * size(aty))


def linearity(function: Map, x: Tensor, z: Tensor, scale: float = -1.7) -> float:
    """The relative error of f(x + c z) = f(x) + c f(z)."""
    return relative(function(x + scale * z), function(x) + scale * function(z))


def gradient_is_adjoint(forward: Map, adjoint: Map, x: Tensor, v: Tensor) -> float:
    """The relative error of d<v, forward(x)>/dx = adjoint(v)."""
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(forward(x), x, v)
    return relative(gradient, adjoint(v))


def real_vector(a: Tensor) -> Tensor:
    """All numbers of ``a`` in one real vector, real and imaginary parts next to each other."""
    return torch.view_as_real(a.resolve_conj()).flatten() if a.is_complex() else a.flatten()


def dense_matrix(function: Map, shape: Sequence[int], *, is_complex: bool = False) -> Tensor:
    """The float64 matrix of a real-linear function of tensors of ``shape``, one column per real number of the input."""
    numbers = math.prod(shape) * (2 if is_complex else 1)
    columns = []
    for basis in torch.eye(numbers, dtype=torch.float64):
        x = torch.view_as_complex(basis.reshape(*shape, 2)) if is_complex else basis.reshape(*shape)
        columns.append(real_vector(function(x)))
    return torch.stack(columns, dim=1)


def operator_matrix(op: Any, shape: Sequence[int]) -> Tensor:
    """:func:`dense_matrix` of an operator; images of a batch of one go through together."""
    if shape[0] != 1 or op.complex_input:
        return dense_matrix(op, shape, is_complex=op.complex_input)
    n = math.prod(shape)
    rows = op(torch.eye(n, dtype=torch.float64).reshape(n, *shape[1:]))
    return torch.stack([real_vector(row) for row in rows], dim=1)


def cosine_matrix(n: int) -> Tensor:
    """The orthonormal DCT-II, n x n: row u is a cosine at frequency u."""
    k = torch.arange(n, dtype=torch.float64)
    matrix = torch.cos(math.pi / n * k[:, None] * (k + 0.5)) * math.sqrt(2 / n)
    matrix[0] /= math.sqrt(2)
    return matrix


def structure_matrix(structure: Structure, shape: Sequence[int]) -> Tensor:
    """The explicit matrix of a gram or cogram on real tensors of ``shape``."""
    n = math.prod(shape)
    if isinstance(structure, Scalar):
        return structure.value * torch.eye(n, dtype=torch.float64)
    if isinstance(structure, Diagonal):
        return torch.diag(structure.values.expand(*shape).flatten())
    if isinstance(structure, Circulant):
        assert structure.spectrum.shape[-2:] == (shape[-2], shape[-1] // 2 + 1)
        assert structure.spectrum.dtype == torch.float64 and bool((structure.spectrum >= 0).all())
        basis = torch.eye(n, dtype=torch.float64).reshape(n, *shape)
        return (
            torch.fft.irfftn(
                torch.fft.rfftn(basis, dim=tuple(range(-structure.axes, 0))) * structure.spectrum,
                s=tuple(shape[-structure.axes :]),
                dim=tuple(range(-structure.axes, 0)),
            )
            .reshape(n, n)
            .T
        )
    if isinstance(structure, Cosine):
        assert bool((structure.spectrum >= 0).all())
        transform = torch.kron(cosine_matrix(shape[-2]), cosine_matrix(shape[-1]))
        spectra = structure.spectrum.expand(*shape).reshape(-1, math.prod(shape[-2:]))
        return torch.block_diag(*(transform.T @ torch.diag(values) @ transform for values in spectra))
    if isinstance(structure, Kronecker):
        plane = torch.kron(structure.vertical, structure.horizontal)
        return torch.kron(torch.eye(math.prod(shape[:-2]), dtype=torch.float64), plane)
    assert isinstance(structure, Dense)
    return torch.kron(torch.eye(n // len(structure.matrix), dtype=torch.float64), structure.matrix)
