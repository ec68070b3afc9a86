"""B = (beta I + A A^T)^-1 exactly, by what the operator states of itself.

A scalar, a diagonal, an FFT, a DCT, the eigenvectors of two factors or a Cholesky factor.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from ..arrays import HALF, accumulator, check_products
from ..contracts import (
    Apply,
    Circulant,
    Cosine,
    Dense,
    Diagonal,
    Kronecker,
    LinearOperator,
    Scalar,
    Shape,
    StencilStep,
    Structure,
)
from ..errors import InvalidInput, StrictKeywords, Unsupported
from ..placement import placed
from ..tracing import constant, fixed, real_dtype
from .steps import DataStep, FourierStep, ImageStep

# Rows of the matrix that is assembled and factored when nothing better is known. The matrix has rows^2 numbers (134 MB
# at 4096) and its factor takes rows^3 products: larger costs set-up and memory, smaller leaves more to inner loops.
LARGEST_FACTOR = 4096
# Pixels that the DCT mirrors at once: more holds more memory, fewer are more and smaller transforms.
MIRRORED = 1 << 20
SIDES = ("auto", "data", "image")


class Exact(StrictKeywords):
    """The exact inverse, chosen by ``op.gram()`` and ``op.cogram()``.

    In this order:

    1. A A^T a scalar or diagonal.
    2. A^T A circulant: stride-1 circular blur, masked Fourier. One rfftn and one irfftn an iteration.
    3. A^T A a scalar or diagonal.
    4. A A^T circulant (FFT on the small grid) or cosine (DCT-II).
    5. A A^T a Kronecker product: separable operators on any border, resizing. Four matrix products an iteration, with
       the eigenvectors of its two factors, which are found once.
    6. Cholesky of the smaller side of a dense matrix.
    7. Cholesky of A A^T assembled by applying A, for up to 4096 rows.

    Args:
        side: "data" or "image" restricts the choice to A A^T or A^T A; "auto" does not.

    Raises:
        InvalidInput: For another side.
        Unsupported: At ``bind``, with advice, when nothing fits.
    """

    def __init__(self, *, side: str = "auto") -> None:
        if side not in SIDES:
            raise InvalidInput(f"side is {side!r}; expected one of {', '.join(SIDES)}")
        self.side = side

    def bind(
        self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0
    ) -> DataStep | ImageStep | FourierStep:
        known = _structure(self.side, op, fixed(y.shape, op), y.device)
        if known is not None:
            side, structure = known
            return _on_data(op, y, beta, structure) if side == "data" else _on_image(op, y, beta, structure)
        step = self._assembled(op, y, beta) if self.side != "image" else None
        if step is None:
            where = "" if self.side == "auto" else f" with side={self.side!r}"
            raise Unsupported(
                f"no exact inverse is known for {type(op).__name__} on data of shape {tuple(y.shape)}{where}: "
                "use inverses.Stencil() for a blur, inverses.ConjugateGradient(), or inverse='auto'"
            )
        return step

    def structure(self, op: LinearOperator, y: Tensor) -> tuple[str, Structure] | None:
        """The cheapest structure that the operator states.

        Returns:
            ("data", structure of A A^T) or ("image", structure of A^T A), or None.
        """
        return _known(self.side, op, tuple(y.shape))

    def _assembled(self, op: LinearOperator, y: Tensor, beta: float) -> DataStep | None:
        if not assembles(op, y):
            return None
        per_channel = op.convolution() is not None  # then one channel stands for all
        shape = (1, 1, *y.shape[2:]) if per_channel else (1, *y.shape[1:])
        rows = y[0, 0].numel() if per_channel else y[0].numel()
        columns = []
        # 256 columns at a time: more hold more images at once, fewer make more calls.
        with torch.no_grad():
            for block in torch.eye(rows, dtype=torch.float64, device=y.device).split(256):
                columns.append(op(op.adjoint(block.reshape(-1, *shape[1:]))).reshape(len(block), rows))
        matrix = torch.cat(columns)
        apply, _ = _apply(Dense((matrix + matrix.T) / 2), beta, y)
        return DataStep(op, y, beta, apply, f"exact, Cholesky factor of {rows} assembled rows on the data grid")


def assembles(op: LinearOperator, y: Tensor) -> bool:
    """Whether A A^T can be assembled and factored: real, few rows, and alike for all images."""
    rows = y[0, 0].numel() if op.convolution() is not None else y[0].numel()
    if rows > LARGEST_FACTOR or y.is_complex():
        return False
    try:
        op.input_shape((len(y) + 1, *y.shape[1:]))
    except InvalidInput:  # one more image than the operator is for
        return False
    return True


@dataclasses.dataclass(frozen=True)
class _Eigen:
    """``V (spectrum * (V^T X H)) H^T``: a Kronecker product by the eigenvectors of its factors, float64."""

    vertical: Tensor
    horizontal: Tensor
    spectrum: Tensor


_vectors: Any = WeakTensorKeyDictionary()  # a symmetric matrix -> its eigenvalues and eigenvectors


def _decomposed(matrix: Tensor) -> tuple[Tensor, Tensor]:
    if matrix not in _vectors:
        values, vectors = torch.linalg.eigh(check_products(matrix))
        _vectors[matrix] = values.clamp_min(0), vectors
    known: tuple[Tensor, Tensor] = _vectors[matrix]
    return known


def _eigen(structure: Kronecker, device: torch.device) -> _Eigen:
    (down, vertical), (across, horizontal) = _decomposed(structure.vertical), _decomposed(structure.horizontal)
    check_products(down[-1] * across[-1])
    spectrum = placed(down, device)[:, None] * placed(across, device)
    return _Eigen(placed(vertical, device), placed(horizontal, device), spectrum)


def _structure_on(structure: Structure, device: torch.device) -> Structure | _Eigen:
    """The structure with its numbers on ``device``, in float64: whatever depends on beta is then computed there."""
    if isinstance(structure, Scalar):
        return structure
    if isinstance(structure, Kronecker):
        return _eigen(structure, device)
    first = dataclasses.fields(structure)[0].name
    return dataclasses.replace(structure, **{first: placed(getattr(structure, first), device)})  # type: ignore[arg-type]  # its own field


def _known(side: str, op: LinearOperator, shape: Shape) -> tuple[str, Structure] | None:
    cogram = op.cogram(shape) if side != "image" else None
    if isinstance(cogram, (Scalar, Diagonal)):
        return "data", cogram
    gram = op.gram(op.input_shape(shape)) if side != "data" else None
    if isinstance(gram, (Scalar, Diagonal, Circulant)):
        return "image", gram
    if isinstance(cogram, Dense) and isinstance(gram, Dense):
        return ("data", cogram) if len(cogram.matrix) <= len(gram.matrix) else ("image", gram)
    if cogram is not None:
        return "data", cogram
    return None if gram is None else ("image", gram)


@constant
def _structure(
    side: str, op: LinearOperator, shape: Shape, device: torch.device
) -> tuple[str, Structure | _Eigen] | None:
    known = _known(side, op, shape)
    return None if known is None else (known[0], _structure_on(known[1], device))


def _on_data(op: LinearOperator, y: Tensor, beta: float, cogram: Structure | _Eigen) -> DataStep:
    if isinstance(cogram, Scalar):
        convolution = op.convolution()
        stencil = (
            StencilStep(convolution, *_tap(1 / (beta + cogram.value), y.device), beta)
            if convolution is not None
            else None
        )
        return DataStep(op, y, beta, _pointwise(cogram, beta), "exact, a scalar", stencil)
    apply, how = _apply(cogram, beta, y)
    return DataStep(op, y, beta, apply, f"exact, {how} on the data grid")


def _on_image(op: LinearOperator, y: Tensor, beta: float, gram: Structure | _Eigen) -> ImageStep | FourierStep:
    if isinstance(gram, Circulant):
        return FourierStep(op, y, beta, gram, "exact, FFT on the image grid")
    apply, how = _apply(gram, beta, y)
    return ImageStep(op, y, beta, apply, f"exact, {how} on the image grid")


def _apply(structure: Structure | _Eigen, beta: float, y: Tensor) -> tuple[Apply, str]:
    """v -> (beta I + structure)^-1 v, and its name; half precision goes through float32."""
    if y.dtype in HALF:
        apply, how = _apply(structure, beta, y.new_empty(0, dtype=accumulator(y.dtype)))
        return lambda r: apply(r.float()).to(r.dtype), how
    if isinstance(structure, (Scalar, Diagonal)):
        return _pointwise(structure, beta), "pointwise"
    if isinstance(structure, Circulant):
        return _fourier(structure, beta, y), "FFT"
    if isinstance(structure, Cosine):
        return _cosine(structure.spectrum, beta, y), "DCT-II"
    if isinstance(structure, _Eigen):
        h, w = structure.spectrum.shape
        return _separable(structure, beta, y), f"eigenvectors of {h} rows and {w} columns"
    assert isinstance(structure, Dense)
    return _cholesky(structure.matrix, beta), f"Cholesky factor of {len(structure.matrix)} rows"


@functools.lru_cache(maxsize=64)  # single numbers: fewer would be placed again where solves take turns
def _single(value: float) -> Tensor:
    """A stencil of one tap; the same object for the same number, so that it is placed on a GPU once."""
    return torch.full((1, 1), value, dtype=torch.float64)


@constant
def _tap(value: float, device: torch.device) -> tuple[Tensor]:
    return (placed(_single(value), device),)


def _pointwise(structure: Scalar | Diagonal, beta: float) -> Apply:
    if isinstance(structure, Scalar):
        value = 1 / (beta + structure.value)
        return lambda r: r * value
    inverse = _cast(1 / (beta + structure.values.double()))
    return lambda r: r * inverse(r)


def _cast(values: Tensor) -> Apply:
    """A function that gives ``values`` in the precision and on the device of its argument, cast once.

    Not a ``placement.Constant``: torch.compile traces how these values are made, so they are no constants of its graph.
    """
    cache: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def get(like: Tensor) -> Tensor:
        key = (real_dtype(like.dtype), like.device)
        if key not in cache:
            cache[key] = values.to(dtype=key[0], device=key[1])
        return cache[key]

    return get


def _fourier(structure: Circulant, beta: float, y: Tensor) -> Apply:
    weight, dims = (1 / (beta + structure.spectrum)).to(device=y.device, dtype=y.dtype), (*range(-structure.axes, 0),)
    return lambda r: torch.fft.irfftn(torch.fft.rfftn(r, dim=dims) * weight, s=r.shape[-len(dims) :], dim=dims)


def _cosine(spectrum: Tensor, beta: float, y: Tensor) -> Apply:
    # The DCT-II of a signal is the DFT of its half-sample mirror image, so the inverse is a circular filter on the
    # mirrored grid. Frequencies h and w carry no energy of a mirrored signal: index 0 stands there for any finite
    # weight.
    h, w = spectrum.shape[-2:]
    weight = 1 / (beta + spectrum)
    weight = torch.cat([weight, weight[..., :1, :], weight[..., 1:, :].flip(-2)], dim=-2)
    weight = torch.cat([weight, weight[..., :1]], dim=-1).to(device=y.device, dtype=y.dtype)

    def planes(r: Tensor, weight: Tensor) -> Tensor:
        extended = torch.cat([r, r.flip(-2)], dim=-2)
        extended = torch.cat([extended, extended.flip(-1)], dim=-1)
        filtered = torch.fft.irfft2(torch.fft.rfft2(extended) * weight, s=extended.shape[-2:])
        return filtered[..., :h, :w]

    # The mirrored grid is four times the size: a few planes at a time.
    few = max(1, MIRRORED // (h * w))

    def apply(r: Tensor) -> Tensor:
        parts = r.reshape(-1, h, w).split(few)
        if weight.ndim == 2:
            return torch.cat([planes(part, weight) for part in parts]).reshape(r.shape)
        own = weight.expand(*r.shape[:2], *weight.shape[-2:]).reshape(-1, *weight.shape[-2:]).split(few)
        return torch.cat([planes(*pair) for pair in zip(parts, own, strict=True)]).reshape(r.shape)

    return apply


def _separable(eigen: _Eigen, beta: float, y: Tensor) -> Apply:
    vertical, horizontal = (u.to(device=y.device, dtype=y.dtype) for u in (eigen.vertical, eigen.horizontal))
    weight = (1 / (beta + eigen.spectrum)).to(device=y.device, dtype=y.dtype)

    def apply(r: Tensor) -> Tensor:
        with torch.autocast(r.device.type, enabled=False):
            return vertical @ (vertical.T @ r @ horizontal * weight) @ horizontal.T

    return apply


def _cholesky(matrix: Tensor, beta: float) -> Apply:
    identity = torch.eye(matrix.shape[0], dtype=torch.float64, device=matrix.device)
    try:
        factor = torch.linalg.cholesky(matrix.double() + beta * identity)
    except torch.linalg.LinAlgError as error:
        raise InvalidInput(
            f"beta is {beta:g}, lost to rounding beside A A^T, whose largest entry is {matrix.abs().max().item():.3g}, "
            f"so that it has no Cholesky factor; expected more than about {1e-15 * len(matrix):.0e} ||A||^2: raise "
            "beta, or use inverses.ConjugateGradient()"
        ) from error
    # As a matrix product: on many right-hand sides far faster than two triangular solves.
    inverse = _cast(torch.cholesky_inverse(factor))
    return lambda r: (r.reshape(-1, matrix.shape[0]) @ inverse(r)).reshape(r.shape)
