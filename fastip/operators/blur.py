"""Blur and decimation by strided convolutions; box averages."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import kernels
from ..arrays import accumulator, check_count
from ..contracts import Convolution, Shape, Structure, Window
from ..errors import InvalidInput, brief
from ..placement import Constant
from .base import convolutions, several, volumes, windows
from .base.door import by, check_axes, check_axes_count, check_psf_fits
from .base.fourier import FourierConvolution
from .base.real_array import real_array
from .base.remembered import last
from .base.work import TRANSFORM
from .linear import Operator

BOUNDARIES = kernels.reference.BOUNDARIES
# Taps that are not 0 per image pixel; above, two FFTs are faster. The work of direct taps grows with their number, that
# of the FFTs does not: larger makes wide psfs slow, smaller sends medium ones through the FFTs' passes over memory.
LARGEST_DIRECT = 33 * 33
# Psfs up to which the kernels are called plane by plane: they serve one psf at a time. 3 psfs of 9 x 9 on 256 x 256
# pixels take 3.4 ms so and 5.7 ms by FFTs of all planes together, 64 on 64 x 64 20 and 8 ms, 192 of 5 x 5 on 32 x 32
# 40 and 4 ms (one core).
FEW = 16
# Voxels up to which a norm is found by Lanczos' products: at 32 x 64 x 64 with a psf of 8 x 16 x 16 they take 2 s (two
# cores beside other work); one product with A and A^T of 64 x 256 x 256 takes 0.8 s, and they are many.
LARGEST_NORMED = 1 << 17
AXES = ("slice", "row", "column")


class Blur(Operator):
    """Convolve every channel with a psf, keep the pixels 0::stride.

    One psf serves all, or each channel, or each image of a batch, has its own.

    True convolution as scipy.ndimage.convolve, from images b c H W to data b c h w, real::

        y[i] = sum_t psf[t] x[stride i + k // 2 - t]        (valid: + k - 1 - t)

    Args:
        psf: Any real kh x kw array, odd or even; kept in float64, not normalised. ``fastip.psf.read`` takes files.
            c x kh x kw for one of each channel, b x 1 x kh x kw or b x c x kh x kw for one of each image of a batch of
            b; every step is then that of each plane. ``inverses.Stencil`` and solves in one kernel are for one psf.
        stride: Image pixels from one kept pixel to the next, >= 1, on both axes.
        boundary: "circular" (SciPy's wrap), "reflect" (half-sample, ``d c b a | a b c d | d c b a``, SciPy's reflect),
            "zero", all with H = h stride, or "valid" with H = (h - 1) stride + kh.
        centre: (row, column) of the pixel of the psf that a point is spread around, in the place of k // 2 in the
            formula; zeros are laid around the psf until it is there. None is k // 2. SciPy's
            ``fftconvolve(x, psf, mode="same")`` has it at (k - 1) // 2, which differs for even k.
        axes: 2 for images; 3 for volumes b c D H W, whose psf is kd x kh x kw, with c and b in front where they differ,
            and whose centre is (slice, row, column). Volumes are convolved by FFT; A A^T and A^T A are stated on the
            circular border.

    Raises:
        InvalidInput: For an empty, non-finite, complex or all-zero psf, a bad stride, an unknown boundary, and for a
            centre outside of the psf or with a valid boundary, which has none. For images of another batch or other
            channels than there are psfs for.
        Unsupported: For a psf that requires a gradient, and inside torch.compile.
    """

    def __init__(
        self,
        psf: Any,
        stride: int = 1,
        boundary: str = "circular",
        *,
        centre: tuple[int, ...] | None = None,
        axes: int = 2,
    ) -> None:
        self.axes = check_axes_count(axes)
        self.psf = several.reduced(real_array(psf, "psf", (axes, axes + 1, axes + 2)), axes)
        if not bool(self.psf.flatten(-axes).any(dim=-1).all()):
            raise InvalidInput(
                f"{'psf' if self.psf.ndim == axes else 'one psf'} is all zeros ({by(self.psf.shape[-axes:])}), which "
                "sees nothing; expected at least one tap that is not 0"
            )
        self.channelwise = self.psf.ndim == axes
        self.stride = check_count(stride, "stride", low=1)
        if boundary == "natural":
            raise InvalidInput(
                f"boundary is 'natural'; expected one of {', '.join(BOUNDARIES)}: for data that are a window of a "
                'larger scene use boundary="valid" and inverses.Split() in fastip.admm, its image being the larger one'
            )
        if boundary not in BOUNDARIES:
            close = difflib.get_close_matches(str(boundary).lower(), [*BOUNDARIES, "wrap", "symmetric", "constant"], 1)
            meant = (
                {"wrap": "circular", "symmetric": "reflect", "constant": "zero"}.get(close[0], close[0])
                if close
                else None
            )
            raise InvalidInput(
                f"boundary is {boundary!r}; expected one of {', '.join(BOUNDARIES)}"
                + (f": did you mean {meant!r}?" if meant else "")
            )
        self.boundary = boundary
        self._given, self._size = self.psf, tuple(self.psf.shape[-axes:])  # without the zeros of a centre
        self.centre = None if centre is None else _centre(centre, self._size, boundary)
        if self.centre is not None:
            self.psf = convolutions.centred(self.psf, self.centre)
        self._taps = Constant(self.psf)
        taps = int((self.psf != 0).flatten(-axes).sum(dim=-1).max())
        large = axes > 2 or taps > LARGEST_DIRECT * self.stride**2 or self.psf.shape[:-2].numel() > FEW
        self._fourier = FourierConvolution(self.psf, self.stride, boundary, axes) if large else None
        self._several = [] if self.channelwise or axes > 2 else several.split(self.psf, self.stride, boundary)

    def _forward(self, x: Tensor) -> Tensor:
        if self._fourier is not None:
            return self._fourier.forward(x)
        return self._direct(kernels.strided_conv, x)

    def _adjoint(self, y: Tensor) -> Tensor:
        if self._fourier is not None:
            return self._fourier.adjoint(y, self.input_shape(tuple(y.shape))[2:])
        return self._direct(kernels.strided_conv_adjoint, y)

    def _direct(self, kernel: Callable[..., Tensor], data: Tensor) -> Tensor:
        taps = self._taps.on(data.device)
        if self.channelwise:
            return kernel(data, taps, self.stride, self.boundary)
        return several.plane_by_plane(lambda plane, psf: kernel(plane, psf, self.stride, self.boundary), data, taps)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.psf, self.stride, self.boundary, *([self.axes] if self.axes > 2 else []))

    def output_shape(self, input_shape: Shape) -> Shape:
        b, c, *size = check_axes(input_shape, "image", self.axes)
        self._check(input_shape, "image")
        check_psf_fits(self._size, *size)
        kept = []
        for n, k, axis in zip(size, self._size, ("depth", "height", "width")[-self.axes :], strict=True):
            free = n - k if self.boundary == "valid" else n
            if free % self.stride:
                rule = (
                    f"{axis} - {k} a multiple of {self.stride} (valid)"
                    if self.boundary == "valid"
                    else f"{axis} a multiple of {self.stride}"
                )
                raise InvalidInput(
                    f"stride {self.stride} does not divide an image {axis} of {n}; expected {rule}: "
                    f"crop the image to {n - free % self.stride}"
                )
            kept.append(free // self.stride + (self.boundary == "valid"))
        return (b, c, *kept)

    def input_shape(self, output_shape: Shape) -> Shape:
        b, c, *size = check_axes(output_shape, "data", self.axes)
        self._check(output_shape, "data")
        if self.boundary == "valid":
            return (b, c, *((n - 1) * self.stride + k for n, k in zip(size, self._size, strict=True)))
        seen = [n * self.stride for n in size]
        check_psf_fits(self._size, *seen)
        return (b, c, *seen)

    def _check(self, shape: Shape, what: str) -> None:
        if not self.channelwise:
            several.check(self.psf, shape, what)

    def products(self, input_shape: Shape) -> float:
        if self._fourier is not None:
            return 2 * TRANSFORM * math.prod(input_shape)  # two real transforms
        taps = int((self.psf != 0).flatten(-2).sum(-1).max())  # of an image
        return float(taps * math.prod(self.output_shape(input_shape)))

    def absolute(self) -> Operator:
        if bool((self.psf >= 0).all()):
            return self
        return Blur(self._given.abs(), self.stride, self.boundary, centre=self.centre, axes=self.axes)

    def convolution(self) -> Convolution | None:
        """A as one strided convolution of images; None where there are several psfs, and for volumes."""
        single = self.channelwise and self.axes == 2
        return Convolution(self.psf, self.stride, self.boundary) if single else None

    def window(self) -> Window | None:
        return windows.of(Convolution(self.psf, self.stride, self.boundary, self.axes))

    @last
    def gram(self, input_shape: Shape) -> Structure | None:
        self.output_shape(input_shape)
        if self.axes > 2:
            return volumes.gram(self.psf, self.stride, self.boundary, tuple(input_shape[2:]))
        h, w = input_shape[2:]
        single = self.convolution()
        known = convolutions.gram
        return several.structure(self._several, known, h, w) if single is None else known(single, h, w)

    @last
    def cogram(self, output_shape: Shape) -> Structure | None:
        self.input_shape(output_shape)
        if self.axes > 2:
            return volumes.cogram(self.psf, self.stride, self.boundary, tuple(output_shape[2:]))
        h, w = output_shape[2:]
        single = self.convolution()
        if single is None:
            return several.structure(self._several, convolutions.commuting, h, w)
        return convolutions.cogram(single, h, w)

    def norm(self, input_shape: Shape | None = None) -> float:
        """The largest singular value of A.

        Args:
            input_shape: That of the images, b c H W, or None.

        Returns:
            The value for this shape; without one an upper bound that holds on every grid, close to the supremum. Of
            volumes of more than 2^17 voxels it is the bound, too, where A A^T has no structure.
        """
        if input_shape is not None and (
            self.axes == 2
            or math.prod(input_shape[2:]) <= LARGEST_NORMED
            or self.cogram(self.output_shape(input_shape)) is not None
        ):
            return super().norm(input_shape)
        if self.axes > 2:
            return volumes.norm_bound(self.psf, self.stride, self.boundary, self.axes)
        single = self.convolution()
        psfs = [[single]] if single is not None else self._several
        return max(convolutions.norm_bound(a) for row in psfs for a in row)

    @functools.cached_property
    def separable(self) -> tuple[Tensor, Tensor] | None:
        """(column, row) with psf = column row^T to rounding, float64; None for a higher rank, several psfs, volumes."""
        return convolutions.split(self.psf) if self.channelwise and self.axes == 2 else None


def _centre(value: Any, size: Shape, boundary: str) -> Shape:
    """The centre of a psf of this size, e.g. (row, column)."""
    names = AXES[-len(size) :]
    if not isinstance(value, (tuple, list)) or len(value) != len(size):
        raise InvalidInput(
            f"centre is {brief(value)}; expected ({', '.join(names)}) of a pixel of the psf, or None for k // 2"
        )
    centre = tuple(check_count(at, f"the {axis} of centre", low=0) for at, axis in zip(value, names, strict=True))
    if any(at >= n for at, n in zip(centre, size, strict=True)):
        corner = (0,) * len(size)
        raise InvalidInput(f"centre is {centre} and the psf {by(size)}; expected one of its pixels, from {corner} on")
    if boundary == "valid":
        raise InvalidInput(
            f"centre is {centre} and boundary 'valid', where every pixel that a datum sees is in the image, "
            "whatever the centre; leave centre out"
        )
    return centre


class Downsample(Blur):
    """Average over factor x factor boxes: y[i] = mean of x[factor i ... factor i + factor - 1] on both axes.

    From images b c (h factor) (w factor) to data b c h w; ``||A|| = 1 / factor``. With 3 axes volumes by boxes of
    factor^3, ``||A|| = factor^-1.5``.

    Args:
        factor: Image pixels a side of a box, >= 1.
        axes: 2 for images, 3 for volumes b c d h w.

    Raises:
        InvalidInput: For a factor that is no whole number >= 1, and for other axes.
    """

    def __init__(self, factor: int, *, axes: int = 2) -> None:
        factor, axes = check_count(factor, "factor", low=1), check_axes_count(axes)
        self.factor = factor
        box = torch.full((factor,) * axes, float(factor) ** -axes, dtype=torch.float64)
        super().__init__(box, stride=factor, boundary="valid", axes=axes)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.factor, *([self.axes] if self.axes > 2 else []))

    def output_shape(self, input_shape: Shape) -> Shape:
        b, c, *size = check_axes(input_shape, "image", self.axes)
        if any(n % self.factor for n in size):
            raise InvalidInput(
                f"factor {self.factor} does not divide an image of {by(size)}: "
                f"crop it to {by(n - n % self.factor for n in size)}"
            )
        return (b, c, *(n // self.factor for n in size))

    def _forward(self, x: Tensor) -> Tensor:
        if self.axes == 2:
            return super()._forward(x)
        wide = x.to(accumulator(x.dtype))
        for dim in (4, 3, 2):
            wide = wide.unflatten(dim, (-1, self.factor)).mean(dim=dim + 1)
        return wide.to(x.dtype)

    def _adjoint(self, y: Tensor) -> Tensor:
        if self.axes == 2:
            return super()._adjoint(y)
        wide = y * self.factor**-3.0
        for dim in (2, 3, 4):
            wide = wide.repeat_interleave(self.factor, dim)
        return wide
