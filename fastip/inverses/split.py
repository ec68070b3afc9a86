"""The exact data step of weighted pixels of a circular convolution, by a second split and without an inner loop."""

from __future__ import annotations

import functools
import math
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import kernels
from ..arrays import accumulator, check_count, check_normal, check_number
from ..contracts import LinearOperator, Scales, Shape, Window
from ..errors import StrictKeywords, Unsupported
from ..kernels import split_reference
from ..kernels.split_reference import corner
from ..operators.base.convolutions import fold
from ..operators.base.fourier import fast_length
from ..placement import borrowed
from ..stopping import per_image, ratio
from ..tracing import constant, fixed
from .split_lattice import Lattice

# data_beta over the largest squared weight; docs/mathematics.md measures it.
SHARE = 0.1
# Of the largest: pixels that the data reach with less begin near the mean. Smaller divides small numbers by small ones.
FAINT = 1e-3
# Pixels of a grid, for each thread, from which a CPU transforms its planes one by one, because torch copies what
# several inverse transforms share. On one thread 1080 x 1600 x 3 take 0.85 of the time (float64: 0.5), 256 x 256 x 3
# would take 1.2 times as long; each transform opens a team, and two threads lose more by that at 500 x 576 x 3.
LONE = 1 << 18


class Split(StrictKeywords):
    """The data step of A = M H by ``u = H x`` as a second split: H circular on a larger grid, M weights of its pixels.

    H gives the pixels of a grid that data can be of: all, or every stride-th one.

    With b = beta and e = data_beta, w = x - p on the picture (p = A^T q) and w = x beside it, s = u + d with d the
    scaled dual of the second split, and M y spread over the grid::

        X = (b I + e H^T H)^-1 (b w + e H^T s)           exact, in Fourier space
        p' = p + X - x
        s' = u' + s - H X,    u' = (M y + e (2 H X - s)) / (M^2 + e)

    and the solver goes on with ``x' = prox_{R / 2 beta}(x + 2 p' - p)``; beside the picture nothing is asked of the
    image, so w' = X there. At rest x minimises ``||y - A x||^2 + R(x)`` for the A given, on its own image, whatever
    beta and data_beta are, both > 0. It converges for every convex R and every relaxation 0 < a < 2. An iteration
    costs four real transforms of the grid, whatever the size of the psf; the dual of a Solution is b 2 c h w, (p, -w
    beside the picture) and s on that grid.

    It serves what states ``op.window()``: blurs with a valid or circular boundary, of any psf and stride, box averages,
    masks, and masks (holes, weights of pixels) after these; of images, and of volumes with real transforms of 3 axes.

    Args:
        data_beta: e, the penalty of the second split, > 0, beside the squared weights of the data; None is 0.1 times
            the largest of these. It changes the speed, not the answer; plug and play in a few iterations, which does
            not come to rest, wants 0.5 to 1.5. A Solution is resumed with the same one.
        warm: Steps of the second split alone before the first prior step, x held at its start, so that this one sees
            what the data say beside the picture. A solve that comes to rest needs none; plug and play wants 20.

    Raises:
        InvalidInput: For a data_beta that is not > 0, and a warm that is no whole number >= 0.
        Unsupported: At ``bind``, for an operator that is not of this kind.

    References:
        Almeida and Figueiredo, Deconvolving images with unknown boundaries using the alternating direction method of
        multipliers, 2013. Matakos, Ramani and Fessler, Accelerated edge-preserving image restoration without boundary
        artifacts, 2013.
    """

    def __init__(self, data_beta: float | None = None, *, warm: int = 0) -> None:
        self.data_beta = None if data_beta is None else check_number(data_beta, "data_beta", low=0.0, strict=True)
        self.warm = check_count(warm, "warm", low=0)

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> SplitStep:
        return SplitStep(op, y, beta, *planned(op, y, self.data_beta), warm=self.warm)


def planned(
    op: LinearOperator, y: Tensor, data_beta: float | None, weight: float = 1.0
) -> tuple[float, int, tuple[Tensor, ...]]:
    """data_beta (None: 0.1 times the largest weight, ``weight`` that of the data term), stride and plan of a step."""
    dtype = accumulator(y.dtype)
    plan = _plan(op, fixed(y.shape, op), dtype, y.device)
    return *_numbers(op, data_beta, weight, dtype), plan


def _window(op: LinearOperator) -> Window:
    window = op.window()
    if window is None:
        raise Unsupported(
            f"inverses.Split and the circulant preconditioner need weighted pixels of a circular convolution, and "
            f"{type(op).__name__} does not state that it gives them: use "
            'operators.Blur(psf, stride, boundary="valid"), a mask after it, or inverse="auto"'
        )
    return window


@constant
def _numbers(op: LinearOperator, data_beta: float | None, weight: float, dtype: torch.dtype) -> tuple[float, int]:
    """(data_beta, stride)."""
    window = _window(op)
    largest = 1.0 if window.weights is None else window.weights.square().max().item()
    value = SHARE * largest * weight if data_beta is None else data_beta
    return check_normal(value, "data_beta", dtype), window.convolution.stride


_plans: WeakKeyDictionary[LinearOperator, tuple[tuple[object, ...], tuple[Tensor, ...]]] = WeakKeyDictionary()


@constant
def _plan(op: LinearOperator, shape: Shape, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    """What depends on the operator and the sizes alone, kept for the last of them: a new beta finds it again."""
    key = (shape, dtype, device)
    plan = _plans.get(op)
    if plan is None or plan[0] != key:
        plan = _plans[op] = (key, tuple(_made(op, shape, dtype, device)))
    return tuple(borrowed(t) for t in plan[1])


def _made(op: LinearOperator, shape: Shape, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    """As :class:`SplitStep` has it."""
    window = _window(op)
    a = window.convolution
    size = op.input_shape(shape)[2:]
    grid = tuple(_grid(n, a.stride) for n in size) if a.boundary == "valid" else size
    start, dims = tuple(-at for at in window.offset), tuple(range(-len(size), 0))

    def transform(psf: Tensor) -> Tensor:
        return torch.fft.rfftn(fold(psf, start, *grid), dim=dims)

    weights = torch.ones(1, 1, *shape[2:], dtype=torch.float64) if window.weights is None else window.weights
    seen = spread(weights.square(), a.stride, grid)
    magnitudes = transform(a.psf.abs())
    reach = reached(seen, magnitudes)[corner(size)]
    spectra = (t.to(dtype.to_complex()).to(device) for t in (transform(a.psf), magnitudes))
    return [*spectra, *(t.to(dtype).to(device) for t in (weights, seen, reach))]


def _grid(n: int, stride: int) -> int:
    """The smallest length >= n of quick transforms that the stride divides."""
    return stride * fast_length(-(-n // stride))


def reached(seen: Tensor, magnitudes: Tensor) -> Tensor:
    """``|H|^T (seen |H| 1)``, from the spectrum of ``|H|``."""
    dims, grid = tuple(range(2 - seen.ndim, 0)), seen.shape[2:]
    sums = torch.fft.rfftn(seen, dim=dims) * magnitudes.conj()
    total = magnitudes[corner((1,) * len(grid))].real
    return total * torch.fft.irfftn(sums, s=grid, dim=dims).clamp_min(0.0)


def spread(values: Tensor, stride: int, grid: Shape) -> Tensor:
    """``values``, b c h w, on every stride-th pixel of a grid, from its corner on, and 0 elsewhere."""
    wide = values.new_zeros(*values.shape[:2], *grid)
    wide[corner(values.shape[2:], stride)] = values
    return wide


class SplitStep:
    """:class:`Split` in one solve; half precision goes through float32.

    Args:
        op: A.
        y: The data.
        beta: The penalty of the first split.
        data_beta: That of the second.
        stride: Grid pixels from one data point to the next.
        planned: The spectra of H and ``|H|``, M on the grid of the data, M^2 on that of H, ``|A|^T |A| 1`` on the
            image.
        warm: Steps of the second split alone at the start.
    """

    inverts = False

    def __init__(
        self,
        op: LinearOperator,
        y: Tensor,
        beta: float,
        data_beta: float,
        stride: int,
        planned: tuple[Tensor, ...],
        *,
        warm: int = 0,
    ) -> None:
        self.op, self.y, self.beta, self.data_beta, self._warm = op, y, beta, data_beta, warm
        self._spectrum, self._magnitudes, self._weights, self._seen, self._reach = planned
        self._stride = stride
        self._grid, self._size = tuple(self._seen.shape[2:]), tuple(self._reach.shape[2:])
        self._dims = tuple(range(-len(self._grid), 0))
        self._measured = spread(y.to(self._weights.dtype) * self._weights, stride, self._grid)  # M y
        if stride == 1:
            inverse = 1 / (beta + data_beta * (self._spectrum.real.square() + self._spectrum.imag.square()))
            self._near, self._far = beta * inverse, data_beta * self._spectrum.conj() * inverse
        else:
            self._lattice = Lattice(self._spectrum, stride, self._grid, beta, data_beta)
        share = 1 / (self._seen + data_beta)
        self._first: Tensor | None = None
        self._kept, self._target = data_beta * share, self._measured * share

    # ---- between the image and the grid ------------------------------------------------------------------------------

    def _wide(self, x: Tensor, mode: str = "constant") -> Tensor:
        x = x.to(self._seen.dtype)
        return x if self._grid == self._size else F.pad(x, split_reference.beside(self._size, self._grid), mode=mode)

    def _cut(self, wide: Tensor) -> Tensor:
        return wide[corner(self._size)]

    def _spectra(self, x: Tensor) -> Tensor:
        return torch.fft.rfftn(x, dim=self._dims)

    def _pixels(self, spectra: Tensor) -> Tensor:
        return torch.fft.irfftn(spectra, s=self._grid, dim=self._dims)

    def _convolved(self, x: Tensor) -> Tensor:
        """H x, where it is kept."""
        if self._stride > 1:
            return self._lattice.convolved(x)
        return self._pixels(self._spectrum * self._spectra(x))

    # ---- the step ----------------------------------------------------------------------------------------------------

    def start(self, x: Tensor | None = None) -> Tensor:
        """p = 0 and d = 0, with w and u = H w of the image x, whose last pixels are repeated beside it.

        Then the steps alone: p stays 0 on the picture.
        """
        x = self.guess() if x is None else x
        wide = self._wide(x, "replicate")
        beside = wide - self._wide(self._cut(wide))
        q = torch.stack((-beside, self._convolved(wide)), dim=1)
        for _ in range(self._warm):
            p, s = self(x, q)[0].unbind(1)
            q = torch.stack((p - self._wide(self._cut(p)), s), dim=1)
        return q

    def guess(self) -> Tensor:
        """``A^T y / |A|^T |A| 1``: averages of the data; near their mean where hardly any datum sees the image."""
        if self._first is None:
            pulled, reach = self._counted()
            total = reach.sum(dim=self._dims, keepdim=True)
            mean = pulled.sum(dim=self._dims, keepdim=True) / torch.where(total > 0, total, torch.ones_like(total))
            faint = FAINT * reach.amax(dim=tuple(range(1, reach.ndim)), keepdim=True)
            self._first = ((pulled + faint * mean) / (reach + faint)).to(self.y.dtype)
        return self._first

    def _counted(self) -> tuple[Tensor, Tensor]:
        """``A^T y`` and ``|A|^T |A| 1``, each datum as often as it counts."""
        return self.op.adjoint(self.y), self._reach

    def __call__(self, x: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """(q', beta (p' - p)): the residual itself would cost four transforms more."""
        x = x.to(q.dtype)
        planes = len(self._grid) == 2
        w, s = (kernels if planes else split_reference).split_open(x, q), q[:, 1]
        alone = w.is_cpu and self._spectrum.ndim == len(self._grid) and kernels.why_reference((w, s)) is None
        alone = alone and math.prod(self._grid) >= LONE * torch.get_num_threads()
        image, blurred = (self._plane_by_plane if alone else self._mixed)(w, s)
        close = (kernels if planes else split_reference).split_close
        return close(image, blurred, x, q, *self._agreed(blurred, s), self.beta)

    def _agreed(self, blurred: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """(kept, target): ``target + kept v`` is ``argmin_u ||y - M u||^2 + e ||u - v||^2`` for v = 2 H X - s."""
        return self._kept, self._target

    def _mixed(self, w: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """X and H X, where it is kept."""
        if self._stride > 1:
            return self._lattice.mixed(w, s)
        spectra = self._spectra(w), self._spectra(s)
        mix = kernels.split_mix if self._spectrum.ndim == 2 else split_reference.split_mix
        image, blurred = mix(*spectra, self._spectrum, self._near, self._far)
        return self._pixels(image), self._pixels(blurred)

    def _plane_by_plane(self, w: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`_mixed`, X in the place of w."""
        blurred = torch.empty_like(w)
        for i in range(w.shape[0]):
            for j in range(w.shape[1]):
                at = (slice(i, i + 1), slice(j, j + 1))
                w[at], blurred[at] = self._mixed(w[at], s[at])
        return w, blurred

    def ahead(self, q: Tensor, new: Tensor) -> Tensor:
        """Of p on the picture alone."""
        p, p_new = (self._cut(part[:, 0]) for part in (q, new))
        return torch.lerp(p, p_new, 2.0).to(self.y.dtype)

    def residual(self, x: Tensor, q: Tensor) -> Tensor:
        """A^T (y - A x) - beta p, in the place of p."""
        r = self._misfitted(self._convolved(self._wide(x)))
        pulled = self._cut(self._pixels(self._spectrum.conj() * self._spectra(r)))
        r = self._wide(torch.sub(pulled, self._cut(q[:, 0]), alpha=self.beta))
        return torch.stack((r, torch.zeros_like(r)), dim=1)

    def _misfitted(self, blurred: Tensor) -> Tensor:
        """M (y - M H x) on the grid, from H x."""
        return torch.addcmul(self._measured, self._seen, blurred, value=-1)

    def pull(self, q: Tensor) -> Tensor:
        return self._cut(q[:, 0]).to(self.y.dtype)

    def rescaled(self, q: Tensor, old: float) -> Tensor:
        """Of another beta: p alone is scaled, not what lies beside the picture, nor s."""
        p = self._cut(q[:, 0])
        scaled = q[:, 0] + self._wide(p * (old / self.beta - 1))
        return torch.stack((scaled, q[:, 1]), dim=1)

    # ---- what the stop rule asks -------------------------------------------------------------------------------------

    @functools.cached_property
    def floor(self) -> Tensor:
        return per_image(self.op.adjoint(self.y))

    @property
    def size(self) -> Tensor:
        return self.floor

    def norm(self, r: Tensor) -> Tensor:
        return ratio(self.pending(r), self.size)

    def pending(self, r: Tensor) -> Tensor:
        return per_image(self._cut(r[:, 0]))

    def misfit(self, x: Tensor) -> Tensor:
        return per_image(self.y - self.op(x)).square()

    def scales(self) -> Scales:
        return Scales(1.0, self.size, self.floor)

    def fused(self) -> None:
        return None

    def why_unfused(self) -> str:
        return "the data step has a second split, which no fused solve has"

    def describe(self) -> str:
        grid = " x ".join(map(str, self._grid))
        return f"exact by a second split, FFT on {grid} pixels, data_beta = {self.data_beta:.3g}"
